use std::io;

/// How often an operation is made again that failed through no fault of its connection.
const FAILURES_MAX: u32 = 1000;

/// Failures in a row.
#[derive(Default)]
pub(super) struct Failures(u32);

impl Failures {
    /// An operation has failed. `Ok` where it is to be made again: its connection is not to blame.
    pub(super) fn failed(&mut self, error: io::Error) -> io::Result<()> {
        self.0 += 1;
        if is_passing(&error) && self.0 < FAILURES_MAX { Ok(()) } else { Err(error) }
    }

    /// An operation has succeeded.
    pub(super) fn succeeded(&mut self) {
        self.0 = 0;
    }
}

/// Whether an operation failed because it was ended or interrupted, or for want of memory.
pub(super) fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECANCELED | libc::EINTR | libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_tried_again_but_not_for_ever() {
        let interrupted = || io::Error::from_raw_os_error(libc::EINTR);
        let mut failures = Failures::default();
        assert!(failures.failed(io::Error::from_raw_os_error(libc::ECONNRESET)).is_err());
        failures.succeeded();
        assert!((1..FAILURES_MAX).all(|_| failures.failed(interrupted()).is_ok()));
        assert!(failures.failed(interrupted()).is_err());
        failures.succeeded();
        assert!(failures.failed(interrupted()).is_ok());
    }
}
