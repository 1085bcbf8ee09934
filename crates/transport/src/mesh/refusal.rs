//! Which failures of a handshake are a proved refusal.

use std::time::Duration;

use replink_frame::ReplicaId;
use replink_handshake::{DialError, PeerReject};

/// A refusal that is no forgery: the peer's, or this end's own.
#[derive(Clone, Copy)]
pub(super) struct ProvedRefusal {
    /// How long the peer wants to be left alone; zero where it does not say.
    pub(super) retry_after: Duration,
}

impl ProvedRefusal {
    /// What `error` proves about the replica that was dialed; `None` for a hint, which anyone on
    /// the path could have caused.
    pub(super) fn in_dial(dialed: ReplicaId, error: &DialError) -> Option<Self> {
        match error {
            DialError::Rejected(reject) => Self::in_reject(dialed, *reject),
            // Found before anything was sent.
            DialError::Direction { .. } | DialError::NoSuchKey { .. } | DialError::NotInVersion1 => {
                Some(Self { retry_after: Duration::ZERO })
            }
            // Found behind the challenge's MAC (D-10).
            _ if error.is_proved() => Some(Self { retry_after: Duration::ZERO }),
            _ => None,
        }
    }

    /// H-7. Whoever holds the cluster's key can prove a reject; one from another replica says
    /// nothing about the one that was dialed.
    pub(super) fn in_reject(dialed: ReplicaId, reject: PeerReject) -> Option<Self> {
        (reject.authenticated && reject.from == dialed)
            .then(|| Self { retry_after: Duration::from_millis(reject.retry_after_ms.into()) })
    }
}
