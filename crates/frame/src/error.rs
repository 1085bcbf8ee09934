use thiserror::Error;

use crate::{ClusterId, Command, Status};

/// Why 256 bytes are not the handshake frame that was expected. The peer is the culprit.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum HandshakeFrameError {
    /// H-8, H-11: known by its command, and this is another.
    #[error("peer sent {found} where the handshake expects {expected}")]
    UnexpectedCommand {
        /// What the handshake's state waits for.
        expected: Command,
        /// What the header says.
        found: Command,
    },
    /// H-10, F-2: handshake frames are header-only.
    #[error("peer announced a handshake frame of {found} bytes; it is always 256")]
    Size {
        /// The `size` field, in bytes.
        found: u32,
    },
    /// H-6: neither 0 (version 1) nor 2.
    #[error("peer speaks handshake version byte {found}; this end knows 0 (version 1) and 2")]
    UnsupportedVersion {
        /// The byte at offset 65 of the reserved bytes.
        found: u8,
    },
    /// H-10: a byte that this frame does not use is set.
    #[error("peer set byte {offset} of the handshake frame, which must be zero")]
    UnusedByte {
        /// Offset from the frame's first byte, `0..256`.
        offset: usize,
    },
}

impl HandshakeFrameError {
    /// The status that tells the peer (H-11).
    pub const fn status(self) -> Status {
        match self {
            Self::UnexpectedCommand { .. } => Status::UNKNOWN_COMMAND,
            Self::UnsupportedVersion { .. } => Status::UNSUPPORTED_VERSION,
            Self::Size { .. } | Self::UnusedByte { .. } => Status::MALFORMED_FRAME,
        }
    }
}

/// Why a header is no valid frame of an authenticated link.
///
/// On receive the peer is the culprit; on send the embedder that filled the header in.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FrameError {
    /// F-1: `size` below 256 or above the frame limit; checked before a body byte is read.
    #[error("frame announces {found} bytes; it must have at least 256 and at most {limit}")]
    Size {
        /// The `size` field, in bytes.
        found: u32,
        /// The link's frame limit, in bytes.
        limit: u32,
    },
    /// F-3: the frame is another cluster's.
    #[error("frame names cluster {found}; this link belongs to {expected}")]
    Cluster {
        /// This link's cluster.
        expected: ClusterId,
        /// The header's.
        found: ClusterId,
    },
    /// Section 1.1: 0, a handshake command, or one that is the transport's own.
    #[error("{found} is not valid here")]
    Command {
        /// The header's command.
        found: Command,
    },
    /// Section 1: the transport's reserved bytes, or a control frame's unused ones, are not zero.
    #[error("byte {offset} of the header must be zero")]
    UnusedByte {
        /// Offset from the frame's first byte, `0..256`.
        offset: usize,
    },
}
