//! Whole nodes on loopback: what an embedder and an operator see.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod first;
mod sending;
