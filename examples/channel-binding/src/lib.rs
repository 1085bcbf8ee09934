//! The handshake inside of TLS 1.3 sessions, bound to them.
//!
//! TLS encrypts and proves a certificate, the handshake proves a replica. Each alone can be relayed:
//! whoever has a certificate that the dialer takes may terminate TLS towards both ends and pass on what
//! they say, handshake and all. So both ends give the handshake the exporter value of the session that
//! they see ([`TlsStream::binding`]). A relay has two sessions with two values, and the MACs that
//! each end computes differ.
//!
//! [`tls`] and [`TlsStream`] are rustls alone; [`link`] is what an embedder writes to feed the handshake
//! ([`exchange`](replink_transport::exchange)) and the codecs from any stream of its own.

pub mod link;
mod stream;
pub mod tls;

pub use stream::TlsStream;

/// What goes wrong in an example is shown and ends it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
