use replink_frame::ClusterId;

/// The id of the cluster called `name`: the first 16 bytes of its BLAKE3 hash (section 1).
pub fn cluster_id(name: &str) -> ClusterId {
    let hash = blake3::hash(name.as_bytes());
    let (id, _) = hash.as_bytes().split_first_chunk().expect("16 of 32 bytes");
    ClusterId(*id)
}
