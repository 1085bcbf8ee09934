use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use replink_frame::{Challenge, Hello, ReplicaId, Status, Version};

use crate::mac::acceptor_v2;
use crate::{App, ChannelBinding, Key};

/// A reject that the peer sent: an acceptor instead of its challenge, or late, after the Finish
/// (H-9); a dialer instead of its Finish (D-12).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PeerReject {
    /// Why.
    pub status: Status,
    /// When to come back, in milliseconds; 0 where the peer does not say.
    pub retry_after_ms: u32,
    /// Whether the peer proved with the key that the reject is its own (H-7). One that is
    /// not proved is a hint: anyone on the path could have sent it.
    pub authenticated: bool,
    /// The replica that the reject says it is from.
    pub from: ReplicaId,
}

impl PeerReject {
    /// A reject as a peer could send it: for tests of what goes by rejects.
    pub fn new(from: ReplicaId, status: Status, retry_after_ms: u32, authenticated: bool) -> Self {
        Self { status, retry_after_ms, authenticated, from }
    }
}

impl fmt::Display for PeerReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proof = if self.authenticated { "authenticated" } else { "a hint, not authenticated" };
        write!(f, "replica {} rejected us with {}, {proof}: ", self.from, self.status)?;
        match (self.status, self.authenticated) {
            (Status::POLICY_MISMATCH, true) => f.write_str(
                "it requires what this end does not have; compare cluster.link.sealed, \
                 cluster.link.forward_secrecy and cluster.link.lanes on both ends",
            )?,
            // Before there is a key to prove it with (H-12).
            (Status::POLICY_MISMATCH, false) => {
                f.write_str(
                    "most likely cluster.auth.enabled is false there, and not here; compare it on both ends",
                )?;
            }
            (status, _) => f.write_str(status.advice())?,
        }
        match self.retry_after_ms {
            0 => Ok(()),
            ms => write!(f, "; it asks to come back in {ms} ms"),
        }
    }
}

/// What it takes to tell a genuine late reject from all else.
pub(crate) struct LateRejectVerifier(Box<Established>);

struct Established {
    context: RejectContext,
    acceptor: Option<Acceptor>,
}

/// The other end, as its challenge proved it.
pub(crate) struct Acceptor {
    pub(crate) replica: ReplicaId,
    pub(crate) nonce: [u8; 32],
}

/// What it takes to tell a genuine reject from a forged one: the handshake so far.
pub(crate) struct RejectContext {
    pub(crate) app: App,
    /// `None` where authentication is disabled: then no reject can be authenticated.
    pub(crate) key: Option<Arc<Key>>,
    pub(crate) hello: Hello,
    pub(crate) binding: ChannelBinding,
}

impl RejectContext {
    /// Reads `challenge` as a reject; `None` if its status is ok.
    pub(crate) fn read(&self, challenge: &Challenge) -> Option<PeerReject> {
        let fields = challenge.fields();
        if fields.status.is_ok() {
            return None;
        }
        // H-7: a version 1 reject is never authenticated; in version 2 a reject without a nonce
        // was made by an acceptor that does not hold the key. D-5: all others are hints.
        let authenticated = challenge.version() == Version::V2
            && fields.nonce != [0; 32]
            && self.key.as_ref().is_some_and(|key| {
                acceptor_v2(&self.app, key, self.hello.bytes(), challenge, &self.binding).matches(&fields.mac)
            });
        let retry_after_ms = fields.retry_after_ms.get();
        Some(PeerReject::new(challenge.sender(), fields.status, retry_after_ms, authenticated))
    }
}

impl LateRejectVerifier {
    /// `acceptor` is `None` where authentication is disabled.
    pub(crate) fn new(context: RejectContext, acceptor: Option<Acceptor>) -> Self {
        Self(Box::new(Established { context, acceptor }))
    }

    /// H-9: a challenge of the link's version with a nonzero status, on version 2 links a proved one.
    pub(crate) fn verify(&self, frame: &[u8; 256]) -> Option<PeerReject> {
        let Established { context, acceptor } = &*self.0;
        let challenge = Challenge::parse(frame).ok()?;
        if challenge.version() != context.hello.version() {
            return None;
        }
        let mut reject = context.read(&challenge)?;
        if let Some(acceptor) = acceptor {
            if challenge.cluster() != context.hello.cluster() || challenge.sender() != acceptor.replica {
                return None; // F-3
            }
            // D-7: a refusal of this Finish repeats the nonce of this challenge. Another one answered
            // the same Hello, but on a connection that someone else made.
            reject.authenticated &= challenge.fields().nonce == acceptor.nonce;
            if challenge.version() == Version::V2 && !reject.authenticated {
                return None; // H-9: this acceptor has proved that it holds the key
            }
        }
        Some(reject)
    }
}
