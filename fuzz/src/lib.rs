//! The bodies of the fuzz targets, and what they judge the code by.
//!
//! [`wire`], [`mac`], [`records`] and [`aegis`] say once more what `docs/protocol.md` says, by offsets and
//! formulas and without a line of the crates under test, so that a target can compare whole frames and exact
//! outcomes instead of only waiting for a panic. [`node`] makes the nodes under test from the
//! input, [`patch`] makes frames from it. [`giving`] and [`writing`] move the codecs' bytes, in all ways that
//! there are.
//!
//! A target is a function `run(data)` here and a shim in `fuzz_targets/`; so `cargo test` can
//! run the corpus without the fuzzer. See `README.md`.
#![forbid(unsafe_code)]

pub mod acceptor;
pub mod aegis;
pub mod config;
pub mod dialer;
pub mod exchange;
pub mod frame_parse;
pub mod giving;
pub mod inbound;
pub mod link;
pub mod mac;
pub mod node;
pub mod patch;
pub mod records;
pub mod remac;
pub mod sealed;
pub mod ticket;
pub mod wire;
pub mod writing;
