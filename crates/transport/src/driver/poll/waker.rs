use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::{Registry, Token};

use crate::driver;

/// The event's own token; no other is so high.
pub(super) const WOKEN: Token = Token(usize::MAX);

/// By which other threads end the wait of a driver.
///
/// A thread that does not sleep need not be woken: it looks at a flag before it goes to sleep. So most wakes
/// of a busy shard cost no system call.
pub(super) struct Waker(Arc<Shared>);

struct Shared {
    /// Whether it was woken and has not taken note of that.
    woken: AtomicBool,
    /// Whether it sleeps, or is about to.
    asleep: AtomicBool,
    /// Whether somebody else sleeps for it: an outer event loop, for as long as it likes.
    outer_loop: AtomicBool,
    event: mio::Waker,
}

impl Waker {
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        let shared = Shared {
            woken: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            outer_loop: AtomicBool::new(false),
            event: mio::Waker::new(registry, WOKEN)?,
        };
        Ok(Self(Arc::new(shared)))
    }

    pub(super) fn handle(&self) -> driver::Waker {
        let shared = Arc::clone(&self.0);
        Arc::new(move || shared.wake())
    }

    /// From here on the descriptor may be waited for.
    pub(super) fn is_waited_for_elsewhere(&self) {
        self.0.outer_loop.store(true, Ordering::SeqCst);
    }

    pub(super) fn may_be_waited_for_elsewhere(&self) -> bool {
        self.0.outer_loop.load(Ordering::SeqCst)
    }

    pub(super) fn was_woken(&self) -> bool {
        self.0.woken.load(Ordering::SeqCst)
    }

    /// For how long to sleep instead of for `timeout`. From here on a wake comes as an event.
    pub(super) fn fall_asleep(&self, timeout: Option<Duration>) -> Option<Duration> {
        if timeout != Some(Duration::ZERO) {
            self.0.asleep.store(true, Ordering::SeqCst);
        }
        // Behind that: a wake either is seen here or sees that we sleep.
        if self.was_woken() { Some(Duration::ZERO) } else { timeout }
    }

    /// The wait is over, and with it all wakes until now.
    pub(super) fn wake_up(&self) {
        self.0.asleep.store(false, Ordering::SeqCst);
        if self.was_woken() {
            self.0.woken.swap(false, Ordering::SeqCst);
        }
    }
}

impl Shared {
    fn wake(&self) {
        if self.woken.swap(true, Ordering::SeqCst) {
            return; // it has not noticed the last time yet
        }
        if self.asleep.load(Ordering::SeqCst) || self.outer_loop.load(Ordering::SeqCst) {
            // Fails only where the counter of wake-ups is full, and then one is under way.
            let _ = self.event.wake();
        }
    }
}
