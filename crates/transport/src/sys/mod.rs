//! The only place with unsafe code: what the safe socket and buffer APIs can't express.
#![allow(unsafe_code, reason = "the one place for it; each block says why it is sound")]

#[cfg(all(feature = "io-uring", target_os = "linux"))]
mod peer_name;
#[cfg(all(feature = "io-uring", target_os = "linux"))]
pub(crate) mod ring;
mod scatter;

#[cfg(all(feature = "io-uring", target_os = "linux"))]
pub(crate) use peer_name::peer_name;
#[cfg(target_os = "linux")]
pub(crate) use scatter::ReceiveBuffers;
pub(crate) use scatter::{Target, receive, receive_some};
