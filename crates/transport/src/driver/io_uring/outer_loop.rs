use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

use crate::sys::ring::Ring;

/// What an event loop of the embedder's waits for: an event that the kernel raises when the ring has
/// something to do.
///
/// The ring's own descriptor would not do: it does not become readable by work that is left for the thread
/// that asks for it. Raising the event costs something for each completion, so it is not set up before
/// somebody wants it.
pub(super) struct OuterLoop {
    event: OwnedFd,
    wanted: AtomicBool,
    registered: bool,
}

impl OuterLoop {
    pub(super) fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { event, wanted: AtomicBool::new(false), registered: false })
    }

    /// The descriptor to wait for.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.wanted.store(true, Ordering::Relaxed);
        self.event.as_fd()
    }

    /// Whether somebody may wait for it.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Whether it is wanted and not set up yet.
    pub(super) fn is_due(&self) -> bool {
        !self.registered && self.is_wanted()
    }

    /// To be called before the ring is looked at: what comes from here on raises the event again.
    pub(super) fn begin(&mut self, ring: &mut Ring) -> io::Result<()> {
        if self.is_due() {
            ring.raise(self.event.as_fd())?;
            self.registered = true;
        }
        if self.registered {
            // Fails only where it is not raised.
            let _ = rustix::io::read(&self.event, &mut [0; 8]);
        }
        Ok(())
    }
}
