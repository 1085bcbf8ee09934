use std::fmt;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use replink_handshake::{TICKET_LEN, TicketBinding, TicketIssuer};

use super::channel::Channel;
use super::message::{self, ANSWER_LEN, GREETING_LEN, Kind};
use super::state::{FRAME_SIZE_LEN, STATE_HEAD_LEN, StateHead};
use super::{HandOffError, NodeState, proof, socket};
use crate::{Endpoint, Inbound, Link, Outbound};

/// The end that has the links, and gives them.
pub struct Predecessor<'a> {
    channel: Channel<'a>,
    endpoint: &'a Endpoint,
    issuer: TicketIssuer,
    over: bool,
}

impl<'a> Predecessor<'a> {
    /// Waits for the successor's greeting, and tells it what it is to be known by.
    ///
    /// # Errors
    ///
    /// [`HandOffError`]: [`User`](HandOffError::User) if the process at the other end of `stream` is not
    /// of the same effective user. Nothing has been given away, and this process goes on as before.
    pub fn begin(
        stream: &'a UnixStream,
        endpoint: &'a Endpoint,
        deadline: Instant,
    ) -> Result<Self, HandOffError> {
        let channel = Channel::new(stream, deadline)?;
        let mut greeting = [0; GREETING_LEN];
        channel.receive(&mut greeting)?;
        let issuer = TicketIssuer::new(message::read_greeting(&greeting)?);
        let mut predecessor = Self { channel, endpoint, issuer, over: false };
        let local = endpoint.local();
        let node = message::node(NodeState { incarnation: local.incarnation, release: local.release });
        predecessor.tell(Kind::Node, None, &[&node])?;
        Ok(predecessor)
    }

    /// Gives a listener. Both processes have it afterwards, until this one drops it; connections that
    /// wait to be accepted are not lost.
    ///
    /// # Errors
    ///
    /// [`HandOffError`]; after [`HandOffError::Refused`] the transfer goes on.
    pub fn listener(&mut self, listener: &TcpListener) -> Result<(), HandOffError> {
        self.tell(Kind::Listener, Some(listener.as_fd()), &[])
    }

    /// Gives a link, with what `inbound` and `outbound` hold, and returns when the successor has it.
    /// Other handles to the same socket in this process are to be dropped; a
    /// [`shutdown`](Link::shutdown) of one would end the successor's link.
    ///
    /// # Errors
    ///
    /// [`HandOffError`]. Whatever it is, the link's connection is shut down then: there are never two
    /// owners. [`Predecessor::is_over`] says whether others can still be given.
    pub fn link(&mut self, link: Link, inbound: Inbound, outbound: Outbound) -> Result<(), HandOffError> {
        let mut link = Given { link, is_taken: false };
        self.give(&link.link, inbound, outbound)?;
        link.is_taken = true;
        Ok(())
    }

    fn give(&mut self, link: &Link, inbound: Inbound, outbound: Outbound) -> Result<(), HandOffError> {
        if self.over {
            return Err(HandOffError::Over);
        }
        let inbound = inbound.carry()?;
        let (sending, outbound) = outbound.carry();
        let state = |_| HandOffError::Format { what: "a link of this process holds more than it can" };
        let head = StateHead::of(&inbound, &outbound).map_err(state)?.write();
        let name = socket::name(link).map_err(HandOffError::Link)?;

        let mut sizes = Vec::with_capacity(outbound.frame_sizes.len() * FRAME_SIZE_LEN);
        outbound.frame_sizes.iter().for_each(|size| sizes.extend_from_slice(&size.to_le_bytes()));
        let mut payload: Vec<&[u8]> = vec![&head];
        payload.extend(inbound.direct.as_ref().map(|(_, body)| &body[..]));
        payload.push(&inbound.unread);
        payload.push(&inbound.ciphertext);
        payload.push(&outbound.ciphertext);
        payload.push(&sizes);
        payload.extend(outbound.unwritten());
        let binding = TicketBinding { socket: &name, payload: &payload };
        let halves = (inbound.receiving, sending);
        let ticket = proof::issue(&mut self.issuer, halves, self.endpoint, &binding)?;
        payload.insert(0, ticket.bytes());
        self.tell(Kind::Link, Some(link.as_fd()), &payload)
    }

    /// Says that this was all, and waits until the successor has understood.
    ///
    /// # Errors
    ///
    /// [`HandOffError`]. What was given stays given.
    pub fn finish(mut self) -> Result<(), HandOffError> {
        self.tell(Kind::End, None, &[])
    }

    /// Whether an error has ended the transfer; other errors concern one link only.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Sends one message, and waits for the answer.
    fn tell(
        &mut self,
        kind: Kind,
        descriptor: Option<BorrowedFd<'_>>,
        parts: &[&[u8]],
    ) -> Result<(), HandOffError> {
        if self.over {
            return Err(HandOffError::Over);
        }
        let result = self.exchange(kind, descriptor, parts);
        self.over = !matches!(result, Ok(()) | Err(HandOffError::Refused(_)));
        result
    }

    fn exchange(
        &self,
        kind: Kind,
        descriptor: Option<BorrowedFd<'_>>,
        parts: &[&[u8]],
    ) -> Result<(), HandOffError> {
        let len = parts.iter().map(|part| part.len() as u64).sum();
        debug_assert!(kind != Kind::Link || len >= (TICKET_LEN + STATE_HEAD_LEN) as u64);
        self.channel.send(&message::head(kind, len), descriptor)?;
        for part in parts {
            self.channel.send(part, None)?;
        }
        let mut answer = [0; ANSWER_LEN];
        self.channel.receive(&mut answer)?;
        message::read_answer(answer)
    }
}

/// A link that is shut down when it is dropped, unless the successor has it.
struct Given {
    link: Link,
    is_taken: bool,
}

impl Drop for Given {
    fn drop(&mut self) {
        if !self.is_taken {
            self.link.shutdown();
        }
    }
}

impl fmt::Debug for Predecessor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predecessor").field("over", &self.over).finish_non_exhaustive()
    }
}
