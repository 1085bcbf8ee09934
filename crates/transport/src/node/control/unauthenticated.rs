//! Links without authentication are never silent (H-12): each is warned of, and where the node migrates, also that it
//! goes on.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use replink_handshake::{Authentication, Peer, Side};

use super::{Control, Standing, Turn, Warning};
use crate::driver::Driver;

/// How long nothing is said of it that a node still migrates.
const SAY_AGAIN: Duration = Duration::from_secs(60 * 60);

impl<D: Driver> Control<D> {
    /// A link comes up.
    pub(super) fn warn_if_unauthenticated(&self, peer: &Peer, address: SocketAddr, turn: &mut Turn<'_, D>) {
        let migrates = self.mesh.settings().migrating;
        // With authentication disabled on both ends, the one that lets the other in says so.
        let says_so = migrates || peer.side == Side::Acceptor;
        if peer.authentication == Authentication::Disabled && says_so {
            self.warn(Warning::Unauthenticated { peer: peer.replica, address }, turn);
        }
    }

    /// Says now and then that this node still migrates.
    pub(super) fn warn_of_migrating(&mut self, now: Instant, turn: &mut Turn<'_, D>) {
        if !self.mesh.settings().migrating {
            self.migrating_said = None;
            return;
        }
        let said = *self.migrating_said.get_or_insert(now); // at start `security` says it
        if now >= said + SAY_AGAIN {
            self.migrating_said = Some(now);
            let up = self.links.values().filter(|known| known.standing == Standing::Up);
            let unauthenticated =
                up.filter(|known| known.shared.peer().authentication == Authentication::Disabled).count();
            self.warn(Warning::Migrating { unauthenticated }, turn);
        }
    }

    pub(super) fn migrating_due(&self) -> Option<Instant> {
        self.migrating_said.map(|said| said + SAY_AGAIN)
    }
}
