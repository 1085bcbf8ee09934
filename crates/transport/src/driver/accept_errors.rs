use std::io;
use std::time::Duration;

/// The first pause after an error of our own.
pub const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(10);

/// The longest pause. A listener that can accept again does so after this at the latest.
pub const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Errors of peers in a row after which a listener pauses all the same, so that it can't spin
/// even if the operating system repeats one forever.
pub const PEER_ERRORS_MAX: u32 = 64;

/// What a listener does when `accept` fails. No error is final.
#[derive(Clone, Debug, Default)]
pub struct AcceptErrors {
    peers: u32,
    ours: u32,
}

impl AcceptErrors {
    /// How long to leave the listener alone after `error`; zero to go on at once.
    ///
    /// A non-blocking listener that has nothing to accept (`WouldBlock`) did not fail: its driver
    /// waits until it is readable.
    pub fn failed(&mut self, error: &io::Error) -> Duration {
        if is_the_peers(error) {
            self.peers = self.peers.saturating_add(1);
            if !self.peers.is_multiple_of(PEER_ERRORS_MAX) {
                return Duration::ZERO;
            }
        }
        let doubled = 1u32.checked_shl(self.ours).unwrap_or(u32::MAX);
        self.ours = self.ours.saturating_add(1);
        ACCEPT_PAUSE_MIN.saturating_mul(doubled).min(ACCEPT_PAUSE_MAX)
    }

    /// A connection was accepted.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }
}

/// Whether only the connection is lost that was to be accepted, or nothing at all: the next one
/// may be fine. On Linux errors of the network that wait on the new socket come out of `accept`.
///
/// All others are ours, such as being out of file descriptors or of memory.
pub fn is_the_peers(error: &io::Error) -> bool {
    match error.raw_os_error() {
        Some(code) => matches!(
            code,
            libc::ECONNABORTED
                | libc::ECONNRESET
                | libc::EINTR
                | libc::EPERM // a firewall forbids this connection
                | libc::EPROTO
                | libc::ENOPROTOOPT
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::ENONET
                | libc::ETIMEDOUT
        ),
        None => matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(code: i32) -> io::Error {
        io::Error::from_raw_os_error(code)
    }

    #[test]
    fn what_the_peer_did_costs_no_pause() {
        let mut errors = AcceptErrors::default();
        for code in [libc::ECONNABORTED, libc::ECONNRESET, libc::EINTR, libc::EPROTO, libc::EHOSTUNREACH] {
            assert_eq!(errors.failed(&os(code)), Duration::ZERO, "{}", os(code));
        }
        assert_eq!(errors.failed(&io::ErrorKind::ConnectionAborted.into()), Duration::ZERO);
    }

    #[test]
    fn our_own_trouble_pauses_longer_and_longer_up_to_a_bound_until_a_success() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EINVAL] {
            let mut errors = AcceptErrors::default();
            let pauses: Vec<_> = (0..40).map(|_| errors.failed(&os(code))).collect();
            assert_eq!(
                (pauses[0], pauses[1], pauses[39]),
                (ACCEPT_PAUSE_MIN, ACCEPT_PAUSE_MIN * 2, ACCEPT_PAUSE_MAX)
            );
            assert!(pauses.is_sorted() && !pauses.contains(&Duration::ZERO));
            // An aborted connection is no success.
            assert_eq!(errors.failed(&os(libc::ECONNABORTED)), Duration::ZERO);
            assert_eq!(errors.failed(&os(code)), ACCEPT_PAUSE_MAX);
            errors.succeeded();
            assert_eq!(errors.failed(&os(code)), ACCEPT_PAUSE_MIN);
        }
        assert_eq!(AcceptErrors::default().failed(&io::Error::other("?")), ACCEPT_PAUSE_MIN);
    }

    #[test]
    fn not_even_errors_of_peers_spin() {
        let mut errors = AcceptErrors::default();
        let pauses = (0..PEER_ERRORS_MAX * 10).filter(|_| !errors.failed(&os(libc::EINTR)).is_zero());
        assert_eq!(pauses.count(), 10);
    }
}
