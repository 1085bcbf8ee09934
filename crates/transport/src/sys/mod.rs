//! The only place with unsafe code: what the safe socket and buffer APIs can't express.
#![allow(unsafe_code, reason = "the one place for it; each block says why it is sound")]

mod scatter;

pub(crate) use scatter::{Target, receive};
