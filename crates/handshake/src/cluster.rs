use replink_frame::ClusterId;

/// The id of the cluster called `name`: the first 16 bytes of its BLAKE3 hash (section 1).
pub fn cluster_id(name: &str) -> ClusterId {
    let hash = blake3::hash(name.as_bytes());
    ClusterId(core::array::from_fn(|index| hash.as_bytes()[index]))
}
