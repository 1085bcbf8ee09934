//! A network that exists only in memory, with its clock: bytes are under way for a time that the
//! seed says, and everything that becomes ready is told once.

mod connecting;
mod connection;
mod happening;
mod operations;
mod pipe;
mod poller;
mod streams;
mod user_timeout;
mod weather;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use replink_transport::driver::Readiness;
use replink_transport::driver::seam::Token;

pub(super) use self::connecting::AcceptError;

use self::connection::{Connection, Progress};
use self::happening::Happening;
use self::operations::Table;
use self::poller::Poller;
use self::weather::Weather;
use super::plan::REPLICAS;
use super::trace::Trace;
use crate::random::Random;

/// Nanoseconds of virtual time.
pub(super) const MILLISECOND: u64 = 1_000_000;
/// Nanoseconds of virtual time.
pub(super) const SECOND: u64 = 1_000 * MILLISECOND;

/// How long after bytes that did not get through they are sent again.
const RESEND: u64 = 150 * MILLISECOND;

/// A machine: one of the replicas', or an attacker's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct HostId(pub(super) u8);

/// One life of a replica. Never given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ProcessId(pub(super) u32);

/// The driver of one shard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct DriverId(pub(super) usize);

/// One end of a connection: 0 connected, 1 accepted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct EndId {
    pub(super) connection: u64,
    pub(super) side: usize,
}

impl EndId {
    /// The other end.
    pub(super) fn peer(self) -> Self {
        Self { side: 1 - self.side, ..self }
    }
}

/// The network, for all drivers.
#[derive(Clone, Debug)]
pub(super) struct Network(Arc<Mutex<State>>);

/// Everything there is.
#[derive(Debug)]
pub(super) struct State {
    now: u64,
    base: Instant,
    pub(super) random: Random,
    pub(super) weather: Weather,
    pub(super) trace: Trace,
    timeline: BTreeMap<(u64, u64), Happening>,
    happenings: u64,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    listeners: BTreeMap<HostId, Listener>,
    next_listener: u64,
    /// Machines that answer nothing.
    pub(super) dark: Vec<HostId>,
    pollers: Vec<Poller>,
    tables: BTreeMap<DriverId, Table>,
    registrations: u64,
    /// Blocks that the shards of each process have and their drivers gave.
    blocks: BTreeMap<ProcessId, usize>,
    /// What the processes' drivers watch: a link's number is its token.
    tokens: BTreeMap<(ProcessId, Token), EndId>,
    capacity: usize,
    /// Streams in the hands of each process.
    held: BTreeMap<ProcessId, usize>,
    /// The first bytes of both directions of connections between replicas.
    pub(super) overheard: Vec<[Vec<u8>; 2]>,
    /// Whether connections have a user timeout (`TCP_USER_TIMEOUT`).
    pub(super) user_timeouts: bool,
}

/// Where connections wait to be accepted.
#[derive(Debug)]
struct Listener {
    number: u64,
    process: Option<ProcessId>,
    backlog: VecDeque<u64>,
    errors: VecDeque<AcceptError>,
    watched: Option<(DriverId, Token)>,
}

impl Network {
    pub(super) fn new(seed: u64, trace: Trace) -> Self {
        let mut random = Random::new(seed);
        let weather = Weather::fair(&mut random);
        let capacity = random.pick(&[300, 2_000, 16_000, 64_000, 200_000]);
        Self(Arc::new(Mutex::new(State {
            now: 0,
            base: Instant::now(),
            random,
            weather,
            trace,
            timeline: BTreeMap::new(),
            happenings: 0,
            connections: BTreeMap::new(),
            next_connection: 1,
            listeners: BTreeMap::new(),
            next_listener: 0,
            dark: Vec::new(),
            pollers: Vec::new(),
            tables: BTreeMap::new(),
            registrations: 0,
            blocks: BTreeMap::new(),
            tokens: BTreeMap::new(),
            capacity,
            held: BTreeMap::new(),
            overheard: Vec::new(),
            user_timeouts: false,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where replica or attacker `host` is.
pub(super) fn address_of(host: HostId) -> SocketAddr {
    (Ipv4Addr::new(10, 0, 0, host.0 + 1), 7400).into()
}

/// Who is at `address`.
pub(super) fn host_at(address: SocketAddr) -> HostId {
    match address {
        SocketAddr::V4(address) => HostId(address.ip().octets()[3] - 1),
        SocketAddr::V6(_) => HostId(u8::MAX),
    }
}

/// All directions between `host` and other replicas, those of one pair first.
pub(super) fn host_pairs(host: HostId) -> Vec<(HostId, HostId)> {
    let others = (1..REPLICAS).map(|step| HostId((host.0 + step) % REPLICAS));
    others.flat_map(|other| [(host, other), (other, host)]).collect()
}

impl State {
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    pub(super) fn instant(&self) -> Instant {
        self.base + Duration::from_nanos(self.now)
    }

    pub(super) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.note(self.now, what);
    }

    /// When the next thing happens.
    pub(super) fn next(&self) -> Option<u64> {
        self.timeline.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Time goes on, to no later than [`State::next`].
    pub(super) fn advance(&mut self, to: u64) {
        assert!(to >= self.now, "time goes on");
        self.now = to;
        while let Some(entry) = self.timeline.first_entry().filter(|entry| entry.key().0 <= to) {
            let happening = entry.remove();
            self.happen(happening);
        }
    }

    /// Time goes on to `until`, and nobody looks at what happens.
    #[cfg(test)]
    pub(super) fn advance_to(&mut self, until: u64) {
        while let Some(next) = self.next().filter(|&next| next <= until) {
            self.advance(next);
        }
        self.advance(until);
    }

    fn after_delay(&mut self) -> u64 {
        self.now + self.weather.draw_delay(&mut self.random)
    }

    /// A new driver.
    pub(super) fn add_poller(&mut self) -> DriverId {
        self.pollers.push(Poller::default());
        DriverId(self.pollers.len() - 1)
    }

    pub(super) fn wake(&mut self, driver: DriverId) {
        match self.tables.get_mut(&driver) {
            Some(table) => table.wake(),
            None => self.pollers[driver.0].woken = true,
        }
    }

    /// Whether the shard of `poller` has something to look at.
    pub(super) fn is_due(&self, poller: DriverId) -> bool {
        self.tables.get(&poller).map_or_else(|| self.pollers[poller.0].is_due(), Table::is_due)
    }

    /// What has become ready, in any order, and perhaps what has not.
    pub(super) fn take_ready(&mut self, poller: DriverId) -> Vec<Readiness> {
        let mut ready = self.pollers[poller.0].take();
        for last in (1..ready.len()).rev() {
            let other = self.random.below(last + 1);
            ready.swap(last, other);
        }
        for readiness in &mut ready {
            if self.random.once_in(16) {
                (readiness.readable, readiness.writable) = (true, true);
            }
        }
        self.trace.mix(ready.len() as u64);
        ready
    }

    fn report(&mut self, end: EndId, readable: bool, writable: bool) {
        let Some(connection) = self.connections.get(&end.connection) else { return };
        if let Some((driver, token)) = connection.ends[end.side].watched {
            self.report_to(driver, token, readable, writable);
        }
    }

    fn report_to(&mut self, driver: DriverId, token: Token, readable: bool, writable: bool) {
        if self.tables.contains_key(&driver) {
            self.becomes_ready(driver, token, readable, writable);
        } else {
            self.pollers[driver.0].report(token, readable, writable);
        }
    }

    pub(super) fn watch(&mut self, poller: DriverId, process: ProcessId, token: Token, end: EndId) {
        self.tokens.insert((process, token), end);
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        connection.ends[end.side].watched = Some((poller, token));
        let (readable, writable) = (connection.is_readable(end.side), connection.is_writable(end.side));
        if readable || writable {
            self.pollers[poller.0].report(token, readable, writable);
        }
    }

    pub(super) fn unwatch(&mut self, end: EndId) {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        if let Some((poller, token)) = connection.ends[end.side].watched.take() {
            self.pollers[poller.0].forget(token);
        }
    }

    /// The end that a process watched last under this token.
    pub(super) fn end_of(&self, process: ProcessId, token: Token) -> Option<EndId> {
        self.tokens.get(&(process, token)).copied()
    }

    /// Who is at an end: the process, unless it is an attacker.
    pub(super) fn process_at(&self, end: EndId) -> Option<ProcessId> {
        self.connections.get(&end.connection)?.ends[end.side].process
    }

    /// Where an end is.
    fn address_at(&self, end: EndId) -> SocketAddr {
        self.connections[&end.connection].ends[end.side].address
    }

    /// Which machine an end is on.
    pub(super) fn host_of(&self, end: EndId) -> Option<HostId> {
        self.connections.get(&end.connection).map(|connection| connection.ends[end.side].host)
    }

    /// `process` has one more stream in its hands.
    pub(super) fn take_hold(&mut self, process: ProcessId) {
        *self.held.entry(process).or_default() += 1;
    }

    /// `process` has dropped a stream.
    pub(super) fn let_go(&mut self, process: ProcessId) {
        *self.held.entry(process).or_default() -= 1;
    }

    /// Streams in the hands of `process`.
    pub(super) fn held_by(&self, process: ProcessId) -> usize {
        self.held.get(&process).copied().unwrap_or(0)
    }

    /// Bytes that one direction of a connection holds.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Connections between two replicas that both hold, as a reset would find them.
    pub(super) fn established(&self) -> Vec<u64> {
        let whole = |connection: &&Connection| {
            connection.progress == Progress::Connected
                && connection.ends.iter().all(|end| end.process.is_some() && !end.gone)
        };
        self.connections.iter().filter(|(_, connection)| whole(connection)).map(|(&id, _)| id).collect()
    }

    fn error(kind: io::ErrorKind) -> io::Error {
        kind.into()
    }
}
