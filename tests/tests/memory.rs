//! What is left of secrets in a process once everything that held one is dropped: its whole memory is
//! searched, as an attacker would who reads it later.
//!
//! The search knows its patterns masked, so that it does not find itself. Keys are computed by another
//! process, which reports them masked; the secret itself this process reads only as the library does.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod memory {
    pub(super) mod oracle;
    pub(super) mod scan;
    pub(super) mod sources;
    pub(super) mod work;
}

use memory::scan::{Found, Scanner};
use memory::{oracle, sources, work};
use replink_tests::alone::alone;
use replink_transport::config::Config;

/// The other process: computes keys from files, and prints them masked. Does nothing unless told to.
#[test]
fn oracle_process() {
    oracle::run_if_asked();
}

fn names(found: &[Found]) -> Vec<&str> {
    let mut names: Vec<&str> = found.iter().map(|found| &found.name[..]).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn nothing_is_left_of_a_node_and_its_links() {
    alone("nothing_is_left_of_a_node_and_its_links", None, || {
        let scanner = Scanner::start();
        let folder = tempfile::tempdir().unwrap();
        work::write_configuration(folder.path());

        let world = work::World::start(folder.path());
        let patterns = oracle::ask(folder.path(), "links");
        // The search finds what is alive.
        let alive = scanner.find(&patterns);
        let expected = [
            "control acceptor->dialer",
            "control dialer->acceptor",
            "record acceptor->dialer",
            "record dialer->acceptor",
            "record key acceptor->dialer",
            "record key dialer->acceptor",
            "version 1 MAC key",
            "version 2 MAC key",
        ];
        let names_alive = names(&alive);
        for name in expected {
            assert!(names_alive.contains(&name), "{name} is in use, and was not found: {alive:#?}");
        }
        assert!(!names_alive.contains(&"secret"), "only keys are kept: {alive:#?}");
        assert!(!names_alive.contains(&"session key"), "only subkeys are kept: {alive:#?}");

        world.hand_over_and_end();
        let left = scanner.find(&patterns);
        assert!(left.is_empty(), "{left:#?}");

        // The search finds what was left behind on purpose.
        let leaked = std::fs::read(folder.path().join("cluster.key")).unwrap();
        assert_eq!(names(&scanner.find(&patterns)), ["secret"]);
        drop(leaked);
    });
}

#[test]
fn nothing_is_left_of_ephemeral_secrets() {
    alone("nothing_is_left_of_ephemeral_secrets", None, || {
        let scanner = Scanner::start();
        let folder = tempfile::tempdir().unwrap();
        work::write_configuration(folder.path());
        let sides = work::ephemeral::begin(folder.path());
        let patterns = oracle::ask(folder.path(), "ephemeral");
        let alive = scanner.find(&patterns);
        for name in ["dialer's ephemeral", "acceptor's ephemeral"] {
            assert!(names(&alive).contains(&name), "{name} is in use, and was not found: {alive:#?}");
        }
        work::ephemeral::finish(sides, folder.path());
        let patterns = oracle::ask(folder.path(), "ephemeral");
        let left = scanner.find(&patterns);
        assert!(left.is_empty(), "{left:#?}");
    });
}

/// A secret in the configuration itself, with and without an escape in it, in a list, in a file of pairs.
#[test]
fn nothing_is_left_of_a_secret_whatever_its_source() {
    alone("nothing_is_left_of_a_secret_whatever_its_source", None, || {
        let scanner = Scanner::start();
        let folder = tempfile::tempdir().unwrap();
        sources::write(folder.path());
        let patterns = oracle::ask(folder.path(), "source");
        for source in sources::GOOD {
            let config = Config::load(folder.path().join(source)).unwrap_or_else(|errors| panic!("{errors}"));
            assert!(!names(&scanner.find(&patterns)).contains(&"secret"), "{source}: only keys are kept");
            drop(config);
            let left = scanner.find(&patterns);
            assert!(left.is_empty(), "{source}: {left:#?}");
        }
    });
}

/// The text of a configuration that is no TOML, or contradicts itself, is wiped as well: a reload has met one.
#[test]
fn nothing_is_left_of_a_secret_after_a_mistake() {
    alone("nothing_is_left_of_a_secret_after_a_mistake", None, || {
        let scanner = Scanner::start();
        let folder = tempfile::tempdir().unwrap();
        sources::write(folder.path());
        let patterns = oracle::ask(folder.path(), "source");
        for (source, mistake) in sources::BAD {
            let errors = Config::load(folder.path().join(source)).unwrap_err().to_string();
            assert!(errors.contains(mistake), "{source}: {errors}");
            let left = scanner.find(&patterns);
            assert!(left.is_empty(), "{source}: {left:#?}");
        }
    });
}
