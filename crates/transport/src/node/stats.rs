//! What a node shows of itself.

use std::net::SocketAddr;
use std::time::Duration;

use replink_frame::{Flags, ReplicaId, Status};
use replink_handshake::{Authentication, Peer};

use super::event::RejectedBy;
use super::histogram::Histogram;
use crate::OutboundStats;
use crate::exchange::UnreachableReason;
#[cfg(doc)]
use crate::mesh::DownReason;
use crate::mesh::{LinkId, Role, RoundTrip};
use crate::security::KeyStats;

/// A snapshot of a node. Counts are since the node was made.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct NodeStats {
    /// The links that are up.
    pub links: Vec<LinkStats>,
    /// The keys of the configuration in force, the offered one first; with pair secrets those of all
    /// pairs.
    pub keys: Vec<KeyStats>,
    /// Connections that have not authenticated.
    pub pending: u32,
    /// Connections that were accepted from the listener.
    pub accepted: u64,
    /// Connections that were closed unread: not allowed, or too many.
    pub closed_unread: u64,
    /// Handshakes that ended without an answer: the stream failed, or time was up.
    pub broken: u64,
    /// Handshakes that succeeded, and those that were turned away, by status and by whom. The
    /// ones that succeeded count as "by us".
    pub handshakes: Vec<(Status, RejectedBy, u64)>,
    /// Errors of `accept`.
    pub accept_errors: u64,
    /// Links that ended because a record that came on them was broken (S-3), by peer: someone on the way changes
    /// what is sent, or the peer is faulty. A peer on whose links none was is not named.
    pub broken_records: Vec<(ReplicaId, u64)>,
    /// Links that came up weaker than this end would have had them, by peer: not sealed or not
    /// forward-secret, since the peer has that off or speaks version 1.
    pub weaker_links: Vec<(ReplicaId, u64)>,
    /// Links that were up and are not any more: their counts are in here.
    pub ended: EndedStats,
    /// How many links ended for which [reason](DownReason::name), by peer.
    pub links_ended: Vec<(ReplicaId, &'static str, u64)>,
    /// How many links were made anew without a loss, by peer: because of their key or their age. They are none of those
    /// that ended for a reason.
    pub links_renewed: Vec<(ReplicaId, u64)>,
    /// Attempts to make a link that came to nothing, by peer and by why.
    pub dial_failures: Vec<(ReplicaId, UnreachableReason, u64)>,
    /// Every link that there should be, by peer and lane.
    pub peers: Vec<PeerStats>,
    /// The shards, in order.
    pub shards: Vec<ShardStats>,
    /// How often a frame was given back because a link's queue was full.
    pub backpressure: u64,
    /// How long handshakes took that made a link, from the first attempt to connect, or from the connection that
    /// came in.
    pub handshake_times: Histogram,
    /// How long pings took to be answered, on all links.
    pub round_trips: Histogram,
}

/// One link that there should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PeerStats {
    /// With whom.
    pub peer: ReplicaId,
    /// On which of the pair's lanes.
    pub lane: u16,
    /// What the peer does in the cluster.
    pub role: Role,
    /// Whether it is up.
    pub up: bool,
    /// How long ago the peer last showed life on it, or on one before it (C-1). `None` when it never did.
    pub last_life: Option<Duration>,
}

impl PeerStats {
    /// A link that is not up and never was: to try out what is made of these.
    pub fn new(peer: ReplicaId, lane: u16, role: Role) -> Self {
        Self { peer, lane, role, up: false, last_life: None }
    }
}

/// A shard, as others see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ShardStats {
    /// How long ago it last turned: waited, or looked what there is to do. Zero while it waits.
    pub last_turn: Duration,
}

impl ShardStats {
    /// A shard that turned so long ago: to try out what is made of these.
    pub fn new(last_turn: Duration) -> Self {
        Self { last_turn }
    }
}

impl NodeStats {
    /// How many of the links that are up are sealed (section 5).
    pub fn sealed_links(&self) -> usize {
        self.links.iter().filter(|link| link.peer.flags.contains(Flags::SEALED)).count()
    }

    /// How many of the links that are up nobody has proved (H-12).
    pub fn unauthenticated_links(&self) -> usize {
        let disabled = |link: &&LinkStats| link.peer.authentication == Authentication::Disabled;
        self.links.iter().filter(disabled).count()
    }

    /// What all links have received, those that are up and those that are not any more.
    pub fn received(&self) -> InboundStats {
        let mut sum = self.ended.received;
        self.links.iter().for_each(|link| sum.add(&link.received));
        sum
    }

    /// What all links have sent, those that are up and those that are not any more; what waits is
    /// that of the links that are up.
    pub fn sent(&self) -> OutboundStats {
        let mut sum = self.ended.sent;
        for link in &self.links {
            sum.queued_frames += link.sent.queued_frames;
            sum.queued_bytes += link.sent.queued_bytes;
            add_written(&mut sum, &link.sent);
        }
        sum
    }
}

/// What links did that are no longer up.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct EndedStats {
    /// How many there were.
    pub links: u64,
    /// What they received.
    pub received: InboundStats,
    /// What they sent; nothing waits any more.
    pub sent: OutboundStats,
}

/// A snapshot of one link.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LinkStats {
    /// Which.
    pub link: LinkId,
    /// Who is at the other end, and what was agreed on.
    pub peer: Peer,
    /// Where the other end is.
    pub address: SocketAddr,
    /// The shard that owns it.
    pub shard: usize,
    /// How long it has been up.
    pub up_for: Duration,
    /// What was received.
    pub received: InboundStats,
    /// What was sent, and what waits.
    pub sent: OutboundStats,
    /// What its pings have shown, once one was answered.
    pub round_trip: Option<RoundTrip>,
}

impl LinkStats {
    /// A link that has just come up: to try out what is made of these.
    pub fn new(link: LinkId, peer: Peer, address: SocketAddr, shard: usize) -> Self {
        Self {
            link,
            peer,
            address,
            shard,
            up_for: Duration::ZERO,
            received: InboundStats::default(),
            sent: OutboundStats::default(),
            round_trip: None,
        }
    }
}

/// What a link has received.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct InboundStats {
    /// Bytes received.
    pub bytes: u64,
    /// Frames delivered to the embedder.
    pub frames: u64,
    /// Reads of the stream that gave something.
    pub reads: u64,
}

impl InboundStats {
    fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.frames += other.frames;
        self.reads += other.reads;
    }

    /// What has come since `before`.
    fn since(&self, before: &Self) -> Self {
        Self {
            bytes: self.bytes - before.bytes,
            frames: self.frames - before.frames,
            reads: self.reads - before.reads,
        }
    }
}

fn add_written(sum: &mut OutboundStats, other: &OutboundStats) {
    sum.written_frames += other.written_frames;
    sum.written_bytes += other.written_bytes;
    sum.writes += other.writes;
}

/// What of a link that is no longer up is in [`EndedStats`] already.
#[derive(Clone, Copy, Default)]
pub(super) struct Counted {
    /// Whether it is one of the links that have ended.
    ended: bool,
    received: InboundStats,
    sent: OutboundStats,
}

impl Counted {
    /// It has ended. Whether that is news.
    pub(super) fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.ended, true)
    }
}

impl EndedStats {
    /// Adds what a link has done since it was `counted` last.
    pub(super) fn count(&mut self, received: InboundStats, sent: OutboundStats, counted: &mut Counted) {
        self.received.add(&received.since(&counted.received));
        let before = counted.sent;
        let news = OutboundStats {
            written_frames: sent.written_frames - before.written_frames,
            written_bytes: sent.written_bytes - before.written_bytes,
            writes: sent.writes - before.writes,
            ..OutboundStats::default()
        };
        add_written(&mut self.sent, &news);
        (counted.received, counted.sent) = (received, sent);
    }
}
