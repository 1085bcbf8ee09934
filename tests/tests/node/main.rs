//! Whole nodes on loopback: what an embedder and an operator see.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod dialing;
mod embedding;
mod first;
mod gate;
mod leaving;
mod life;
mod mesh;
mod migrating;
mod moving;
mod placement;
mod release;
mod reload;
mod sending;
mod short_of_files;
mod soak;
mod source;
mod telling;
mod version_one;
