//! Nodes whose shards have a thread each, as in production.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use replink_transport::driver::Waker;
use replink_transport::node::{Event, Shard};

use crate::watchdog::TEST_TIME_MAX;

/// Shards at work, until this is dropped.
#[derive(Debug)]
pub struct Running {
    stopping: Arc<AtomicBool>,
    threads: Vec<Runner>,
}

struct Runner {
    wake: Waker,
    thread: Option<JoinHandle<Shard>>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

impl Running {
    /// Gives each shard a thread that tells `listener` of everything, with the number of the shard.
    pub fn start(shards: Vec<Shard>, listener: impl Fn(usize, &Event<'_>) + Clone + Send + 'static) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let run = |mut shard: Shard| {
            let (stop, listener, wake) = (Arc::clone(&stopping), listener.clone(), shard.waker());
            let thread = thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) && !shard.is_stopped() {
                    let index = shard.index();
                    // Without a timeout of its own: whatever is missed shows.
                    let mut events = shard.poll(None).unwrap();
                    while let Some(event) = events.next() {
                        listener(index, &event);
                    }
                }
                shard
            });
            Runner { wake, thread: Some(thread) }
        };
        let threads = shards.into_iter().map(run).collect();
        Self { stopping, threads }
    }

    /// Whether every shard has come to its end, by itself or by a panic.
    pub fn is_over(&self) -> bool {
        self.threads.iter().all(|runner| runner.thread.as_ref().is_none_or(JoinHandle::is_finished))
    }

    fn finish(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        for runner in &mut self.threads {
            (runner.wake)();
            let Some(thread) = runner.thread.take() else { continue };
            match thread.join() {
                Err(panic) if !thread::panicking() => resume_unwind(panic),
                _ => {}
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Waits for something that other threads do.
///
/// # Panics
///
/// When that takes too long.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + TEST_TIME_MAX / 2;
    while !done() {
        assert!(Instant::now() < deadline, "not within {:?}: {what}", TEST_TIME_MAX / 2);
        thread::park_timeout(Duration::from_micros(200));
    }
}
