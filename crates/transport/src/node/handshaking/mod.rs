//! Handshakes on streams that do not block, a step whenever the stream is ready.
#![expect(
    clippy::large_enum_variant,
    reason = "a handshake lives in one place; boxing its states would allocate for an unauthenticated peer"
)]

mod accepting;
mod dialing;
mod frames;

pub(super) use accepting::{Accepted, Accepting};
pub(super) use dialing::{DialAttempt, Dialed};
