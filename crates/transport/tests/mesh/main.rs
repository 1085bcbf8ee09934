//! The mesh, on virtual time.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![expect(clippy::print_stderr, reason = "a failure names its seed")]

mod behaviour;
mod life;
mod network;
mod one;
mod random;
