//! Which links there are: whom to dial and when, which of two links stays, which ones are dead.
//!
//! A [`Mesh`] is pure. The driver reports what happened, with the time and, where a wait may
//! follow, a random number. It carries out what [`Mesh::next_action`] gives, in that order, and
//! calls [`Mesh::handle_timeout`] when [`Mesh::next_timeout`] has come. A driver's loop:
//!
//! 1. report everything that has happened, bytes that were read before timeouts;
//! 2. [`Mesh::handle_timeout`];
//! 3. carry out every [`Action`];
//! 4. wait for something to happen, at most until [`Mesh::next_timeout`].
//!
//! A driver that was stopped for a while so never takes for silence what it has not read yet.
//!
//! `random` is a number from anywhere in `u64`, each as likely. It spreads waits and is no secret.

mod action;
mod clones;
mod commands;
mod down;
mod events;
mod fencing;
mod jitter;
mod lanes;
mod live;
mod refusal;
mod reload;
mod role;
mod settings;
mod slot;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use replink_frame::{Flags, GoodbyeReason, KeyId, ReplicaId, Version};
use replink_handshake::{Authentication, Peer};

pub use action::{Action, LinkId, MeshWarning};
pub use commands::CommandPolicy;
#[cfg(feature = "blocking")]
pub(crate) use down::owed_for;
pub use down::{DownReason, Loss};
pub use fencing::Verdict;
pub use live::RoundTrip;
pub use role::Role;
pub use settings::{ALIVE_INTERVALS, MeshSettings};

use clones::Clones;
use jitter::Jitter;
use lanes::Lanes;
use live::{Leaving, LinkState};
use slot::Slot;

/// The longest wait that a peer's `retry_after_ms` can ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// How long a link may take to leave (C-3), where there is no `heartbeat_timeout`.
pub const LEAVE_MAX: Duration = Duration::from_secs(5);

/// Over how long the links of a retired key leave, so that not all are made anew in one instant.
pub const RETIRE_SPREAD: Duration = Duration::from_secs(2);

/// When a peer should come back that finds us leaving, in milliseconds.
pub const DRAINING_RETRY_MS: u32 = 1000;

/// The time between two pings while a frame is arriving, where heartbeats are off (C-2): the pings of the peer, if
/// it has some, wait behind that frame.
pub const ARRIVING_INTERVAL: Duration = Duration::from_secs(1);

/// The lane that a probe dials. No replica has it, so a probe in the name of a running replica does
/// not take its link over. Version 1 has no lanes.
pub const PROBE_LANE: u16 = u16::MAX;

/// How long it takes until the same is said again of the same peer, where it goes on.
pub const WARN_AGAIN: Duration = Duration::from_secs(60);

/// Pings of one link that wait for their pong; older ones are forgotten.
pub const PINGS_UNDER_WAY_MAX: usize = 16;

/// The state of all links of one replica. See the [module](self).
pub struct Mesh {
    local: ReplicaId,
    settings: MeshSettings,
    /// What is to be dialed (H-1), by peer and lane.
    slots: BTreeMap<(ReplicaId, u16), Slot>,
    links: BTreeMap<LinkId, LinkState>,
    /// What was said to be missing on links of a peer.
    weaker: BTreeMap<ReplicaId, Flags>,
    clones: Clones,
    lanes: Lanes,
    /// When what was said of whom.
    warned: BTreeMap<(&'static str, ReplicaId, Option<u8>), Instant>,
    actions: VecDeque<Action>,
    stopping: bool,
}

impl Mesh {
    /// The mesh of replica `local`, without a link. What is to be dialed is due at once.
    pub fn new(local: ReplicaId, settings: MeshSettings, now: Instant) -> Self {
        let mut mesh = Self {
            local,
            settings,
            slots: BTreeMap::new(),
            links: BTreeMap::new(),
            weaker: BTreeMap::new(),
            clones: Clones::default(),
            lanes: Lanes::default(),
            warned: BTreeMap::new(),
            actions: VecDeque::new(),
            stopping: false,
        };
        mesh.add_slots(now);
        mesh
    }

    /// The next thing to do. A report adds a few for each link at most; a driver takes them all
    /// before it waits.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Self::handle_timeout`]; may be past. `None` if there is nothing to wait for.
    pub fn next_timeout(&self) -> Option<Instant> {
        let dialed = self.fully_dialed();
        let dials = self.slots.iter().filter(|((peer, _), _)| !dialed.contains_key(peer));
        let dials = dials.filter_map(|(_, slot)| slot.due());
        let links = self.links.values().filter_map(|link| match &link.leaving {
            Some(leaving) => Some(leaving.until),
            None => link.due(&self.settings),
        });
        dials.chain(links).chain(self.lanes.due()).min()
    }

    /// Does what is due. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Instant, random: u64) {
        let mut jitter = Jitter::new(random);
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            self.handle_link_timeout(link, now, &mut jitter);
        }
        for (peer, up) in self.lanes.take_due(now) {
            let lanes = self.settings.lanes;
            self.actions.push_back(Action::Warn(MeshWarning::LanesMissing { peer, up, lanes }));
        }
        let mut dialing = self.dialing();
        for (&(peer, lane), slot) in &mut self.slots {
            let at_once = dialing.entry(peer).or_default();
            if slot.due().is_some_and(|due| due <= now) && *at_once < self.settings.dials_at_once {
                *at_once += 1;
                slot.dial();
                self.actions.push_back(Action::Dial { peer, lane });
            }
        }
    }

    /// On how many lanes each peer is being dialed.
    fn dialing(&self) -> BTreeMap<ReplicaId, usize> {
        let mut dialing = BTreeMap::new();
        for (&(peer, _), _) in self.slots.iter().filter(|(_, slot)| slot.is_dialing()) {
            *dialing.entry(peer).or_default() += 1;
        }
        dialing
    }

    /// The peers of whom no further lane is dialed before one of the others has ended.
    fn fully_dialed(&self) -> BTreeMap<ReplicaId, usize> {
        let mut dialing = self.dialing();
        dialing.retain(|_, at_once| *at_once >= self.settings.dials_at_once);
        dialing
    }

    /// What this mesh is configured with.
    pub fn settings(&self) -> &MeshSettings {
        &self.settings
    }

    /// The link to `peer` on `lane`, if it is up.
    pub fn link(&self, peer: ReplicaId, lane: u16) -> Option<LinkId> {
        let mut up = self.up_links();
        up.find(|(_, link)| link.peer.replica == peer && link.peer.lane == lane).map(|(id, _)| id)
    }

    /// All links that are up, and who is at their other end.
    pub fn links(&self) -> impl Iterator<Item = (LinkId, &Peer)> {
        self.up_links().map(|(id, link)| (id, &link.peer))
    }

    /// What the pings of a link have shown so far.
    pub fn round_trip(&self, link: LinkId) -> Option<RoundTrip> {
        self.links.get(&link)?.round_trip()
    }

    /// How many links are up that were made with this key. A key without any is out of use.
    pub fn key_in_use(&self, key: KeyId) -> usize {
        self.up_links()
            .filter(|(_, link)| link.peer.authentication == Authentication::PreSharedKey(key))
            .count()
    }

    /// Whether the mesh was shut down and its last link is gone.
    pub fn is_finished(&self) -> bool {
        self.stopping && self.links.is_empty()
    }

    fn up_links(&self) -> impl Iterator<Item = (LinkId, &LinkState)> {
        self.links.iter().filter(|(_, link)| link.is_up()).map(|(&id, link)| (id, link))
    }

    /// A slot for every link that is to be dialed and has none yet.
    fn add_slots(&mut self, now: Instant) {
        let settings = &self.settings;
        for &peer in settings.members.keys().filter(|&&peer| peer > self.local) {
            // H-1: the lower id dials.
            for lane in 0..settings.lanes {
                self.slots.entry((peer, lane)).or_insert_with(|| Slot::new(settings, now));
            }
        }
    }

    fn handle_link_timeout(&mut self, id: LinkId, now: Instant, jitter: &mut Jitter) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if let Some(leaving) = &link.leaving {
            if leaving.until <= now {
                self.lose(id, DownReason::Lost(Loss::Ended), now, jitter);
            }
            return;
        }
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let until = link.last_said.map(|(_, until)| until);
        if is_due(link.retire_at) && link.may_be_renewed() {
            link.retire_at = Some(now + self.settings.leave_max()); // if it comes to nothing
            self.renew(id, now);
        } else if is_due(link.retire_at) || is_due(until) {
            let said = link.last_said.map_or(GoodbyeReason::KEY_RETIRED, |(said, _)| said);
            self.leave(id, said, now, jitter);
        } else if is_due(link.renew_at) {
            link.renew_at = None;
            self.renew(id, now);
        } else if link.silent_at(&self.settings).is_some_and(|at| at <= now) {
            let silence = link.silence(now);
            self.lose(id, DownReason::Lost(Loss::Silent(silence)), now, jitter);
        } else if link.take_ping(&self.settings, now) {
            self.actions.push_back(Action::Ping { link: id });
        }
    }

    /// Warns of something that goes on until somebody does something about it: once, and then now and then.
    fn warn(&mut self, warning: MeshWarning, now: Instant) {
        let command = match warning {
            MeshWarning::Denied { command, .. } => Some(command.0),
            _ => None,
        };
        let what = (warning.kind(), warning.peer(), command);
        if self.warned.get(&what).is_none_or(|&warned| warned + WARN_AGAIN <= now) {
            self.warned.insert(what, now);
            self.actions.push_back(Action::Warn(warning));
        }
    }

    /// Links of a peer have come or gone: whether it has as many as there are lanes.
    fn count_lanes(&mut self, peer: ReplicaId, now: Instant) {
        // H-1: of whom we dial ourselves it shows in what the dialing comes to.
        let mut up = 0;
        for (_, link) in self.up_links().filter(|(_, link)| link.peer.replica == peer && peer < self.local) {
            match link.peer.version {
                Version::V1 => return, // H-13: it has one lane
                Version::V2 => up += 1,
            }
        }
        self.lanes.changed(peer, up, &self.settings, now);
    }

    /// Leaves a link that is up: what is queued goes out, then a goodbye, and what comes is delivered until the
    /// peer has said its last (C-3). Only then it is down; its place is free at once.
    fn leave(&mut self, id: LinkId, reason: GoodbyeReason, now: Instant, jitter: &mut Jitter) {
        // Nothing more comes of a link whose peer has said its last.
        let said = self.links.get(&id).and_then(|link| link.last_said);
        self.leave_for(id, reason, said.map(|(said, _)| DownReason::Left(said)), now, jitter);
    }

    /// Has another link made beside this one, which it then takes the place of. Until then this one is up.
    fn renew(&mut self, id: LinkId, now: Instant) -> bool {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.may_be_renewed()) else { return false };
        let slot = self.slots.get_mut(&(link.peer.replica, link.peer.lane));
        link.renewing = slot.is_some_and(|slot| slot.is_up(id) && slot.renew(now));
        link.renewing
    }

    /// The same, where nothing more is delivered: the link is down now, for the reason `down`, if there is one.
    fn leave_for(
        &mut self,
        id: LinkId,
        reason: GoodbyeReason,
        down: Option<DownReason>,
        now: Instant,
        jitter: &mut Jitter,
    ) {
        let Some(link) = self.links.get(&id).filter(|link| link.is_up()) else { return };
        let at_last = match reason {
            GoodbyeReason::SUPERSEDED => DownReason::Superseded,
            _ => DownReason::Ended(reason),
        };
        let peer = link.peer.replica;
        if link.peer.version == Version::V1 {
            return self.lose(id, down.unwrap_or(at_last), now, jitter); // H-13: no goodbye
        }
        self.actions.push_back(Action::Goodbye { link: id, reason });
        match down {
            Some(down) => self.take_down(id, down, now, jitter),
            None => self.vacate(id, now, jitter),
        }
        let until = now + self.settings.leave_max();
        if let Some(link) = self.links.get_mut(&id) {
            link.leaving = Some(Leaving { until, down: down.is_none().then_some(at_last) });
        }
        if reason == GoodbyeReason::KEY_RETIRED {
            self.hurry_slot_of(id, now);
        }
        self.count_lanes(peer, now);
    }

    /// Closes a link, and forgets it.
    fn lose(&mut self, id: LinkId, reason: DownReason, now: Instant, jitter: &mut Jitter) {
        self.actions.push_back(Action::Close { link: id });
        self.take_down(id, reason, now, jitter);
        self.forget(id, now);
    }

    /// A link is over.
    fn forget(&mut self, id: LinkId, now: Instant) {
        if let Some(link) = self.links.remove(&id) {
            self.count_lanes(link.peer.replica, now);
        }
    }

    /// Says that a link is down, once: for this reason, or for the one that it leaves for.
    fn take_down(&mut self, id: LinkId, reason: DownReason, now: Instant, jitter: &mut Jitter) {
        if let Some((_, action)) = self.down(id, reason) {
            self.actions.push_back(action);
            self.vacate(id, now, jitter);
        }
    }

    /// The same of a link of which all was delivered. Where another one has its place, none is down.
    fn take_down_in_peace(&mut self, id: LinkId, reason: DownReason, now: Instant, jitter: &mut Jitter) {
        let Some(((peer, lane), down)) = self.down(id, reason) else { return };
        self.actions.push_back(match self.link(peer, lane).filter(|&by| by != id) {
            Some(by) => Action::Renewed { link: id, peer, lane, by },
            None => down,
        });
        self.vacate(id, now, jitter);
    }

    /// Where a link was, and what is to be said of it, unless that was.
    fn down(&mut self, id: LinkId, reason: DownReason) -> Option<((ReplicaId, u16), Action)> {
        let link = self.links.get_mut(&id)?;
        let reason = match &mut link.leaving {
            None => Some(reason),
            Some(leaving) => leaving.down.take(),
        }?;
        let (peer, lane) = (link.peer.replica, link.peer.lane);
        Some(((peer, lane), Action::Down { link: id, peer, lane, reason }))
    }

    /// The link's place is free, and is to be dialed anew if that is ours to do.
    fn vacate(&mut self, id: LinkId, now: Instant, jitter: &mut Jitter) {
        let Some(link) = self.links.get(&id).filter(|link| link.is_up()) else { return };
        let slot = self.slots.get_mut(&(link.peer.replica, link.peer.lane));
        if let Some(slot) = slot.filter(|slot| slot.is_up(id)) {
            if link.up_for(&self.settings, now) >= self.settings.stay_up_min() {
                slot.stayed_up();
            }
            slot.back_off(now, jitter);
        }
    }

    /// The link that has just gone may be made anew at once.
    fn hurry_slot_of(&mut self, id: LinkId, now: Instant) {
        let Some(link) = self.links.get(&id) else { return };
        if let Some(slot) = self.slots.get_mut(&(link.peer.replica, link.peer.lane)) {
            slot.hurry(now);
        }
    }
}

impl std::fmt::Debug for Mesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mesh")
            .field("local", &self.local)
            .field("links", &self.links.keys())
            .field("stopping", &self.stopping)
            .finish_non_exhaustive()
    }
}
