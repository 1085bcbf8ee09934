//! A shard's work on its links: it writes what waits, and looks through what has come until there is a frame.

use std::io;
use std::mem;
use std::sync::atomic::Ordering;

use replink_frame::Command;
use replink_handshake::ControlMessage;

use super::Shard;
use super::links::Place;
use crate::driver::{Completion, Driver, Released, Socket, Token};
use crate::memory::{BLOCK_SIZE, ReceiveMemory};
use crate::mesh::{DownReason, LinkId, Loss};
use crate::node::event::Event;
use crate::node::inbox::Report;
use crate::node::link::{OwnedLink, Phase};
use crate::{Flushed, Found, InboundError, Loan, Received, SendCause};

/// What became of one look at a link.
enum Look {
    /// It has a frame for the embedder.
    Frame,
    /// It may have more.
    Again,
    /// It has a frame, and has to wait with it.
    Held,
    /// It has nothing more for now.
    Done,
}

impl<D: Driver> Shard<D> {
    /// Takes what has come to an end and is quickly done with: all but what was received on links.
    pub(super) fn take_completions(&mut self) {
        while let Some(completion) = self.driver.next() {
            self.complete(completion);
        }
    }

    fn complete(&mut self, completion: Completion<D::Socket>) {
        match completion {
            Completion::Received { token, memory, result } => match self.links.place(LinkId(token.0)) {
                Some(place) => self.received(place, memory, &result),
                None => self.with_control(|control, turn| control.received(token, memory, result, turn)),
            },
            Completion::Sent { token, batch, result } => match self.links.get_mut(LinkId(token.0)) {
                Some(link) => {
                    link.shared.outbound.take_back(batch, result);
                    self.flush(LinkId(token.0));
                }
                None => self.with_control(|control, turn| control.sent(token, result, turn)),
            },
            Completion::Accepted { result, .. } => {
                self.with_control(|control, turn| control.accepted(result, turn));
            }
            Completion::Connected { token, result } => {
                self.with_control(|control, turn| control.connected(token, result, turn));
            }
        }
    }

    /// Something has come on a link, or its end.
    fn received(&mut self, place: Place, memory: ReceiveMemory, result: &io::Result<usize>) {
        let Some(link) = self.links.at_mut(place) else { return };
        match *result {
            Ok(0) if link.phase == Phase::Left && !link.finished => link.peer_finished = true,
            Ok(len) if len > 0 && matches!(link.phase, Phase::Left | Phase::Discarding) => {
                link.shared.received.count_read(len);
                if let Some(block) = memory.into_block() {
                    self.driver.recycle(block);
                }
                self.looking.push_back(place);
            }
            Ok(len) if len > 0 => {
                link.inbound.take_back(memory, len);
                link.shared.received.count_read(len);
                link.shared.place.arrived(self.now);
                self.looking.push_back(place);
            }
            ref result => {
                let id = link.shared.id();
                let failed = result.as_ref().err().map(io::Error::kind);
                // Where sending failed first, we have ended it ourselves.
                let failed = failed.or_else(|| match link.shared.outbound.ended() {
                    Some(SendCause::Failed(kind)) => Some(kind),
                    _ => None,
                });
                let loss = failed.map_or(Loss::Ended, Loss::of);
                self.end(id, DownReason::Lost(loss));
            }
        }
    }

    /// Writes what waits, and does what the queue wants done.
    pub(super) fn flush(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        let shared = &link.shared;
        match shared.outbound.lend() {
            Ok(Loan::Batch(batch)) => self.driver.send(Token(id.0), batch),
            Ok(Loan::Nothing(Flushed::Empty)) => {
                if shared.outbound.ended() == Some(SendCause::Leaving) {
                    if !mem::replace(&mut link.finished, true) {
                        // Our goodbye is out: it was the last.
                        shared.socket().finish();
                    }
                    if link.peer_finished {
                        self.end(id, DownReason::Lost(Loss::Ended)); // C-3: both have said it
                    }
                    return;
                }
                let up = matches!(link.phase, Phase::Held | Phase::Delivering);
                if shared.wants_room.swap(false, Ordering::AcqRel) && up {
                    let peer = shared.peer();
                    let drained = Event::Drained { link: id, peer: peer.replica, lane: peer.lane };
                    self.events.push_back(drained);
                }
            }
            // Whoever writes has the owner look again, if it matters that the queue is empty.
            Ok(Loan::Nothing(_)) => {}
            Err(_) if link.phase == Phase::Left => self.end(id, DownReason::Lost(Loss::Ended)),
            // What the peer has sent comes still, and then the end.
            Err(_) => shared.socket().shutdown(),
        }
    }

    /// Looks at one link after the other until one has a frame for the embedder, which is the first of
    /// `looking` then. Whether one has; not where there is an event, or it is time to poll again.
    #[inline]
    pub(super) fn find_frame(&mut self) -> bool {
        loop {
            while let Some(&place) = self.looking.front() {
                match self.look(place) {
                    Look::Frame => return true,
                    Look::Again => {}
                    Look::Held => {
                        self.looking.pop_front();
                    }
                    Look::Done => {
                        // It may be gone, or be there once more.
                        if self.looking.front() == Some(&place) {
                            self.looking.pop_front();
                            self.looked_through(place);
                            self.receive(place);
                        }
                    }
                }
                if !self.events.is_empty() {
                    return false;
                }
            }
            if self.receives_left == 0 {
                return false;
            }
            self.receives_left -= 1;
            let Some(completion) = self.driver.next_received() else { return false };
            self.complete(completion);
        }
    }

    #[inline]
    fn look(&mut self, place: Place) -> Look {
        let Some(link) = self.links.at_mut(place) else { return Look::Done };
        if matches!(link.phase, Phase::Left | Phase::Discarding | Phase::Silenced) {
            return Look::Done;
        }
        match link.inbound.find() {
            Ok(Some(Found::Frame(command))) if link.phase == Phase::Delivering => {
                if self.shared.restricts_commands()
                    && self.shared.forbids(link.shared.peer().replica, command)
                {
                    return self.deny(place, command);
                }
                link.shared.received.count_frame();
                Look::Frame
            }
            Ok(Some(Found::Frame(_))) if link.phase == Phase::Held => {
                link.has_held = true;
                Look::Held
            }
            Ok(Some(Found::Control)) => self.control_frame(place),
            Ok(Some(_)) => {
                let _ = link.inbound.take();
                Look::Again
            }
            Ok(None) => Look::Done,
            Err(error) => self.violated(place, error),
        }
    }

    /// All that had come on a link was looked through: whether there was life in it (C-1), and whether a part of a
    /// frame is left (C-2).
    fn looked_through(&mut self, place: Place) {
        let Some(link) = self.links.at_mut(place) else { return };
        let (life, whole) = (link.inbound.take_life(), link.inbound.is_at_frame_boundary());
        if link.shared.place.looked_through(life, !whole, self.now) {
            let id = link.shared.id();
            self.report(id, Report::Arriving);
        }
    }

    /// Begins to receive on a link that has nothing more to give.
    fn receive(&mut self, place: Place) {
        let Some(link) = self.links.at_mut(place) else { return };
        match link.phase {
            Phase::Silenced => return,
            // To no memory of the link's: it has no more use for any.
            Phase::Left | Phase::Discarding => {
                return self.driver.receive(Token(link.shared.id().0), None, BLOCK_SIZE);
            }
            Phase::Held | Phase::Delivering | Phase::Draining => {}
        }
        let OwnedLink { inbound, shared, .. } = link;
        if let Some(block) = inbound.give_up_block() {
            self.driver.recycle(block);
        }
        let at_most = inbound.receive_max();
        let memory = (!inbound.holds_nothing()).then(|| inbound.lend());
        self.driver.receive(Token(shared.id().0), memory, at_most);
    }

    /// The peer has sent what its role may not.
    #[cold]
    fn deny(&mut self, place: Place, command: Command) -> Look {
        self.condemn(place, DownReason::Denied(command));
        Look::Done
    }

    /// The peer is at fault. Shard 0 has it told so (C-3); what it still sends is for nobody.
    fn condemn(&mut self, place: Place, reason: DownReason) {
        let Some(link) = self.links.at_mut(place) else { return };
        link.phase = Phase::Discarding;
        let id = link.shared.id();
        self.report(id, Report::AtFault(reason));
    }

    #[cold]
    fn violated(&mut self, place: Place, error: InboundError) -> Look {
        let Some(link) = self.links.at_mut(place) else { return Look::Done };
        match error {
            InboundError::LateReject(reject) => {
                let id = link.shared.id();
                self.end(id, DownReason::Rejected(reject)); // H-9
            }
            error => {
                if matches!(error, InboundError::Record(_)) {
                    self.shared.counters.broken_records.count(link.shared.peer().replica);
                }
                self.condemn(place, DownReason::Lost(Loss::Violation(error)));
            }
        }
        Look::Done
    }

    fn control_frame(&mut self, place: Place) -> Look {
        let Some(link) = self.links.at_mut(place) else { return Look::Done };
        let id = link.shared.id();
        let Some(Received::Control(control)) = link.inbound.take() else { return Look::Again };
        // A block is the driver's: it is not to be dropped with what the link itself holds.
        if let Some(block) = link.inbound.give_up_block() {
            self.driver.recycle(block);
        }
        link.relax_if_quiet(self.now);
        match control {
            ControlMessage::Ping { counter } => {
                link.shared.outbound.pong(counter);
                self.shared.wrote(&link.shared);
                Look::Again
            }
            ControlMessage::Pong { echo } => {
                if link.shared.place.put_echo(echo) {
                    self.report(id, Report::Pong);
                }
                Look::Again
            }
            ControlMessage::Goodbye(reason) => {
                link.phase = Phase::Left;
                self.report(id, Report::Goodbye(reason));
                Look::Done
            }
        }
    }

    /// What a driver had under way for a link that goes elsewhere is the link's again.
    pub(super) fn put_back(link: &mut OwnedLink<D::Socket>, released: Released) {
        if let Some((memory, len)) = released.received {
            link.inbound.take_back(memory, len);
        }
        if let Some((batch, result)) = released.sent {
            link.shared.outbound.take_back(batch, result);
        }
    }
}
