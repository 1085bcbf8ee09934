//! One established link, as the mesh knows it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use replink_frame::{GoodbyeReason, Version};
use replink_handshake::{Peer, Side};

use super::{ARRIVING_INTERVAL, DownReason, MeshSettings, PINGS_UNDER_WAY_MAX};

/// One established link.
pub(super) struct LinkState {
    pub(super) peer: Peer,
    pub(super) address: SocketAddr,
    since: Instant,
    heard: Instant,
    /// The last time at which the peer was demonstrably there: its handshake, or the taking over of the link
    /// from another process, or when the last ping was sent that it has answered (C-1).
    proved: Instant,
    pings: Pings,
    /// Another process that was turned away for the sake of this one, and when: it is accused once this one has
    /// answered a ping that was sent since.
    rival: Option<(SocketAddr, Instant)>,
    /// Whether a frame has come in part.
    arriving: bool,
    /// When it leaves, because its key is retired; or when another one is to be made in its place, if this end dials.
    pub(super) retire_at: Option<Instant>,
    /// When another one is to be made in its place, because of its age.
    pub(super) renew_at: Option<Instant>,
    /// Whether another one is being made in its place.
    pub(super) renewing: bool,
    /// The peer has said its last, because of its key or since another link is on its way. This end may still send, until
    /// that one has its place, or until then.
    pub(super) last_said: Option<(GoodbyeReason, Instant)>,
    /// Set once it takes its leave. It is no longer up then.
    pub(super) leaving: Option<Leaving>,
}

/// A link on its way out (C-3).
pub(super) struct Leaving {
    /// For how long it may take.
    pub(super) until: Instant,
    /// What is said of it once nothing more is delivered; `None` when it was.
    pub(super) down: Option<DownReason>,
}

/// What a link's pings have shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RoundTrip {
    /// The last one.
    pub last: Duration,
    /// The average of all, where each new one counts an eighth.
    pub smoothed: Duration,
}

impl RoundTrip {
    /// What a first ping shows that took `last`.
    pub fn new(last: Duration) -> Self {
        Self { last, smoothed: last }
    }
}

fn can_be_renewed(peer: &Peer) -> bool {
    peer.side == Side::Dialer && peer.version == Version::V2
}

/// When a link that came up at `since` is too old.
fn renew_at(peer: &Peer, settings: &MeshSettings, since: Instant) -> Option<Instant> {
    let age = settings.link_max_age;
    // No more often than a link that comes and goes is dialed.
    (can_be_renewed(peer) && !age.is_zero()).then(|| since + age.max(settings.stay_up_min()))
}

#[derive(Default)]
struct Pings {
    next: Option<Instant>,
    /// Whether there is one each interval; else it takes a frame that is arriving.
    regular: bool,
    /// Counters of the pings that wait for a pong, ascending, and when they were sent.
    under_way: VecDeque<(u64, Instant)>,
    round_trip: Option<RoundTrip>,
    /// The shortest one. Whoever holds pongs back makes others longer, and never this one.
    shortest: Duration,
}

impl LinkState {
    /// `spread` is by how much a link is made anew before its time, so that not all are at once.
    pub(super) fn new(
        peer: Peer,
        address: SocketAddr,
        settings: &MeshSettings,
        spread: Duration,
        now: Instant,
    ) -> Self {
        let next = settings.pings(&peer).then(|| now + settings.heartbeat_interval);
        Self {
            peer,
            address,
            since: now,
            heard: now,
            proved: now,
            pings: Pings { next, regular: settings.pings(&peer), ..Pings::default() },
            rival: None,
            arriving: false,
            retire_at: None,
            renew_at: renew_at(&peer, settings, now).map(|at| at.checked_sub(spread).unwrap_or(at)),
            renewing: false,
            last_said: None,
            leaving: None,
        }
    }

    /// Whether this end can make another link in its place: the lower id dials (H-1), and version 1 has no goodbye
    /// that says what is the last of a link (H-13).
    pub(super) fn may_be_renewed(&self) -> bool {
        can_be_renewed(&self.peer) && !self.renewing && self.is_up()
    }

    /// When something is due, or the peer has been silent for too long.
    pub(super) fn due(&self, settings: &MeshSettings) -> Option<Instant> {
        let said = self.last_said.map(|(_, until)| until);
        [self.ping_at(), self.silent_at(settings), self.retire_at, self.renew_at, said]
            .into_iter()
            .flatten()
            .min()
    }

    /// Up: established, and not on its way out.
    pub(super) fn is_up(&self) -> bool {
        self.leaving.is_none()
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = self.heard.max(now);
    }

    pub(super) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard)
    }

    /// How long the link has demonstrably been up. One that is silent until it times out never
    /// was.
    pub(super) fn up_for(&self, settings: &MeshSettings, now: Instant) -> Duration {
        let until = if settings.pings(&self.peer) { self.heard } else { now };
        until.saturating_duration_since(self.since)
    }

    /// Whether the link stays against a newcomer that has proved itself (C-1). What was heard does not speak
    /// for it, sealed or not: someone may have held it back since the peer died.
    pub(super) fn is_alive(&self, settings: &MeshSettings, now: Instant) -> bool {
        let window = settings.alive_window() + self.pings.shortest.min(settings.heartbeat_timeout);
        self.is_up() && settings.pings(&self.peer) && now.saturating_duration_since(self.proved) <= window
    }

    /// When the peer will have been silent for too long.
    pub(super) fn silent_at(&self, settings: &MeshSettings) -> Option<Instant> {
        (settings.pings(&self.peer) && self.last_said.is_none())
            .then(|| self.heard + settings.heartbeat_timeout)
    }

    pub(super) fn ping_at(&self) -> Option<Instant> {
        self.pings.next
    }

    /// Whether it is time for a ping; the next one is an interval from now, however late this one
    /// is. Where heartbeats are off it is only while a frame is arriving (C-2).
    pub(super) fn take_ping(&mut self, settings: &MeshSettings, now: Instant) -> bool {
        let due = self.pings.next.is_some_and(|next| next <= now);
        if due {
            self.pings.next = self.ping_interval(settings).map(|interval| now + interval);
        }
        due
    }

    /// How long from one ping to the next, if there is to be one.
    fn ping_interval(&self, settings: &MeshSettings) -> Option<Duration> {
        match self.peer.version {
            Version::V2 if self.last_said.is_some() => None, // nobody would answer
            Version::V2 if settings.pings(&self.peer) => Some(settings.heartbeat_interval),
            Version::V2 if self.arriving => Some(ARRIVING_INTERVAL),
            _ => None,
        }
    }

    /// Whether a frame has come in part.
    pub(super) fn set_arriving(&mut self, arriving: bool, settings: &MeshSettings, now: Instant) {
        if std::mem::replace(&mut self.arriving, arriving) != arriving {
            self.schedule_ping(settings, now);
        }
    }

    /// No later than in an interval, as it is now.
    fn schedule_ping(&mut self, settings: &MeshSettings, now: Instant) {
        let latest = self.ping_interval(settings).map(|interval| now + interval);
        self.pings.next = latest.map(|latest| self.pings.next.map_or(latest, |next| next.min(latest)));
    }

    /// The interval may have changed.
    pub(super) fn retune(&mut self, settings: &MeshSettings, now: Instant) {
        let pinged = std::mem::replace(&mut self.pings.regular, settings.pings(&self.peer));
        if !pinged && self.pings.regular {
            self.heard = now; // Nobody was asked so far, so nobody had to answer.
        }
        self.schedule_ping(settings, now);
        self.renew_at = renew_at(&self.peer, settings, self.since).filter(|_| !self.renewing);
    }

    /// The peer has said its last, and another link is being made.
    pub(super) fn let_be_renewed(&mut self, reason: GoodbyeReason, settings: &MeshSettings, now: Instant) {
        self.renewing = true;
        self.last_said = Some((reason, now + settings.leave_max()));
        (self.retire_at, self.renew_at) = (None, None);
        self.pings.next = None;
    }

    pub(super) fn pinged(&mut self, counter: u64, now: Instant) {
        if self.pings.under_way.len() == PINGS_UNDER_WAY_MAX {
            self.pings.under_way.pop_front();
        }
        self.pings.under_way.push_back((counter, now));
    }

    pub(super) fn pong(&mut self, echo: u64, now: Instant) {
        let under_way = &mut self.pings.under_way;
        // An echo that fits no ping is no answer.
        let Some(index) = under_way.iter().position(|&(counter, _)| counter == echo) else { return };
        let (_, sent) = under_way[index];
        // It also answers for the pings before: their pongs were lost to a slow peer.
        under_way.drain(..=index);
        self.heard(now);
        self.proved = self.proved.max(sent); // C-1: whatever has come since may have been held back
        let last = now.saturating_duration_since(sent);
        let (smoothed, shortest) = match self.pings.round_trip {
            Some(before) => {
                ((before.smoothed.saturating_mul(7).saturating_add(last)) / 8, self.pings.shortest.min(last))
            }
            None => (last, last),
        };
        self.pings.shortest = shortest;
        self.pings.round_trip = Some(RoundTrip { last, smoothed });
    }

    /// Another process was turned away, since this one is alive as far as is known. It may have died just now.
    pub(super) fn set_rival(&mut self, address: SocketAddr, now: Instant) {
        self.rival.get_or_insert((address, now));
    }

    /// The other process, once there are two without doubt.
    pub(super) fn take_proved_rival(&mut self) -> Option<SocketAddr> {
        let proved = self.proved;
        self.rival.take_if(|&mut (_, since)| proved >= since).map(|(address, _)| address)
    }

    pub(super) fn round_trip(&self) -> Option<RoundTrip> {
        self.pings.round_trip
    }
}
