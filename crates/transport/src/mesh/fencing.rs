//! Which of two links stays.

use std::net::SocketAddr;
use std::time::Instant;

use replink_frame::{Status, Version};
use replink_handshake::{Authentication, Peer};

use super::live::LinkState;
use super::{Action, DRAINING_RETRY_MS, LinkId, Mesh, PROBE_LANE};

/// What to do with a peer that has proved itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a peer that is refused must be told, and one that is admitted reported"]
#[expect(clippy::exhaustive_enums, reason = "a driver has to carry out each one, also if it is new")]
pub enum Verdict {
    /// Admit it, and report it with [`Mesh::established`].
    Admit,
    /// Admit it, and report it with [`Mesh::established`]: it takes over from this link, and
    /// perhaps from links on other lanes.
    Supersede {
        /// The first link that it takes over from.
        old: LinkId,
    },
    /// Admit it, without making it a link: it only wants to know whether it could be one. Its pings
    /// are to be answered, and nothing that comes on it is for the embedder.
    Probe,
    /// Refuse it with a late reject (H-9).
    Refuse {
        /// Why.
        status: Status,
        /// When to come back, in milliseconds; 0 where that is not said.
        retry_after_ms: u32,
    },
}

impl Mesh {
    /// Whether to admit a peer that has proved itself (D-11): to be asked between `Verified` and
    /// `admit`, and [`Mesh::established`] to be reported right behind.
    ///
    /// There is at most one link per peer and lane, and the newest wins: a peer that comes again
    /// has lost the old one. The exception is another *process* under the same id, which shows in
    /// the incarnation. It is turned away while the first one, by a link on whichever lane, has answered a
    /// ping that was sent within [`MeshSettings::alive_window`](super::MeshSettings::alive_window) and a round
    /// trip, or has made or taken over that link since (C-1). Nothing else that comes on a link speaks for it,
    /// for someone may have held that back; where pings are off nothing does.
    /// Without an incarnation, in version 1 and where authentication is disabled, processes can't
    /// be told apart. A peer without authentication is turned away while there is a link of that replica with it
    /// (H-12).
    pub fn judge(&mut self, peer: &Peer, address: SocketAddr, now: Instant) -> Verdict {
        let refuse = |status| Verdict::Refuse { status, retry_after_ms: 0 };
        if self.stopping {
            return Verdict::Refuse { status: Status::DRAINING, retry_after_ms: DRAINING_RETRY_MS };
        }
        // The configuration may have changed while the hands were shaken.
        if !self.settings.members.contains_key(&peer.replica) {
            return refuse(Status::NOT_ALLOWED); // H-1
        }
        let probes = peer.version == Version::V2 && peer.lane == PROBE_LANE;
        if peer.lane >= self.settings.lanes && !probes {
            return refuse(Status::POLICY_MISMATCH);
        }
        if !self.settings.accepts_key(peer) {
            return refuse(Status::UNKNOWN_KEY); // K-2
        }
        if probes {
            return Verdict::Probe;
        }
        if self.turns_away(peer, address, now) {
            return refuse(Status::DUPLICATE_REPLICA);
        }
        match self.superseded_by(peer).first() {
            Some(&old) => Verdict::Supersede { old },
            None => Verdict::Admit,
        }
    }

    /// Whether another process of the same replica is demonstrably alive, as far as is known. It is asked once more:
    /// only when it answers that is it said that there are two, for a process that was killed just now may have
    /// answered the ping before.
    pub(super) fn turns_away(&mut self, peer: &Peer, address: SocketAddr, now: Instant) -> bool {
        // H-12: what proves nothing takes over from nothing that was proved.
        if proves_nothing(peer) && self.up_links().any(|(_, link)| is_proved_link_of(link, peer)) {
            return true;
        }
        let is_rival = |link: &LinkState| is_other_process(link, peer) && link.is_alive(&self.settings, now);
        let Some(kept) = self.up_links().find(|(_, link)| is_rival(link)).map(|(id, _)| id) else {
            return false;
        };
        if let Some(link) = self.links.get_mut(&kept) {
            link.set_rival(address, now);
            self.actions.push_back(Action::Ping { link: kept });
        }
        true
    }

    /// The links that are up and that a link of `peer` takes over from: the one on its lane,
    /// those of a process that it has replaced, and where it is proved one that is not (H-12).
    pub(super) fn superseded_by(&self, peer: &Peer) -> Vec<LinkId> {
        let is_older = |link: &LinkState| {
            let is_its = link.peer.replica == peer.replica;
            let is_unproved = proves_nothing(&link.peer) && !proves_nothing(peer);
            (is_its && (link.peer.lane == peer.lane || is_unproved)) || is_other_process(link, peer)
        };
        self.up_links().filter(|(_, link)| is_older(link)).map(|(id, _)| id).collect()
    }
}

fn proves_nothing(peer: &Peer) -> bool {
    peer.authentication == Authentication::Disabled
}

fn is_proved_link_of(link: &LinkState, peer: &Peer) -> bool {
    link.peer.replica == peer.replica && !proves_nothing(&link.peer)
}

/// Whether `link` is the same replica's, but another process's.
pub(super) fn is_other_process(link: &LinkState, peer: &Peer) -> bool {
    let incarnation = |peer: &Peer| match peer.authentication {
        Authentication::PreSharedKey(_) if peer.incarnation != 0 => Some(peer.incarnation),
        _ => None,
    };
    let known = incarnation(&link.peer).zip(incarnation(peer));
    link.peer.replica == peer.replica && known.is_some_and(|(old, new)| old != new)
}
