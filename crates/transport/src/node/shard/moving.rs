//! Links that come to a shard, and go from it.

use std::mem;
use std::sync::Arc;

use super::Shard;
use crate::driver::{Driver, Socket, Token};
use crate::mesh::{DownReason, Loss};
use crate::node::collector::{Collector, Surrendered};
use crate::node::event::{Event, LinkDown, LinkUp};
use crate::node::inbox::{LinkEnd, Message, Report};
use crate::node::link::{OwnedLink, Phase, SharedLink};
use crate::{SendCause, TakeOutboundError};

impl<D: Driver> Shard<D> {
    pub(super) fn adopt(&mut self, link: OwnedLink<D::Socket>, from: Option<usize>) {
        if matches!(link.phase, Phase::Held | Phase::Delivering) {
            let (id, peer, address) = (link.shared.id(), *link.shared.peer(), link.shared.address);
            self.events.push_back(match from {
                Some(from) => Event::Adopted { link: id, peer: peer.replica, from },
                None => Event::Up(LinkUp { link: id, peer, address }),
            });
        }
        self.take_in(link);
    }

    /// What other links of the peer and lane had to deliver is through: this one's turn has come (C-3).
    pub(super) fn deliver(&mut self, shared: &Arc<SharedLink<D::Socket>>) {
        let Some(place) = self.links.place(shared.id()) else { return };
        let Some(link) = self.links.at_mut(place).filter(|link| link.phase == Phase::Held) else { return };
        link.phase = Phase::Delivering;
        if mem::take(&mut link.has_held) {
            self.looking.push_back(place);
        }
    }

    pub(super) fn take_in(&mut self, mut link: OwnedLink<D::Socket>) {
        let shared = Arc::clone(&link.shared);
        let id = shared.id();
        let registered = self.driver.register(Token(id.0), shared.socket());
        let registered = registered.map(|registration| link.registration = Some(registration));
        // What it was given to carry is looked at before anything is received.
        let place = self.links.insert(id, link);
        self.looking.push_back(place);
        if let Err(error) = registered {
            tracing::warn!(peer = %shared.peer().replica, address = %shared.address, "link lost: {error}");
            return self.end(id, DownReason::Lost(Loss::Ended));
        }
        self.flush(id);
    }

    /// Has a link go to shard `to`, once the embedder has taken what was said of it so far: else the
    /// other shard's could hear of it before.
    pub(super) fn part_with(&mut self, shared: Arc<SharedLink<D::Socket>>, to: usize) {
        if to == self.index || to >= self.shared.post.shards() {
            return;
        }
        if self.links.place(shared.id()).is_some() {
            self.parting.push_back((shared, to));
        } else if self.shared.routes.contains(&shared) && shared.outbound.ended().is_none() {
            // It was given to this shard, and is about to be taken in.
            self.local.push_back(Message::Move { link: shared, to });
        }
    }

    /// Lets the next link go that is to, if there is one. Every event was taken.
    pub(super) fn let_part(&mut self) -> bool {
        let Some((shared, to)) = self.parting.pop_front() else { return false };
        match shared.place.owner() {
            owner if owner == self.index => self.give_away(&shared, to),
            owner => self.shared.post.send(owner, Message::Move { link: shared, to }),
        }
        true
    }

    fn give_away(&mut self, shared: &Arc<SharedLink<D::Socket>>, to: usize) {
        let (id, peer) = (shared.id(), shared.peer().replica);
        // One that is down meanwhile ends here, and one that is held stays until it is its turn.
        if self.links.get_mut(id).is_none_or(|link| link.phase != Phase::Delivering) {
            return;
        }
        let Some(mut link) = self.take_out(id) else { return };
        self.release(&mut link);
        match self.shared.post.give(to, Box::new(link), Some(self.index)) {
            Ok(()) => self.events.push_back(Event::Released { link: id, peer, to }),
            // That shard is gone: the link stays.
            Err(link) => self.take_in(*link),
        }
    }

    /// Lets a link go to another process, with all that has not been yielded or written.
    pub(super) fn surrender(
        &mut self,
        shared: Arc<SharedLink<D::Socket>>,
        collector: Arc<Collector<D::Socket>>,
    ) {
        let id = shared.id();
        let outbound = match self.take_out(id) {
            // What has come from here on is the other process's to yield.
            Some(mut link) => {
                link.phase = Phase::Silenced;
                self.release(&mut link);
                self.links.insert(id, link);
                shared.outbound.take_for_hand_off()
            }
            None => Err(TakeOutboundError::Ended(SendCause::Closed)),
        };
        let surrendered = match outbound {
            Err(TakeOutboundError::Busy) => {
                // A thread is writing; it does not take long, for the stream does not block.
                self.local.push_back(Message::Surrender { link: shared, collector });
                return;
            }
            Ok(outbound) => {
                self.take_out(id).map(|link| Surrendered { shared, inbound: link.inbound, outbound })
            }
            Err(_) => {
                drop(self.take_out(id));
                shared.socket().shutdown();
                None
            }
        };
        if collector.put(surrendered) {
            self.shared.post.wake(0); // it may stop now
        }
    }

    pub(super) fn take_down(&mut self, link: &Arc<SharedLink<D::Socket>>, end: LinkEnd) {
        if let Some(owned) = self.links.get_mut(link.id()) {
            if matches!(owned.phase, Phase::Delivering | Phase::Held) {
                owned.phase = Phase::Draining;
            }
            if mem::take(&mut owned.has_held) {
                self.looking.extend(self.links.place(link.id()));
            }
        }
        let (id, peer, address) = (link.id(), *link.peer(), link.address);
        self.events.push_back(match end {
            LinkEnd::Renewed(by) => Event::Renewed { link: id, peer: peer.replica, lane: peer.lane, by },
            LinkEnd::Down(reason) => {
                let sent = link.outbound.stats();
                // What waits on a link that is left still goes out.
                let left =
                    matches!(reason, DownReason::Left(_) | DownReason::Ended(_) | DownReason::HandedOver);
                let waiting = if left { 0 } else { sent.queued_frames as u64 };
                let undelivered = sent.dropped_frames + waiting;
                Event::Down(LinkDown { link: id, peer, address, reason, undelivered })
            }
        });
        self.report(id, Report::Quiet);
    }

    /// Ends what the driver has under way for a link that goes elsewhere.
    fn release(&mut self, link: &mut OwnedLink<D::Socket>) {
        if let Some(registration) = link.registration.take() {
            let released = self.driver.release(registration);
            Self::put_back(link, released);
        }
    }
}
