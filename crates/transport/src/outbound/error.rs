use std::fmt;
use std::io;

use bytes::Bytes;
use replink_frame::{Command, FrameError, GenericHeader};
use thiserror::Error;

/// A frame that was not queued, given back.
#[derive(Clone, PartialEq, Eq)]
pub struct SendError(Box<Refused>);

#[derive(Clone, PartialEq, Eq)]
struct Refused {
    header: GenericHeader,
    body: Bytes,
    cause: SendCause,
}

/// Why a frame was not queued.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SendCause {
    /// The link's queue is full: the peer reads more slowly than we send. Try again later, or
    /// drop the frame.
    #[error("backpressure: {frames} frames and {bytes} bytes wait to be written on this link")]
    Backpressure {
        /// Frames in the queue.
        frames: usize,
        /// Bytes in the queue.
        bytes: u64,
    },
    /// No link may carry such a header. The caller is at fault.
    #[error("the frame's header is not valid: {0}")]
    Frame(#[from] FrameError),
    /// The header announces another body than is there. The caller is at fault.
    #[error("the header announces a body of {announced} bytes, {given} were given")]
    BodyLength {
        /// `size - 256`.
        announced: usize,
        /// The body's length.
        given: usize,
    },
    /// The role of this replica may not send such a frame; its peers would end the link.
    #[error("this replica's role may not send {0}; check its role in cluster.nodes")]
    Denied(Command),
    /// No link to this replica is up on this lane.
    #[error("no link to this replica is up on this lane")]
    NotConnected,
    /// A goodbye is queued on this link, or written: nothing goes out behind it.
    #[error("the link is being left: nothing goes out behind the goodbye")]
    Leaving,
    /// We have closed the link.
    #[error("the link is closed")]
    Closed,
    /// [`SharedOutbound::take_for_hand_off`](super::SharedOutbound::take_for_hand_off) has taken the
    /// queue: who has it now sends on this link.
    #[error("the link was handed off")]
    HandedOff,
    /// The connection failed while it was written to.
    #[error("the connection failed while sending: {0}")]
    Failed(io::ErrorKind),
}

impl SendError {
    pub(crate) fn new(header: GenericHeader, body: Bytes, cause: SendCause) -> Self {
        Self(Box::new(Refused { header, body, cause }))
    }

    /// Why.
    pub fn cause(&self) -> SendCause {
        self.0.cause
    }

    /// The frame, as it was given.
    pub fn into_frame(self) -> (GenericHeader, Bytes) {
        (self.0.header, self.0.body)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} not sent: {}", self.0.header.command, self.0.cause)
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SendError").field(&self.0.cause).finish()
    }
}

impl std::error::Error for SendError {}
