//! A whole cluster, its network and its clock, one step after the other.

use replink_handshake::{App, Key};
use replink_transport::mesh::LEAVE_MAX;

use super::attacker::Attacker;
use super::faults::Cure;
use super::ledger::{Broken, Ledger};
use super::network::{EndId, HostId, MILLISECOND, Network, ProcessId, SECOND};
use super::plan::{Plan, REPLICAS, SETTLING, Settings, secret};
use super::process::{Process, Seen};
use super::rotation::Rotation;
use super::traffic::Traffic;
use crate::random::Random;

/// Polls in one instant: more are a loop without end.
const POLLS_MAX: u32 = 20_000;

/// A busy embedder may keep a node from leaving for this long, besides [`LEAVE_MAX`].
const LEAVE_SLACK: u64 = 8 * SECOND;

/// A whole cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) network: Network,
    pub(super) plan: Plan,
    pub(super) random: Random,
    pub(super) ledger: Ledger,
    pub(super) replicas: Vec<Replica>,
    pub(super) cures: Vec<(u64, Cure)>,
    pub(super) calm_delay: (u64, u64),
    pub(super) rotation: Option<Rotation>,
    /// The secret that is in use, or about to be.
    pub(super) key: u32,
    attacker: Attacker,
    traffic: Traffic,
    next_process: u32,
    next_send: u64,
    next_attack: u64,
    next_fault: u64,
    /// From here on no link may end.
    calm: bool,
}

/// One replica: its settings stay when its process does not.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) settings: Settings,
    pub(super) process: Option<Process>,
    pub(super) restart_at: Option<u64>,
}

impl Cluster {
    /// All replicas, started.
    pub(super) fn new(network: &Network, seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        let (capacity, calm_delay) = {
            let state = network.lock();
            (state.capacity(), state.weather.delay)
        };
        let plan = Plan::new(&mut random, capacity);
        let settings = Settings::new(&mut random);
        let replica = || Replica { settings: settings.clone(), process: None, restart_at: Some(0) };
        let mut cluster = Self {
            network: network.clone(),
            traffic: Traffic::new(&mut random, &plan),
            plan,
            random,
            ledger: Ledger::default(),
            replicas: (0..REPLICAS).map(|_| replica()).collect(),
            cures: Vec::new(),
            calm_delay,
            rotation: None,
            key: 0,
            attacker: Attacker::default(),
            next_process: 0,
            next_send: 0,
            next_attack: 0,
            next_fault: u64::MAX,
            calm: false,
        };
        let plan = format!("{:?} {:?}", cluster.plan, cluster.replicas[0].settings);
        network.lock().note(format_args!("capacity {capacity}, {plan}"));
        cluster.restart(0);
        cluster
    }

    /// The whole run: faults, then peace, then the end.
    pub(super) fn run(&mut self) -> Result<(), Broken> {
        let start = self.random.between(0, 1_000) as u64 * MILLISECOND;
        self.next_fault = start;
        let (least, most) = self.plan.faults_for;
        let peace = start + self.random.between(least, most) as u64 * SECOND;
        self.run_until(peace, |_| false)?;
        self.next_fault = u64::MAX;
        self.make_peace()?;
        let within = self.plan.connected_within();
        let bound = self.now() + within;
        self.run_until(self.now() + SETTLING, |_| false)?;
        if !self.run_until(bound, Self::is_connected)? {
            let live = self.replicas.iter().flat_map(|replica| &replica.process);
            let live: Vec<_> = live.map(|process| self.ledger.live(process.id)).collect();
            return Err(format!("not connected {} ms after the last fault: {live:?}", within / MILLISECOND));
        }
        self.note(format_args!("all are connected"));
        self.calm = true;
        self.run_until(self.now() + 2 * SECOND, |_| false)?;
        self.next_send = u64::MAX;
        if !self.run_until(self.now() + 5 * SECOND, Self::is_drained)? {
            return Err("frames that were accepted do not arrive on links that are up".to_owned());
        }
        self.check_keys()?;
        self.calm = false;
        self.note(format_args!("the end"));
        self.end()
    }

    pub(super) fn now(&self) -> u64 {
        self.network.lock().now()
    }

    pub(super) fn replica(&mut self, host: HostId) -> &mut Replica {
        &mut self.replicas[usize::from(host.0)]
    }

    fn note(&self, what: std::fmt::Arguments<'_>) {
        self.network.lock().note(what);
    }

    /// Lets things happen until `done`, at the latest until `deadline`; whether it was done.
    fn run_until(&mut self, deadline: u64, mut done: impl FnMut(&mut Self) -> bool) -> Result<bool, Broken> {
        let mut polls = 0;
        loop {
            let now = self.now();
            let (due, next) = self.due_shards(now);
            if !due.is_empty() {
                polls += 1;
                if polls > POLLS_MAX {
                    return Err(format!("shards have something to do without end: {due:?}"));
                }
                let (host, index) = due[self.random.below(due.len())];
                self.poll(host, index)?;
                continue;
            }
            polls = 0;
            if self.random.once_in(8) {
                self.check_idle(now)?;
            }
            if done(self) {
                return Ok(true);
            }
            if now >= deadline {
                return Ok(false);
            }
            let agenda = self.agenda();
            let next = [next, self.network.lock().next(), Some(agenda), Some(deadline)];
            let next = next.into_iter().flatten().min().unwrap_or(deadline).max(now);
            self.network.lock().advance(next);
            if agenda <= next {
                self.act(next)?;
            }
        }
    }

    /// The shards that are due, and when the next one is.
    fn due_shards(&self, now: u64) -> (Vec<(HostId, usize)>, Option<u64>) {
        let (mut due, mut next) = (Vec::new(), None);
        for process in self.replicas.iter().flat_map(|replica| &replica.process) {
            for index in 0..process.shards.len() {
                match process.due(index, &self.network, now) {
                    Some(at) if at <= now => due.push((process.host, index)),
                    Some(at) => next = Some(next.map_or(at, |next: u64| next.min(at))),
                    None => {}
                }
            }
        }
        (due, next)
    }

    fn poll(&mut self, host: HostId, index: usize) -> Result<(), Broken> {
        self.note_changes();
        let Some(process) = &mut self.replicas[usize::from(host.0)].process else { return Ok(()) };
        let mut seen = Seen::default();
        process.poll(index, &self.network, &mut self.ledger, &mut seen)?;
        if let Some(reason) = seen.downs.first().filter(|_| self.calm) {
            return Err(format!("a link of {host:?} ended where nothing was wrong: {reason}"));
        }
        if process.is_over() {
            let live = self.ledger.live(process.id);
            if !live.is_empty() {
                return Err(format!("{host:?} has stopped, and never said that these are down: {live:?}"));
            }
            self.bury(host)?;
            let wait = self.random.between(0, 1_000) as u64 * MILLISECOND;
            let restart = self.now() + wait;
            self.replica(host).restart_at = Some(restart);
        }
        Ok(())
    }

    /// When the next thing is to be done to the cluster.
    fn agenda(&self) -> u64 {
        let cures = self.cures.iter().map(|&(until, _)| until);
        let restarts = self.replicas.iter().filter_map(|replica| replica.restart_at);
        let rotation = self.rotation.as_ref().map(|rotation| rotation.next_at);
        let rest = [self.next_send, self.next_attack, self.next_fault];
        cures.chain(restarts).chain(rotation).chain(rest).min().unwrap_or(u64::MAX)
    }

    fn act(&mut self, now: u64) -> Result<(), Broken> {
        self.cure(now);
        self.restart(now);
        if self.rotation.as_ref().is_some_and(|rotation| rotation.next_at <= now) {
            self.rotate();
        }
        if self.next_send <= now {
            self.next_send = now + self.random.between(1, self.plan.send_every) as u64 * MILLISECOND;
            let from = self.random.below(REPLICAS.into());
            if let Some(process) = &self.replicas[from].process {
                let (network, plan) = (&self.network, &self.plan);
                self.traffic.send(process, network, plan, &mut self.random, &mut self.ledger)?;
            }
        }
        if self.next_attack <= now {
            self.next_attack = now + self.random.between(5, self.plan.attack_every) as u64 * MILLISECOND;
            let vacant: Vec<HostId> = (0..REPLICAS)
                .map(HostId)
                .filter(|&host| self.replicas[usize::from(host.0)].process.is_none())
                .collect();
            self.attacker.act(&self.network, &mut self.random, &vacant);
        }
        if self.next_fault <= now {
            self.next_fault = now + self.random.between(10, self.plan.fault_every) as u64 * MILLISECOND;
            self.fail()?;
        }
        Ok(())
    }

    fn restart(&mut self, now: u64) {
        for host in (0..REPLICAS).map(HostId) {
            if self.replica(host).restart_at.is_none_or(|at| at > now) {
                continue;
            }
            self.next_process += 1;
            let id = ProcessId(self.next_process);
            self.network.lock().dark.retain(|&dark| dark != host);
            self.note(format_args!("{host:?} starts as process {}", id.0));
            let settings = &self.replicas[usize::from(host.0)].settings;
            let process = Process::start(&self.network, &self.plan, settings, id, host);
            let replica = self.replica(host);
            (replica.process, replica.restart_at) = (Some(process), None);
        }
    }

    /// The process of `host` is at its end, or dead already.
    pub(super) fn bury(&mut self, host: HostId) -> Result<(), Broken> {
        let Some(process) = self.replica(host).process.take() else { return Ok(()) };
        let id = process.id;
        drop(process);
        self.ledger.forget(id);
        let state = self.network.lock();
        match (state.held_by(id), state.left_of(id)) {
            (0, 0) => Ok(()),
            left => Err(format!("{host:?} is gone, and sockets and connections of it are not: {left:?}")),
        }
    }

    /// Puts the settings of `host` in force.
    pub(super) fn reload(&mut self, host: HostId) {
        let replica = &mut self.replicas[usize::from(host.0)];
        let Some(process) = &mut replica.process else { return };
        process.max_pending = process.max_pending.max(replica.settings.max_pending);
        process.queue_frames = process.queue_frames.max(replica.settings.queue_frames);
        if process.stopping.is_none() {
            process.handle.reload(self.plan.config(&replica.settings)).unwrap();
        }
    }

    fn check_idle(&mut self, now: u64) -> Result<(), Broken> {
        for process in self.replicas.iter().flat_map(|replica| &replica.process) {
            if process.is_idle(&self.network, now) {
                process.check(&self.plan, &mut self.ledger)?;
            }
            let leave = u64::try_from(LEAVE_MAX.as_nanos()).unwrap() + LEAVE_SLACK;
            if process.stopping.is_some_and(|since| now > since + leave) {
                return Err(format!("{:?} does not come to its end", process.host));
            }
        }
        Ok(())
    }

    /// Ends all faults, and whatever has to be gone through until the last of them has ended.
    fn make_peace(&mut self) -> Result<(), Broken> {
        self.cure_all();
        let settled = |cluster: &mut Self| {
            cluster.rotation.is_none()
                && cluster
                    .replicas
                    .iter()
                    .all(|replica| replica.process.as_ref().is_some_and(|process| process.stopping.is_none()))
        };
        if self.run_until(self.now() + 60 * SECOND, settled)? {
            return Ok(());
        }
        Err("the last faults do not end".to_owned())
    }

    /// Whether every pair has every lane, at both ends.
    fn is_connected(&mut self) -> bool {
        let live: Vec<_> = self
            .replicas
            .iter()
            .map(|replica| {
                replica.process.as_ref().map_or(Vec::new(), |process| self.ledger.live(process.id))
            })
            .collect();
        let each = usize::from(self.plan.lanes) * usize::from(REPLICAS - 1);
        let both = |(index, links): (usize, &Vec<_>)| {
            let here = u8::try_from(index).unwrap();
            links.len() == each
                && links.iter().all(|&(peer, lane, _, end): &(replink_frame::ReplicaId, _, _, _)| {
                    live[usize::from(peer.0)]
                        .iter()
                        .any(|&(other, at, _, its)| (other.0, at, its.peer()) == (here, lane, end))
                })
        };
        // One that someone has changed ends yet.
        let state = self.network.lock();
        let is_whole = |&(_, _, _, end): &(_, _, _, EndId)| !state.path.is_changed(end.connection);
        live.iter().enumerate().all(both) && live.iter().flatten().all(is_whole)
    }

    /// Whether all that was accepted has arrived.
    fn is_drained(&mut self) -> bool {
        let processes = self.replicas.iter().flat_map(|replica| &replica.process);
        let mut links = processes.flat_map(|process| self.ledger.live(process.id));
        links.all(|(_, _, _, end)| self.ledger.under_way_from(end) == 0)
    }

    /// No link is left that was made with a key of the past.
    fn check_keys(&self) -> Result<(), Broken> {
        for process in self.replicas.iter().flat_map(|replica| &replica.process) {
            for number in 0..self.key {
                let old = Key::derive(&App::default(), &secret(number)).id();
                let links = process.handle.key_in_use(old);
                if links > 0 {
                    return Err(format!("{links} links of {:?} use key {number}", process.host));
                }
            }
        }
        Ok(())
    }

    /// All are shut down, in peace, with frames under way: none of them is lost (C-3).
    fn end(&mut self) -> Result<(), Broken> {
        for process in self.replicas.iter().flat_map(|replica| &replica.process) {
            for _ in 0..3 {
                let (network, plan) = (&self.network, &self.plan);
                self.traffic.send(process, network, plan, &mut self.random, &mut self.ledger)?;
            }
        }
        self.ledger.in_peace = true;
        let now = self.now();
        for host in (0..REPLICAS).map(HostId) {
            if let Some(process) = &mut self.replica(host).process {
                process.stopping = Some(now);
                process.handle.shutdown();
            }
        }
        let leave = u64::try_from(LEAVE_MAX.as_nanos()).unwrap() + SECOND;
        let gone = |cluster: &mut Self| {
            for replica in &mut cluster.replicas {
                replica.restart_at = None;
            }
            cluster.replicas.iter().all(|replica| replica.process.is_none())
        };
        if self.run_until(now + leave, gone)? {
            return Ok(());
        }
        Err("not all replicas come to their end".to_owned())
    }
}
