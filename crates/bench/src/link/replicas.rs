//! Nodes that are connected to each other.

use replink_transport::frame::ReplicaId;
use replink_transport::node::{Node, NodeOptions, Shard};

use super::Cluster;
use crate::Failure;

/// The shards of all replicas of a [`Cluster`].
#[derive(Debug)]
pub struct Replicas {
    /// For each replica its shards, in order.
    pub shards: Vec<Vec<Shard>>,
}

impl Replicas {
    /// Nodes with `shards` shards each, not connected yet: they connect when each shard is polled on the
    /// thread that it stays on.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub fn start(cluster: &Cluster, shards: u16) -> Result<Self, Failure> {
        let start = |id| -> Result<_, Failure> {
            let options = NodeOptions::new(ReplicaId(id));
            let node = Node::with_listener(cluster.config().clone(), options, cluster.listener(id)?)?;
            Ok(node.into_shards(usize::from(shards))?)
        };
        Ok(Self { shards: (0..cluster.replicas()).map(start).collect::<Result<_, _>>()? })
    }
}
