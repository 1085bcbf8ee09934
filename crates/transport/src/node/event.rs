//! What a shard tells its embedder.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use replink_frame::{Flags, ReplicaId, Status};
use replink_handshake::{Peer, PeerReject, Rejection, settings_of};

use crate::Admitted;
use crate::exchange::UnreachableReason;
use crate::mesh::{self, DownReason, LinkId};

/// Something that happened. Comes on the shard that owns the link; what is no link's comes on
/// shard 0.
///
/// For each link: one [`Event::Up`], then its frames, then one [`Event::Down`] or [`Event::Renewed`], in this order,
/// also where the link moves between shards in the meantime. Between links of different shards
/// there is no order, but for those of one peer and lane: a newer one may be up while an older one still
/// leaves, and what comes of the older one comes before the frames of the newer one (C-3). Frames are sent on the newer
/// one then.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A peer has proved itself, and this shard has its link.
    Up(LinkUp),
    /// One of the embedder's frames came.
    Frame {
        /// On which link.
        link: LinkId,
        /// From whom.
        peer: ReplicaId,
        /// On which of the pair's lanes.
        lane: u16,
        /// The frame, lent.
        frame: Admitted<'a>,
    },
    /// A link is down: nothing more comes of it. Where it was left, by us or by the peer, that is after all that the
    /// peer had sent, and what waits to be sent on it still goes out; else that is lost.
    Down(LinkDown),
    /// In the place of [`Event::Down`]: a link was made anew, because of its key or its age, and nothing was lost. All
    /// that the peer had sent on it was delivered, and frames of the link that has its place, which has been up for a
    /// while, come from here on.
    Renewed {
        /// The link of which nothing more comes.
        link: LinkId,
        /// Who is at the other end.
        peer: ReplicaId,
        /// Which of the pair's lanes it is.
        lane: u16,
        /// The link that has its place.
        by: LinkId,
    },
    /// A queue that has said [`Backpressure`](crate::SendCause::Backpressure) is empty again.
    Drained {
        /// Whose.
        link: LinkId,
        /// Who is at the other end.
        peer: ReplicaId,
        /// Which of the pair's lanes it is.
        lane: u16,
    },
    /// A link has gone to another shard. Nothing more comes of it here.
    Released {
        /// Which.
        link: LinkId,
        /// Who is at the other end.
        peer: ReplicaId,
        /// The shard that has it.
        to: usize,
    },
    /// A link has come from another shard, which said [`Event::Released`].
    Adopted {
        /// Which.
        link: LinkId,
        /// Who is at the other end.
        peer: ReplicaId,
        /// The shard that had it.
        from: usize,
    },
    /// Somebody was turned away, by us or us by a peer.
    Rejected(Refusal),
    /// A peer that this replica dials can't be reached: said the first time, on another reason, and then once a
    /// minute.
    Unreachable(Unreachable),
    /// Something that an operator has to look at.
    Warning(Warning),
    /// A new configuration is in force.
    Reloaded(Reloaded),
    /// The node was shut down or handed over, and its last link is gone. Comes on every shard,
    /// which then has nothing more to do.
    Stopped,
}

/// A link that is up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LinkUp {
    /// Which.
    pub link: LinkId,
    /// Who is at the other end, and what was agreed on.
    pub peer: Peer,
    /// Where the other end is.
    pub address: SocketAddr,
}

/// A link that is no longer up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LinkDown {
    /// Which.
    pub link: LinkId,
    /// Who was at the other end, and what was agreed on.
    pub peer: Peer,
    /// Where the other end was.
    pub address: SocketAddr,
    /// Why.
    pub reason: DownReason,
    /// Frames that were queued on it and will not be written, pings and pongs included. What was written may be
    /// lost as well, unless the link was left: then nothing is, and this is 0.
    pub undelivered: u64,
}

/// A peer that can't be reached.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Unreachable {
    /// Which.
    pub peer: ReplicaId,
    /// On which of the pair's lanes it was tried.
    pub lane: u16,
    /// Where it was tried last; `None` where its name stands for no address.
    pub address: Option<SocketAddr>,
    /// Why, in one word.
    pub reason: UnreachableReason,
    /// The status, where the handshake was refused.
    pub status: Option<Status>,
    /// For how long there has been no link.
    pub since: Duration,
    /// How often it was tried in that time, on all lanes.
    pub attempts: u64,
    /// What exactly it was, and what to look at.
    pub explanation: String,
}

/// A new configuration is in force.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Reloaded {
    /// The keys of the file whose values have changed, such as `cluster.link.max_frame_size`. Of secrets only that
    /// there are others.
    pub changed: Vec<&'static str>,
}

/// Which end turned the other one away.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(clippy::exhaustive_enums, reason = "has to be dealt with whole")]
pub enum RejectedBy {
    /// This one.
    Us,
    /// The other one.
    Peer,
}

impl RejectedBy {
    /// The word for it in events, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Peer => "peer",
        }
    }
}

/// Who was turned away, from where and why.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// Where the other end is.
    pub address: SocketAddr,
    /// Who the other end is, or claims to be.
    pub peer: Option<ReplicaId>,
    /// Why.
    pub status: Status,
    /// Whether the one who was turned away can tell that it was by the other (H-7).
    pub authenticated: bool,
    /// Who turned whom away.
    pub by: RejectedBy,
    /// What to look at.
    pub explanation: String,
}

impl Refusal {
    /// We turned a peer away.
    pub(super) fn by_us(address: SocketAddr, rejection: &Rejection) -> Self {
        Self {
            address,
            peer: rejection.claimed,
            status: rejection.status,
            authenticated: rejection.authenticated,
            by: RejectedBy::Us,
            explanation: rejection.to_string(),
        }
    }

    /// A peer turned us away, of whom links have at most `flags`.
    pub(super) fn by_peer(address: SocketAddr, reject: PeerReject, flags: Flags) -> Self {
        let missing = (Flags::SEALED | Flags::EPHEMERAL).without(flags);
        let is_why =
            reject.authenticated && reject.status == Status::POLICY_MISMATCH && missing != Flags::NONE;
        let explanation = if is_why {
            format!(
                "replica {} rejected us with {}, authenticated: it requires what is \"off\" here; compare {} on both \
                 ends",
                reject.from,
                reject.status,
                settings_of(missing)
            )
        } else {
            reject.to_string()
        };
        Self {
            address,
            peer: Some(reject.from),
            status: reject.status,
            authenticated: reject.authenticated,
            by: RejectedBy::Peer,
            explanation,
        }
    }
}

/// Something that an operator has to look at; its text says at what.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Warning {
    /// What the mesh found.
    Mesh(mesh::MeshWarning),
    /// There is a link without a proof, because authentication is disabled, or because this node migrates and the
    /// peer has no key yet (H-12).
    Unauthenticated {
        /// Whom it says it is.
        peer: ReplicaId,
        /// Where it is.
        address: SocketAddr,
    },
    /// This node still migrates: peers without a key get in (H-12). Said every hour.
    Migrating {
        /// How many links are up that nobody has proved.
        unauthenticated: usize,
    },
    /// A peer left without a word when it had read our challenge, and had offered what our
    /// configuration declines. Most likely it requires that, and is of a release that does not say so
    /// (D-12). One that does makes an [`Event::Rejected`] of it.
    Declined {
        /// Whom it claims to be; not proved.
        peer: ReplicaId,
        /// Where it is.
        address: SocketAddr,
        /// What it offered and we do not take part in.
        flags: Flags,
    },
    /// Connections can't be accepted.
    Accept {
        /// What the system says.
        error: String,
    },
    /// Too many were turned away to tell of each.
    RefusalsUntold {
        /// How many are not told of.
        count: u64,
    },
}

impl Warning {
    /// One word for what it is about, for events.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Mesh(warning) => warning.kind(),
            Self::Unauthenticated { .. } => "unauthenticated",
            Self::Migrating { .. } => "migrating",
            Self::Declined { .. } => "declined",
            Self::Accept { .. } => "accept",
            Self::RefusalsUntold { .. } => "refusals_untold",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mesh(warning) => warning.fmt(f),
            Self::Unauthenticated { peer, address } => write!(
                f,
                "took {address} for replica {peer} without authentication: set a key there and here, with \
                 cluster.auth.migrating for as long as not all replicas have one"
            ),
            Self::Migrating { unauthenticated } => write!(
                f,
                "this replica is still migrating, with {unauthenticated} links without authentication: leave \
                 cluster.auth.migrating out when all replicas have a key"
            ),
            Self::Declined { peer, address, flags } => write!(
                f,
                "most likely policy_mismatch: replica {peer} at {address} offered {flags}, which cluster.link has \
                 \"off\" here, and left without a word after our challenge; compare {} on both ends",
                settings_of(*flags)
            ),
            Self::Accept { error } => {
                write!(f, "can't accept connections: {error}; trying again, raise the limit of open files")
            }
            Self::RefusalsUntold { count } => write!(
                f,
                "{count} more connections did not get in, too many to tell of each; the metrics count all"
            ),
        }
    }
}
