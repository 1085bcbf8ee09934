//! The only place with unsafe code: what the safe interfaces of the system can't express.
#![allow(unsafe_code, reason = "the one place for it; each block says why it is sound")]

#[cfg(feature = "sockets")]
mod acknowledgements;
#[cfg(all(feature = "config", target_os = "linux"))]
mod environment;
#[cfg(all(feature = "io-uring", target_os = "linux"))]
mod peer_name;
#[cfg(all(feature = "io-uring", target_os = "linux"))]
pub(crate) mod ring;

#[cfg(feature = "sockets")]
pub(crate) use acknowledgements::unacknowledged_for;
#[cfg(all(feature = "config", target_os = "linux"))]
pub(crate) use environment::take_variable;
#[cfg(all(feature = "io-uring", target_os = "linux"))]
pub(crate) use peer_name::peer_name;
