//! Why there is no link to a peer, in one word.

use std::io;

use replink_frame::Status;
use replink_handshake::DialError;

use super::{DialFailure, StreamError};

/// Why a peer can't be reached: one word of a closed list, for events and the label `reason` of metrics. What
/// exactly it was, the [`DialFailure`] says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum UnreachableReason {
    /// Nobody listens there.
    Refused,
    /// Nobody answers: the network or a firewall swallows the connection, or the machine is gone.
    TimedOut,
    /// The network has no way there, or a firewall says no.
    NoRoute,
    /// The connection was reset.
    Reset,
    /// The other end closed the connection without an answer.
    Ended,
    /// The connection is there, and nobody answers on it.
    Silent,
    /// What answers is no replica.
    NotAReplica,
    /// The peer's name stands for no address just now.
    Name,
    /// The system gives this process no more of something: open files, most likely.
    Descriptors,
    /// The handshake was refused, by one end or the other; the status says why.
    Rejected,
}

impl UnreachableReason {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Refused,
        Self::TimedOut,
        Self::NoRoute,
        Self::Reset,
        Self::Ended,
        Self::Silent,
        Self::NotAReplica,
        Self::Name,
        Self::Descriptors,
        Self::Rejected,
    ];

    /// The word for it in events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::NoRoute => "no_route",
            Self::Reset => "reset",
            Self::Ended => "ended",
            Self::Silent => "silent",
            Self::NotAReplica => "not_a_replica",
            Self::Name => "name",
            Self::Descriptors => "descriptors",
            Self::Rejected => "rejected",
        }
    }

    /// What to look at.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Refused => "is the peer started, and is its address in cluster.nodes right?",
            Self::TimedOut => "is the peer's machine up, and does a firewall drop the connection?",
            Self::NoRoute => "check the route to the peer's address, and firewalls on the way",
            Self::Reset => "a firewall, or whatever listens there, throws the connection out",
            Self::Ended => {
                "whatever listens there closes without an answer: a proxy without a backend, or a replica \
                            that has too many connections or does not allow this address; its log says which"
            }
            Self::Silent => "the peer's process hangs, or something else listens there",
            Self::NotAReplica => "something else listens there; check the address in cluster.nodes",
            Self::Name => "the peer's name can't be looked up; check cluster.nodes and the name server",
            Self::Descriptors => "raise this process's limit of open files",
            Self::Rejected => "see the status",
        }
    }

    fn of(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        const FILES: [i32; 2] = [23, 24]; // ENFILE, EMFILE: no kind has them
        match error.kind() {
            Kind::ConnectionRefused => Self::Refused,
            Kind::TimedOut | Kind::WouldBlock => Self::TimedOut,
            Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => Self::Reset,
            Kind::UnexpectedEof | Kind::WriteZero => Self::Ended,
            Kind::OutOfMemory => Self::Descriptors,
            _ if error.raw_os_error().is_some_and(|code| FILES.contains(&code)) => Self::Descriptors,
            _ => Self::NoRoute,
        }
    }
}

impl DialFailure {
    /// Why the peer can't be reached, in one word.
    pub fn reason(&self) -> UnreachableReason {
        match self {
            Self::Connect { source, .. } | Self::Stream(StreamError::Io { source, .. }) => {
                UnreachableReason::of(source)
            }
            Self::NoAddress => UnreachableReason::Name,
            Self::Entropy(_) => UnreachableReason::Descriptors,
            // Not even a frame of the handshake, or of no version of it; or a piece of one, which a replica writes at
            // once.
            Self::Handshake(DialError::Frame(_))
            | Self::Stream(
                StreamError::Closed { received: 1.., .. } | StreamError::TimedOut { received: 1.., .. },
            ) => UnreachableReason::NotAReplica,
            Self::Stream(StreamError::TimedOut { .. } | StreamError::NotTaken { .. }) => {
                UnreachableReason::Silent
            }
            Self::Stream(StreamError::Closed { .. }) => UnreachableReason::Ended,
            Self::Handshake(_) => UnreachableReason::Rejected,
        }
    }

    /// The status of a handshake that was refused, by one end or the other.
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Handshake(error) => error.status(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::SocketAddr;

    use replink_frame::{Command, HandshakeFrameError};

    use super::*;
    use crate::exchange::Step;

    #[test]
    fn each_failure_has_its_word() {
        let address = SocketAddr::from(([192, 0, 2, 1], 7400));
        let connect = |source| DialFailure::Connect { address, source };
        let frame = HandshakeFrameError::UnexpectedCommand {
            expected: Command::REPLICA_CHALLENGE,
            found: Command::PREPARE,
        };
        for (failure, word) in [
            (connect(io::ErrorKind::ConnectionRefused.into()), "refused"),
            (connect(io::ErrorKind::TimedOut.into()), "timed_out"),
            (connect(io::ErrorKind::HostUnreachable.into()), "no_route"),
            (connect(io::ErrorKind::PermissionDenied.into()), "no_route"),
            (connect(io::ErrorKind::ConnectionReset.into()), "reset"),
            (connect(io::Error::from_raw_os_error(24)), "descriptors"),
            (DialFailure::NoAddress, "name"),
            (StreamError::TimedOut { step: Step::Challenge, received: 0 }.into(), "silent"),
            (StreamError::Closed { step: Step::Challenge, received: 0 }.into(), "ended"),
            (StreamError::Closed { step: Step::Challenge, received: 57 }.into(), "not_a_replica"),
            (StreamError::TimedOut { step: Step::Challenge, received: 21 }.into(), "not_a_replica"),
            (DialError::Frame(frame).into(), "not_a_replica"),
            (DialError::Mac.into(), "rejected"),
        ] {
            assert_eq!(failure.reason().name(), word, "{failure}");
        }
        let names: BTreeSet<_> = UnreachableReason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), UnreachableReason::ALL.len());
    }
}
