use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

use crate::driver;
use crate::sys::ring::{Ring, RingAddress, Work};

/// The owner of what is no registered thing's: its completions name nobody.
const NOBODY: u64 = u64::MAX;

/// By which other threads end the wait of a ring.
pub(super) struct Waker(Arc<Shared>);

struct Shared {
    /// Whether it was woken and has not taken note of that.
    woken: AtomicBool,
    /// Where the kernel lets any thread send a message to a ring.
    ring: Option<RingAddress>,
    /// Everywhere else.
    event: Arc<OwnedFd>,
}

impl Waker {
    pub(super) fn new(ring: &mut Ring) -> io::Result<Self> {
        let event = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        ring.start(NOBODY, Work::Wakeable { event: Arc::clone(&event) });
        let shared = Shared { woken: AtomicBool::new(false), ring: ring.address()?, event };
        Ok(Self(Arc::new(shared)))
    }

    pub(super) fn handle(&self) -> driver::Waker {
        let shared = Arc::clone(&self.0);
        Arc::new(move || shared.wake())
    }

    /// The ring has noticed.
    pub(super) fn take_note(&self) {
        self.0.woken.store(false, Ordering::SeqCst);
    }
}

impl Shared {
    fn wake(&self) {
        if self.woken.swap(true, Ordering::SeqCst) {
            return; // it has not noticed the last time yet
        }
        let by_message = self.ring.as_ref().is_some_and(|ring| match ring.wake() {
            Ok(()) => true,
            // Not in use yet; it looks around when it is.
            Err(error) => error.raw_os_error() == Some(libc::EBADFD),
        });
        if !by_message {
            // Fails only where the counter of wake-ups is full, and then one is under way.
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }
}
