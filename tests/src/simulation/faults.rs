//! What goes wrong, and when it is well again.

use super::cluster::Cluster;
use super::ledger::Broken;
use super::network::{AcceptError, HostId, LITTLE_LATE, MILLISECOND, SECOND, host_pairs};
use super::plan::REPLICAS;

/// What ends a fault.
#[derive(Clone, Debug)]
pub(super) enum Cure {
    Delay,
    Unblock(Vec<(HostId, HostId)>),
    Connects,
    Operations,
    Registrations,
    Roster(HostId),
}

impl Cluster {
    /// One thing goes wrong.
    pub(super) fn fail(&mut self) -> Result<(), Broken> {
        let host = HostId(u8::try_from(self.random.below(REPLICAS.into())).unwrap());
        let until = self.now() + self.random.between(50, 4_000) as u64 * MILLISECOND;
        match self.random.below(25) {
            0 | 1 => self.spike(until),
            2..=4 => self.partition(host, until),
            5 | 6 => self.cut(),
            7 => self.crash(host, false)?,
            8 => self.crash(host, true)?,
            9 => self.shut_down(host),
            10 => self.begin_rotation(),
            11 => self.drop_from_roster(host, until),
            12 => self.change_limits(host),
            13 | 14 => self.move_link(host),
            15 => self.keep_busy(host),
            16 => self.slow_down(host, until),
            17 => self.break_accept(host),
            18 => self.break_connects(until),
            19 => self.delay_operations(until),
            20 => self.break_registrations(until),
            21..=23 => self.change_on_the_way(),
            _ => {
                self.move_link(host);
                self.keep_busy(host);
            }
        }
        Ok(())
    }

    fn met(&mut self, what: &'static str) {
        let mut state = self.network.lock();
        state.trace.count(what);
        state.note(format_args!("fault: {what}"));
    }

    fn spike(&mut self, until: u64) {
        self.met("delays");
        self.network.lock().weather.delay = (10 * MILLISECOND, 400 * MILLISECOND);
        self.cures.push((until, Cure::Delay));
    }

    fn partition(&mut self, host: HostId, until: u64) {
        let (name, pairs): (_, Vec<_>) = match self.random.below(3) {
            0 => ("one pair is apart", host_pairs(host).into_iter().take(2).collect()),
            1 => ("one replica is apart", host_pairs(host)),
            _ => ("one direction is gone", host_pairs(host).into_iter().take(1).collect()),
        };
        self.met(name);
        self.network.lock().weather.blocked.extend(pairs.iter().copied());
        self.cures.push((until, Cure::Unblock(pairs)));
    }

    fn cut(&mut self) {
        let established = self.network.lock().established();
        if !established.is_empty() {
            self.met("reset");
            let which = established[self.random.below(established.len())];
            self.network.lock().cut(which);
        }
    }

    fn crash(&mut self, host: HostId, silently: bool) -> Result<(), Broken> {
        let Some(process) = &self.replica(host).process else { return Ok(()) };
        let id = process.id;
        self.met(if silently { "machine vanishes" } else { "process dies" });
        let mut state = self.network.lock();
        if silently {
            state.dark.push(host);
        }
        state.kill(id, silently);
        drop(state);
        self.bury(host)?;
        let away = if silently { self.plan.vanishes_for } else { 3_000 };
        let restart = self.now() + self.random.between(0, away) as u64 * MILLISECOND;
        self.replica(host).restart_at = Some(restart);
        Ok(())
    }

    fn shut_down(&mut self, host: HostId) {
        let now = self.now();
        if let Some(process) =
            self.replica(host).process.as_mut().filter(|process| process.stopping.is_none())
        {
            process.stopping = Some(now);
            process.handle.shutdown();
            self.met("shut down");
        }
    }

    fn drop_from_roster(&mut self, host: HostId, until: u64) {
        let other = HostId((host.0 + 1) % REPLICAS);
        if self.replica(host).settings.without.is_none() {
            self.met("roster changes");
            self.replica(host).settings.without = Some(other);
            self.reload(host);
            self.cures.push((until, Cure::Roster(host)));
        }
    }

    fn change_limits(&mut self, host: HostId) {
        self.met("limits change");
        let mut settings = self.replica(host).settings.clone();
        settings.change_limits(&mut self.random);
        self.replica(host).settings = settings;
        self.reload(host);
    }

    fn move_link(&mut self, host: HostId) {
        let Some(process) = &self.replicas[usize::from(host.0)].process else { return };
        let links = process.handle.stats().links;
        if !links.is_empty() {
            let link = links[self.random.below(links.len())].link;
            // Perhaps to where it is, or to a shard that does not exist.
            let to = self.random.below(process.shards.len() + 1);
            process.handle.move_link(link, to);
            self.met("link is asked to move");
        }
    }

    fn keep_busy(&mut self, host: HostId) {
        let until = self.now() + self.random.pick(&[20, 200, 1_000, 3_000]) * MILLISECOND;
        let which = self.random.below(3);
        if let Some(process) = &mut self.replica(host).process {
            let shards = process.shards.len();
            process.shards[which % shards].busy_until = until;
            self.met("embedder is busy");
        }
    }

    fn slow_down(&mut self, host: HostId, until: u64) {
        let which = self.random.below(3);
        if let Some(process) = &mut self.replica(host).process {
            let shards = process.shards.len();
            process.shards[which % shards].slow_until = until;
            self.met("embedder is slow");
        }
    }

    fn break_accept(&mut self, host: HostId) {
        self.met("accept fails");
        let times = self.random.between(1, 7);
        let error = self.random.pick(&[AcceptError::OutOfFiles, AcceptError::Aborted]);
        self.network.lock().break_accept(host, error, times);
    }

    fn break_connects(&mut self, until: u64) {
        self.met("connects fail");
        let mut state = self.network.lock();
        (state.weather.refuses, state.weather.swallows) = (3, 3);
        drop(state);
        self.cures.push((until, Cure::Connects));
    }

    fn delay_operations(&mut self, until: u64) {
        self.met("operations are late");
        self.network.lock().weather.lateness = LATE;
        self.cures.push((until, Cure::Operations));
    }

    fn break_registrations(&mut self, until: u64) {
        self.met("registrations fail");
        self.network.lock().weather.turns_down = 4;
        self.cures.push((until, Cure::Registrations));
    }

    /// Faults whose time is over end.
    pub(super) fn cure(&mut self, now: u64) {
        let (over, left) = std::mem::take(&mut self.cures).into_iter().partition(|&(until, _)| until <= now);
        self.cures = left;
        let over: Vec<(u64, Cure)> = over;
        for (_, cure) in over {
            let mut state = self.network.lock();
            state.note(format_args!("cure: {cure:?}"));
            match cure {
                Cure::Delay => state.weather.delay = self.calm_delay,
                Cure::Unblock(pairs) => pairs.iter().for_each(|pair| {
                    state.weather.blocked.remove(pair);
                }),
                Cure::Connects => (state.weather.refuses, state.weather.swallows) = (0, 0),
                Cure::Operations => state.weather.lateness = LITTLE_LATE,
                Cure::Registrations => state.weather.turns_down = 0,
                Cure::Roster(host) => {
                    drop(state);
                    self.replica(host).settings.without = None;
                    self.reload(host);
                }
            }
        }
    }

    /// Nothing is wrong any more, except what the faults have left behind.
    pub(super) fn cure_all(&mut self) {
        self.cure(u64::MAX);
        let now = self.now();
        let mut state = self.network.lock();
        state.mend_accept();
        state.path.disarm();
        drop(state);
        for replica in &mut self.replicas {
            replica.restart_at = replica.restart_at.map(|_| now);
            let slots = replica.process.iter_mut().flat_map(|process| &mut process.shards);
            slots.for_each(|slot| (slot.busy_until, slot.slow_until) = (now, now));
        }
    }
}

/// Of so many operations one is late, and for so many nanoseconds at most, while that is a fault.
const LATE: (usize, usize) = (2, 100_000_000);

/// How long a rotation waits between its two steps: no handshake under way goes on that long.
pub(super) const ROTATION_GAP: u64 = 4 * SECOND;
