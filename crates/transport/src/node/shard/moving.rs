//! Links that come to a shard, and go from it.

use std::sync::Arc;

use super::{Shard, queue_reading};
use crate::driver::{Driver, Stream, Token};
use crate::mesh::{DownReason, Ending, LinkId};
use crate::node::collector::{Collector, Surrendered};
use crate::node::event::{Event, LinkDown, LinkUp};
use crate::node::inbox::Message;
use crate::node::link::{OwnedLink, SharedLink};
use crate::{SendCause, TakeOutboundError};

impl<D: Driver> Shard<D> {
    pub(super) fn adopt(&mut self, link: OwnedLink<D::Stream>, from: Option<usize>) {
        if link.delivers {
            let (id, peer, address) = (link.shared.id(), *link.shared.peer(), link.shared.address);
            self.events.push_back(match from {
                Some(from) => Event::Adopted { link: id, peer: peer.replica, from },
                None => Event::Up(LinkUp { link: id, peer, address }),
            });
        }
        self.take_in(link);
    }

    pub(super) fn take_in(&mut self, mut link: OwnedLink<D::Stream>) {
        let shared = Arc::clone(&link.shared);
        let id = shared.id();
        // What was ready before it was watched here is not reported again.
        link.readable = true;
        link.queued = false;
        queue_reading(&mut self.reading, id, &mut link);
        self.links.insert(id, link);
        if let Err(error) = self.driver.watch(Token(id.0), shared.stream()) {
            tracing::warn!(peer = %shared.peer().replica, address = %shared.address, "link lost: {error}");
            return self.end(id, Ending::Stream);
        }
        self.flush(id);
    }

    /// Has a link go to shard `to`, once the embedder has taken what was said of it so far: else the
    /// other shard's could hear of it before.
    pub(super) fn part_with(&mut self, shared: Arc<SharedLink<D::Stream>>, to: usize) {
        if to == self.index || to >= self.shared.post.shards() {
            return;
        }
        if self.links.contains_key(&shared.id()) {
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

    fn give_away(&mut self, shared: &Arc<SharedLink<D::Stream>>, to: usize) {
        let (id, peer) = (shared.id(), shared.peer().replica);
        // One that is down meanwhile ends here.
        if self.links.get(&id).is_none_or(|link| !link.delivers) {
            return;
        }
        let Some(mut link) = self.links.remove(&id) else { return };
        self.driver.release(shared.stream(), &mut link.inbound, &shared.outbound);
        match self.shared.post.give(to, Box::new(link), Some(self.index)) {
            Ok(()) => self.events.push_back(Event::Released { link: id, peer, to }),
            // That shard is gone: the link stays.
            Err(link) => self.take_in(*link),
        }
    }

    /// Lets a link go to another process, with all that has not been yielded or written.
    pub(super) fn surrender(
        &mut self,
        shared: Arc<SharedLink<D::Stream>>,
        collector: Arc<Collector<D::Stream>>,
    ) {
        let id = shared.id();
        let outbound = match self.links.get_mut(&id) {
            // What has come from here on is the other process's to yield.
            Some(link) => {
                link.over = true;
                self.driver.release(shared.stream(), &mut link.inbound, &shared.outbound);
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
                self.links.remove(&id).map(|link| Surrendered { shared, inbound: link.inbound, outbound })
            }
            Err(_) => {
                self.drop_link(id);
                shared.stream().shutdown();
                None
            }
        };
        if collector.put(surrendered) {
            self.shared.post.wake(0); // it may stop now
        }
    }

    pub(super) fn take_down(&mut self, link: &Arc<SharedLink<D::Stream>>, reason: DownReason) {
        if let Some(owned) = self.links.get_mut(&link.id()) {
            owned.delivers = false;
        }
        let (id, peer, address) = (link.id(), *link.peer(), link.address);
        self.events.push_back(Event::Down(LinkDown { link: id, peer, address, reason }));
    }

    pub(super) fn drop_link(&mut self, id: LinkId) {
        if let Some(link) = self.links.remove(&id) {
            self.driver.unwatch(link.shared.stream());
        }
    }
}
