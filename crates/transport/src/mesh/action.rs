//! What a [`Mesh`](super::Mesh) wants done.

use std::fmt;
use std::net::SocketAddr;

use replink_frame::{Command, Flags, GoodbyeReason, ReplicaId};
use replink_handshake::{Peer, settings_of};

use super::DownReason;

/// The driver's name for one link. It chooses them, and never gives one twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a number that names a link")]
pub struct LinkId(pub u64);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {}", self.0)
    }
}

/// One thing for the driver to do, in the order in which they come.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Action {
    /// Connect and shake hands. Answered exactly once, within the handshake's deadline: with
    /// `established` or with `dial_failed`.
    Dial {
        /// Whom.
        peer: ReplicaId,
        /// On which of the pair's lanes.
        lane: u16,
    },
    /// Send a `LinkPing` and report its counter with `pinged`.
    Ping {
        /// Where.
        link: LinkId,
    },
    /// Send what is queued, then a `LinkGoodbye`, then nothing (C-3). What comes is delivered until
    /// [`Action::Down`], which follows when the peer's goodbye or the end of the stream is reported, and comes first
    /// where nothing more is to be delivered. Once both ends have said goodbye, or the stream has ended, report
    /// `closed`. If that takes longer than [`leave_max`](super::MeshSettings::leave_max), a [`Action::Close`] follows.
    Goodbye {
        /// Where.
        link: LinkId,
        /// Why.
        reason: GoodbyeReason,
    },
    /// Take the link out, to be given to another process. Nothing about this link needs to be
    /// reported any more.
    HandOver {
        /// Which.
        link: LinkId,
    },
    /// End the connection at once. Nothing about this link needs to be reported any more.
    Close {
        /// Which.
        link: LinkId,
    },
    /// A link is up: for the embedder. Exactly one [`Action::Down`] or [`Action::Renewed`] follows. Another link of the same peer and lane
    /// may still be leaving: what is delivered of that one comes first (C-3).
    Up {
        /// Which.
        link: LinkId,
        /// Who is at the other end.
        peer: Peer,
        /// Where the other end is.
        address: SocketAddr,
    },
    /// A link is down: for the embedder. Frames that still come on it are not for it.
    Down {
        /// Which.
        link: LinkId,
        /// Who was at the other end.
        peer: ReplicaId,
        /// Which of the pair's lanes it was.
        lane: u16,
        /// Why.
        reason: DownReason,
    },
    /// In the place of [`Action::Down`]: nothing more is to be delivered of a link, and nothing was lost of it, since
    /// both ends have said what they had; another link of the same peer and lane has its place, and was up before.
    Renewed {
        /// Which.
        link: LinkId,
        /// Who is at the other end.
        peer: ReplicaId,
        /// Which of the pair's lanes it was.
        lane: u16,
        /// The link that has its place.
        by: LinkId,
    },
    /// For the operator.
    Warn(MeshWarning),
}

/// Something that an operator has to look at; its text says at what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum MeshWarning {
    /// Two processes say that they are the same replica, and both hold its key: the one whose link stays has
    /// answered a ping since the other one came.
    Duplicate {
        /// The replica.
        peer: ReplicaId,
        /// Where the one is whose link stays.
        kept: SocketAddr,
        /// Where the one is that was turned away.
        refused: SocketAddr,
    },
    /// Two processes with one incarnation take a link from each other, from two addresses in turn: a copy of a
    /// process, or of its machine, runs beside the original.
    Cloned {
        /// The replica.
        peer: ReplicaId,
        /// Where the two are.
        addresses: [SocketAddr; 2],
    },
    /// A peer that dials us has made fewer links than we have lanes.
    LanesMissing {
        /// The peer.
        peer: ReplicaId,
        /// How many of its links are up.
        up: u16,
        /// How many there should be.
        lanes: u16,
    },
    /// A link is weaker than this end would have had it; said once of each peer, until one has it all.
    Weaker {
        /// The peer.
        peer: ReplicaId,
        /// Where it is.
        address: SocketAddr,
        /// What the link does not have.
        missing: Flags,
    },
    /// A peer sent what its role may not.
    Denied {
        /// The peer.
        peer: ReplicaId,
        /// Where it is.
        address: SocketAddr,
        /// What it sent.
        command: Command,
    },
}

/// What it means that a link is not [`Flags::SEALED`].
const NOT_SEALED: &str = "not sealed, so whoever is on the path can read and change what it carries";

/// What it means that a link is not [`Flags::EPHEMERAL`] (S-5).
const NOT_FORWARD_SECRET: &str =
    "not forward-secret, so every holder of the secret can read it, also from a recording";

impl MeshWarning {
    /// Whom it is about.
    pub fn peer(&self) -> ReplicaId {
        match *self {
            Self::Duplicate { peer, .. }
            | Self::Cloned { peer, .. }
            | Self::LanesMissing { peer, .. }
            | Self::Weaker { peer, .. }
            | Self::Denied { peer, .. } => peer,
        }
    }

    /// One word for what it is about, for events.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Duplicate { .. } => "duplicate_replica",
            Self::Cloned { .. } => "cloned_replica",
            Self::LanesMissing { .. } => "lanes_missing",
            Self::Weaker { .. } => "weaker_link",
            Self::Denied { .. } => "not_permitted",
        }
    }
}

impl fmt::Display for MeshWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Duplicate { peer, kept, refused } => write!(
                f,
                "two processes are replica {peer}: the one at {kept} keeps its link, the one at {refused} was \
                 refused; stop one of them, or give it an id of its own"
            ),
            Self::Cloned { peer, addresses: [one, other] } => write!(
                f,
                "two copies of one process are replica {peer}, at {one} and at {other}, and take the link from each \
                 other; a copy of a process or of its machine must not go on beside the original: stop one of them, \
                 and restart it with an id of its own"
            ),
            Self::LanesMissing { peer, up, lanes } => write!(
                f,
                "replica {peer} has {up} links with this replica, which expects {lanes}; compare cluster.link.lanes \
                 on both ends"
            ),
            Self::Weaker { peer, address, missing } => {
                let lacks = [(Flags::SEALED, NOT_SEALED), (Flags::EPHEMERAL, NOT_FORWARD_SECRET)];
                let lacks = lacks.into_iter().filter(|&(flag, _)| missing.contains(flag));
                write!(
                    f,
                    "the link with replica {peer} at {address} is weaker than this end would have it: "
                )?;
                for (index, (_, lack)) in lacks.enumerate() {
                    write!(f, "{}{lack}", if index == 0 { "" } else { ", and " })?;
                }
                write!(f, "; compare {} and cluster.auth.version on both ends", settings_of(missing))
            }
            Self::Denied { peer, address, command } => write!(
                f,
                "replica {peer} at {address} sent {command}, which its role may not; the link was ended; check \
                 its role in cluster.nodes on both ends"
            ),
        }
    }
}
