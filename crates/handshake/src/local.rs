use replink_frame::{ClusterId, ReplicaId};

use crate::App;

/// Who this node is, as it tells its peers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Local {
    /// The embedding product.
    pub app: App,
    /// The cluster, see [`crate::cluster_id`].
    pub cluster: ClusterId,
    /// This node's number in it.
    pub replica: ReplicaId,
    /// The embedder's software release; not sent in version 1.
    pub release: u32,
    /// A random number drawn once when this process started (section 2).
    pub incarnation: u64,
}

impl Local {
    /// Replica `replica`, of release 0, whose process has drawn no number yet.
    pub fn new(app: App, cluster: ClusterId, replica: ReplicaId) -> Self {
        Self { app, cluster, replica, release: 0, incarnation: 0 }
    }

    /// The same with this release.
    pub fn release(self, release: u32) -> Self {
        Self { release, ..self }
    }

    /// The same with this process's number.
    pub fn incarnation(self, incarnation: u64) -> Self {
        Self { incarnation, ..self }
    }
}
