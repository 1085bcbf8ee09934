//! The only place with unsafe code: what the safe interfaces of the system can't express.
#![allow(unsafe_code, reason = "the one place for it; each block says why it is sound")]

mod peer_name;
pub(crate) mod ring;

pub(crate) use peer_name::peer_name;
