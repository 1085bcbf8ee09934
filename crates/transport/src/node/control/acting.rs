//! What the mesh wants done.

use std::sync::Arc;

use super::{Control, Known, Message, Turn, Warning};
use crate::driver::{Driver, Stream};
use crate::mesh::{Action, DownReason, LinkId};
use crate::node::link::{OwnedLink, Place};

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
                    if let Some(known) = self.links.get(&link) {
                        known.shared.outbound.goodbye(reason);
                    }
                }
                Action::Close { link } => self.close(link, turn),
                Action::Up { link, .. } => self.bring_up(link, turn),
                Action::Down { link, reason, .. } => self.take_down(link, reason, turn),
                Action::Warn(warning) => self.warn(Warning::Mesh(warning), turn),
            }
        }
    }

    /// A link has its place: from here on frames go over it.
    fn bring_up(&mut self, link: LinkId, turn: &mut Turn<'_, D>) {
        let Some(arrived) = self.arrived.take_if(|arrived| arrived.link == link) else { return };
        let settings = &self.settings;
        let authenticated = arrived.authenticated;
        let peer = *authenticated.peer();
        let address = authenticated.link().peer_address();
        let timeout = settings.config.link.heartbeat_timeout;
        if !timeout.is_zero() {
            authenticated.link().set_user_timeout(timeout);
        }
        let now = turn.driver.now();
        let shards = self.shared.post.shards();
        let chosen = self.placement.shard(&peer, self.mesh.settings().lanes, self.placed, shards);
        // The embedder may have dropped that one. This one is there.
        let owner = if self.shared.post.is_open(chosen) { chosen } else { 0 };
        self.placed = self.placed.wrapping_add(1);
        let place = Place::new(link, owner, self.shared.nanos(now));
        let limits = settings.endpoint.outbound_limits();
        let post = Arc::clone(&self.shared.post);
        let owned = OwnedLink::open(authenticated, address, limits, place, post, now);
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
        let known = Known { shared: Arc::clone(&owned.shared), down: false, over: false };
        self.links.insert(link, known);
        // Whoever sends now finds it, although its owner may not have said yet that it is up.
        self.shared.routes.insert(&owned.shared);
        let adopt = Message::Adopt { link: Box::new(owned), from: None };
        if owner == 0 {
            turn.local.push_back(adopt);
        } else if let Err(adopt) = self.shared.post.try_send(owner, adopt) {
            self.shared.end_unheard(adopt);
        }
    }

    /// Ends a link at once.
    fn close(&mut self, link: LinkId, turn: &mut Turn<'_, D>) {
        if self.arrived.as_ref().is_some_and(|arrived| arrived.link == link) {
            self.arrived = None; // its connection closes
            return;
        }
        let Some(known) = self.links.get(&link).filter(|known| !known.over) else { return };
        let shared = Arc::clone(&known.shared);
        shared.outbound.close();
        shared.stream().shutdown();
        let owner = shared.place.owner();
        self.tell(owner, Message::Close(shared), turn);
        self.over(link);
    }

    /// A link is no longer up.
    fn take_down(&mut self, link: LinkId, reason: DownReason, turn: &mut Turn<'_, D>) {
        let Some(known) = self.links.get_mut(&link) else { return };
        known.down = true;
        let (shared, over) = (Arc::clone(&known.shared), known.over);
        if over {
            self.links.remove(&link);
        }
        self.shared.routes.remove(&shared);
        tracing::info!(
            replica = %self.shared.replica,
            peer = %shared.peer().replica,
            address = %shared.address,
            lane = shared.peer().lane,
            "link down: {reason}"
        );
        let owner = shared.place.owner();
        self.tell(owner, Message::Down { link: shared, reason }, turn);
    }

    /// A link's connection has ended. If the mesh has yet to say that it is down, it does.
    pub(super) fn over(&mut self, link: LinkId) {
        let Some(known) = self.links.get_mut(&link).filter(|known| !known.over) else { return };
        known.over = true;
        self.shared.counters.count_ended(&known.shared);
        if known.down {
            self.links.remove(&link);
        }
    }
}
