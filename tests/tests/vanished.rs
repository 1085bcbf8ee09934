//! Peers whose machine vanishes, where there is no heartbeat: in a network of the test's own, whose only
//! interface goes down. Skipped where there can be no such network.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use replink_tests::links::{ACCEPTOR, AUTH, endpoint, shake_hands};
use replink_tests::nodes::prepare;
use replink_transport::blocking::{self, LinkEnd, Receiver};

/// As docs/operations.md says it.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);

#[test]
#[expect(clippy::print_stderr, reason = "who skips a test has to say so")]
fn a_machine_that_vanishes_is_noticed_without_heartbeats() {
    let network = |command: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--net"]).args(command);
        unshare
    };
    if !network(&["ip", "link", "set", "lo", "up"]).output().is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: there can be no network namespace here (unshare, ip)");
    }
    let this = std::env::current_exe().unwrap();
    let inside = ["--exact", "inside", "--ignored", "--nocapture"];
    let output = network(&[this.to_str().unwrap()]).args(inside).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "runs in a network of its own"]
fn inside() {
    ip(&["link", "set", "lo", "up"]);
    let link = || {
        let (dialed, accepted) = shake_hands(&endpoint(0, AUTH), &endpoint(ACCEPTOR, AUTH));
        let limits = endpoint(0, AUTH).outbound_limits();
        let [dialed, accepted] =
            [dialed.unwrap(), accepted.unwrap()].map(|link| blocking::open(link, limits).unwrap());
        (dialed, accepted)
    };
    let ((_idle, receives_nothing), _theirs) = link();
    let ((mut sends, receives), _theirs) = link();
    ip(&["link", "set", "lo", "down"]);
    let began = Instant::now();
    sends.send(&prepare(1, 5), Bytes::from_static(b"hello")).unwrap();
    thread::scope(|scope| {
        for mut receiver in [receives_nothing, receives] {
            scope.spawn(move || {
                let end = end_of(&mut receiver, began);
                assert!(
                    matches!(&end, LinkEnd::Io(error) if error.kind() == io::ErrorKind::TimedOut),
                    "{end:?}"
                );
                assert!(began.elapsed() > Duration::from_secs(15), "after {:?}", began.elapsed());
            });
        }
    });
}

fn end_of(receiver: &mut Receiver, began: Instant) -> LinkEnd {
    loop {
        match receiver.receive() {
            Ok(_) => assert!(began.elapsed() < NOTICED_WITHIN, "it is not noticed"),
            Err(end) => return end,
        }
    }
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success());
}
