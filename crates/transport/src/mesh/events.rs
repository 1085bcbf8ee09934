//! What a driver reports.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use replink_frame::{Flags, GoodbyeReason, ReplicaId, Version};
use replink_handshake::{DialError, Peer, Side};

use super::fencing::is_other_process;
use super::jitter::Jitter;
use super::live::LinkState;
use super::refusal::ProvedRefusal;
use super::{Action, DownReason, LinkId, Mesh, MeshWarning};

impl Mesh {
    /// A [`Action::Dial`] made no link; `error` is why the handshake failed, if it got that far.
    ///
    /// After an authenticated refusal the next attempt is slow. Anything else could be anyone's doing: it is
    /// tried again after the usual wait. Neither ends the trying.
    pub fn dial_failed(
        &mut self,
        peer: ReplicaId,
        lane: u16,
        error: Option<&DialError>,
        now: Instant,
        random: u64,
    ) {
        let mut jitter = Jitter::new(random);
        let Some(slot) = self.slots.get_mut(&(peer, lane)).filter(|slot| slot.is_dialing()) else { return };
        slot.back_off(now, &mut jitter);
        if let Some(refusal) = error.and_then(|error| ProvedRefusal::in_dial(peer, error)) {
            self.refused(peer, lane, refusal, now, &mut jitter);
        }
    }

    /// A handshake made a link: one that was dialed, or one that was accepted after
    /// [`Mesh::judge`] admitted it, with no other report in between. `link` was never used before.
    ///
    /// Makes it [`Action::Up`], and ends what it takes over from: before it those of another process, and behind it
    /// those that it is made in the place of. What is delivered of a link of the same peer and
    /// lane that is leaving comes before what is delivered of this one (C-3). If there can be no such link
    /// any more, because of a reload or a shutdown, it is ended instead. So it is if it was dialed
    /// and reached another process than the other lanes, which are demonstrably alive.
    pub fn established(&mut self, link: LinkId, peer: &Peer, address: SocketAddr, now: Instant, random: u64) {
        debug_assert!(!self.links.contains_key(&link), "{link} is not new");
        let mut jitter = Jitter::new(random);
        let (replica, lane) = (peer.replica, peer.lane);
        if peer.side == Side::Dialer && self.turns_away(peer, address, now) {
            self.actions.push_back(Action::Close { link });
            if let Some(slot) = self.slots.get_mut(&(replica, lane)).filter(|slot| slot.is_dialing()) {
                slot.back_off(now, &mut jitter);
                slot.slow_down(&self.settings, Duration::ZERO, now, &mut jitter);
            }
            return;
        }
        // What a process still has to say that is not alive is not waited for: the newcomer's frames would have to
        // wait behind it.
        let others = self.links.iter().filter(|(_, link)| is_other_process(link, peer));
        for old in others.map(|(&id, _)| id).collect::<Vec<_>>() {
            let down = DownReason::Superseded;
            self.leave_for(old, GoodbyeReason::SUPERSEDED, Some(down), now, &mut jitter);
            self.take_down(old, down, now, &mut jitter); // where it was leaving already
        }
        let has_goodbye = |id: &LinkId| self.links.get(id).is_some_and(|old| old.peer.version == Version::V2);
        let (superseded, ended): (Vec<_>, Vec<_>) =
            self.superseded_by(peer).into_iter().partition(has_goodbye);
        for old in ended {
            self.watch_for_clones(old, replica, address, now);
            self.leave(old, GoodbyeReason::SUPERSEDED, now, &mut jitter); // H-13: at once
        }
        let reason = if self.stopping { Some(GoodbyeReason::SHUTDOWN) } else { self.settings.retires(peer) };
        let spread = jitter.within(self.settings.link_max_age / 10);
        self.links.insert(link, LinkState::new(*peer, address, &self.settings, spread, now));
        self.actions.push_back(Action::Up { link, peer: *peer, address });
        self.warn_if_weaker(peer, address);
        self.count_lanes(replica, now);
        if let Some(slot) = self.slots.get_mut(&(replica, lane)) {
            slot.up(link);
        }
        // Only now, so that there is a link to send on all the time.
        for old in superseded {
            self.watch_for_clones(old, replica, address, now);
            let said_last = self.links.get(&old).is_some_and(|old| old.last_said.is_some());
            self.leave_for(old, GoodbyeReason::SUPERSEDED, None, now, &mut jitter);
            if said_last {
                self.take_down_in_peace(old, DownReason::Superseded, now, &mut jitter); // nothing more comes
            }
        }
        match reason {
            Some(reason) => self.leave(link, reason, now, &mut jitter),
            None => self.peer_is_back(replica, now),
        }
    }

    /// There is a sign that `peer` is reachable again: a link on another lane, or something that
    /// the embedder knows. What waits to be dialed is dialed at once; once only, until a link
    /// stays up, so that this can't make a storm. A wait after an authenticated reject goes on.
    pub fn peer_is_back(&mut self, peer: ReplicaId, now: Instant) {
        for (_, slot) in self.slots.range_mut((peer, 0)..=(peer, u16::MAX)) {
            slot.hurry(now);
        }
    }

    /// The peer has shown life on a link (C-1): on a sealed one by a record that verified, on any other by
    /// whatever came. It renews the heartbeat timer, and does not speak for the link against a newcomer.
    pub fn heard(&mut self, link: LinkId, now: Instant) {
        if let Some(link) = self.links.get_mut(&link) {
            link.heard(now);
        }
    }

    /// Whether a frame has come in part on a link. While it has, the peer is sent pings also where heartbeats are
    /// off (C-2). To be told when it begins, and before [`Mesh::handle_timeout`].
    pub fn arriving(&mut self, link: LinkId, arriving: bool, now: Instant) {
        if let Some(link) = self.links.get_mut(&link) {
            link.set_arriving(arriving, &self.settings, now);
        }
    }

    /// The ping that was asked for is on its way, with this counter.
    pub fn pinged(&mut self, link: LinkId, counter: u64, now: Instant) {
        if let Some(link) = self.links.get_mut(&link) {
            link.pinged(counter, now);
        }
    }

    /// A pong came that answers the ping with the counter `echo`. Counts as [`Self::heard`], and as a proof
    /// that the peer was there when that ping was sent (C-1), unless it fits no ping that waits for an answer.
    pub fn pong(&mut self, link: LinkId, echo: u64, now: Instant) {
        let Some(state) = self.links.get_mut(&link) else { return };
        state.pong(echo, now);
        let (peer, kept) = (state.peer.replica, state.address);
        if let Some(refused) = state.take_proved_rival() {
            self.warn(MeshWarning::Duplicate { peer, kept, refused }, now);
        }
    }

    /// The peer said goodbye, and all before it was delivered. Nothing more comes on this link: it ends, and
    /// [`Mesh::closed`] is to be reported, once our own goodbye is out too, which answers the peer's unless it was
    /// said before (C-3).
    pub fn goodbye(&mut self, link: LinkId, reason: GoodbyeReason, now: Instant, random: u64) {
        let Some(state) = self.links.get_mut(&link) else { return };
        state.heard(now);
        let mut jitter = Jitter::new(random);
        let down = DownReason::Left(reason);
        // A peer that says so on every link at once gets none beside it.
        let stayed_up = state.up_for(&self.settings, now) >= self.settings.stay_up_min();
        let waits = match (reason, state.peer.side) {
            _ if !state.is_up() => false,
            // What is sent until another link has its place still goes out on this one.
            (GoodbyeReason::KEY_RETIRED, Side::Dialer) => {
                stayed_up && (state.renewing || self.renew(link, now))
            }
            // The other link is on its way, and this goodbye was faster.
            (GoodbyeReason::SUPERSEDED, Side::Acceptor) => true,
            (GoodbyeReason::SUPERSEDED, Side::Dialer) => state.renewing,
            _ => false,
        };
        if let Some(state) = self.links.get_mut(&link).filter(|_| waits) {
            state.let_be_renewed(reason, &self.settings, now);
            return;
        }
        let Some(state) = self.links.get_mut(&link) else { return };
        if state.is_up() {
            // If it retires a key the peer stays, with another one.
            self.leave_for(link, reason, Some(down), now, &mut jitter);
        } else {
            self.take_down_in_peace(link, down, now, &mut jitter);
        }
    }

    /// The peer is at fault, which ends the link for this reason: nothing more is delivered. It is told so, if
    /// there is something that it is [owed](DownReason::owed) (C-3), and whatever it sends is thrown away until the
    /// end of the stream.
    pub fn at_fault(&mut self, link: LinkId, reason: DownReason, now: Instant, random: u64) {
        let Some(state) = self.links.get(&link) else { return };
        let mut jitter = Jitter::new(random);
        if !state.is_up() {
            return self.take_down(link, reason, now, &mut jitter); // Our goodbye was said, and is the last.
        }
        let (peer, address) = (state.peer, state.address);
        match reason.owed() {
            Some(owed) => self.leave_for(link, owed, Some(reason), now, &mut jitter),
            None => self.lose(link, reason, now, &mut jitter),
        }
        self.accuse(&peer, address, reason, now, &mut jitter);
    }

    /// A link ended without a goodbye from the peer, for this reason, or one that was leaving has ended. Not
    /// needed after [`Action::Close`].
    pub fn closed(&mut self, link: LinkId, reason: DownReason, now: Instant, random: u64) {
        let Some(state) = self.links.get(&link) else { return };
        let (peer, address, was_up) = (state.peer, state.address, state.is_up());
        let reason = state.last_said.map_or(reason, |(said, _)| DownReason::Left(said));
        let mut jitter = Jitter::new(random);
        self.take_down(link, reason, now, &mut jitter);
        self.forget(link, now);
        if was_up {
            self.accuse(&peer, address, reason, now, &mut jitter);
        }
    }

    /// What an operator has to know of the end of a link.
    fn accuse(
        &mut self,
        peer: &Peer,
        address: SocketAddr,
        reason: DownReason,
        now: Instant,
        jitter: &mut Jitter,
    ) {
        match reason {
            DownReason::Rejected(reject) => {
                if let Some(refusal) = ProvedRefusal::in_reject(peer.replica, reject) {
                    self.refused(peer.replica, peer.lane, refusal, now, jitter);
                }
            }
            DownReason::Denied(command) => {
                self.warn(MeshWarning::Denied { peer: peer.replica, address, command }, now);
            }
            _ => {}
        }
    }

    /// Says it once of each peer that its links are weaker than this end would have them.
    fn warn_if_weaker(&mut self, peer: &Peer, address: SocketAddr) {
        let missing = self.settings.lacks(peer);
        if missing == Flags::NONE {
            self.weaker.remove(&peer.replica); // Should it become weaker again, that is news.
            return;
        }
        let told = self.weaker.entry(peer.replica).or_default();
        if !told.contains(missing) {
            *told = *told | missing;
            self.actions.push_back(Action::Warn(MeshWarning::Weaker {
                peer: peer.replica,
                address,
                missing,
            }));
        }
    }

    /// A link of the same process takes over from `old`. If another address does so in turn, that is no process
    /// that has come to another address.
    fn watch_for_clones(&mut self, old: LinkId, peer: ReplicaId, address: SocketAddr, now: Instant) {
        let Some(old) = self.links.get(&old).map(|link| link.address) else { return };
        if self.clones.taken_over(peer, old, address, now) {
            self.warn(MeshWarning::Cloned { peer, addresses: [old, address] }, now);
        }
    }

    /// The next attempt is slow.
    fn refused(
        &mut self,
        peer: ReplicaId,
        lane: u16,
        refusal: ProvedRefusal,
        now: Instant,
        jitter: &mut Jitter,
    ) {
        if let Some(slot) = self.slots.get_mut(&(peer, lane)) {
            slot.slow_down(&self.settings, refusal.retry_after, now, jitter);
        }
    }
}
