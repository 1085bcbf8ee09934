//! Frames in, bytes out: the sending codec of an established link.

#[cfg(all(feature = "hand-off", target_os = "linux"))]
mod carried;
mod error;
mod gather_write;
mod sealing;
mod segments;
mod shared;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};

use bytes::Bytes;

use replink_frame::{ControlFrame, GenericHeader, GoodbyeReason, HEADER_SIZE, ReplicatedHeader};
use replink_handshake::{Peer, Sending, SendingControl};

#[cfg(all(feature = "hand-off", target_os = "linux"))]
pub(crate) use carried::CarriedOutbound;
pub use error::{SendCause, SendError};
pub use gather_write::GatherWrite;
#[cfg(all(feature = "hand-off", target_os = "linux"))]
pub(crate) use sealing::SEALED_MAX;
pub use shared::{Attention, Flushed, Loan, OutboundStats, Sent, SharedOutbound, TakeOutboundError};

use crate::memory::{SEND_MAX, SLICES_MAX, SendBatch};
use sealing::Sealing;
use segments::Segments;

/// Control frames that may wait beyond the queue's limits. They are small and answer for the
/// link's life, so the embedder's backpressure must not hold them up; but a peer that pings
/// without reading must not make the queue grow either.
const CONTROL_FRAMES_MAX: usize = 64;

/// How much may wait to be written on one link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever sets limits sets each of them")]
pub struct OutboundLimits {
    /// The largest frame, header included, in bytes (F-1).
    pub frame_size: u32,
    /// Frames in the queue.
    pub queue_frames: u32,
    /// Bytes in the queue. An empty queue takes a frame of any allowed size.
    pub queue_bytes: u64,
}

impl Default for OutboundLimits {
    /// What an empty `[cluster.link]` means.
    fn default() -> Self {
        Self { frame_size: 64 << 20, queue_frames: 1024, queue_bytes: 128 << 20 }
    }
}

/// The sending codec: a bounded queue of frames that is written with gathered writes. On a sealed link what is
/// written at once is sealed before, in records (section 5): so what is lent and written is counted in bytes of
/// records, and what waits in bytes of frames.
///
/// It moves no byte itself: it lends what is to be written, to be written at once ([`Outbound::slices`],
/// [`Outbound::advance`]) or by operations that end later ([`Outbound::lend`], [`Outbound::take_back`]).
///
/// Making one takes the [`Sending`] half of a session, so there is none for a link that has not finished the
/// handshake.
pub struct Outbound {
    sending: SendingControl,
    /// On a sealed link: what seals the records, and those that are not written.
    sealing: Option<Box<Sealing>>,
    limits: OutboundLimits,
    segments: Segments,
    /// Bytes of frames ever queued and ever written; their difference waits.
    queued: u64,
    written: u64,
    /// For each waiting frame, `queued` as it was right after it: when `written` gets there, the
    /// frame is out.
    ends: VecDeque<u64>,
    /// Whether somebody has what is to be written ([`Outbound::lend`]).
    lent: bool,
}

impl Outbound {
    /// A codec for the link that `sending` is proof of.
    pub fn new(sending: Sending, limits: OutboundLimits) -> Self {
        let (sending, sealer) = sending.into_parts();
        Self {
            sending,
            sealing: sealer.map(Sealing::new).map(Box::new),
            limits,
            segments: Segments::default(),
            queued: 0,
            written: 0,
            ends: VecDeque::new(),
            lent: false,
        }
    }

    /// The other end.
    pub fn peer(&self) -> &Peer {
        self.sending.peer()
    }

    /// Queues a frame. The header goes out as it is: the embedder has set its `size`, `cluster`
    /// and checksums, and left `reserved_frame` zero.
    ///
    /// # Errors
    ///
    /// [`SendError`] gives the frame back: with [`SendCause::Backpressure`] when the queue is full,
    /// with another cause when no link could carry the frame.
    pub fn push(&mut self, header: &GenericHeader, body: impl Into<Bytes>) -> Result<(), SendError> {
        match self.enqueue(header, body.into()) {
            Ok(_) => Ok(()),
            Err((cause, body)) => Err(SendError::new(*header, body, cause)),
        }
    }

    /// Queues a frame. Returns what is left of a body that was copied, to be dropped where that
    /// may take its time.
    fn enqueue(&mut self, header: &GenericHeader, body: Bytes) -> Result<Bytes, (SendCause, Bytes)> {
        match self.check(header, &body) {
            Ok(()) => {
                let copied = self.segments.push(header.bytes(), body);
                self.count(header.size.get());
                Ok(copied)
            }
            Err(cause) => Err((cause, body)),
        }
    }

    fn check(&self, header: &GenericHeader, body: &[u8]) -> Result<(), SendCause> {
        let version = self.peer().version;
        ReplicatedHeader::check(header, self.sending.cluster(), self.limits.frame_size, version)?;
        let size = header.size.get() as usize;
        if size != HEADER_SIZE + body.len() {
            return Err(SendCause::BodyLength { announced: size - HEADER_SIZE, given: body.len() });
        }
        let (frames, bytes) = (self.queued_frames(), self.queued_bytes());
        let full = frames >= self.limits.queue_frames as usize
            || bytes.saturating_add(u64::from(header.size.get())) > self.limits.queue_bytes;
        if frames > 0 && full { Err(SendCause::Backpressure { frames, bytes }) } else { Ok(()) }
    }

    /// Queues a `LinkPing`; the counter that its pong will echo, or `None` where the link has no
    /// control frames (H-13) or too many wait already.
    pub fn ping(&mut self) -> Option<u64> {
        if self.has_room_for_control() {
            let (counter, frame) = self.sending.ping()?;
            self.push_control(&frame);
            Some(counter)
        } else {
            None
        }
    }

    /// Queues the `LinkPong` for the peer's ping with counter `echo`. Dropped where the link has
    /// no control frames, or too many wait already: then the peer does not read.
    pub fn pong(&mut self, echo: u64) {
        if self.has_room_for_control()
            && let Some(frame) = self.sending.pong(echo)
        {
            self.push_control(&frame);
        }
    }

    /// Queues a `LinkGoodbye`, behind all that waits. On a version 1 link there is none (H-13).
    pub fn goodbye(&mut self, reason: GoodbyeReason) {
        if let Some(frame) = self.sending.goodbye(reason) {
            self.push_control(&frame);
        }
    }

    fn has_room_for_control(&self) -> bool {
        self.queued_frames() < (self.limits.queue_frames as usize).saturating_add(CONTROL_FRAMES_MAX)
    }

    fn push_control(&mut self, frame: &ControlFrame) {
        self.segments.push(frame.header().bytes(), Bytes::new());
        self.count(frame.header().size.get());
    }

    fn count(&mut self, size: u32) {
        self.queued += u64::from(size);
        self.ends.push_back(self.queued);
    }

    /// Frames that are not wholly written; a record is written when all of it is.
    pub fn queued_frames(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of frames that are not written.
    pub fn queued_bytes(&self) -> u64 {
        self.queued - self.written
    }

    /// Whether all that was queued is written.
    pub fn is_empty(&self) -> bool {
        self.queued == self.written
    }

    /// Fills `slices` with what to write next, in order, and returns how many there are: no more than one
    /// write should take, and nothing while it is [lent](Outbound::lend). On a sealed link it is the records that
    /// were not written before, or else new ones (S-1).
    pub fn slices<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        if self.lent {
            return 0;
        }
        if !self.seal_next() {
            return 0;
        }
        let Some(sealing) = &self.sealing else { return self.segments.batch().slices(slices, SEND_MAX) };
        let waiting = sealing.waiting();
        match slices.first_mut() {
            Some(slice) if !waiting.is_empty() => {
                *slice = IoSlice::new(waiting);
                1
            }
            _ => 0,
        }
    }

    /// Gives away all that waits, to be written by an operation that ends later: `None` if nothing waits, or
    /// it is given away already. [`Outbound::take_back`] has to follow; what is queued meanwhile waits for that.
    pub fn lend(&mut self) -> Option<SendBatch> {
        if self.lent || self.is_empty() {
            return None;
        }
        if !self.seal_next() {
            return None;
        }
        self.lent = true;
        Some(match &mut self.sealing {
            Some(sealing) => sealing.lend(),
            None => self.segments.take_batch(),
        })
    }

    /// Takes back what was lent, of which the first `written` bytes are written.
    ///
    /// # Panics
    ///
    /// If it had fewer.
    pub fn take_back(&mut self, mut batch: SendBatch, written: usize) {
        assert!(self.lent, "nothing was lent");
        batch.advance(written);
        self.lent = false;
        let completed = if let Some(sealing) = &mut self.sealing {
            sealing.take_back(batch);
            sealing.count_written(written)
        } else {
            self.segments.put_first(batch);
            written
        };
        self.count_written(completed);
    }

    /// Lets all memory go that nothing lies in: for links that are quiet.
    pub fn relax(&mut self) {
        if self.is_empty() {
            self.segments.relax();
            if let Some(sealing) = &mut self.sealing {
                sealing.relax();
            }
            self.ends.shrink_to(CONTROL_FRAMES_MAX);
        }
    }

    /// Whether there can be something to write: not where no record can be sealed any more (S-4).
    fn seal_next(&mut self) -> bool {
        match &mut self.sealing {
            Some(sealing) => sealing.seal_next(self.segments.batch_mut()).is_ok(),
            None => true,
        }
    }

    /// Says that the first `len` bytes of [`Outbound::slices`] are written: as few or as many as
    /// the socket took, across frames or within one.
    ///
    /// # Panics
    ///
    /// If `len` is more than what waits: the caller claims to have written what it was not given.
    pub fn advance(&mut self, len: usize) {
        assert!(!self.lent, "what is written is lent");
        let completed = if let Some(sealing) = &mut self.sealing {
            sealing.advance(len)
        } else {
            self.segments.batch_mut().advance(len);
            len
        };
        self.count_written(completed);
    }

    /// `len` bytes more of frames are written; the number of frames that were completed by that.
    fn count_written(&mut self, len: usize) -> usize {
        self.written += len as u64;
        let waited = self.ends.len();
        while self.ends.front().is_some_and(|&end| end <= self.written) {
            self.ends.pop_front();
        }
        waited - self.ends.len()
    }

    /// Forgets all that waits, and returns its bytes.
    fn clear(&mut self) -> Segments {
        self.written = self.queued;
        self.ends.clear();
        std::mem::take(&mut self.segments)
    }
}

/// One gathered write of what comes first, as much as goes into one.
fn write_once(batch: &SendBatch, writer: &impl GatherWrite) -> io::Result<usize> {
    if let Some(only) = batch.only() {
        return writer.write_gathered(&[IoSlice::new(&only[..only.len().min(SEND_MAX)])]);
    }
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let count = batch.slices(&mut slices, SEND_MAX);
    writer.write_gathered(&slices[..count])
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound")
            .field("peer", self.peer())
            .field("queued_frames", &self.queued_frames())
            .field("queued_bytes", &self.queued_bytes())
            .finish_non_exhaustive()
    }
}
