//! An [`Outbound`] that every thread may send on.

mod end;
mod lending;
mod outcome;
mod queueing;
mod take;

use std::fmt;
use std::io::{self, IoSlice};
use std::mem;
use std::sync::PoisonError;

use bytes::Bytes;
use replink_frame::{GenericHeader, GoodbyeReason};
use replink_handshake::Peer;

use self::end::End;
use self::take::Slot;
use super::sealing::Sealing;
use super::segments::Segments;
use super::{GatherWrite, Outbound, SendCause, SendError, write_once};
use crate::sync::{Mutex, MutexGuard};

pub use lending::Loan;
pub use outcome::{Attention, Flushed, OutboundStats, Sent};
pub use take::TakeOutboundError;

/// Most writes that one call makes before it leaves the rest to others: no sender is kept writing
/// for the others without end. The model checker can follow only a few.
const TURN_WRITES_MAX: u32 = if cfg!(loom) { 2 } else { 8 };

/// The sending side of a link that every thread may send on: a bounded queue, and whoever finds
/// nobody writing writes out all that is queued, the others' frames too. The others return at once.
///
/// Frames never interleave, and those of one thread keep their order. No lock is held while the
/// link's bytes are being written, so queueing a frame never waits for a system call.
///
/// One thread, the *owner*, polls the link, which is to be non-blocking. When the link takes no
/// more, or a sender has written for the others long enough, the owner is asked by way of
/// [`Attention`] to go on with [`SharedOutbound::flush`]. On a blocking link all of this works too,
/// but whoever writes waits for the peer.
///
/// To send one frame on many links, give each the same header and a clone of the same body: large
/// bodies go out from where they are.
pub struct SharedOutbound<W> {
    peer: Peer,
    writer: W,
    attention: Box<dyn Fn(Attention) + Send + Sync>,
    queue: Mutex<Queue>,
}

/// What the lock guards; it is held for copies of a few small frames at most.
struct Queue {
    /// What nobody has begun to write. It also counts what was taken out to be written.
    outbound: Slot,
    /// What goes out ahead of it, while nobody writes: left over from a write that took only part.
    front: Segments,
    role: Role,
    /// Whether the role is that of who has a [`Loan`].
    lent: bool,
    end: Option<End>,
    written_frames: u64,
    written_bytes: u64,
    writes: u64,
    dropped_frames: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Nobody writes: the next that comes does.
    Idle,
    /// One thread writes. `flush_again` when the owner has wanted to meanwhile: the link may take
    /// bytes although it did not when the writer tried.
    Writing { flush_again: bool },
    /// The link takes no more; the owner goes on.
    Blocked,
}

/// Why a turn of writing ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    Empty,
    Blocked,
    More,
    /// The link was closed or failed.
    Over,
}

/// What a write means for the queue.
enum Counted {
    Written,
    Blocked,
    /// The link was closed meanwhile.
    Over,
    Failed(io::ErrorKind),
}

/// What one write did.
#[derive(Clone, Copy)]
struct Written {
    /// Bytes that the link took.
    taken: usize,
    /// Bytes of frames that are out by that. On a sealed link a record is out as a whole.
    of_frames: usize,
}

/// How a turn of writing ended.
struct Turn {
    stop: Stop,
    /// As [`Outbound::written`].
    written: u64,
}

impl<W: GatherWrite> SharedOutbound<W> {
    /// Shares `outbound`, whose bytes go to `writer`. `attention` is how the owner is asked for
    /// something; it is called by any thread that sends, with no lock held, and should do no more
    /// than wake the owner up. It may be called when there is nothing left to do.
    pub fn new(outbound: Outbound, writer: W, attention: impl Fn(Attention) + Send + Sync + 'static) -> Self {
        let peer = *outbound.peer();
        let queue = Queue {
            outbound: Slot::new(outbound),
            front: Segments::default(),
            role: Role::Idle,
            lent: false,
            end: None,
            written_frames: 0,
            written_bytes: 0,
            writes: 0,
            dropped_frames: 0,
        };
        Self { peer, writer, attention: Box::new(attention), queue: Mutex::new(queue) }
    }

    /// The other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What the bytes are written to.
    pub fn writer(&self) -> &W {
        &self.writer
    }

    /// Queues a frame, as [`Outbound::push`] does, and writes all that is queued unless another
    /// thread is at it or the link takes no more.
    ///
    /// That the link fails while this call writes is told by [`Attention::Close`]; the frame is
    /// lost like all that waited.
    ///
    /// # Errors
    ///
    /// [`SendError`] gives the frame back: with [`SendCause::Backpressure`] when this link's queue
    /// is full, with [`SendCause::Leaving`], [`SendCause::Closed`], [`SendCause::HandedOff`] or
    /// [`SendCause::Failed`] when the link takes no more frames ever, with another cause when no link could carry the frame.
    ///
    /// # Panics
    ///
    /// If the writer claims to have taken more than it was given, or panics; the link has failed
    /// then.
    pub fn send(&self, header: &GenericHeader, body: impl Into<Bytes>) -> Result<Sent, SendError> {
        let body = body.into();
        let mut queue = self.lock();
        if let Some(end) = queue.end {
            drop(queue);
            return Err(SendError::new(*header, body, end.into()));
        }
        match queue.outbound.enqueue(header, body) {
            Ok(copied) => {
                let sent = self.write_or_leave(queue);
                drop(copied); // may free memory: not while the lock is held
                Ok(sent)
            }
            Err((cause, body)) => {
                drop(queue);
                Err(SendError::new(*header, body, cause))
            }
        }
    }

    /// Sends a `LinkPing`; the counter that its pong will echo, or `None` where the link has no
    /// control frames (H-13), too many wait already, or nothing goes out any more.
    ///
    /// # Panics
    ///
    /// As [`SharedOutbound::send`].
    pub fn ping(&self) -> Option<u64> {
        let mut queue = self.lock();
        let counter = if queue.end.is_none() { queue.outbound.ping() } else { None };
        if counter.is_some() {
            self.write_or_leave(queue);
        }
        counter
    }

    /// Answers the peer's ping with counter `echo`. Dropped where the link has no control frames,
    /// too many wait already, or nothing goes out any more.
    ///
    /// # Panics
    ///
    /// As [`SharedOutbound::send`].
    pub fn pong(&self, echo: u64) {
        let mut queue = self.lock();
        if queue.end.is_none() {
            queue.outbound.pong(echo);
            self.write_or_leave(queue);
        }
    }

    /// Leaves: sends a `LinkGoodbye` behind all that waits, and nothing behind it. On a version 1
    /// link there is no such frame (H-13), and what waits is the last. When that is written the
    /// owner is asked to [close](Attention::Close). Does nothing if the link has ended, or is
    /// leaving already.
    ///
    /// # Panics
    ///
    /// As [`SharedOutbound::send`].
    pub fn goodbye(&self, reason: GoodbyeReason) {
        let mut queue = self.lock();
        if queue.end.is_none() {
            queue.outbound.goodbye(reason);
            queue.end = Some(End::Leaving);
            self.write_or_leave(queue);
        }
    }

    /// Writes what waits: for the owner, when it was asked to, and when the link is writable again.
    ///
    /// # Errors
    ///
    /// The kind of error that ended the link, and `NotConnected` when it was closed or handed off.
    ///
    /// # Panics
    ///
    /// As [`SharedOutbound::send`].
    pub fn flush(&self) -> io::Result<Flushed> {
        let mut queue = self.lock();
        if let Some(error) = queue.end.and_then(End::error) {
            return Err(error);
        }
        if let Role::Writing { flush_again } = &mut queue.role {
            *flush_again = true;
            return Ok(Flushed::Elsewhere);
        }
        match self.write(queue).stop {
            Stop::Empty => Ok(Flushed::Empty),
            Stop::Blocked => Ok(Flushed::Blocked),
            Stop::More => Ok(Flushed::More),
            Stop::Over => {
                let end = self.lock().end;
                Err(end.and_then(End::error).unwrap_or_else(|| io::ErrorKind::NotConnected.into()))
            }
        }
    }

    /// Ends it at once: what waits is dropped, and later sends give their frame back. A write that
    /// another thread is in the middle of is not waited for; to end that too, shut the link down.
    /// Does nothing if the link has ended already.
    pub fn close(&self) {
        let mut queue = self.lock();
        if queue.end.and_then(End::error).is_none() {
            let dropped = queue.end_with(End::Closed);
            drop(queue);
            drop(dropped); // may free much memory: not while the lock is held
        }
    }

    /// Why nothing more can be sent, once that is so: [`SendCause::Leaving`],
    /// [`SendCause::Closed`], [`SendCause::HandedOff`] or [`SendCause::Failed`].
    pub fn ended(&self) -> Option<SendCause> {
        self.lock().end.map(SendCause::from)
    }

    /// What waits, and what was done so far.
    pub fn stats(&self) -> OutboundStats {
        let queue = self.lock();
        OutboundStats {
            queued_frames: queue.outbound.held().map_or(0, Outbound::queued_frames),
            queued_bytes: queue.outbound.held().map_or(0, Outbound::queued_bytes),
            written_frames: queue.written_frames,
            written_bytes: queue.written_bytes,
            writes: queue.writes,
            dropped_frames: queue.dropped_frames,
        }
    }

    /// After something was queued: writes it, unless that is another's to do.
    fn write_or_leave<'a>(&'a self, queue: MutexGuard<'a, Queue>) -> Sent {
        if queue.role != Role::Idle {
            return Sent::Queued;
        }
        let end = queue.outbound.queued;
        let turn = self.write(queue);
        match turn.stop {
            Stop::Blocked => (self.attention)(Attention::Writable),
            Stop::More => (self.attention)(Attention::Flush),
            Stop::Empty | Stop::Over => {}
        }
        if turn.stop != Stop::Over && turn.written >= end { Sent::Written } else { Sent::Queued }
    }

    /// One turn as the writer, which nobody else may be.
    fn write<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> Turn {
        let mut batch = mem::take(&mut queue.front);
        let mut sealing = queue.outbound.sealing.take();
        let mut writes = 0;
        let stop = loop {
            if !queue.fill(&mut batch, sealing.as_deref()) {
                queue.role = Role::Idle;
                break Stop::Empty;
            }
            if writes == TURN_WRITES_MAX {
                queue.role = Role::Idle;
                break Stop::More;
            }
            queue.role = Role::Writing { flush_again: false };
            drop(queue);
            let result = self.write_batch(&mut batch, sealing.as_deref_mut());
            writes += 1;
            queue = self.lock();
            match queue.count_write(result) {
                Counted::Written => {}
                Counted::Blocked => {
                    // The owner may have come between the socket's answer and here, with news
                    // that are younger than the answer.
                    if queue.role == (Role::Writing { flush_again: false }) {
                        queue.role = Role::Blocked;
                        break Stop::Blocked;
                    }
                }
                Counted::Over => break Stop::Over,
                Counted::Failed(kind) => {
                    self.fail(queue, kind);
                    return Turn { stop: Stop::Over, written: 0 };
                }
            }
        };
        let written = queue.outbound.written;
        self.end_turn(queue, batch, sealing, stop);
        Turn { stop, written }
    }

    /// Puts back what a turn has left.
    fn end_turn(
        &self,
        mut queue: MutexGuard<'_, Queue>,
        batch: Segments,
        sealing: Option<Box<Sealing>>,
        stop: Stop,
    ) {
        if stop == Stop::Over {
            drop(queue);
            drop(batch); // may free much memory: not while the lock is held
            return;
        }
        queue.front = batch;
        queue.outbound.sealing = sealing;
        if stop == Stop::Empty {
            self.leave(queue);
        }
    }

    /// All is written: what a goodbye waits for.
    #[inline]
    fn leave(&self, mut queue: MutexGuard<'_, Queue>) {
        let left = queue.end == Some(End::Leaving);
        if left {
            queue.end = Some(End::Left);
        }
        drop(queue);
        if left {
            (self.attention)(Attention::Close);
        }
    }

    fn fail(&self, mut queue: MutexGuard<'_, Queue>, kind: io::ErrorKind) {
        let dropped = queue.end_with(End::Failed(kind));
        drop(queue);
        drop(dropped);
        (self.attention)(Attention::Close);
    }

    fn write_batch(&self, batch: &mut Segments, sealing: Option<&mut Sealing>) -> io::Result<Written> {
        let fail = FailOnPanic(self);
        let result = match sealing {
            Some(sealing) => self.write_records(batch, sealing),
            None => write_once(batch.batch(), &self.writer).and_then(some_bytes).map(|taken| {
                batch.batch_mut().advance(taken);
                Written { taken, of_frames: taken }
            }),
        };
        mem::forget(fail);
        result
    }

    fn write_records(&self, batch: &mut Segments, sealing: &mut Sealing) -> io::Result<Written> {
        sealing.seal_next(batch.batch_mut()).map_err(io::Error::other)?;
        let taken = self.writer.write_gathered(&[IoSlice::new(sealing.waiting())]).and_then(some_bytes)?;
        Ok(Written { taken, of_frames: sealing.advance(taken) })
    }
}

impl<W> SharedOutbound<W> {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dropped when the writer panics: whether bytes of the batch went out is not known then, so
/// nothing may follow them.
struct FailOnPanic<'a, W>(&'a SharedOutbound<W>);

impl<W> Drop for FailOnPanic<'_, W> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        let dropped = queue.end_with(End::Failed(io::ErrorKind::Other));
        drop(queue);
        drop(dropped);
        (self.0.attention)(Attention::Close);
    }
}

/// A link that takes nothing of something takes no more ever.
fn some_bytes(taken: usize) -> io::Result<usize> {
    if taken == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(taken) }
}

impl Queue {
    /// Puts what was queued into `batch`, if that is empty. Whether there is anything to write.
    fn fill(&mut self, batch: &mut Segments, sealing: Option<&Sealing>) -> bool {
        if batch.is_empty() {
            // The emptied one takes what comes next: both keep their memory.
            mem::swap(batch, &mut self.outbound.segments);
        }
        !batch.is_empty() || sealing.is_some_and(|sealing| !sealing.is_empty())
    }

    fn count_write(&mut self, result: io::Result<Written>) -> Counted {
        self.writes += 1;
        if let Ok(Written { taken, .. }) = result {
            self.written_bytes += taken as u64;
        }
        if self.end.and_then(End::error).is_some() {
            return Counted::Over;
        }
        match result.map_err(|error| error.kind()) {
            Ok(Written { of_frames, .. }) => {
                self.written_frames += self.outbound.count_written(of_frames) as u64;
                Counted::Written
            }
            Err(io::ErrorKind::Interrupted) => Counted::Written,
            Err(io::ErrorKind::WouldBlock) => Counted::Blocked,
            Err(kind) => Counted::Failed(kind),
        }
    }

    /// What waits is returned, to be dropped without the lock.
    fn end_with(&mut self, end: End) -> [Segments; 2] {
        self.end = Some(end);
        self.dropped_frames += self.outbound.held().map_or(0, Outbound::queued_frames) as u64;
        [self.outbound.clear(), mem::take(&mut self.front)]
    }
}

impl<W: GatherWrite> fmt::Debug for SharedOutbound<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedOutbound")
            .field("peer", &self.peer)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
