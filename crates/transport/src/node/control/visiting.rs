//! Probes: peers that have proved themselves and only want to know whether they could have a link.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use replink_frame::{GoodbyeReason, Status};
use replink_handshake::Authenticated;

use super::{Control, Message, RejectedBy, Turn};
use crate::driver::{Driver, Socket, Token};
use crate::mesh::LinkId;
use crate::node::link::{OpenLink, OwnedLink, Phase, Place, SharedLink};

/// Probes that are served at once.
pub(super) const VISITORS_MAX: usize = 16;

/// When to come back, in milliseconds, where there are too many.
pub(super) const VISITORS_RETRY_MS: u32 = 250;

pub(super) struct Visitor<S> {
    until: Instant,
    shared: Arc<SharedLink<S>>,
}

impl<D: Driver> Control<D> {
    /// Answers a probe's pings until it leaves, or its time is up.
    pub(super) fn welcome(
        &mut self,
        token: Token,
        authenticated: Authenticated<D::Socket>,
        address: SocketAddr,
        turn: &mut Turn<'_, D>,
    ) {
        self.shared.counters.count_handshake(Status::OK, RejectedBy::Us);
        tracing::info!(
            replica = %self.shared.replica,
            peer = %authenticated.peer().replica,
            %address,
            "probed"
        );
        let (id, now) = (LinkId(token.0), turn.driver.now());
        let place = Place::new(id, 0, self.shared.nanos(now));
        let limits = self.settings.endpoint.outbound_limits();
        let post = Arc::clone(&self.shared.post);
        let open = OpenLink::new(authenticated, limits);
        let mut link = OwnedLink::new(open, address, place, post, now);
        link.phase = Phase::Draining;
        let until = now + self.handshake_timeout();
        self.visitors.insert(id, Visitor { until, shared: Arc::clone(&link.shared) });
        self.give(0, link);
    }

    /// A probe has left, or is at fault: it gets our goodbye (C-3).
    pub(super) fn answer_visitor(&self, link: LinkId, reason: GoodbyeReason) {
        if let Some(visitor) = self.visitors.get(&link) {
            visitor.shared.outbound.goodbye(reason);
        }
    }

    pub(super) fn expire_visitors(&mut self, now: Instant) {
        let expired = self.visitors.iter().filter(|(_, visitor)| visitor.until <= now);
        for id in expired.map(|(&id, _)| id).collect::<Vec<_>>() {
            let Some(Visitor { shared, .. }) = self.visitors.remove(&id) else { continue };
            shared.outbound.close();
            shared.socket().shutdown();
            self.tell(0, Message::Close(shared));
        }
    }

    pub(super) fn next_visitor_timeout(&self) -> Option<Instant> {
        self.visitors.values().map(|visitor| visitor.until).min()
    }
}
