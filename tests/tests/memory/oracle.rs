//! A process that may know everything, because it is not the one that is searched.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use replink_tests::forge::{Forge, subkey};
use x25519_dalek::x25519;

use super::scan::{Pattern, mask};

const FOLDER: &str = "REPLINK_TEST_ORACLE";
const WHAT: &str = "REPLINK_TEST_ORACLE_WHAT";

/// Patterns of all that follows from the secret and the frames in `folder`.
pub(crate) fn ask(folder: &Path, what: &str) -> Vec<Pattern> {
    let mut asked = Command::new(env::current_exe().unwrap());
    asked.args(["oracle_process", "--exact", "--test-threads=1", "--nocapture"]);
    asked.env(FOLDER, folder).env(WHAT, what).stdin(Stdio::null());
    let output = asked.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(folder.join("patterns")).unwrap().lines().map(read).collect()
}

fn read(line: &str) -> Pattern {
    let (masked, name) = line.split_once(' ').unwrap();
    let byte = |at: usize| u8::from_str_radix(&masked[2 * at..2 * at + 2], 16).unwrap();
    Pattern { name: name.to_owned(), masked: std::array::from_fn(byte) }
}

/// Whether this process is the one that is asked.
pub(crate) fn run_if_asked() -> bool {
    let (Some(folder), Ok(what)) = (env::var_os(FOLDER), env::var(WHAT)) else { return false };
    let folder = Path::new(&folder);
    let file = |name: &str| fs::read(folder.join(name)).ok();
    let secret = file("cluster.key").unwrap();
    let secret = secret.trim_ascii_end();
    let forge = Forge::new(secret);
    let mut known = vec![
        ("secret", secret[..32].try_into().unwrap()),
        ("version 1 MAC key", forge.mac_key(1)),
        ("version 2 MAC key", forge.mac_key(2)),
        ("hand-off key", blake3::derive_key("replink replica-auth v2 psk->hand-off-key", secret)),
    ];
    let mut shared = [0; 32];
    if what == "ephemeral" {
        let key = |name| <[u8; 32]>::try_from(file(name).unwrap()).unwrap();
        let (ours, theirs) = (key("ephemeral-dialer"), key("ephemeral-acceptor"));
        shared = x25519(ours, x25519(theirs, x25519_dalek::X25519_BASEPOINT_BYTES));
        known.extend([("dialer's ephemeral", ours), ("acceptor's ephemeral", theirs), ("shared", shared)]);
    }
    if let Some(frames) = file("frames") {
        let parts = [&forge.mac_key(2)[..], &frames, &[0; 33], &shared].concat();
        let session = blake3::derive_key("replink replica-auth v2 session", &parts);
        known.push(("session key", session));
        for label in ["control dialer->acceptor", "control acceptor->dialer", "export test"] {
            known.push((label, subkey(&session, label)));
        }
        // Of the step that all records of the test are in, and what would come of the next one.
        for (label, key, next) in [
            ("record dialer->acceptor", "record key dialer->acceptor", "next secret dialer->acceptor"),
            ("record acceptor->dialer", "record key acceptor->dialer", "next secret acceptor->dialer"),
        ] {
            let secret = subkey(&session, label);
            known.push((label, secret));
            known.push((key, subkey(&secret, "record key")));
            known.push((next, subkey(&secret, "record next")));
        }
    }
    let mut out = fs::File::create(folder.join("patterns")).unwrap();
    for (name, bytes) in known {
        let masked = bytes.iter().enumerate().map(|(at, byte)| format!("{:02x}", byte ^ mask(at)));
        writeln!(out, "{} {name}", masked.collect::<String>()).unwrap();
    }
    true
}
