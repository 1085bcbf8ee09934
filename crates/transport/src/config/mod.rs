//! `cluster.toml`: parsing and validation.
