//! What a node shows of itself.

use std::net::SocketAddr;
use std::time::Duration;

use replink_frame::{KeyId, Status};
use replink_handshake::Peer;

use super::event::RejectedBy;
use crate::OutboundStats;
use crate::mesh::{LinkId, RoundTrip};

/// A snapshot of a node. Counts are since the node was made.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct NodeStats {
    /// The links that are up.
    pub links: Vec<LinkStats>,
    /// The keys of the configuration in force, the offered one first.
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
    /// Links that were up and are not any more: their counts are in here.
    pub ended: EndedStats,
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

/// What a link has received.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct InboundStats {
    /// Bytes received.
    pub bytes: u64,
    /// Frames delivered to the embedder.
    pub frames: u64,
    /// Reads of the stream that gave something.
    pub reads: u64,
}

/// How much a key is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct KeyStats {
    /// Which.
    pub key: KeyId,
    /// Whether it is the one that this node offers. One that is not is retired: it can go when no
    /// link uses it any more.
    pub offered: bool,
    /// The links that were made with it.
    pub links: usize,
}
