//! Authenticated replica links over plain, dup-able TCP sockets.
//!
//! A [`Link`] goes through the handshake ([`blocking::dial`], [`blocking::accept`], or the states
//! of `replink-handshake` over a stream of your own) and comes out as an
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
//! `Inbound`, `Outbound`, `Gate`, `Mesh` and [`Backoff`] are pure: they can be driven by any runtime.
//! [`blocking`] drives them with threads.

pub mod blocking;
pub mod config;
pub mod driver;
pub mod gate;
#[cfg(target_os = "linux")]
pub mod hand_off;
pub mod mesh;
pub mod node;
pub mod security;

mod backoff;
mod endpoint;
mod entropy;
mod inbound;
mod link;
mod outbound;
mod sync;
mod sys;

pub use backoff::Backoff;
pub use endpoint::{Endpoint, EndpointError};
pub use entropy::{EntropyError, fresh, incarnation};
pub use inbound::{Admitted, Inbound, InboundError, OwnedFrame, READ_AHEAD_SIZE, Received};
pub use link::Link;
pub use outbound::{
    Attention, Flushed, GatherWrite, Outbound, OutboundLimits, OutboundStats, SendCause, SendError, Sent,
    SharedOutbound, TakeOutboundError,
};

pub use replink_frame as frame;
pub use replink_handshake as handshake;
