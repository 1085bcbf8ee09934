//! Which shard gets a link.

use std::fmt;
use std::sync::Arc;

use replink_handshake::Peer;

/// Which shard gets a new link. It can be moved later.
///
/// With more than one lane, lane *i* goes to shard *i* modulo the number of shards, so that each
/// shard has a link of its own to each peer; only a [`Placement::Function`] overrules that.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Placement {
    /// One after the other.
    #[default]
    RoundRobin,
    /// All links of a peer go to the same shard: its id modulo the number of shards.
    ByPeer,
    /// What the function says, modulo the number of shards.
    Function(Arc<dyn Fn(&Peer) -> usize + Send + Sync>),
}

impl Placement {
    /// The shard for a link with `peer`; `turn` counts links.
    pub(super) fn shard(&self, peer: &Peer, lanes: u16, turn: usize, shards: usize) -> usize {
        let place = match self {
            Self::Function(function) => function(peer),
            _ if lanes > 1 => usize::from(peer.lane),
            Self::ByPeer => usize::from(peer.replica.0),
            Self::RoundRobin => turn,
        };
        place % shards
    }
}

impl fmt::Debug for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RoundRobin => "RoundRobin",
            Self::ByPeer => "ByPeer",
            Self::Function(_) => "Function",
        })
    }
}
