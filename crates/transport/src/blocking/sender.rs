use std::io::{self, IoSlice};
use std::time::Instant;

use bytes::Bytes;
use replink_frame::{GenericHeader, GoodbyeReason};
use replink_handshake::Peer;
use thiserror::Error;

use crate::memory::SLICES_MAX;
use crate::unanswered::Unanswered;
use crate::{GatherWrite, Link, Outbound, SendCause, SendError};

/// The sending half of a link: a call returns when the socket has taken the bytes.
#[derive(Debug)]
pub struct Sender {
    link: Link,
    outbound: Outbound,
    unanswered: Unanswered,
}

/// A frame that was not sent.
#[derive(Error, Debug)]
#[non_exhaustive]
pub enum SendFailure {
    /// It was not even queued, and is given back.
    #[error(transparent)]
    Refused(#[from] SendError),
    /// The connection failed; what was queued is lost with it.
    #[error("connection failed while sending: {0}")]
    Io(#[from] io::Error),
}

impl Sender {
    pub(super) fn new(link: Link, outbound: Outbound) -> Self {
        Self { link, outbound, unanswered: Unanswered::default() }
    }

    /// The other end.
    pub fn peer(&self) -> &Peer {
        self.outbound.peer()
    }

    /// The link, to look at.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The link and its codec, for another driver or another process.
    pub fn into_parts(self) -> (Link, Outbound) {
        (self.link, self.outbound)
    }

    /// Sends a frame, and all that was queued before it. A full queue is no reason to refuse it:
    /// what waits goes out first.
    ///
    /// # Errors
    ///
    /// [`SendFailure::Refused`] gives a frame back that no link could carry, and the link goes on;
    /// [`SendFailure::Io`] ends it.
    pub fn send(&mut self, header: &GenericHeader, body: impl Into<Bytes>) -> Result<(), SendFailure> {
        self.queue_or_flush(header, body)?;
        Ok(self.flush()?)
    }

    /// Queues a frame so that it goes out with the next write. Only where the queue is full, what
    /// waits in it goes out first.
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    pub fn queue_or_flush(
        &mut self,
        header: &GenericHeader,
        body: impl Into<Bytes>,
    ) -> Result<(), SendFailure> {
        match self.outbound.push(header, body) {
            Err(refused) if matches!(refused.cause(), SendCause::Backpressure { .. }) => {
                self.flush()?;
                let (header, body) = refused.into_frame();
                Ok(self.outbound.push(&header, body)?) // an empty queue takes any frame
            }
            result => Ok(result?),
        }
    }

    /// Queues a frame without sending it, so that several go out together.
    ///
    /// # Errors
    ///
    /// [`SendError`] gives the frame back; with [`SendCause::Backpressure`] until
    /// [`Sender::flush`] made room.
    pub fn queue(&mut self, header: &GenericHeader, body: impl Into<Bytes>) -> Result<(), SendError> {
        self.outbound.push(header, body)
    }

    /// Sends all that was queued.
    ///
    /// # Errors
    ///
    /// What the socket says; it ends the link.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.outbound.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = self.outbound.slices(&mut slices);
            match self.link.write_gathered(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.outbound.advance(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A peer that reads slowly is waited for, as long as its machine is there.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let unacknowledged = self.link.unacknowledged_for();
                    if self.unanswered.is_over(unacknowledged, Instant::now()) {
                        self.link.shutdown();
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends a `LinkPing`; the counter that its pong will echo, or `None` on a version 1 link.
    ///
    /// # Errors
    ///
    /// What the socket says; it ends the link.
    pub fn ping(&mut self) -> io::Result<Option<u64>> {
        let counter = self.outbound.ping();
        self.flush()?;
        Ok(counter)
    }

    /// Answers the peer's ping with counter `echo`.
    ///
    /// # Errors
    ///
    /// What the socket says; it ends the link.
    pub fn pong(&mut self, echo: u64) -> io::Result<()> {
        self.outbound.pong(echo);
        self.flush()
    }

    /// Leaves: sends all that was queued, a `LinkGoodbye`, and the end of the stream. What the peer still sends
    /// comes until its own goodbye, or the end of the stream (C-3): the [`Receiver`](super::Receiver) is to be kept
    /// until then.
    ///
    /// # Errors
    ///
    /// What the socket says; the link is over either way.
    pub fn goodbye(mut self, reason: GoodbyeReason) -> io::Result<()> {
        self.outbound.goodbye(reason);
        self.flush()?;
        self.link.stream().shutdown(std::net::Shutdown::Write)
    }
}
