//! A network that exists only in memory, with its clock: bytes are under way for a time that the
//! seed says, and everything that becomes ready is told once.

mod acknowledging;
mod connecting;
mod connection;
mod happening;
mod operations;
mod path;
mod pipe;
mod streams;
mod weather;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use replink_transport::driver::Token;

pub(super) use self::connecting::AcceptError;

use self::connection::{Connection, Progress};
use self::happening::Happening;
pub(super) use self::operations::Found;
use self::operations::{Blocks, Table};
use self::path::Path;
pub(super) use self::path::{CHANGES, Change};
pub(super) use self::weather::LITTLE_LATE;
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
    drivers: usize,
    tables: BTreeMap<DriverId, Table>,
    registrations: u64,
    blocks: BTreeMap<ProcessId, Blocks>,
    /// What the processes' drivers watch: a link's number is its token.
    tokens: BTreeMap<(ProcessId, Token), EndId>,
    capacity: usize,
    /// Streams in the hands of each process.
    held: BTreeMap<ProcessId, usize>,
    /// The first bytes of both directions of connections between replicas.
    pub(super) overheard: Vec<[Vec<u8>; 2]>,
    /// Whoever is on the way.
    pub(super) path: Path,
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
            drivers: 0,
            tables: BTreeMap::new(),
            registrations: 0,
            blocks: BTreeMap::new(),
            tokens: BTreeMap::new(),
            capacity,
            held: BTreeMap::new(),
            overheard: Vec::new(),
            path: Path::default(),
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

    pub(super) fn wake(&mut self, driver: DriverId) {
        if let Some(table) = self.tables.get_mut(&driver) {
            table.wake();
        }
    }

    /// Whether the shard of `driver` has something to look at.
    pub(super) fn is_due(&self, driver: DriverId) -> bool {
        self.tables.get(&driver).is_some_and(Table::is_due)
    }

    fn report(&mut self, end: EndId, readable: bool, writable: bool) {
        let Some(connection) = self.connections.get(&end.connection) else { return };
        if let Some((driver, token)) = connection.ends[end.side].watched {
            self.becomes_ready(driver, token, readable, writable);
        }
    }

    /// An end is in no driver's hands any more.
    fn unwatch(&mut self, end: EndId) {
        if let Some(connection) = self.connections.get_mut(&end.connection) {
            connection.ends[end.side].watched = None;
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

    /// Connections of `process` whose end is still open at its side.
    pub(super) fn left_of(&self, process: ProcessId) -> usize {
        let ends = self.connections.values().flat_map(|connection| &connection.ends);
        ends.filter(|end| end.process == Some(process) && !end.gone).count()
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
