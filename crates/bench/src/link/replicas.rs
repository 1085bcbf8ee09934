//! Nodes that are connected to each other.

use std::time::{Duration, Instant};

use replink_transport::frame::ReplicaId;
use replink_transport::node::{Handle, Node, NodeOptions, Shard};

use super::Cluster;
use crate::Failure;
use crate::loopback::STALL_MAX;

/// How long one shard is polled while the links come up.
const TURN: Duration = Duration::from_millis(1);

/// The shards of all replicas of a [`Cluster`].
#[derive(Debug)]
pub struct Replicas {
    /// For each replica its shards, in order.
    pub shards: Vec<Vec<Shard>>,
}

impl Replicas {
    /// Nodes with `shards` shards each, not connected yet.
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

    /// Nodes with all their links up.
    ///
    /// # Errors
    ///
    /// [`Failure`], also when that takes longer than [`STALL_MAX`].
    pub fn connected(cluster: &Cluster, shards: u16) -> Result<Self, Failure> {
        let mut replicas = Self::start(cluster, shards)?;
        let wanted = (replicas.shards.len() - 1) * usize::from(cluster.config().link.lanes);
        let began = Instant::now();
        while replicas.handles().any(|handle| handle.stats().links.len() < wanted) {
            if began.elapsed() > STALL_MAX {
                return Err(format!("the links are not up within {STALL_MAX:?}").into());
            }
            for shard in replicas.shards.iter_mut().flatten() {
                let mut events = shard.poll(Some(TURN))?;
                while events.next().is_some() {}
            }
        }
        Ok(replicas)
    }

    /// For each replica what any thread may use of it.
    pub fn handles(&self) -> impl Iterator<Item = Handle> + '_ {
        self.shards.iter().filter_map(|shards| shards.first()).map(Shard::handle)
    }
}
