//! A shard's work on its links: it writes what waits, and reads until there is a frame.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use replink_handshake::ControlMessage;

use super::{Shard, queue_reading};
use crate::driver::{Driver, Reception, Stream};
use crate::mesh::{Ending, LinkId};
use crate::node::event::Event;
use crate::node::inbox::{Message, Report};
use crate::{Flushed, InboundError, Received, SendCause};

/// Reads of one link before the next one has its turn.
const READS_PER_LINK: u32 = 4;

/// What became of one step with a link.
enum Step {
    /// It has a frame for the embedder.
    Frame,
    /// It may have more.
    Again,
    /// It may have more, but others have their turn.
    Rotate,
    /// It has nothing more for now.
    Done,
}

impl<D: Driver> Shard<D> {
    /// Writes what waits, and does what the queue wants done.
    pub(super) fn flush(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let shared = &link.shared;
        match self.driver.flush(shared.stream(), &shared.outbound) {
            Ok(Flushed::Empty) => {
                if shared.outbound.ended() == Some(SendCause::Leaving) && !link.finished {
                    // Our goodbye is out: it was the last.
                    link.finished = true;
                    shared.stream().finish();
                }
                if shared.wants_room.swap(false, Ordering::AcqRel) && link.delivers {
                    let peer = shared.peer();
                    let drained = Event::Drained { link: id, peer: peer.replica, lane: peer.lane };
                    self.events.push_back(drained);
                }
            }
            Ok(Flushed::More) => {
                if shared.place.want_attention() {
                    self.local.push_back(Message::Attend(Arc::clone(&shared.place)));
                }
            }
            // Whoever writes has the owner look again, if it matters that the queue is empty.
            Ok(Flushed::Blocked | Flushed::Elsewhere) => {}
            // How it failed shows when it is read, behind what the peer has sent.
            Err(_) => queue_reading(&mut self.reading, id, link),
        }
    }

    /// The frame that comes next and its size, in the usual case: nothing else is to be done before, it lies
    /// in the read-ahead of the link whose turn it is, and whoever sent it may send anything. In every other
    /// case [`Shard::next_frame`] finds out what to do.
    #[inline]
    pub(super) fn frame_at_hand(&mut self) -> Option<(LinkId, usize)> {
        if !self.events.is_empty() || !self.parting.is_empty() || self.shared.restricts_commands() {
            return None;
        }
        let id = *self.reading.front()?;
        let link = self.links.get_mut(&id).filter(|link| link.delivers && !link.over)?;
        let size = link.inbound.frame_at_hand()?;
        link.shared.received.count_frame();
        Some((id, size))
    }

    /// Goes on with the link whose turn it is, until it has a frame for the embedder. `None` when
    /// no link has.
    pub(super) fn next_frame(&mut self) -> Option<LinkId> {
        while let Some(&id) = self.reading.front() {
            match self.step(id) {
                Step::Frame => return Some(id),
                Step::Again => {}
                Step::Rotate => {
                    self.reads_of_first = 0;
                    self.reading.rotate_left(1);
                    if self.reads_left == 0 {
                        return None;
                    }
                }
                Step::Done => {
                    self.reads_of_first = 0;
                    self.reading.pop_front();
                    if let Some(link) = self.links.get_mut(&id) {
                        link.queued = false;
                    }
                }
            }
            if !self.events.is_empty() {
                return None;
            }
        }
        None
    }

    fn step(&mut self, id: LinkId) -> Step {
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.over) else { return Step::Done };
        match link.inbound.is_ready() {
            Ok(true) => {
                let command = link.inbound.ready_command();
                let Some(command) = command else { return self.control_frame(id) };
                if !link.delivers {
                    let _ = link.inbound.next();
                    return Step::Again;
                }
                if self.shared.forbids(link.shared.peer().replica, command) {
                    link.over = true;
                    link.delivers = false;
                    self.report(id, Report::Denied(command));
                    return Step::Done;
                }
                link.shared.received.count_frame();
                return Step::Frame;
            }
            Ok(false) => {}
            Err(InboundError::LateReject(reject)) => {
                self.end(id, Ending::Rejected(reject));
                return Step::Done;
            }
            Err(error) => {
                if matches!(error, InboundError::Seal(_)) {
                    self.shared.counters.broken_seals.fetch_add(1, Ordering::Relaxed);
                }
                tracing::warn!(
                    peer = %link.shared.peer().replica,
                    address = %link.shared.address,
                    "link ended: {error}"
                );
                self.end(id, Ending::Violation(error));
                return Step::Done;
            }
        }
        if !link.readable {
            if matches!(link.shared.outbound.ended(), Some(SendCause::Failed(_))) {
                self.end(id, Ending::Stream);
            }
            return Step::Done;
        }
        if self.reads_of_first >= READS_PER_LINK || self.reads_left == 0 {
            return Step::Rotate;
        }
        self.reads_of_first += 1;
        self.reads_left -= 1;
        match self.driver.receive(link.shared.stream(), &mut link.inbound) {
            Ok(Reception { bytes: 0, .. }) => {
                self.end(id, Ending::Stream);
                Step::Done
            }
            Ok(Reception { bytes, drained }) => {
                link.readable = !drained || link.ended;
                link.shared.received.count_read(bytes);
                link.shared.place.hear(self.now);
                Step::Again
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                link.readable = false;
                Step::Again
            }
            Err(_) => {
                self.end(id, Ending::Stream);
                Step::Done
            }
        }
    }

    fn control_frame(&mut self, id: LinkId) -> Step {
        let Some(link) = self.links.get_mut(&id) else { return Step::Done };
        let Ok(Some(Received::Control(control))) = link.inbound.next() else { return Step::Again };
        match control {
            ControlMessage::Ping { counter } => {
                link.shared.outbound.pong(counter);
                self.shared.wrote(&link.shared);
                Step::Again
            }
            ControlMessage::Pong { echo } => {
                self.report(id, Report::Pong { echo });
                Step::Again
            }
            ControlMessage::Goodbye(reason) => {
                link.over = true;
                if link.delivers {
                    self.report(id, Report::Goodbye(reason));
                } else {
                    // Both ends have left.
                    self.end(id, Ending::Stream);
                }
                Step::Done
            }
        }
    }
}
