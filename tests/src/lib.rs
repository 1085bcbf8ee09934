//! What the tests share: known answers, fixtures, and peers that speak the wire by hand.
#![allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "tests fail by panicking")]

pub mod alone;
pub mod drivers;
pub mod fixtures;
pub mod forge;
pub mod frames;
pub mod links;
pub mod nodes;
pub mod process;
pub mod random;
pub mod raw_peer;
pub mod running;
pub mod simulation;
pub mod snapshot;
pub mod soak;
pub mod streams;
pub mod vectors;
pub mod watchdog;

/// The README's program, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
