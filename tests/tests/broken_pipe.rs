//! Alone in its process, for it changes what a signal does in all of it.
#![cfg(target_os = "linux")]
#![allow(unsafe_code, reason = "the standard library does not set signal handlers")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io;

use replink_tests::frames::plain;
use replink_tests::links::{ACCEPTOR, AUTH, endpoint, open_link};
use replink_tests::watchdog::watched;
use replink_transport::blocking::SendFailure;

unsafe extern "C" {
    fn signal(number: i32, action: usize) -> usize;
}

const SIGPIPE: i32 = 13;
const DEFAULT_ACTION: usize = 0;

#[test]
fn a_peer_that_is_gone_is_an_error_and_not_the_end_of_the_process() {
    // SAFETY: `signal` of the C library, which every process has; the default action runs no code.
    unsafe { signal(SIGPIPE, DEFAULT_ACTION) };
    watched(|| {
        let [(mut sender, _receiver), theirs] = open_link(&endpoint(0, AUTH), &endpoint(ACCEPTOR, AUTH));
        drop(theirs);
        let (header, body) = plain(1000, 1);
        let failed = loop {
            match sender.send(&header, body.clone()) {
                Ok(()) => {} // the kernel took it; it has yet to hear that nobody reads
                Err(SendFailure::Io(error)) => break error,
                Err(refused) => panic!("{refused}"),
            }
        };
        assert!(matches!(failed.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset));
    });
}
