use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The signals that a server obeys.
pub(crate) struct Signals(signal_hook::iterator::Signals);

impl Signals {
    /// From here on the signals wait to be handled.
    pub(crate) fn new() -> io::Result<Self> {
        signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]).map(Self)
    }

    /// Calls `reload` on every SIGHUP, and returns on the first SIGTERM or SIGINT.
    pub(crate) fn until_stopped(mut self, mut reload: impl FnMut()) {
        for signal in self.0.forever() {
            match signal {
                SIGHUP => reload(),
                _ => return,
            }
        }
    }
}
