//! Bytes in, frames out: the receiving codec of an established link.

mod admitted;
#[cfg(all(feature = "hand-off", target_os = "linux"))]
mod carried;
mod error;
mod lending;
mod read_ahead;
mod records;
mod spare;

use std::fmt;
use std::mem;

use replink_frame::{Command, CommandClass, GenericHeader, HEADER_SIZE, ReplicatedHeader};
use replink_handshake::{ControlMessage, Peer, Receiving, ReceivingControl, RecordError};

pub use admitted::{Admitted, OwnedFrame};
#[cfg(all(feature = "hand-off", target_os = "linux"))]
pub(crate) use carried::CarriedInbound;
pub use error::InboundError;

use read_ahead::ReadAhead;
use records::{ArrivedRecords, Next};
use spare::Spare;

/// Bodies from this size on, in bytes, that have not wholly arrived get memory of their own,
/// which the rest is received into without a copy. Smaller ones wait in the read-ahead.
const DIRECT_BODY_MIN: usize = 16 * 1024;

/// Where a body of this size has come, in bytes, the next one is expected to be large as well, and no more
/// than its header is received ahead of it.
const LARGE_BODY_MIN: usize = 48 * 1024;

/// The receiving codec: it takes bytes in chunks of any size and yields frames.
///
/// It moves no byte itself. Bytes are received into memory that it lends, at once
/// ([`Inbound::room`], [`Inbound::received`]) or by operations that end later ([`Inbound::lend`],
/// [`Inbound::take_back`]); then [`Inbound::next`] gives one frame after the other, until there is no whole
/// one any more.
///
/// Making one takes the [`Receiving`] half of a session, so there is none for a link that has not finished
/// the handshake. On a sealed link the bytes are records, which are opened on the way (section 5). What it
/// holds is bounded by one [block](crate::memory::BLOCK_SIZE), on a sealed link by two, one frame of at most the
/// frame limit, and the memory of one body of at most 1 MiB that nobody took. Once nothing lies in it, it holds
/// nothing after [`Inbound::relax`].
pub struct Inbound {
    receiving: ReceivingControl,
    frame_limit: u32,
    /// On a sealed link: what has come, and is not opened.
    records: Option<Box<ArrivedRecords>>,
    /// Bytes of frames.
    ahead: ReadAhead,
    direct: Option<DirectBody>,
    spare: Spare,
    /// The header that goes with the direct body under way, or found last.
    direct_header: GenericHeader,
    /// A direct body that has come as a whole, until it is settled.
    direct_body: Vec<u8>,
    /// Whether a frame has come: from then on there is no late reject (H-9).
    begun: bool,
    expects_large: bool,
    /// What comes next, found and not taken.
    ready: Option<Ready>,
    /// What was taken last, and may still be looked at. The next call leaves it behind, whatever became of
    /// the frame that was lent.
    taken: Taken,
    failed: Option<InboundError>,
    /// Whether something has come that counts as life.
    alive: bool,
    /// Whether somebody has the memory ([`Inbound::lend`]).
    lent: Option<Lent>,
}

/// Set aside while somebody has the memory.
struct Lent {
    /// What was found in it and not taken.
    found: Option<Ready>,
}

/// A large body under way: `body[..filled]` has come.
struct DirectBody {
    body: Vec<u8>,
    filled: usize,
}

impl DirectBody {
    fn missing(&self) -> usize {
        self.body.len() - self.filled
    }
}

/// What has come from the peer.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "has to be dealt with whole")]
pub enum Received<'a> {
    /// One of the embedder's frames.
    Frame(Admitted<'a>),
    /// A proved control frame. A [`ControlMessage::Ping`] wants a pong; after a [`ControlMessage::Goodbye`]
    /// nothing more comes.
    Control(ControlMessage),
}

/// What [`Inbound::take`] is about to give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "has to be dealt with whole")]
pub enum Found {
    /// One of the embedder's frames, with this command.
    Frame(Command),
    /// A control frame.
    Control,
}

/// What was found.
#[derive(Clone, Copy)]
enum Ready {
    Control(ControlMessage),
    /// A frame of this size, in bytes, lies whole in the read-ahead.
    Ahead {
        size: usize,
    },
    Direct,
}

enum Taken {
    Nothing,
    Ahead { size: usize },
    Direct,
}

impl Inbound {
    /// A codec for the link that `receiving` is proof of. `frame_limit` is the largest frame to
    /// take, header included, in bytes (F-1).
    pub fn new(receiving: Receiving, frame_limit: u32) -> Self {
        let (receiving, opener) = receiving.into_parts();
        Self {
            receiving,
            frame_limit,
            records: opener.map(ArrivedRecords::new).map(Box::new),
            ahead: ReadAhead::default(),
            direct: None,
            spare: Spare::default(),
            direct_header: GenericHeader::view(&[0; HEADER_SIZE]).to_owned(),
            direct_body: Vec::new(),
            begun: false,
            expects_large: false,
            ready: None,
            taken: Taken::Nothing,
            failed: None,
            alive: false,
            lent: None,
        }
    }

    /// The other end.
    pub fn peer(&self) -> &Peer {
        self.receiving.peer()
    }

    /// The next frame, or `None` until more bytes come: [`Inbound::find`], then [`Inbound::take`].
    ///
    /// # Errors
    ///
    /// As [`Inbound::find`].
    #[expect(clippy::should_implement_trait, reason = "frames are lent, which an iterator can't")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Received<'_>>, InboundError> {
        self.find()?;
        Ok(self.take())
    }

    /// Looks for the next frame, and stays there until [`Inbound::take`]; `None` until more bytes come. What
    /// was taken before can't be looked at any more.
    ///
    /// # Errors
    ///
    /// [`InboundError`]; it ends the link, and every further call repeats it.
    #[inline]
    pub fn find(&mut self) -> Result<Option<Found>, InboundError> {
        self.settle();
        if self.ready.is_none() {
            self.ready = match self.at_hand() {
                Some(size) => Some(Ready::Ahead { size }),
                None => self.look()?,
            };
        }
        Ok(self.ready.map(|ready| match ready {
            Ready::Control(_) => Found::Control,
            Ready::Ahead { .. } => Found::Frame(self.first_command()),
            Ready::Direct => Found::Frame(self.direct_header.command),
        }))
    }

    /// What [`Inbound::find`] has found; `None` if it has not.
    #[inline]
    pub fn take(&mut self) -> Option<Received<'_>> {
        Some(match self.ready.take()? {
            Ready::Control(control) => Received::Control(control),
            Ready::Ahead { size } => {
                self.taken = Taken::Ahead { size };
                let (header, behind) = split(self.ahead.unread());
                Received::Frame(Admitted::ahead(header, &behind[..size - HEADER_SIZE]))
            }
            Ready::Direct => {
                self.taken = Taken::Direct;
                Received::Frame(Admitted::direct(&self.direct_header, &mut self.direct_body))
            }
        })
    }

    /// Whether no part of a frame is held: the stream may end here without having lost one.
    pub fn is_at_frame_boundary(&mut self) -> bool {
        self.settle();
        let holds = self.records.as_ref().is_some_and(|records| !records.ciphertext.is_empty());
        let found = self.ready.is_some() || self.lent.as_ref().is_some_and(|lent| lent.found.is_some());
        self.direct.is_none() && !found && self.ahead.is_empty() && !holds
    }

    /// Whether, since this was asked last, something has come that counts as life (C-1): on a sealed link a
    /// record that was opened, on any other link bytes.
    pub fn take_life(&mut self) -> bool {
        mem::take(&mut self.alive)
    }

    /// Leaves behind what was taken.
    #[inline]
    fn settle(&mut self) {
        match mem::replace(&mut self.taken, Taken::Nothing) {
            Taken::Nothing => {}
            Taken::Ahead { size } => self.ahead.consume(size),
            // What nobody kept is used for the next one.
            Taken::Direct => self.spare.keep(mem::take(&mut self.direct_body)),
        }
    }

    /// The size of the frame that comes first, where that is the usual case: one of the embedder's, whole in
    /// the read-ahead, and nothing else to be looked at before. Whatever else there is, and every error, is
    /// [`Inbound::step`]'s.
    #[inline]
    fn at_hand(&mut self) -> Option<usize> {
        if self.lent.is_some() || self.failed.is_some() {
            return None;
        }
        if !self.begun || self.direct.is_some() {
            return None;
        }
        let (header, behind) = self.ahead.unread().split_first_chunk::<HEADER_SIZE>()?;
        let header = GenericHeader::view(header);
        let (cluster, version) = (self.receiving.cluster(), self.receiving.peer().version);
        let header = ReplicatedHeader::check(header, cluster, self.frame_limit, version).ok()?;
        let body_len = header.body_len();
        self.expects_large = body_len >= LARGE_BODY_MIN;
        (behind.len() >= body_len).then_some(HEADER_SIZE + body_len)
    }

    fn look(&mut self) -> Result<Option<Ready>, InboundError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.lent.is_some() {
            return Ok(None);
        }
        self.step().inspect_err(|error| self.failed = Some(*error))
    }

    /// Opens one record after the other until there is a frame.
    fn step(&mut self) -> Result<Option<Ready>, InboundError> {
        loop {
            if let Some(ready) = self.step_frames()? {
                return Ok(Some(ready));
            }
            let Some(records) = &mut self.records else { return Ok(None) };
            let may_be_refused = self.receiving.may_be_refused();
            match records.open_next(&mut self.direct, &mut self.ahead, may_be_refused)? {
                Next::Opened => self.alive = true,
                Next::Incomplete => return Ok(None),
                Next::Clear => {
                    let header = *split(records.ciphertext.unread()).0;
                    return Err(self.refused_in_clear(&header));
                }
            }
        }
    }

    fn step_frames(&mut self) -> Result<Option<Ready>, InboundError> {
        if let Some(whole) = self.direct.take_if(|direct| direct.missing() == 0) {
            self.direct_body = whole.body;
            return Ok(Some(Ready::Direct));
        }
        if self.direct.is_some() {
            return Ok(None);
        }
        let Some((header, behind)) = self.ahead.unread().split_first_chunk::<HEADER_SIZE>() else {
            return Ok(None);
        };
        let header = GenericHeader::view(header);
        // In records there is no late reject (H-9).
        let first = !mem::replace(&mut self.begun, true) && self.records.is_none();
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
        // F-1, F-3, F-4, before a byte of body gets memory.
        let (cluster, version) = (self.receiving.cluster(), self.receiving.peer().version);
        let header = ReplicatedHeader::check(header, cluster, self.frame_limit, version)?;
        let body_len = header.body_len();
        self.expects_large = body_len >= LARGE_BODY_MIN;
        if behind.len() >= body_len {
            return Ok(Some(Ready::Ahead { size: HEADER_SIZE + body_len }));
        }
        if body_len >= DIRECT_BODY_MIN {
            let arrived = behind.len();
            self.direct_header = *header;
            self.direct = Some(DirectBody::begun(self.spare.room_for(body_len), behind));
            self.ahead.consume(HEADER_SIZE + arrived);
        }
        Ok(None)
    }

    /// H-9: what a handshake frame on the link is.
    fn handshake_frame(&self, header: &GenericHeader, first: bool) -> InboundError {
        match self.receiving.late_reject(header.bytes()).filter(|_| first) {
            Some(reject) => InboundError::LateReject(reject),
            None => InboundError::HandshakeFrame { command: header.command },
        }
    }

    /// H-9: what comes in the place of the first record and can't be one.
    fn refused_in_clear(&self, header: &GenericHeader) -> InboundError {
        match header.command.class() {
            CommandClass::Handshake => self.handshake_frame(header, true),
            _ => RecordError::Length { found: 0 }.into(), // S-3
        }
    }

    #[inline]
    fn first_command(&self) -> Command {
        split(self.ahead.unread()).0.command
    }
}

impl DirectBody {
    /// One of which `arrived` has come.
    fn begun(mut body: Vec<u8>, arrived: &[u8]) -> Self {
        body[..arrived.len()].copy_from_slice(arrived);
        Self { body, filled: arrived.len() }
    }
}

/// The header that comes first, and what is behind it.
#[inline]
fn split(unread: &[u8]) -> (&GenericHeader, &[u8]) {
    let (header, behind) = unread.split_first_chunk().expect("a whole header was found here");
    (GenericHeader::view(header), behind)
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound").field("peer", self.peer()).finish_non_exhaustive()
    }
}
