//! Links that come to a shard, and go from it.

use std::sync::Arc;

use super::{Shard, queue_reading};
use crate::driver::{Driver, Stream, Token};
use crate::mesh::{DownReason, Ending, LinkId};
use crate::node::event::{Event, LinkDown, LinkUp};
use crate::node::hand_over::{Collector, Surrendered};
use crate::node::inbox::Message;
use crate::node::link::{OwnedLink, SharedLink};
use crate::{SendCause, TakeOutboundError};

impl<D: Driver> Shard<D> {
    /// The shard that has `link` now, if that is another one.
    pub(super) fn elsewhere(&self, link: &SharedLink<D::Stream>) -> Option<usize> {
        let owner = link.place.owner();
        (owner != self.index).then_some(owner)
    }

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

    pub(super) fn give_away(&mut self, shared: Arc<SharedLink<D::Stream>>, to: usize) {
        let (id, peer) = (shared.id(), shared.peer().replica);
        if to == self.index || to >= self.shared.post.shards() {
            return;
        }
        let Some(link) = self.links.remove(&id) else {
            // It was given to this shard, and is about to be taken in; or it is over.
            if self.shared.routes.contains(&shared) && shared.outbound.ended().is_none() {
                self.local.push_back(Message::Move { link: shared, to });
            }
            return;
        };
        let delivers = link.delivers;
        self.driver.unwatch(shared.stream());
        match self.shared.post.give(to, Box::new(link), Some(self.index)) {
            Ok(()) => {
                if delivers {
                    self.events.push_back(Event::Released { link: id, peer, to });
                }
            }
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
            Ok(outbound) => self.links.remove(&id).map(|link| {
                self.driver.unwatch(shared.stream());
                Surrendered { shared, inbound: link.inbound, outbound }
            }),
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
