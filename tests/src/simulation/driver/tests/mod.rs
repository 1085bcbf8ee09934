//! Drivers by hand: two or three of them, no node. Each test runs over many seeds, and each seed has drivers that go
//! about their work in another way.

mod accepting;
mod connecting;
mod dropping;
mod moving;
mod rules;
mod transferring;

use std::io;
use std::net::SocketAddr;

use replink_transport::driver::{Completion, Driver, Registration, Token};
use replink_transport::memory::ReceiveMemory;

use super::{SimDriver, SimListener, SimSocket};
use crate::random::Random;
use crate::simulation::network::{HostId, MILLISECOND, Network, ProcessId, SECOND, address_of};
use crate::simulation::trace::{Coverage, Trace};

/// The hosts of the drivers: who connects, and who accepts.
const NEAR: usize = 0;
const FAR: usize = 1;

/// The tokens of a connection that [`World::connect`] makes, and of its listener.
const CONNECTION: Token = Token(1);
const LISTENER: Token = Token(2);

type Ended = Completion<SimSocket>;

/// Some drivers, their network and its clock.
struct World {
    network: Network,
    drivers: Vec<SimDriver>,
    random: Random,
}

/// One end of a connection: where it is registered, and the socket.
struct Held {
    registration: Registration,
    socket: SimSocket,
}

impl World {
    /// One driver on the near host, another on the far one.
    fn new(seed: u64) -> Self {
        let network = Network::new(seed, Trace::new(false));
        let drivers = [NEAR, FAR].map(|host| SimDriver::new(&network, host_id(host), process_of(host)));
        Self { network, drivers: drivers.into(), random: Random::new(!seed) }
    }

    fn listen(&mut self, at_most: usize) -> (SimListener, Registration) {
        let listener = SimListener::new(&self.network, host_id(FAR), process_of(FAR));
        let registration = self.drivers[FAR].listen(LISTENER, &listener).unwrap();
        self.drivers[FAR].accept(LISTENER, at_most);
        (listener, registration)
    }

    /// A connection, registered at both ends.
    fn connect(&mut self) -> [Held; 2] {
        let _listening = self.listen(1);
        let near = self.drivers[NEAR].connect(CONNECTION, far(), None).unwrap();
        let (mut connected, mut accepted) = (None, None);
        for (_, ended) in self.run(10 * SECOND) {
            match ended {
                Completion::Connected { result, .. } => connected = Some(result.unwrap()),
                Completion::Accepted { result, .. } => accepted = Some(result.unwrap().0),
                other => panic!("{other:?}"),
            }
        }
        let (connected, accepted) = (connected.unwrap(), accepted.unwrap());
        let far = self.drivers[FAR].register(CONNECTION, &accepted).unwrap();
        [Held { registration: near, socket: connected }, Held { registration: far, socket: accepted }]
    }

    /// Lets things happen for so long, and returns what has ended where.
    fn run(&mut self, nanos: u64) -> Vec<(usize, Ended)> {
        let mut all = Vec::new();
        self.run_with(nanos, |world, index, ended| {
            let _ = world;
            all.push((index, ended));
        });
        all
    }

    /// Lets things happen for so long, and does something with all that has ended.
    fn run_with(&mut self, nanos: u64, mut then: impl FnMut(&mut Self, usize, Ended)) {
        let until = self.network.lock().now() + nanos;
        loop {
            while self.turn(&mut then) {}
            let mut state = self.network.lock();
            if state.now() == until {
                return;
            }
            let next = state.next().map_or(until, |next| next.clamp(state.now(), until));
            state.advance(next);
        }
    }

    /// Each driver that has something to do waits and is asked for what has ended; whether any had.
    fn turn(&mut self, then: &mut impl FnMut(&mut Self, usize, Ended)) -> bool {
        let mut any = false;
        for index in 0..self.drivers.len() {
            let id = self.drivers[index].id();
            if !self.drivers[index].is_busy() && !self.network.lock().is_due(id) {
                continue;
            }
            any = true;
            self.drivers[index].wait(None, &mut Vec::new()).unwrap();
            while let Some(ended) = self.drivers[index].next() {
                then(self, index, ended);
            }
            while let Some(ended) = self.drivers[index].next_received() {
                assert!(matches!(ended, Completion::Received { .. }));
                then(self, index, ended);
            }
        }
        any
    }

    /// Begins to receive, in one of the ways that there are.
    fn receive(&mut self, index: usize, token: Token) {
        let at_most = self.random.pick(&[1, 100, 5_000, 1_000_000]);
        let memory = match self.random.below(3) {
            0 => None,
            1 => Some(ReceiveMemory::with_len(self.random.between(1, 300))),
            _ => Some(ReceiveMemory::with_len(self.random.between(1, 60_000))),
        };
        self.drivers[index].receive(token, memory, at_most);
    }
}

/// The bytes that a receive has brought. A block goes back.
fn take(driver: &mut SimDriver, memory: ReceiveMemory, received: usize) -> Vec<u8> {
    let bytes = memory.received(received).collect::<Vec<_>>().concat();
    assert_eq!(bytes.len(), received);
    if let Some(block) = memory.into_block() {
        driver.recycle(block);
    }
    bytes
}

fn host_id(host: usize) -> HostId {
    HostId(u8::try_from(host).unwrap())
}

fn process_of(host: usize) -> ProcessId {
    ProcessId(u32::try_from(host).unwrap() + 1)
}

fn far() -> SocketAddr {
    address_of(host_id(FAR))
}

/// Runs `test` with many seeds. All that is in `to_meet` has to have happened in one of them.
fn for_seeds(count: u64, to_meet: &[&str], mut test: impl FnMut(&mut World)) {
    let mut met = Coverage::new();
    for seed in 0..count {
        let mut world = World::new(seed);
        let name = SeedOnPanic(seed);
        test(&mut world);
        drop(name);
        let state = world.network.lock();
        state.trace.coverage().iter().for_each(|(what, times)| *met.entry(what).or_default() += times);
    }
    for what in to_meet {
        assert!(met.contains_key(what), "no seed met {what:?}: {met:#?}");
    }
}

struct SeedOnPanic(u64);

impl Drop for SeedOnPanic {
    #[expect(clippy::print_stderr, reason = "this is for whoever reads the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}", self.0);
        }
    }
}

fn kind_of<T>(result: &io::Result<T>) -> Option<io::ErrorKind> {
    result.as_ref().err().map(io::Error::kind)
}
