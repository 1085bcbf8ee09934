//! Peers whose machine vanishes, where no heartbeat finds that out: on links of version 1, and where heartbeats
//! are off. While nothing is sent the system does ([`Socket::keep_alive`]).

use std::io;
use std::time::Instant;

use replink_handshake::Peer;

use super::{Control, Standing, Turn};
use crate::driver::{Driver, Socket};
use crate::mesh::{DownReason, LinkId, Loss};
use crate::unanswered::LOOK_EVERY;

impl<D: Driver> Control<D> {
    /// A link comes up, or its settings have changed.
    pub(super) fn watch(&mut self, peer: &Peer, socket: &D::Socket, now: Instant) {
        if !self.mesh.settings().pings(peer) {
            socket.keep_alive();
            self.look_at.get_or_insert(now + LOOK_EVERY);
        }
    }

    /// Settings have changed: which links have heartbeats as well.
    pub(super) fn watch_all(&mut self, now: Instant) {
        let up = self.links.values().filter(|known| known.standing == Standing::Up);
        let shared: Vec<_> = up.map(|known| known.shared.clone()).collect();
        for shared in shared {
            self.watch(shared.peer(), shared.socket(), now);
        }
    }

    /// Ends links whose peer's machine has owed an answer for too long.
    pub(super) fn end_vanished(&mut self, turn: &mut Turn<'_, D>) {
        let now = turn.driver.now();
        if self.look_at.is_none_or(|at| at > now) {
            return;
        }
        let settings = self.mesh.settings();
        let watched = self.links.iter_mut().filter(|(_, known)| known.standing == Standing::Up);
        let mut watched = watched.filter(|(_, known)| !settings.pings(known.shared.peer())).peekable();
        self.look_at = watched.peek().map(|_| now + LOOK_EVERY);
        let vanished: Vec<LinkId> = watched
            .filter_map(|(&link, known)| {
                let unacknowledged = known.shared.socket().unacknowledged_for();
                known.unanswered.is_over(unacknowledged, now).then_some(link)
            })
            .collect();
        for link in vanished {
            self.close(link);
            let reason = DownReason::Lost(Loss::of(io::ErrorKind::TimedOut));
            self.mesh.closed(link, reason, now, turn.driver.random());
        }
    }
}
