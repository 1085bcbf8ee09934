use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use replink_transport::OutboundLimits;
use replink_transport::frame::{GenericHeader, GoodbyeReason};

/// What a link's writing thread is asked to send.
#[expect(clippy::large_enum_variant, reason = "nearly all are frames")]
pub(super) enum Item {
    Frame(GenericHeader, Bytes),
    Ping,
    Pong { echo: u64 },
    Goodbye(GoodbyeReason),
}

/// The queue between those who send on a link and the thread that writes to it. The reading
/// thread only ever queues: if it had to wait for the socket, two replicas that both write could
/// wait for each other forever.
pub(super) struct SendQueue {
    state: Mutex<State>,
    changed: Condvar,
    limits: OutboundLimits,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    /// Frames and bytes of the embedder's that wait or are being written: the limits count both.
    frames: u32,
    bytes: u64,
    /// How many of them are being written.
    taken_frames: u32,
    taken_bytes: u64,
    closed: bool,
}

/// The link is over, or leaving: nothing more can be sent on it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl SendQueue {
    pub(super) fn new(limits: OutboundLimits) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), limits }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a frame, and waits while the queue is full.
    pub(super) fn push(&self, header: GenericHeader, body: Bytes) -> Result<(), Closed> {
        let size = u64::from(header.size.get());
        let full = |state: &State| {
            state.frames > 0
                && (state.frames >= self.limits.queue_frames || state.bytes + size > self.limits.queue_bytes)
        };
        let mut state = self
            .changed
            .wait_while(self.lock(), |state| !state.closed && full(state))
            .unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(Closed);
        }
        state.frames += 1;
        state.bytes += size;
        state.items.push_back(Item::Frame(header, body));
        self.changed.notify_all();
        Ok(())
    }

    /// Queues what keeps the link alive or ends it, ahead of no one but without waiting.
    pub(super) fn push_control(&self, item: Item) {
        /// Control frames answer the peer's; one that pings without reading must not fill memory.
        const CONTROL_MAX: usize = 64;
        let mut state = self.lock();
        let control = state.items.len() - (state.frames - state.taken_frames) as usize;
        let essential = matches!(item, Item::Goodbye(_));
        if !state.closed && (essential || control < CONTROL_MAX) {
            state.closed = essential; // nothing goes out behind a goodbye
            state.items.push_back(item);
            self.changed.notify_all();
        }
    }

    /// Takes all that waits, or waits for something; what was taken before is written by now.
    /// `None` when the queue is closed and empty.
    pub(super) fn take(&self) -> Option<VecDeque<Item>> {
        let mut state = self.lock();
        state.frames -= std::mem::take(&mut state.taken_frames);
        state.bytes -= std::mem::take(&mut state.taken_bytes);
        self.changed.notify_all();
        let mut state = self
            .changed
            .wait_while(state, |state| state.items.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        if state.items.is_empty() {
            return None;
        }
        (state.taken_frames, state.taken_bytes) = (state.frames, state.bytes);
        Some(std::mem::take(&mut state.items))
    }

    /// Ends the queue: what waits is dropped, and nobody waits any longer.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.items.clear();
        (state.frames, state.bytes) = (state.taken_frames, state.taken_bytes);
        self.changed.notify_all();
    }
}
