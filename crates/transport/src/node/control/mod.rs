//! What shard 0 does besides: it lets connections in, dials, and decides which links there are.
//!
//! The decisions are the [gate](crate::gate)'s and the [mesh](crate::mesh)'s; this is the part that
//! carries them out.

mod accepting;
mod acting;
mod dialing;
mod refusals;
mod visiting;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use replink_frame::{ReplicaId, Status};
use replink_handshake::Authenticated;

use super::Placement;
use super::addresses::Addresses;
use super::collector::Collector;
use super::event::{Event, Refusal, RejectedBy, Warning};
use super::handshaking::{Accepting, DialAttempt};
use super::inbox::{Message, Report};
use super::link::{OpenLink, SharedLink};
use super::settings::{Reload, Settings};
use super::shared::Shared;
use super::stats::Counted;
use crate::driver::AcceptErrors;
use crate::driver::{Driver, Stream, Token};
use crate::gate::{Gate, SlotId, Terms};
use crate::mesh::{Ending, LinkId, Mesh};
use refusals::Refusals;
use visiting::Visitor;

/// The listener's token. Connections are numbered from behind it.
const LISTENER: Token = Token(0);

pub(in crate::node) struct Control<D: Driver> {
    shared: Arc<Shared<D::Stream>>,
    settings: Arc<Settings>,
    addresses: Addresses,
    placement: Placement,
    gate: Gate,
    mesh: Mesh,
    listener: Option<D::Listener>,
    listener_ready: bool,
    accept_errors: AcceptErrors,
    /// Until when the listener is left alone.
    accept_pause: Option<Instant>,
    accepting: BTreeMap<Token, Accepting<D::Stream>>,
    slots: BTreeMap<SlotId, Token>,
    /// Turned away, and given time to read why; earliest first.
    leaving: VecDeque<(Instant, Token)>,
    dialing: BTreeMap<Token, DialAttempt<D::Stream>>,
    /// The link that has just proved its peer, until the mesh has said that it is up.
    arrived: Option<Arrived<D::Stream>>,
    /// Links that another process had, and that are to come up here.
    taken: Vec<OpenLink<D::Stream>>,
    /// Where the links go that are handed over, once they are.
    handing_over: Option<Arc<Collector<D::Stream>>>,
    /// All links that are not both down and over.
    links: BTreeMap<LinkId, Known<D::Stream>>,
    visitors: BTreeMap<LinkId, Visitor<D::Stream>>,
    refusals: Refusals,
    next_token: u64,
    placed: usize,
    stopping: bool,
    stopped: bool,
}

/// A link that the mesh has said is up.
struct Known<S> {
    shared: Arc<SharedLink<S>>,
    /// Whether the mesh has said that it is down.
    down: bool,
    /// Whether its connection has ended.
    over: bool,
    /// What of it is in the counts of links that are no longer up.
    counted: Counted,
}

struct Arrived<S> {
    link: LinkId,
    open: OpenLink<S>,
}

/// What control needs of its shard.
pub(in crate::node) struct Turn<'a, D: Driver> {
    pub(super) driver: &'a mut D,
    /// What shard 0 tells its embedder.
    pub(super) events: &'a mut VecDeque<Event<'static>>,
}

impl<D: Driver> Control<D> {
    pub(super) fn new(
        shared: Arc<Shared<D::Stream>>,
        placement: Placement,
        listener: D::Listener,
        taken: Vec<OpenLink<D::Stream>>,
        driver: &mut D,
    ) -> std::io::Result<Self> {
        driver.watch_listener(LISTENER, &listener)?;
        let settings = shared.settings();
        let addresses = shared.addresses();
        let gate = Gate::new(Terms::from(&settings.config.auth), addresses.roster());
        let mesh = Mesh::new(shared.replica, settings.mesh(), driver.now());
        Ok(Self {
            shared,
            settings,
            addresses,
            placement,
            gate,
            mesh,
            listener: Some(listener),
            listener_ready: true,
            accept_errors: AcceptErrors::default(),
            accept_pause: None,
            accepting: BTreeMap::new(),
            slots: BTreeMap::new(),
            leaving: VecDeque::new(),
            dialing: BTreeMap::new(),
            arrived: None,
            taken,
            handing_over: None,
            links: BTreeMap::new(),
            visitors: BTreeMap::new(),
            refusals: Refusals::default(),
            next_token: LISTENER.0 + 1,
            placed: 0,
            stopping: false,
            stopped: false,
        })
    }

    fn new_token(&mut self) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        token
    }

    /// Something that is no link's has become ready.
    pub(super) fn ready(&mut self, token: Token, turn: &mut Turn<'_, D>) {
        if token == LISTENER {
            self.listener_ready = true;
        } else if self.accepting.contains_key(&token) {
            self.advance_accepting(token, turn);
        } else if self.dialing.contains_key(&token) {
            self.advance_dialing(token, turn);
        }
    }

    /// A shard says what happened on a link.
    pub(super) fn report(&mut self, link: LinkId, report: Report, turn: &mut Turn<'_, D>) {
        let (now, random) = (turn.driver.now(), turn.driver.random());
        match report {
            Report::Pong { echo } => {
                self.mesh.pong(link, echo, now);
                if let (Some(known), Some(round_trip)) = (self.links.get(&link), self.mesh.round_trip(link)) {
                    known.shared.set_round_trip(round_trip);
                }
            }
            Report::Goodbye(reason) => {
                let both_left = self.links.get(&link).is_some_and(|known| known.down);
                self.mesh.goodbye(link, reason, now, random);
                if both_left {
                    // Its owner reads no more, so nobody would notice the end of the stream.
                    self.mesh.closed(link, Ending::Stream, now, random);
                    self.close(link);
                }
            }
            Report::Denied(command) => {
                // The link's owner has refused the frame, and reads no more. This ends the link.
                if self.mesh.frame(link, command, now, random).is_ok() {
                    // It was refused under another configuration than the one that is in force now.
                    self.mesh.closed(link, Ending::Stream, now, random);
                    self.close(link);
                }
            }
            Report::Ended(ending) => {
                if let (Some(known), Ending::Rejected(reject)) = (self.links.get(&link), &ending) {
                    let refusal = Refusal::by_peer(known.shared.address, *reject);
                    self.refuse(refusal, turn);
                }
                self.hear_all();
                self.mesh.closed(link, ending, now, random);
                self.over(link);
                self.visitors.remove(&link);
            }
        }
    }

    /// Everything that is due, and everything that follows from it. What is ready has been
    /// reported before.
    pub(super) fn turn(&mut self, turn: &mut Turn<'_, D>) {
        self.bring_in_taken(turn);
        self.accept(turn);
        let now = turn.driver.now();
        self.expire(now, turn);
        self.expire_visitors(now);
        if self.mesh.next_timeout().is_some_and(|due| due <= now) {
            self.hear_all();
            self.excuse_busy_shards(now);
            self.mesh.handle_timeout(now, turn.driver.random());
        }
        self.act(turn);
        if let Some(count) = self.refusals.take_untold(now) {
            self.warn(Warning::RefusalsUntold { count }, turn);
        }
        self.shared.counters.pending.store(self.gate.pending(), Ordering::Relaxed);
        let handed_over = self.handing_over.as_ref().is_none_or(|collector| collector.is_complete());
        if self.stopping && self.mesh.is_finished() && handed_over && !self.stopped {
            self.stop(turn);
        }
    }

    /// When there is something due.
    pub(super) fn next_timeout(&self, now: Instant) -> Option<Instant> {
        if self.stopped {
            return None;
        }
        let accepts = self.listener.is_some() && self.listener_ready;
        let accept = if accepts { Some(self.accept_pause.unwrap_or(now)) } else { None };
        let dials = self.dialing.values().map(DialAttempt::due).min();
        let leaving = self.leaving.front().map(|&(until, _)| until);
        let visitors = self.next_visitor_timeout();
        let due = [accept, dials, leaving, visitors, self.gate.next_deadline(now), self.mesh.next_timeout()];
        let taken = (!self.taken.is_empty()).then_some(now);
        due.into_iter().flatten().chain(self.refusals.due()).chain(taken).min()
    }

    /// What the links' owners have heard.
    fn hear_all(&mut self) {
        for (&id, known) in &self.links {
            self.mesh.heard(id, self.shared.instant(known.shared.place.heard()));
        }
    }

    /// What a shard has not looked at, because its embedder is at work, is not silence. It is woken:
    /// one that had nothing to do, and whose embedder waits elsewhere, looks then, and has no excuse
    /// any more after the time that this puts it off.
    fn excuse_busy_shards(&mut self, now: Instant) {
        let settings = self.mesh.settings();
        let window = settings.alive_window();
        let put_off = settings.heartbeat_timeout.saturating_sub(window);
        let heard = now.checked_sub(put_off).unwrap_or(now);
        for (&id, known) in &self.links {
            let owner = known.shared.place.owner();
            let clock = &self.shared.clocks[owner];
            let looked = self.shared.instant(clock.looked.load(Ordering::Relaxed));
            if !clock.waits.load(Ordering::Relaxed) && now.saturating_duration_since(looked) > window {
                self.mesh.heard(id, heard);
                self.shared.post.wake(owner);
            }
        }
    }

    /// A handshake made a link.
    fn establish(
        &mut self,
        token: Token,
        authenticated: Authenticated<D::Stream>,
        address: SocketAddr,
        turn: &mut Turn<'_, D>,
    ) {
        turn.driver.unwatch(authenticated.link());
        self.shared.counters.count_handshake(Status::OK, RejectedBy::Us);
        let open = OpenLink::new(authenticated, self.settings.endpoint.outbound_limits());
        self.bring_in(token, open, address, turn);
    }

    /// Here is a link that has proved its peer; the mesh says whether it comes up.
    fn bring_in(
        &mut self,
        token: Token,
        open: OpenLink<D::Stream>,
        address: SocketAddr,
        turn: &mut Turn<'_, D>,
    ) {
        let link = LinkId(token.0);
        let peer = *open.peer();
        self.arrived = Some(Arrived { link, open });
        self.mesh.established(link, &peer, address, turn.driver.now(), turn.driver.random());
        self.act(turn);
        self.arrived = None;
    }

    /// Links that another process had go on here.
    fn bring_in_taken(&mut self, turn: &mut Turn<'_, D>) {
        for open in std::mem::take(&mut self.taken) {
            let token = self.new_token();
            let address = open.stream.peer_address();
            self.bring_in(token, open, address, turn);
        }
    }

    /// Puts a new configuration in force.
    pub(super) fn reload(&mut self, reload: Reload, turn: &mut Turn<'_, D>) {
        let Reload { settings, addresses } = reload;
        let terms = Terms::from(&settings.config.auth);
        // Only what has changed: another key, for instance, is no reason to forget who is proven.
        if terms != Terms::from(&self.settings.config.auth)
            || settings.mesh().keys != self.settings.mesh().keys
        {
            self.gate.replace_terms(terms);
        }
        self.set_addresses(addresses);
        self.mesh.reconfigure(settings.mesh(), turn.driver.now(), turn.driver.random());
        self.drop_dials(turn, |mesh, peer, lane| mesh.settings().has_place(peer, lane));
        self.shared.set_settings(Arc::clone(&settings));
        self.settings = settings;
        turn.events.push_back(Event::Reloaded);
        tracing::info!(replica = %self.shared.replica, "configuration reloaded");
        self.act(turn);
    }

    /// Replicas are elsewhere.
    pub(super) fn set_addresses(&mut self, addresses: Addresses) {
        if addresses != self.addresses {
            self.gate.replace_roster(addresses.roster());
            self.addresses = addresses;
        }
    }

    /// Ends all links with a goodbye; what still comes in is told to come back later.
    pub(super) fn shutdown(&mut self, turn: &mut Turn<'_, D>) {
        self.stopping = true;
        self.gate.drain();
        self.mesh.shutdown(turn.driver.now());
        self.break_off_dials(turn);
        self.act(turn);
    }

    /// Gives all links to another process, by way of `collector`.
    pub(super) fn hand_over(&mut self, collector: Arc<Collector<D::Stream>>, turn: &mut Turn<'_, D>) {
        if self.stopping {
            return collector.expect(0);
        }
        self.stopping = true;
        tracing::info!(replica = %self.shared.replica, links = self.mesh.links().count(), "handing over");
        self.bring_in_taken(turn);
        // Whoever connects from here on is the successor's.
        self.close_listener(turn);
        self.break_off_dials(turn);
        self.break_off_handshakes(turn);
        collector.expect(self.mesh.links().count());
        self.handing_over = Some(collector);
        self.mesh.hand_over(turn.driver.now());
        self.act(turn);
    }

    fn stop(&mut self, turn: &mut Turn<'_, D>) {
        self.stopped = true;
        self.close_listener(turn);
        self.break_off_handshakes(turn);
        self.shared.set_stopped();
        for shard in 0..self.shared.post.shards() {
            self.tell(shard, Message::Stop);
        }
        tracing::info!(replica = %self.shared.replica, "stopped");
    }

    fn close_listener(&mut self, turn: &mut Turn<'_, D>) {
        if let Some(listener) = self.listener.take() {
            turn.driver.unwatch_listener(&listener);
        }
    }

    fn break_off_dials(&mut self, turn: &mut Turn<'_, D>) {
        self.drop_dials(turn, |_, _, _| false);
    }

    fn break_off_handshakes(&mut self, turn: &mut Turn<'_, D>) {
        self.leaving.clear();
        for (_, accepting) in std::mem::take(&mut self.accepting) {
            self.give_up(accepting, turn);
        }
        self.shared.counters.pending.store(0, Ordering::Relaxed);
    }

    /// Tells a shard something, behind all that it was told before: this one too, through its inbox,
    /// for a link that another shard gives it comes through there as well.
    fn tell(&self, shard: usize, message: Message<D::Stream>) {
        self.shared.post.send(shard, message);
    }

    fn warn(&self, warning: Warning, turn: &mut Turn<'_, D>) {
        tracing::warn!(replica = %self.shared.replica, "{warning}");
        turn.events.push_back(Event::Warning(warning));
    }

    /// Somebody was turned away.
    fn refuse(&self, refusal: Refusal, turn: &mut Turn<'_, D>) {
        self.shared.counters.count_handshake(refusal.status, refusal.by);
        tracing::warn!(
            replica = %self.shared.replica,
            address = %refusal.address,
            peer = refusal.peer.map(|peer| peer.0),
            status = %refusal.status,
            authenticated = refusal.authenticated,
            by = refusal.by.as_str(),
            "rejected: {}",
            refusal.explanation
        );
        turn.events.push_back(Event::Rejected(refusal));
    }

    fn peer_addresses(&self, peer: ReplicaId) -> Vec<SocketAddr> {
        self.addresses.of(peer).to_vec()
    }

    fn handshake_timeout(&self) -> Duration {
        self.settings.config.auth.handshake_timeout
    }
}
