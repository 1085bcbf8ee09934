//! The only place with unsafe code: what the safe interfaces of the system can't express.
#![allow(unsafe_code, reason = "the one place for it; each block says why it is sound")]

mod acknowledgements;
#[cfg(all(feature = "io-uring", target_os = "linux"))]
mod peer_name;
#[cfg(all(feature = "io-uring", target_os = "linux"))]
pub(crate) mod ring;

pub(crate) use acknowledgements::unacknowledged_for;
#[cfg(all(feature = "io-uring", target_os = "linux"))]
pub(crate) use peer_name::peer_name;
