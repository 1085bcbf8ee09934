use replink_frame::{Command, FrameError};
use replink_handshake::{ControlError, PeerReject, RecordError};
use thiserror::Error;

/// Why an established link must end: what the peer sent breaks the protocol, or it refused us.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum InboundError {
    /// F-1, F-3, section 1.1. The peer is at fault, or whoever writes into its connection.
    #[error("peer broke the protocol: {0}")]
    Frame(#[from] FrameError),
    /// Section 4. The peer is at fault, or whoever writes into its connection.
    #[error("peer broke the protocol: {0}")]
    Control(#[from] ControlError),
    /// S-3. The peer is at fault, or whoever writes into its connection.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// H-9: a handshake frame after the handshake.
    #[error("peer broke the protocol: {command} after the handshake")]
    HandshakeFrame {
        /// Which.
        command: Command,
    },
    /// H-9: the acceptor refused our Finish after all.
    #[error("{0}")]
    LateReject(PeerReject),
}
