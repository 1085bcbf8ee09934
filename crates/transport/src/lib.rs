//! Authenticated replica links over plain, dup-able TCP sockets.
//!
//! A [`Link`] goes through the handshake ([`blocking::dial`], [`blocking::accept`], or an
//! [`exchange`] over a stream of your own) and comes out as an
//! [`Authenticated<Link>`](handshake::Authenticated). That is the only way to an [`Inbound`],
//! which turns bytes into frames, and an [`Outbound`], which turns frames into bytes. A
//! [`SharedOutbound`] lets every thread send on one link.
//!
//! On Linux, `hand_off` gives links to the next process of the same replica, and the peers notice
//! nothing.
//!
//! A [`gate::Gate`] decides which connections may try, and bounds what the others cost. Which links
//! there should be, a [`mesh::Mesh`] decides.
//!
//! `exchange`, `Inbound`, `Outbound`, `Gate`, `Mesh` and [`Backoff`] are pure: they can be driven by any runtime.
//! [`blocking`] drives them with threads.
#![cfg_attr(not(any(feature = "sockets", feature = "config")), forbid(unsafe_code))]
#![warn(clippy::exhaustive_structs, clippy::exhaustive_enums)]

#[cfg(feature = "blocking")]
pub mod blocking;
#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "node")]
pub mod driver;
pub mod exchange;
pub mod gate;
#[cfg(all(feature = "hand-off", target_os = "linux"))]
pub mod hand_off;
pub mod memory;
pub mod mesh;
#[cfg(feature = "node")]
pub mod node;
#[cfg(feature = "config")]
pub mod security;

mod backoff;
mod cipher_speed;
mod duration;
mod endpoint;
#[cfg(feature = "sockets")]
mod entropy;
mod inbound;
#[cfg(feature = "sockets")]
mod link;
mod outbound;
mod sync;
#[cfg(any(feature = "sockets", all(feature = "config", target_os = "linux")))]
mod sys;
#[cfg(any(feature = "node", feature = "blocking"))]
mod unanswered;

pub use backoff::Backoff;
pub use cipher_speed::{CIPHER_SLOW_MEGABYTES, CipherSpeed, SlowCipher};
pub use duration::DURATION_MAX;
pub use endpoint::{Endpoint, EndpointError, EndpointSettings};
#[cfg(feature = "sockets")]
pub use entropy::{fresh, incarnation, secret_bytes};
pub use exchange::EntropyError;
pub use inbound::{Admitted, Found, Inbound, InboundError, OwnedFrame, Received};
#[cfg(feature = "sockets")]
pub use link::Link;
pub use outbound::{
    Attention, Flushed, GatherWrite, Loan, Outbound, OutboundLimits, OutboundStats, SendCause, SendError,
    Sent, SharedOutbound, TakeOutboundError,
};

pub use replink_frame as frame;
pub use replink_handshake as handshake;
