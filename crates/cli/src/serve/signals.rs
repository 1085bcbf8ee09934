use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// The signals that a server obeys.
pub(crate) struct Signals {
    waiting: signal_hook::iterator::Signals,
    /// There is nobody yet to say goodbye to.
    starting: Arc<AtomicBool>,
}

impl Signals {
    /// From here on the signals wait to be handled; but until it was [started](Signals::started), one that ends the
    /// server does so at once: what it waits for may be a name server that never answers.
    pub(crate) fn new() -> io::Result<Self> {
        let starting = Arc::new(AtomicBool::new(true));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 0, Arc::clone(&starting))?;
        }
        Ok(Self { waiting: signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])?, starting })
    }

    /// From here on all signals wait to be handled.
    pub(crate) fn started(&self) {
        self.starting.store(false, Ordering::SeqCst);
    }

    /// Calls `reload` on every SIGHUP, and returns on the first SIGTERM or SIGINT.
    pub(crate) fn until_stopped(mut self, mut reload: impl FnMut()) {
        for signal in self.waiting.forever() {
            match signal {
                SIGHUP => reload(),
                _ => return,
            }
        }
    }
}
