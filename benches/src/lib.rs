//! What the pieces of replink cost: `cargo bench -p replink-benches`.
//!
//! Times inform and gate nothing; compare within one run on a quiet machine. What gates is the binary
//! `instructions`: it counts.
