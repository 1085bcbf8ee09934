//! What shard 0 does besides: it lets connections in, dials, and decides which links there are.
//!
//! The decisions are the [gate](crate::gate)'s and the [mesh](crate::mesh)'s; this is the part that
//! carries them out.

mod accepting;
mod acting;
mod dialing;
mod driving;
mod handshakes;
mod names;
mod refusals;
mod telling;
mod turns;
mod unauthenticated;
mod unreachable;
mod vanishing;
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
use super::event::{Event, Refusal, RejectedBy, Reloaded, Warning};
use super::inbox::{Message, Report};
use super::link::{OpenLink, SharedLink};
use super::settings::Settings;
use super::shared::Shared;
use super::stats::Counted;
use crate::driver::{AcceptErrors, Driver, Registration, Socket, Token};
use crate::exchange::VersionOneKeys;
use crate::gate::{Gate, Terms};
use crate::mesh::{DownReason, LinkId, Mesh};
use crate::unanswered::Unanswered;
use handshakes::{Handshakes, Stage};
use names::Names;
use refusals::Refusals;
use turns::Turns;
use unreachable::Unreachable;
use visiting::Visitor;

/// The listener's token. Connections are numbered from behind it.
const LISTENER: Token = Token(0);

pub(in crate::node) struct Control<D: Driver> {
    shared: Arc<Shared<D::Socket>>,
    settings: Arc<Settings>,
    addresses: Addresses,
    placement: Placement,
    gate: Gate,
    mesh: Mesh,
    listening: Option<Listening<D>>,
    accept_errors: AcceptErrors,
    /// Until when the listener is left alone.
    accept_pause: Option<Instant>,
    handshakes: Handshakes<D::Socket>,
    /// With which keys dialers of version 1 are answered (K-2).
    version_one_keys: Arc<VersionOneKeys>,
    /// The link that has just proved its peer, until the mesh has said that it is up.
    arrived: Option<Arrived<D::Socket>>,
    /// Links that another process had, and that are to come up here with the first turn; none after it.
    taken: Option<Vec<OpenLink<D::Socket>>>,
    /// Where the links go that are handed over, once they are.
    handing_over: Option<Arc<Collector<D::Socket>>>,
    /// All links that are not both down and over.
    links: BTreeMap<LinkId, Known<D::Socket>>,
    turns: Turns,
    visitors: BTreeMap<LinkId, Visitor<D::Socket>>,
    refusals: Refusals,
    unreachable: Unreachable,
    names: Names,
    /// When it is looked next whether a peer has vanished.
    look_at: Option<Instant>,
    /// When it was said last that this node migrates.
    migrating_said: Option<Instant>,
    next_token: u64,
    placed: usize,
    stopping: bool,
    stopped: bool,
}

/// Where connections come in.
struct Listening<D: Driver> {
    registration: Registration,
    /// Open for as long as it is registered.
    _listener: D::Listener,
}

/// A link that the mesh has said is up.
struct Known<S> {
    shared: Arc<SharedLink<S>>,
    standing: Standing,
    /// What of it is in the counts of links that are no longer up.
    counted: Counted,
    unanswered: Unanswered,
}

/// How far a link is on its way from up to gone. One that is both down and over is forgotten.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Up,
    /// The mesh has said that it is down, and its connection has yet to end.
    Down,
    /// Its connection has ended, and the mesh has yet to say that it is down.
    Over,
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
        shared: Arc<Shared<D::Socket>>,
        placement: Placement,
        listener: D::Listener,
        taken: Vec<OpenLink<D::Socket>>,
        driver: &mut D,
    ) -> std::io::Result<Self> {
        let registration = driver.listen(LISTENER, &listener)?;
        let settings = shared.settings();
        let addresses = Addresses::configured(&settings.config, shared.replica, &Addresses::default());
        let gate = Gate::new(Terms::from(&settings.config.auth), addresses.roster());
        let mesh = Mesh::new(shared.replica, settings.mesh.clone(), driver.now());
        Ok(Self {
            shared,
            settings,
            addresses,
            placement,
            gate,
            mesh,
            listening: Some(Listening { registration, _listener: listener }),
            accept_errors: AcceptErrors::default(),
            accept_pause: None,
            handshakes: Handshakes::new(),
            version_one_keys: Arc::default(),
            arrived: None,
            taken: Some(taken),
            handing_over: None,
            links: BTreeMap::new(),
            turns: Turns::default(),
            visitors: BTreeMap::new(),
            refusals: Refusals::default(),
            unreachable: Unreachable::default(),
            names: Names::default(),
            look_at: None,
            migrating_said: None,
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

    /// A shard says what happened on a link.
    pub(super) fn report(&mut self, link: LinkId, report: Report, turn: &mut Turn<'_, D>) {
        let (now, random) = (turn.driver.now(), turn.driver.random());
        match report {
            Report::Pong => {
                let Some(known) = self.links.get(&link) else { return };
                self.mesh.pong(link, known.shared.place.take_echo(), now);
                if let Some(round_trip) = self.mesh.round_trip(link) {
                    known.shared.set_round_trip(round_trip);
                    self.shared.counters.round_trips.count(round_trip.last);
                }
            }
            Report::Arriving => self.mesh.arriving(link, true, now),
            Report::Goodbye(reason) => {
                self.answer_visitor(link, reason);
                self.mesh.goodbye(link, reason, now, random);
            }
            Report::AtFault(reason) => {
                self.hear_all(now);
                if let Some(owed) = reason.owed() {
                    self.answer_visitor(link, owed);
                }
                self.mesh.at_fault(link, reason, now, random);
            }
            Report::Quiet => self.quiet(link),
            Report::Ended(reason) => {
                if let DownReason::Rejected(reject) = reason {
                    self.rejected_late(link, reject, turn); // H-9
                }
                self.hear_all(now);
                self.mesh.closed(link, reason, now, random);
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
            self.hear_all(now);
            self.excuse_busy_shards(now);
            self.mesh.handle_timeout(now, turn.driver.random());
        }
        self.end_vanished(turn);
        self.warn_of_migrating(now, turn);
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
        let accept = self.accept_pause;
        let handshakes = self.handshakes.next_due();
        let visitors = self.next_visitor_timeout();
        let due =
            [accept, handshakes, visitors, self.look_at, self.migrating_due(), self.mesh.next_timeout()];
        // Nothing is accepted before the first turn, so nothing would bring it about.
        let first = self.taken.is_some().then_some(now);
        due.into_iter().flatten().chain(self.refusals.due()).chain(first).min()
    }

    /// What the links' owners have seen.
    fn hear_all(&mut self, now: Instant) {
        let nanos = self.shared.nanos(now);
        for (&id, known) in &self.links {
            let place = &known.shared.place;
            self.mesh.heard(id, self.shared.instant(place.heard(nanos)));
            if self.mesh.settings().heartbeat_interval.is_zero() {
                self.mesh.arriving(id, place.is_arriving(), now);
            }
        }
    }

    /// What a shard has not looked at, because its embedder is at work, is not silence; nor is it a proof against
    /// a newcomer (C-1). It is woken:
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
        authenticated: Authenticated<D::Socket>,
        address: SocketAddr,
        began: Instant,
        turn: &mut Turn<'_, D>,
    ) {
        self.shared.counters.count_handshake(Status::OK, RejectedBy::Us);
        let took = turn.driver.now().saturating_duration_since(began);
        self.shared.counters.handshake_times.count(took);
        let open = OpenLink::new(authenticated, self.settings.endpoint.outbound_limits());
        self.bring_in(token, open, address, turn);
    }

    /// Here is a link that has proved its peer; the mesh says whether it comes up.
    fn bring_in(
        &mut self,
        token: Token,
        open: OpenLink<D::Socket>,
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
        let Some(links) = self.taken.take() else { return };
        self.look_up_all(turn); // the first turn
        for open in links {
            let token = self.new_token();
            let address = open.socket.peer_address();
            self.bring_in(token, open, address, turn);
        }
    }

    /// Puts a new configuration in force.
    pub(super) fn reload(&mut self, settings: Arc<Settings>, turn: &mut Turn<'_, D>) {
        let terms = Terms::from(&settings.config.auth);
        // Only what has changed: another key, for instance, is no reason to forget who is proven.
        if terms != Terms::from(&self.settings.config.auth) || settings.mesh.keys != self.settings.mesh.keys {
            self.gate.replace_terms(terms);
        }
        let addresses = Addresses::configured(&settings.config, self.shared.replica, &self.addresses);
        if addresses != self.addresses {
            self.gate.replace_roster(addresses.roster());
            self.addresses = addresses;
            self.forget_names();
        }
        self.look_up_all(turn);
        self.mesh.reconfigure(settings.mesh.clone(), turn.driver.now(), turn.driver.random());
        self.hear_all(turn.driver.now()); // what is arriving may matter now (C-2)
        self.watch_all(turn.driver.now());
        self.drop_dials(|mesh, peer, lane| mesh.settings().has_place(peer, lane));
        self.unreachable.retain(|peer, lane| settings.mesh.has_place(peer, lane));
        self.shared.counters.retain_lives(|peer, lane| settings.mesh.has_place(peer, lane));
        let changed = self.settings.config.changed(&settings.config);
        self.shared.set_settings(Arc::clone(&settings));
        self.settings = settings;
        tracing::info!(replica = %self.shared.replica, changed = changed.join(", "), "configuration reloaded");
        turn.events.push_back(Event::Reloaded(Reloaded { changed }));
        self.act(turn);
    }

    /// Ends all links with a goodbye; what still comes in is told to come back later.
    pub(super) fn shutdown(&mut self, turn: &mut Turn<'_, D>) {
        self.stopping = true;
        self.gate.drain();
        self.mesh.shutdown(turn.driver.now());
        self.drop_dials(|_, _, _| false);
        self.act(turn);
    }

    /// Gives all links to another process, by way of `collector`.
    pub(super) fn hand_over(&mut self, collector: Arc<Collector<D::Socket>>, turn: &mut Turn<'_, D>) {
        if self.stopping {
            return collector.expect(0);
        }
        self.stopping = true;
        tracing::info!(replica = %self.shared.replica, links = self.mesh.links().count(), "handing over");
        self.bring_in_taken(turn);
        // Whoever connects from here on is the successor's.
        self.close_listener(turn);
        self.drop_dials(|_, _, _| false);
        self.break_off_handshakes();
        collector.expect(self.mesh.links().count());
        self.handing_over = Some(collector);
        self.mesh.hand_over(turn.driver.now());
        self.act(turn);
    }

    fn stop(&mut self, turn: &mut Turn<'_, D>) {
        self.stopped = true;
        self.close_listener(turn);
        self.break_off_handshakes();
        self.shared.set_stopped();
        for shard in 0..self.shared.post.shards() {
            self.tell(shard, Message::Stop);
        }
        tracing::info!(replica = %self.shared.replica, "stopped");
    }

    fn close_listener(&mut self, turn: &mut Turn<'_, D>) {
        if let Some(Listening { registration, .. }) = self.listening.take() {
            // Nothing is accepted from here on: whoever listens next is to get it.
            turn.driver.release(registration);
        }
    }

    fn break_off_handshakes(&mut self) {
        for handshake in self.handshakes.take_all(|_| true) {
            if let Stage::Accepting { caller, .. } | Stage::Leaving { caller, .. } = handshake.stage {
                self.gate.release(caller.slot);
            }
        }
        self.shared.counters.pending.store(0, Ordering::Relaxed);
    }

    /// Tells a shard something, behind all that it was told before: this one too, through its inbox,
    /// for a link that another shard gives it comes through there as well.
    fn tell(&self, shard: usize, message: Message<D::Socket>) {
        self.shared.post.send(shard, message);
    }

    fn peer_addresses(&self, peer: ReplicaId) -> Vec<SocketAddr> {
        self.addresses.of(peer).to_vec()
    }

    fn handshake_timeout(&self) -> Duration {
        self.settings.config.auth.handshake_timeout
    }
}
