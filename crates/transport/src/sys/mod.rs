//! The only place with unsafe code: what the safe interfaces of the system can't express.
#![allow(unsafe_code, reason = "the one place for it; each block says why it is sound")]

#[cfg(feature = "config")]
mod environment;
#[cfg(feature = "io-uring")]
mod peer_name;
#[cfg(feature = "io-uring")]
pub(crate) mod ring;

#[cfg(feature = "config")]
pub(crate) use environment::take_variable;
#[cfg(feature = "io-uring")]
pub(crate) use peer_name::peer_name;
