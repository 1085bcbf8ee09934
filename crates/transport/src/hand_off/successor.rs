use std::fmt;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use bytes::BytesMut;
use replink_frame::{Flags, HEADER_SIZE};
use replink_handshake::{Redemption, TICKET_LEN, TicketBinding, TicketRedeemer};
use zeroize::Zeroizing;

use super::channel::{Channel, Descriptors};
use super::message::{self, HEAD_LEN, Kind, NODE_LEN};
use super::state::{FRAME_SIZE_LEN, STATE_HEAD_LEN, StateHead, malformed};
use super::{HandOffError, NodeState, RefusedLink, StateError, proof, socket};
use crate::inbound::CarriedInbound;
use crate::{Endpoint, Inbound, Link, Outbound, fresh};

/// The end that takes the links.
pub struct Successor<'a> {
    channel: Channel<'a>,
    redeemer: TicketRedeemer,
    node: NodeState,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Going,
    Complete,
    Failed,
}

/// What this process has now.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are links, and none is kept")]
#[non_exhaustive]
pub enum Taken {
    /// A listener; the predecessor stops accepting on it.
    Listener(TcpListener),
    /// A link that is up, and its proof: nothing is lost on it, in either direction. Ask the inbound for
    /// frames before anything is read, and flush the outbound. The socket has the options that it had,
    /// timeouts and blocking mode among them.
    Link {
        /// The connection.
        link: Link,
        /// Who is at the other end, and what has come from there.
        inbound: Inbound,
        /// What waits to be sent, and the limits of this process's configuration for more.
        outbound: Outbound,
    },
    /// A link or listener that this process did not take. The predecessor was told so, and closes a link;
    /// the others still come.
    Refused(RefusedLink),
}

impl<'a> Successor<'a> {
    /// Greets the predecessor, and learns what it is known by. The configuration may then be made an
    /// [`Endpoint`] with the incarnation of [`Successor::node`].
    ///
    /// # Errors
    ///
    /// [`HandOffError`]: [`User`](HandOffError::User) if the process at the other end of `stream` is not
    /// of the same effective user.
    pub fn begin(stream: &'a UnixStream, deadline: Instant) -> Result<Self, HandOffError> {
        let channel = Channel::new(stream, deadline)?;
        let redeemer = TicketRedeemer::new(fresh()?.nonce);
        channel.send(&message::greeting(redeemer.nonce()), None)?;
        let mut head = [0; HEAD_LEN];
        channel.receive(&mut head)?;
        let (Kind::Node, _) = message::read_head(head)? else {
            return Err(HandOffError::Format { what: "something before the node" });
        };
        let mut node = [0; NODE_LEN];
        channel.receive(&mut node)?;
        let node = message::read_node(node)?;
        channel.send(&message::answer(None), None)?;
        Ok(Self { channel, redeemer, node, state: State::Going })
    }

    /// What the predecessor is known by.
    pub fn node(&self) -> NodeState {
        self.node
    }

    /// What comes next; `None` when the predecessor has said that this was all. `endpoint` is this
    /// process's own configuration, with the incarnation of [`Successor::node`]. Its keys prove the
    /// tickets, its limits bound what a link may bring along.
    ///
    /// # Errors
    ///
    /// [`HandOffError`]. It ends the transfer; what was taken before stays.
    pub fn next(&mut self, endpoint: &Endpoint) -> Result<Option<Taken>, HandOffError> {
        match self.state {
            State::Going => {}
            State::Complete => return Ok(None),
            State::Failed => return Err(HandOffError::Over),
        }
        self.state = State::Failed; // until it went well
        let taken = self.take(endpoint)?;
        self.state = if taken.is_some() { State::Going } else { State::Complete };
        Ok(taken)
    }

    fn take(&mut self, endpoint: &Endpoint) -> Result<Option<Taken>, HandOffError> {
        let mut head = [0; HEAD_LEN];
        let descriptors = self.channel.receive_with(&mut head)?;
        let (kind, len) = message::read_head(head)?;
        match kind {
            Kind::Link => self.take_link(descriptors, len, endpoint).map(Some),
            Kind::Listener => self.take_listener(descriptors).map(Some),
            Kind::End if descriptors.is_empty() => {
                self.channel.send(&message::answer(None), None)?;
                Ok(None)
            }
            Kind::End => Err(HandOffError::Format { what: "a descriptor at the end" }),
            Kind::Node => Err(HandOffError::Format { what: "the node twice" }),
        }
    }

    fn take_listener(&self, descriptors: Descriptors) -> Result<Taken, HandOffError> {
        match descriptors.single().and_then(socket::listener) {
            Ok(listener) => {
                self.channel.send(&message::answer(None), None)?;
                Ok(Taken::Listener(listener))
            }
            Err(error) => self.refuse(error.into()),
        }
    }

    fn refuse(&self, refused: RefusedLink) -> Result<Taken, HandOffError> {
        self.channel.send(&message::answer(Some(refused.refusal())), None)?;
        Ok(Taken::Refused(refused))
    }

    fn take_link(
        &mut self,
        descriptors: Descriptors,
        len: u64,
        endpoint: &Endpoint,
    ) -> Result<Taken, HandOffError> {
        let redemption = self.redeemer.advance();
        let mut body = Body { channel: &self.channel, remaining: len };
        match read_link(descriptors, &mut body, redemption, endpoint) {
            Ok((link, inbound, outbound)) => {
                let taken = self.channel.send(&message::answer(None), None);
                // The predecessor may not have learned that it is ours: then it shuts it down as well.
                taken.inspect_err(|_| link.shutdown())?;
                Ok(Taken::Link { link, inbound, outbound })
            }
            Err(Failure::Transfer(error)) => Err(error),
            Err(Failure::Link(refused)) => {
                body.skip()?;
                self.refuse(refused)
            }
        }
    }
}

/// Why a link was not taken.
enum Failure {
    /// The others still come.
    Link(RefusedLink),
    Transfer(HandOffError),
}

impl<E: Into<RefusedLink>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Link(error.into())
    }
}

fn read_link(
    descriptors: Descriptors,
    body: &mut Body<'_>,
    redemption: Redemption,
    endpoint: &Endpoint,
) -> Result<(Link, Inbound, Outbound), Failure> {
    let link = socket::link(descriptors.single()?)?;
    let mut ticket = Zeroizing::new([0; TICKET_LEN]);
    body.read(&mut ticket[..])?;
    let mut head = [0; STATE_HEAD_LEN];
    body.read(&mut head)?;
    let state = StateHead::read(&head)?;
    state.check(endpoint, body.remaining)?;

    let direct = match &state.direct {
        Some((header, len)) => {
            let size = (header.size.get() as usize).saturating_sub(HEADER_SIZE); // checked against the limit
            let mut bytes = BytesMut::with_capacity(size);
            body.read_into(&mut bytes, *len as usize)?;
            Some((*header, bytes))
        }
        None => None,
    };
    let mut unread = BytesMut::new();
    body.read_into(&mut unread, state.unread_len as usize)?;
    let ciphertext = state.ciphertext_lens();
    let mut unopened = BytesMut::new();
    body.read_into(&mut unopened, ciphertext.unopened as usize)?;
    let mut sealed = BytesMut::new();
    body.read_into(&mut sealed, ciphertext.unwritten as usize)?;
    let mut sizes = BytesMut::new();
    body.read_into(&mut sizes, state.frame_count as usize * FRAME_SIZE_LEN)?;
    let frame_sizes = state.frame_sizes(&sizes)?;
    let mut unwritten = BytesMut::new();
    let unwritten_len = usize::try_from(state.unwritten_len).map_err(|_| malformed("more than memory"))?;
    body.read_into(&mut unwritten, unwritten_len)?;

    // The name comes from the socket that is here, not from what was said about it.
    let name = socket::name(&link).map_err(super::DescriptorError::Io)?;
    let direct_bytes = direct.as_ref().map_or(&[][..], |(_, bytes)| &bytes[..]);
    let payload: [&[u8]; 7] = [&head, direct_bytes, &unread, &unopened, &sealed, &sizes, &unwritten];
    let binding = TicketBinding { socket: &name, payload: &payload };
    let (receiving, sending) = proof::redeem(redemption, &ticket[..], endpoint, &binding)?;

    let (begun, control, limits) = (state.begun, state.control, endpoint.outbound_limits());
    if state.ciphertext.is_some() != receiving.peer().flags.contains(Flags::SEALED) {
        return Err(malformed("records, on a link that is not sealed, or the reverse").into());
    }
    let (direct, unread) = (direct.map(|(header, bytes)| (header, bytes.into())), unread.into());
    let carried = CarriedInbound { receiving, begun, control, direct, unread, ciphertext: unopened.into() };
    let inbound = Inbound::resume(carried, limits.frame_size).map_err(StateError::Frame)?;
    let outbound =
        Outbound::resume(sending, limits, sealed.into(), frame_sizes.into_iter(), unwritten.freeze());
    Ok((link, inbound, outbound))
}

/// The rest of a message.
struct Body<'a> {
    channel: &'a Channel<'a>,
    remaining: u64,
}

/// Bytes that are skipped at once.
const SKIP_SIZE: usize = 16 * 1024;

impl Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<(), Failure> {
        let Some(remaining) = self.remaining.checked_sub(buffer.len() as u64) else {
            return Err(malformed("shorter than its parts").into());
        };
        self.remaining = remaining;
        self.channel.receive(buffer).map_err(Failure::Transfer)
    }

    /// The caller has bounded `len`.
    fn read_into(&mut self, buffer: &mut BytesMut, len: usize) -> Result<(), Failure> {
        if len as u64 > self.remaining {
            return Err(malformed("shorter than its parts").into());
        }
        buffer.resize(len, 0);
        self.read(buffer)
    }

    /// The predecessor reads no answer before all is sent.
    fn skip(&mut self) -> Result<(), HandOffError> {
        let mut buffer = Zeroizing::new([0; SKIP_SIZE]); // a ticket may be in it
        while self.remaining > 0 {
            let len = usize::try_from(self.remaining).map_or(SKIP_SIZE, |remaining| remaining.min(SKIP_SIZE));
            self.channel.receive(&mut buffer[..len])?;
            self.remaining -= len as u64;
        }
        Ok(())
    }
}

impl fmt::Debug for Successor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Successor")
            .field("node", &self.node)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
