//! A bound on tests that wait for sockets: they fail, they never hang.

use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What only a broken build takes longer than.
pub const TEST_TIME_MAX: Duration = Duration::from_secs(60);

/// A deadline that only a broken build misses.
pub fn soon() -> Instant {
    Instant::now() + TEST_TIME_MAX / 2
}

/// Runs `test` in a thread of its own, and fails when it takes longer than [`TEST_TIME_MAX`].
///
/// # Panics
///
/// As `test` does, or when it takes too long.
pub fn watched<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = channel();
    let name = thread::current().name().unwrap_or("test").to_owned();
    let spawned = thread::Builder::new().name(name).spawn(move || {
        let result = test();
        let _ = done.send(());
        result
    });
    let handle = spawned.unwrap();
    match wait.recv_timeout(TEST_TIME_MAX) {
        // Disconnected: it panicked, and joining says how.
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {
            handle.join().unwrap_or_else(|panic| resume_unwind(panic))
        }
        Err(RecvTimeoutError::Timeout) => panic!("the test hangs: not done after {TEST_TIME_MAX:?}"),
    }
}
