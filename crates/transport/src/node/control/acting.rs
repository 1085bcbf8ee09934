//! What the mesh wants done.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use replink_frame::Flags;

use super::{Control, Known, Message, SharedLink, Standing, Turn, Warning};
use crate::driver::{Driver, Socket};
use crate::mesh::{Action, DownReason, LinkId};
use crate::node::inbox::LinkEnd;
use crate::node::link::{OwnedLink, Phase, Place};
use crate::node::stats::Counted;
use crate::unanswered::Unanswered;

impl<D: Driver> Control<D> {
    /// Does all that the mesh wants done.
    pub(super) fn act(&mut self, turn: &mut Turn<'_, D>) {
        while let Some(action) = self.mesh.next_action() {
            match action {
                Action::Dial { peer, lane } => self.dial(peer, lane, turn),
                Action::Ping { link } => {
                    let Some(known) = self.links.get(&link) else { continue };
                    if let Some(counter) = known.shared.outbound.ping() {
                        self.shared.wrote(&known.shared);
                        self.mesh.pinged(link, counter, turn.driver.now());
                    }
                }
                Action::Goodbye { link, reason } => {
                    let Some(known) = self.links.get_mut(&link) else { continue };
                    known.shared.outbound.goodbye(reason);
                    // It may deliver for a while yet; nobody sends on it any more.
                    self.shared.counters.retire(&known.shared, &self.shared.routes, &mut known.counted);
                }
                Action::HandOver { link } => self.surrender(link),
                Action::Close { link } => self.close(link),
                Action::Up { link, .. } => self.bring_up(link, turn),
                Action::Down { link, reason, .. } => {
                    self.take_down(link, LinkEnd::Down(reason), turn.driver.now());
                }
                Action::Renewed { link, by, .. } => {
                    self.take_down(link, LinkEnd::Renewed(by), turn.driver.now());
                }
                Action::Warn(warning) => self.warn(Warning::Mesh(warning), turn),
            }
        }
    }

    /// A link has its place: from here on frames go over it.
    fn bring_up(&mut self, link: LinkId, turn: &mut Turn<'_, D>) {
        let Some(arrived) = self.arrived.take_if(|arrived| arrived.link == link) else { return };
        let open = arrived.open;
        let peer = *open.peer();
        let address = open.socket.peer_address();
        if self.mesh.settings().lacks(&peer) != Flags::NONE {
            self.shared.counters.weaker.count(peer.replica);
        }
        self.warn_if_unauthenticated(&peer, address, turn);
        let now = turn.driver.now();
        self.watch(&peer, &open.socket, now);
        let shards = self.shared.post.shards();
        let owner = self.placement.shard(&peer, self.mesh.settings().lanes, self.placed, shards);
        self.placed = self.placed.wrapping_add(1);
        let place = Place::new(link, owner, self.shared.nanos(now));
        let post = Arc::clone(&self.shared.post);
        let mut opened = OwnedLink::new(open, address, place, post, now);
        if !self.turns.begin(link, peer.replica, peer.lane) {
            opened.phase = Phase::Held; // C-3: another one is leaving
        }
        self.unreachable.reached(peer.replica, peer.lane, now);
        tracing::info!(
            replica = %self.shared.replica,
            peer = %peer.replica,
            %address,
            lane = peer.lane,
            version = %peer.version,
            flags = %peer.flags,
            authentication = ?peer.authentication,
            shard = owner,
            "link up"
        );
        let shared = Arc::clone(&opened.shared);
        let known = Known {
            shared,
            standing: Standing::Up,
            counted: Counted::default(),
            unanswered: Unanswered::default(),
        };
        self.links.insert(link, known);
        // Whoever sends now finds it, although its owner may not have said yet that it is up.
        if let Some(before) = self.shared.routes.find(peer.replica, peer.lane) {
            opened.shared.replaces(&before);
        }
        self.shared.routes.insert(&opened.shared);
        self.give(owner, opened);
    }

    /// Gives a link to its first owner: `shard`, or this one if that is gone.
    pub(super) fn give(&self, shard: usize, link: OwnedLink<D::Socket>) {
        if let Err(link) = self.shared.post.give(shard, Box::new(link), None) {
            // This one is there: it is at work.
            let _given = self.shared.post.give(0, link, None);
        }
    }

    /// Ends a link at once.
    pub(super) fn close(&mut self, link: LinkId) {
        if self.arrived.as_ref().is_some_and(|arrived| arrived.link == link) {
            self.arrived = None; // its connection closes
            return;
        }
        let Some(known) = self.links.get(&link).filter(|known| known.standing != Standing::Over) else {
            return;
        };
        let shared = Arc::clone(&known.shared);
        shared.outbound.close();
        shared.socket().shutdown();
        let owner = shared.place.owner();
        self.tell(owner, Message::Close(shared));
        self.over(link);
    }

    /// A link goes to another process.
    fn surrender(&mut self, link: LinkId) {
        let Some(collector) = &self.handing_over else { return };
        let Some(known) = self.links.get_mut(&link).filter(|known| known.standing != Standing::Over) else {
            collector.put(None);
            return;
        };
        let (shared, collector) = (Arc::clone(&known.shared), Arc::clone(collector));
        self.shared.counters.retire(&shared, &self.shared.routes, &mut known.counted);
        let owner = shared.place.owner();
        self.tell(owner, Message::Surrender { link: shared, collector });
        self.over(link);
    }

    /// A link is no longer up.
    fn take_down(&mut self, link: LinkId, end: LinkEnd, now: Instant) {
        let Some(known) = self.links.get_mut(&link) else { return };
        let over = mem::replace(&mut known.standing, Standing::Down) == Standing::Over;
        let shared = Arc::clone(&known.shared);
        self.shared.counters.retire(&shared, &self.shared.routes, &mut known.counted);
        if over {
            self.links.remove(&link);
        }
        let heard = shared.place.heard(self.shared.nanos(now));
        self.shared.counters.down(shared.peer(), end, heard);
        let peer = shared.peer().replica;
        let (replica, lane, address) = (self.shared.replica, shared.peer().lane, shared.address);
        let reason = match end {
            LinkEnd::Down(reason) => reason,
            LinkEnd::Renewed(_) => {
                tracing::info!(%replica, %peer, %address, lane, "link renewed");
                return self.tell_end(shared, link, end);
            }
        };
        self.look_up(peer, now); // it may come back elsewhere
        match reason {
            DownReason::Left(_) | DownReason::Ended(_) | DownReason::Superseded | DownReason::HandedOver => {
                tracing::info!(%replica, %peer, %address, lane, reason = reason.name(), "link down: {reason}");
            }
            _ => {
                tracing::warn!(%replica, %peer, %address, lane, reason = reason.name(), "link down: {reason}");
            }
        }
        self.tell_end(shared, link, end);
    }

    /// The embedder is told of it where the link is.
    fn tell_end(&mut self, shared: Arc<SharedLink<D::Socket>>, link: LinkId, end: LinkEnd) {
        let owner = shared.place.owner();
        self.tell(owner, Message::Down { link: shared, end });
        if self.shared.post.is_gone(owner) {
            self.quiet(link); // nobody else says it
        }
    }

    /// Nothing of a link is delivered any more. Whichever comes next has its turn (C-3).
    pub(super) fn quiet(&mut self, link: LinkId) {
        let Some(known) = self.turns.end(link).and_then(|next| self.links.get(&next)) else { return };
        self.tell(known.shared.place.owner(), Message::Deliver(Arc::clone(&known.shared)));
    }

    /// A link's connection has ended. If the mesh has yet to say that it is down, it does.
    pub(super) fn over(&mut self, link: LinkId) {
        let Some(known) = self.links.get_mut(&link).filter(|known| known.standing != Standing::Over) else {
            return;
        };
        if mem::replace(&mut known.standing, Standing::Over) == Standing::Down {
            // What it sent and received while it was leaving.
            self.shared.counters.count_ended(&known.shared, &mut known.counted);
            self.links.remove(&link);
        }
    }
}
