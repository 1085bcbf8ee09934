use replink_frame::{ClusterId, ReplicaId};

use crate::App;

/// Who this node is, as it tells its peers.
#[derive(Clone, Debug)]
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
