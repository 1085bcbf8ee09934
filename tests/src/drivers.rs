//! temporary
use replink_transport::node::{Node, Shard};
/// temporary
pub fn shards(node: Node, count: usize) -> Vec<Shard> {
    node.into_shards(count).unwrap()
}
