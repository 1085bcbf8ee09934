//! What the pieces of replink cost: `cargo bench -p replink-benches`.
//!
//! The figures inform and gate nothing; compare within one run on a quiet machine.
