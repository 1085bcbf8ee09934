use std::io;
use std::time::{Duration, Instant};

use replink_frame::GoodbyeReason;
use replink_handshake::{ControlMessage, Peer};
use thiserror::Error;

use crate::mesh::owed_for;
use crate::unanswered::{LOOK_EVERY, Unanswered};
use crate::{Inbound, InboundError, Link, Received};

/// The receiving half of a link: a call returns when a frame has come.
#[derive(Debug)]
pub struct Receiver {
    link: Link,
    inbound: Inbound,
    received_bytes: u64,
    unanswered: Unanswered,
    /// Why the peer left, once it has said so.
    left: Option<GoodbyeReason>,
}

/// Why nothing more comes.
#[derive(Error, Debug)]
#[non_exhaustive]
pub enum LinkEnd {
    /// The peer left with a goodbye, which was received before (section 4).
    #[error("peer left: {0}")]
    Left(GoodbyeReason),
    /// The peer closed the connection without a goodbye (section 4: it has been lost).
    #[error("peer closed the connection without a goodbye")]
    Closed,
    /// The peer closed the connection in the middle of a frame.
    #[error("peer closed the connection in the middle of a frame")]
    Truncated,
    /// The peer broke the protocol, or refused us late.
    #[error(transparent)]
    Violation(#[from] InboundError),
    /// The connection failed.
    #[error("connection failed: {0}")]
    Io(#[from] io::Error),
}

impl LinkEnd {
    /// What the peer is owed before the link is closed (C-3): whoever has the [`Sender`](super::Sender) says
    /// [goodbye](super::Sender::goodbye) with it. `None` where there is nothing to say, or nobody to hear it.
    pub fn owed(&self) -> Option<GoodbyeReason> {
        match self {
            Self::Violation(error) => owed_for(error),
            Self::Left(_) | Self::Closed | Self::Truncated | Self::Io(_) => None,
        }
    }
}

impl Receiver {
    pub(super) fn new(link: Link, inbound: Inbound) -> Self {
        Self { link, inbound, received_bytes: 0, unanswered: Unanswered::default(), left: None }
    }

    /// The other end.
    pub fn peer(&self) -> &Peer {
        self.inbound.peer()
    }

    /// The link, to look at.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The link and its codec, for another driver or another process.
    pub fn into_parts(self) -> (Link, Inbound) {
        (self.link, self.inbound)
    }

    /// How long [`Receiver::receive`] waits for bytes; `None`, and what is longer, is five seconds: then it looks
    /// whether the peer's machine is there.
    ///
    /// # Errors
    ///
    /// What the socket says; a timeout of zero is invalid.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.link.stream().set_read_timeout(Some(timeout.unwrap_or(LOOK_EVERY).min(LOOK_EVERY)))
    }

    /// Whether, since the last call, something has come that shows life of the peer (C-1): on a sealed link what
    /// has been proved, on any other bytes, also within a long frame.
    pub fn take_life(&mut self) -> bool {
        self.inbound.take_life()
    }

    /// Bytes received since the handshake. On a sealed link they are no sign of life:
    /// [`Receiver::take_life`] is.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// The next frame, after at most one read. A peer whose machine has owed an answer for half a minute is gone:
    /// [`LinkEnd::Io`] with [`io::ErrorKind::TimedOut`]. A [goodbye](ControlMessage::Goodbye) is the peer's last frame: it
    /// waits for what is queued here, and for our own goodbye (C-3). `None` when the read gave no whole frame, or the
    /// timeout passed.
    ///
    /// # Errors
    ///
    /// [`LinkEnd`].
    pub fn receive(&mut self) -> Result<Option<Received<'_>>, LinkEnd> {
        if self.inbound.find()?.is_none() {
            match self.link.receive(self.inbound.room()) {
                Ok(0) if !self.inbound.is_at_frame_boundary() => return Err(LinkEnd::Truncated),
                Ok(0) => return Err(self.left.map_or(LinkEnd::Closed, LinkEnd::Left)),
                Ok(received) => {
                    self.inbound.received(received);
                    self.received_bytes += received as u64;
                }
                // The timeout of a read is this kind. `TimedOut` is the kernel giving the whole
                // connection up, and is said once only.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let unacknowledged = self.link.unacknowledged_for();
                    if self.unanswered.is_over(unacknowledged, Instant::now()) {
                        self.link.shutdown();
                        return Err(io::Error::from(io::ErrorKind::TimedOut).into());
                    }
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let received = self.inbound.next()?;
        if let Some(Received::Control(ControlMessage::Goodbye(reason))) = received {
            self.left = Some(reason);
        }
        Ok(received)
    }
}
