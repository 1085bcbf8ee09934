//! The phases of a window, which all its threads see.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Placement;

/// How long is measured, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// What comes before, and is not counted: buffers grow, caches fill.
    pub warm_up: Duration,
    /// What is counted.
    pub length: Duration,
    /// Where both ends run.
    pub placement: Placement,
}

impl Window {
    /// `length`, after a warm-up of a fifth of it.
    pub fn new(length: Duration, placement: Placement) -> Self {
        Self { warm_up: length / 5, length, placement }
    }

    /// How long the whole window takes.
    pub fn whole(&self) -> Duration {
        self.warm_up + self.length
    }
}

/// How far a window has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    WarmUp,
    Counting,
    Over,
}

/// How much longer a window may become when a thread has nothing to show for it.
const EXTENSION_MAX: Duration = Duration::from_secs(5);

/// A window under way.
#[derive(Default, Debug)]
pub struct Course {
    phase: AtomicU8,
    /// Threads that have counted nothing yet.
    waiting: AtomicUsize,
    /// Threads that run.
    running: AtomicUsize,
    /// Threads that are going to count something, or have.
    counting: AtomicUsize,
}

impl Course {
    /// Whether it is time to stop.
    pub fn is_over(&self) -> bool {
        self.phase() == Phase::Over
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::WarmUp,
            1 => Phase::Counting,
            _ => Phase::Over,
        }
    }

    /// One more thread runs.
    pub(crate) fn begin(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// One more thread is going to count; `counts` where it is not its processor time alone.
    pub(crate) fn await_another(&self, counts: bool) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.counting.fetch_add(usize::from(counts), Ordering::Relaxed);
    }

    /// Waits until so many threads run and one of them is going to count: on a busy machine a short window would be
    /// over before that.
    pub(crate) fn await_threads(&self, count: usize) {
        let began = Instant::now();
        while self.running.load(Ordering::Relaxed) < count || self.counting.load(Ordering::Relaxed) == 0 {
            if began.elapsed() > EXTENSION_MAX {
                break;
            }
            thread::sleep(Duration::from_micros(100));
        }
    }

    /// That thread has counted something, or has ended.
    pub(crate) fn note(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Goes through all phases. A window that is so short that a thread counted nothing is made longer.
    pub(crate) fn conduct(&self, window: Window) {
        thread::sleep(window.warm_up);
        self.phase.store(1, Ordering::Relaxed);
        thread::sleep(window.length);
        let extended = Instant::now();
        while self.waiting.load(Ordering::Relaxed) > 0 && extended.elapsed() < EXTENSION_MAX {
            thread::sleep(Duration::from_millis(1));
        }
        self.end();
    }

    pub(crate) fn end(&self) {
        self.phase.store(2, Ordering::Relaxed);
    }
}
