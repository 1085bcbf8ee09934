//! Bytes in, frames out: the receiving codec of an established link.

mod admitted;
#[cfg(target_os = "linux")]
mod carried;
mod error;
mod held;
mod read_ahead;
mod sealed;
mod spare;

use std::io;

use bytes::BytesMut;
use replink_frame::{Command, CommandClass, GenericHeader, HEADER_SIZE, ReplicatedHeader};
use replink_handshake::{ControlMessage, Peer, Receiving};

pub use admitted::{Admitted, OwnedFrame};
#[cfg(target_os = "linux")]
pub(crate) use carried::{CarriedInbound, ResumeError};
pub use error::InboundError;
pub use held::SealError;
#[cfg(target_os = "linux")]
pub(crate) use read_ahead::HELD_SIZE;

use crate::Link;
use crate::driver::Reception;
use crate::sys;
use held::HeldFrames;
use read_ahead::ReadAhead;
use spare::Spare;

/// Bytes of read-ahead that a link holds: what one receive takes of small frames.
pub const READ_AHEAD_SIZE: usize = 256 * 1024;

/// Bodies from this size on, in bytes, that have not wholly arrived get a buffer of their own,
/// which the rest is received into without a copy. Smaller ones wait in the read-ahead.
const DIRECT_BODY_MIN: usize = 16 * 1024;

/// The receiving codec: it takes bytes in chunks of any size and yields frames.
///
/// Pure but for [`Inbound::read_from`]. Making one takes the [`Receiving`] half of a session, so
/// there is none for a link that has not finished the handshake. What it holds is bounded by the
/// read-ahead and one frame of at most the frame limit; on a sealed link, by 2 MiB more (S-1).
pub struct Inbound {
    receiving: Receiving,
    frame_limit: u32,
    ahead: ReadAhead,
    direct: Option<DirectBody>,
    spare: Spare,
    /// The header that goes with the direct body under way, or lent last.
    direct_header: GenericHeader,
    /// Frames that wait for their tag, on a sealed link.
    held: Option<Box<HeldFrames>>,
    /// Whether a frame has come: from then on there is no late reject (H-9).
    begun: bool,
    ready: Option<Ready>,
    failed: Option<InboundError>,
    /// Whether an operation that is under way has the buffers ([`Inbound::lend_buffers`]).
    lent: bool,
}

/// A large body under way.
struct DirectBody {
    body: BytesMut,
    missing: usize,
}

/// What has come from the peer.
#[derive(Debug)]
pub enum Received<'a> {
    /// One of the embedder's frames.
    Frame(Admitted<'a>),
    /// A proved control frame. A [`ControlMessage::Ping`] wants a pong; after a [`ControlMessage::Goodbye`]
    /// nothing more comes.
    Control(ControlMessage),
}

impl Inbound {
    /// A codec for the link that `receiving` is proof of. `frame_limit` is the largest frame to
    /// take, header included, in bytes (F-1).
    pub fn new(mut receiving: Receiving, frame_limit: u32) -> Self {
        let held = receiving.take_seal().map(HeldFrames::new).map(Box::new);
        Self {
            receiving,
            frame_limit,
            ahead: ReadAhead::new(),
            direct: None,
            spare: Spare::new(held.is_some()),
            held,
            direct_header: GenericHeader::view(&[0; HEADER_SIZE]).to_owned(),
            begun: false,
            ready: None,
            failed: None,
            lent: false,
        }
    }

    /// The other end.
    pub fn peer(&self) -> &Peer {
        self.receiving.peer()
    }

    /// Takes bytes in the order in which they came, as many as there is room for, and returns
    /// how many it took. The rest is to be given again once [`Inbound::next`] has nothing more.
    pub fn push(&mut self, chunk: &[u8]) -> usize {
        let (direct, rest) = match &mut self.direct {
            Some(direct) => {
                let (mine, rest) = chunk.split_at(direct.missing.min(chunk.len()));
                direct.body.extend_from_slice(mine);
                direct.missing -= mine.len();
                (mine.len(), rest)
            }
            None => (0, chunk),
        };
        direct + self.ahead.push(rest)
    }

    /// Receives from `link` what there is room for, with one system call: the rest of a large body under
    /// way straight into its buffer, and what is behind it into the read-ahead. Returns the bytes
    /// received; 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// What the socket says; a system call that was interrupted is made again. With
    /// [`io::ErrorKind::ResourceBusy`], this end's mistake: there is no room, for the caller has
    /// yet to take what is here with [`Inbound::next`].
    pub fn read_from(&mut self, link: &Link) -> io::Result<usize> {
        self.receive_from(link).map(|received| received.bytes)
    }

    /// As [`Inbound::read_from`]; says as well whether there was room for more.
    pub(crate) fn receive_from(&mut self, link: &Link) -> io::Result<Reception> {
        let mut none = BytesMut::new();
        loop {
            let ahead = self.ahead.target();
            let direct = match &mut self.direct {
                Some(direct) => sys::Target { buffer: &mut direct.body, limit: direct.missing },
                None => sys::Target { buffer: &mut none, limit: 0 },
            };
            let room = direct.limit + ahead.limit;
            if room == 0 {
                // A read without room gives 0, which would pass for the end of the stream.
                return Err(no_room());
            }
            match sys::receive(link, [direct, ahead], link.wait_flag()) {
                Ok(received) => {
                    if let Some(direct) = &mut self.direct {
                        direct.missing -= received.min(direct.missing);
                    }
                    return Ok(Reception { bytes: received, drained: received < room });
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives its buffers to an operation that receives into them; [`Inbound::take_back`] has to follow.
    /// Until then nothing else can be received, and [`Inbound::next`] has nothing more.
    ///
    /// # Errors
    ///
    /// As [`Inbound::read_from`], where there is no room.
    #[cfg(target_os = "linux")]
    pub(crate) fn lend_buffers(&mut self) -> io::Result<sys::ReceiveBuffers> {
        debug_assert!(!self.lent, "the buffers are lent already");
        let ahead_limit = self.ahead.target().limit;
        let direct_limit = self.direct.as_ref().map_or(0, |direct| direct.missing);
        if direct_limit == 0 && ahead_limit == 0 {
            return Err(no_room());
        }
        self.lent = true;
        let direct = self.direct.as_mut().map(|direct| std::mem::take(&mut direct.body)).unwrap_or_default();
        Ok(sys::ReceiveBuffers { direct, direct_limit, ahead: self.ahead.lend_buffer(), ahead_limit })
    }

    /// Takes the buffers back, into which `received` bytes were received.
    #[cfg(target_os = "linux")]
    pub(crate) fn take_back(&mut self, buffers: sys::ReceiveBuffers, received: usize) {
        debug_assert!(self.lent, "the buffers were lent");
        self.lent = false;
        self.ahead.take_back(buffers.ahead);
        if let Some(direct) = &mut self.direct {
            direct.body = buffers.direct;
            direct.missing -= received.min(direct.missing);
        }
    }

    /// Whether no part of a frame is held: the stream may end here without having lost one.
    pub fn is_at_frame_boundary(&self) -> bool {
        let holds = self.held.as_ref().is_some_and(|held| !held.is_empty());
        self.direct.is_none() && self.ready.is_none() && self.ahead.is_empty() && !holds
    }

    /// Whether [`Inbound::next`] has something to give.
    ///
    /// # Errors
    ///
    /// As [`Inbound::next`].
    pub fn is_ready(&mut self) -> Result<bool, InboundError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.ready.is_none() && !self.lent {
            self.ready = self.step().inspect_err(|error| self.failed = Some(*error))?;
        }
        Ok(self.ready.is_some())
    }

    /// The command of the frame that [`Inbound::next`] is about to give; `None` if that is a
    /// control frame, or nothing.
    pub(crate) fn ready_command(&self) -> Option<Command> {
        match self.ready.as_ref()? {
            Ready::Control(_) => None,
            Ready::Ahead { .. } => {
                let header = self.ahead.unread().first_chunk::<HEADER_SIZE>()?;
                Some(GenericHeader::view(header).command)
            }
            Ready::Direct(_) => Some(self.direct_header.command),
        }
    }

    /// The next frame, or `None` until more bytes come.
    ///
    /// # Errors
    ///
    /// [`InboundError`]; it ends the link, and every further call repeats it.
    #[expect(clippy::should_implement_trait, reason = "frames are lent, which an iterator can't")]
    pub fn next(&mut self) -> Result<Option<Received<'_>>, InboundError> {
        if let Some(size) = self.frame_at_hand() {
            return Ok(Some(Received::Frame(self.lend(size))));
        }
        self.is_ready()?;
        Ok(self.ready.take().map(|ready| match ready {
            Ready::Control(control) => Received::Control(control),
            Ready::Ahead { size } => Received::Frame(self.lend(size)),
            Ready::Direct(body) => {
                Received::Frame(Admitted::direct(&self.direct_header, body, &mut self.spare))
            }
        }))
    }

    /// The size of the frame that comes first, where that is the usual case: one of the embedder's, whole in
    /// the read-ahead, on a sealed link proved, and nothing else to be looked at before. Whoever asks has to
    /// [`Inbound::lend`] it. Whatever else there is, and every error, is [`Inbound::step`]'s.
    #[inline]
    pub(crate) fn frame_at_hand(&mut self) -> Option<usize> {
        if self.ready.is_some() || self.failed.is_some() || self.lent {
            return None;
        }
        match &mut self.held {
            None => self.whole_frame_ahead(),
            Some(held) => {
                let header = self.ahead.unread().first_chunk().map(GenericHeader::view)?;
                if header.command.class() == CommandClass::Control {
                    return None;
                }
                let size = held.pop_proved_ahead()?;
                sealed::clear(self.ahead.first_header_mut());
                Some(size)
            }
        }
    }

    #[inline]
    fn whole_frame_ahead(&self) -> Option<usize> {
        if !self.begun || self.direct.is_some() {
            return None;
        }
        let (header, behind) = self.ahead.unread().split_first_chunk::<HEADER_SIZE>()?;
        let header = GenericHeader::view(header);
        let header = ReplicatedHeader::check(header, self.receiving.cluster(), self.frame_limit).ok()?;
        let body_len = header.body_len();
        (behind.len() >= body_len).then_some(HEADER_SIZE + body_len)
    }

    /// The first `size` bytes that are unread, which are a frame that was checked.
    #[inline]
    pub(crate) fn lend(&mut self, size: usize) -> Admitted<'_> {
        Admitted::ahead(self.ahead.lend(size))
    }

    fn step(&mut self) -> Result<Option<Ready>, InboundError> {
        if let Some(mut held) = self.held.take() {
            let ready = self.step_sealed(&mut held);
            self.held = Some(held);
            return ready;
        }
        if let Some(direct) = self.direct.take_if(|direct| direct.missing == 0) {
            return Ok(Some(Ready::Direct(direct.body)));
        }
        if self.direct.is_some() {
            return Ok(None);
        }
        let available = self.ahead.unread();
        let Some((header, behind)) = available.split_first_chunk::<HEADER_SIZE>() else {
            return Ok(None);
        };
        let header = GenericHeader::view(header);
        let first = !core::mem::replace(&mut self.begun, true);
        match header.command.class() {
            CommandClass::Handshake => {
                return Err(self.handshake_frame(header, first));
            }
            CommandClass::Control => {
                let control = self.receiving.open_control(header)?;
                self.ahead.consume(HEADER_SIZE);
                return Ok(Some(Ready::Control(control)));
            }
            // The check below refuses the two that no frame may have.
            CommandClass::Embedder | CommandClass::Reserved | CommandClass::TransportReserved => {}
        }
        // F-1, F-3, before a byte of body gets memory.
        let header = ReplicatedHeader::check(header, self.receiving.cluster(), self.frame_limit)?;
        let body_len = header.body_len();
        if behind.len() >= body_len {
            return Ok(Some(Ready::Ahead { size: HEADER_SIZE + body_len }));
        }
        if body_len >= DIRECT_BODY_MIN {
            let mut body = self.spare.room_for(body_len);
            body.extend_from_slice(behind);
            let (missing, arrived) = (body_len - behind.len(), HEADER_SIZE + behind.len());
            self.direct_header = *header;
            self.direct = Some(DirectBody { body, missing });
            self.ahead.consume(arrived);
        }
        Ok(None)
    }
}

impl Inbound {
    /// H-9: what a handshake frame on the link is.
    fn handshake_frame(&self, header: &GenericHeader, first: bool) -> InboundError {
        match self.receiving.late_reject(header.bytes()).filter(|_| first) {
            Some(reject) => InboundError::LateReject(reject),
            None => InboundError::HandshakeFrame { command: header.command },
        }
    }
}

fn no_room() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "frames received before wait to be taken")
}

/// What [`Inbound::next`] gives.
enum Ready {
    Control(ControlMessage),
    /// A frame of this size, in bytes, lies whole in the read-ahead.
    Ahead {
        size: usize,
    },
    Direct(BytesMut),
}

impl std::fmt::Debug for Inbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbound").field("peer", self.peer()).finish_non_exhaustive()
    }
}
