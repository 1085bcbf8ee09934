//! What a mesh is configured with.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use replink_frame::{Command, Flags, GoodbyeReason, KeyId, ReplicaId, Version};
use replink_handshake::{Authentication, Peer, Side};

use super::{CommandPolicy, LEAVE_MAX, Role};

/// How many heartbeat intervals ago a ping may have been sent, for its pong to say that the peer is
/// demonstrably alive (C-1).
pub const ALIVE_INTERVALS: u32 = 2;

/// What a [`Mesh`](super::Mesh) is configured with.
///
/// No duration is longer than [`DURATION_MAX`](crate::DURATION_MAX), which those of a
/// configuration never are.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct MeshSettings {
    /// The cluster's replicas, this one among them, and what each of them does.
    pub members: BTreeMap<ReplicaId, Role>,
    /// Links to each peer. Version 1 has one.
    pub lanes: u16,
    /// The keys that a link may stay up with; `None` where authentication is disabled (H-12).
    pub keys: Option<Vec<KeyId>>,
    /// Whether links without authentication may stay beside `keys` (H-12).
    pub migrating: bool,
    /// The one peer that a key of `keys` is for; none for those of a shared secret (K-3).
    pub pairs: HashMap<KeyId, ReplicaId>,
    /// What this end gives its links where the peer takes part: a link that comes up with less is told of.
    pub flags: Flags,
    /// Lanes of one peer that are dialed at once. The others wait, so that a start is no flood for the peer.
    pub dials_at_once: usize,
    /// Time between two pings; zero for none but while a frame is arriving (C-2), and then silence ends no
    /// link.
    pub heartbeat_interval: Duration,
    /// How long a silent link is kept.
    pub heartbeat_timeout: Duration,
    /// The longest first wait before a lost link is dialed anew.
    pub reconnect_min: Duration,
    /// The longest wait before it; after an authenticated reject the shortest.
    pub reconnect_max: Duration,
    /// How old a link gets before it is made anew; zero for any age.
    pub link_max_age: Duration,
    /// What each role may send.
    pub commands: CommandPolicy,
}

impl MeshSettings {
    /// What an empty `[cluster.link]` means, for a cluster of `members` whose links stay up with `keys`; but
    /// with no `flags`, so that no link is taken for a weaker one.
    pub fn new(members: BTreeMap<ReplicaId, Role>, keys: Option<Vec<KeyId>>) -> Self {
        Self {
            members,
            lanes: 1,
            keys,
            migrating: false,
            pairs: HashMap::new(),
            flags: Flags::NONE,
            dials_at_once: 8,
            heartbeat_interval: Duration::from_secs(1),
            heartbeat_timeout: Duration::from_secs(5),
            reconnect_min: Duration::from_millis(50),
            reconnect_max: Duration::from_secs(2),
            link_max_age: Duration::ZERO,
            commands: CommandPolicy::default(),
        }
    }

    /// How long a link must stay up for the next wait to start over at `reconnect_min`: as long
    /// as the longest wait. So a link that comes and goes is dialed no more often than one that
    /// never comes.
    pub fn stay_up_min(&self) -> Duration {
        self.reconnect_max
    }

    /// How long a link may take to leave (C-3): `heartbeat_timeout`, or [`LEAVE_MAX`] where there is none.
    pub fn leave_max(&self) -> Duration {
        if self.heartbeat_timeout.is_zero() { LEAVE_MAX } else { self.heartbeat_timeout }
    }

    /// What a link with this peer could have by this end's settings, and has not: the peer has it off, or
    /// speaks version 1, which has none of it (H-13). Where this end itself dials with version 1, or has
    /// authentication disabled (H-12), nobody declined.
    pub fn lacks(&self, peer: &Peer) -> Flags {
        let ours = peer.authentication == Authentication::Disabled
            || (peer.version == Version::V1 && peer.side == Side::Dialer);
        if ours { Flags::NONE } else { self.flags.without(peer.flags) }
    }

    /// A peer that was sent a ping no longer ago than this and a round trip, and has answered it, is
    /// demonstrably alive (C-1): [`ALIVE_INTERVALS`] heartbeat intervals. Zero where there are none, and then
    /// no peer is.
    pub fn alive_window(&self) -> Duration {
        self.heartbeat_interval.saturating_mul(ALIVE_INTERVALS)
    }

    /// Whether links with this peer are pinged at regular intervals: version 1 has no pings (H-13).
    pub(crate) fn pings(&self, peer: &Peer) -> bool {
        peer.version == Version::V2 && !self.heartbeat_interval.is_zero()
    }

    /// Whether a link may stay that was made with such a proof by such a peer.
    pub(super) fn accepts_key(&self, peer: &Peer) -> bool {
        match (peer.authentication, &self.keys) {
            (Authentication::PreSharedKey(id), Some(keys)) => {
                keys.contains(&id) && self.pairs.get(&id).is_none_or(|&only| only == peer.replica)
            }
            (Authentication::Disabled, keys) => keys.is_none() || self.migrating,
            _ => false,
        }
    }

    /// Whether `replica` may send `command`, by its role. One that is not on the roster may send nothing.
    pub fn permits(&self, replica: ReplicaId, command: Command) -> bool {
        self.members.get(&replica).is_some_and(|&role| self.commands.permits(role, command))
    }

    /// Whether the roster has a place for such a link.
    pub(crate) fn has_place(&self, peer: ReplicaId, lane: u16) -> bool {
        self.members.contains_key(&peer) && lane < self.lanes
    }

    /// Why there can be no link like this; `None` when there can.
    pub(super) fn retires(&self, peer: &Peer) -> Option<GoodbyeReason> {
        if !self.has_place(peer.replica, peer.lane) {
            Some(GoodbyeReason::OPERATOR)
        } else if !self.accepts_key(peer) {
            Some(GoodbyeReason::KEY_RETIRED)
        } else {
            None
        }
    }
}
