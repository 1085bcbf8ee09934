//! The pump of handshakes: a dialer with several addresses, and whoever is there. Bytes come in any pieces;
//! time, ends, errors and calls that don't fit come in any order. Whatever happens, nothing panics, no byte
//! behind a frame is wanted, everything is bounded and over at its deadline, nobody without a key comes up,
//! and an honest pair that nobody disturbs always does.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use arbitrary::Unstructured;
use replink_frame::{Flags, ReplicaId, Status, Version};
use replink_handshake::{
    App, Availability, ChannelBinding, DialError, DialTarget, FlagPolicy, Key, KeyRing, Local, Secret,
    cluster_id,
};
use replink_transport::exchange::{
    AcceptFailure, Accepted, Accepting, DialFailure, Dialing, Exchange, LINGER_BYTES_MAX, LINGER_TIME_MAX,
    Leaving, Want,
};
use replink_transport::{Endpoint, EndpointSettings};

use crate::node::{Draw, Drawer};
use crate::patch::byte;

/// How long a handshake may take.
const TIME: Duration = Duration::from_secs(6);

const FRAME: usize = 256;

/// More than any exchange here can take.
const STEPS_MAX: usize = 200_000;

/// What is read at once of what is thrown away.
const DISCARDED_AT_ONCE: usize = 64 * 1024;

const DIALER: u8 = 0;
const ACCEPTOR: u8 = 2;

/// How far a run came.
#[derive(Clone, Copy, Default, Debug)]
pub struct Reached {
    pub up: usize,
    pub unproved: usize,
    pub moved_on: usize,
    pub key_retries: usize,
    /// D-12.
    pub refused: usize,
    pub rejected: usize,
    pub refused_late: usize,
    pub lingered_to_the_bound: usize,
    pub left: usize,
    pub timed_out: usize,
}

static KEYS: LazyLock<[Arc<KeyRing>; 3]> = LazyLock::new(|| {
    let key = |byte: u8| Key::derive(&App::default(), &Secret::new(vec![byte; 32]).expect("long"));
    // Of the acceptor; of a dialer in a rotation; of one whose keys nobody has.
    [KeyRing::new(key(1), []), KeyRing::new(key(2), [key(1)]), KeyRing::new(key(2), [key(3)])].map(Arc::new)
});

/// The two ends, straight from the input.
struct Ends {
    dialer: u8,
    acceptor: u8,
}

impl Ends {
    /// Which ring; 3 for none (H-12).
    fn ring(&self) -> usize {
        usize::from(self.dialer & 3)
    }

    fn v1(&self) -> bool {
        self.dialer & 0x10 != 0
    }

    fn takes_v1(&self) -> bool {
        self.acceptor & 8 != 0
    }

    fn acceptor_authenticates(&self) -> bool {
        self.acceptor & 1 == 0
    }

    fn availability(&self) -> Availability {
        match self.acceptor >> 4 & 3 {
            2 => Availability::Busy { retry_after_ms: 250 },
            3 => Availability::Draining { retry_after_ms: 250 },
            _ => Availability::Open,
        }
    }

    /// Whether a peer that has proved itself is refused all the same.
    fn judges(&self) -> bool {
        self.acceptor & 0x40 != 0
    }

    fn policies(&self) -> [FlagPolicy; 2] {
        [self.dialer >> 2, self.acceptor >> 1].map(|choice| match choice & 3 {
            0 => FlagPolicy::default(),
            1 => FlagPolicy::new(Flags::SEALED, Flags::NONE),
            2 => FlagPolicy::new(Flags::SEALED, Flags::SEALED),
            _ => FlagPolicy::new(Flags::SEALED | Flags::EPHEMERAL, Flags::NONE),
        })
    }

    fn endpoints(&self) -> Option<[Endpoint; 2]> {
        let local = |replica, incarnation| {
            let local = Local::new(App::default(), cluster_id("orders"), ReplicaId(replica));
            local.release(1).incarnation(incarnation)
        };
        let roster = (0..5).map(ReplicaId).collect();
        let [dialing, accepting] = self.policies();
        let mut dialer = EndpointSettings::new(local(DIALER, 7), KEYS.get(self.ring()).cloned(), roster);
        (dialer.version, dialer.flags) = (if self.v1() { Version::V1 } else { Version::V2 }, dialing);
        let ring = self.acceptor_authenticates().then(|| Arc::clone(&KEYS[0]));
        let mut acceptor = EndpointSettings::new(local(ACCEPTOR, 8), ring, roster);
        acceptor.min_version = if self.takes_v1() { Version::V1 } else { Version::V2 };
        acceptor.flags = accepting;
        Some([Endpoint::new(dialer).ok()?, Endpoint::new(acceptor).ok()?])
    }

    /// Whether an honest dialer gets its link at an honest acceptor (H-6, H-11, H-12, D-6, D-12).
    fn agree(&self) -> bool {
        let [dialing, accepting] = self.policies();
        let offered = if self.v1() { Flags::NONE } else { dialing.offered() };
        let key_is_known = self.ring() < 2;
        self.ring() == 3
            || self.acceptor_authenticates()
                && key_is_known
                && (!self.v1() || self.takes_v1())
                && accepting.offered().contains(dialing.required)
                && offered.contains(accepting.required)
                && matches!(self.availability(), Availability::Open)
    }
}

/// What is at an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Honest,
    /// Somebody without a key says what he likes.
    Wild,
    Refuses,
    Swallows,
}

/// The acceptor's end of a connection.
#[expect(clippy::large_enum_variant, reason = "there is one")]
enum FarEnd {
    Wild,
    ShakingHands(Accepting<u32>),
    Leaving(Leaving<u32>, usize),
    Over,
}

/// The dialer's last connection.
struct Connection {
    number: u32,
    place: Place,
    /// To the acceptor, and to the dialer.
    pipes: [VecDeque<u8>; 2],
    /// Which direction has ended.
    ended: [bool; 2],
    /// What acceptor and dialer have read of handshakes.
    read: [usize; 2],
    far: FarEnd,
}

struct World {
    ends: Ends,
    acceptor: Endpoint,
    places: Vec<Place>,
    now: Instant,
    deadline: Instant,
    dialing: Dialing<u32>,
    connection: Option<Connection>,
    connections: u32,
    proved: usize,
    reached: Reached,
}

pub fn run(data: &[u8]) -> Reached {
    let input = &mut Unstructured::new(data);
    let ends = Ends { dialer: byte(input), acceptor: byte(input) };
    let choice = byte(input);
    let places: Vec<_> = (1..=choice % 4)
        .map(|index| match choice >> (2 * index) & 3 {
            0 => Place::Honest,
            1 => Place::Wild,
            2 => Place::Refuses,
            _ => Place::Swallows,
        })
        .collect();
    let Some([dialer, acceptor]) = ends.endpoints() else { return Reached::default() };
    let now = Instant::now();
    let deadline = now + TIME;
    let addresses = (0..).take(places.len()).map(address).collect();
    let target = DialTarget::new(ReplicaId(ACCEPTOR));
    let dialing = Dialing::new(&dialer, target, addresses, deadline, now);
    let (connection, connections, proved, reached) = (None, 0, 0, Reached::default());
    let mut world =
        World { ends, acceptor, places, now, deadline, dialing, connection, connections, proved, reached };
    let mut disturbed = false;
    while !input.is_empty() {
        disturbed |= world.act(input);
    }
    world.settle();
    world.judge(disturbed)
}

fn address(index: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, index], 7400))
}

impl World {
    /// One line of the script. Whether it disturbs an honest pair.
    fn act(&mut self, input: &mut Unstructured<'_>) -> bool {
        let (action, size) = (byte(input), usize::from(byte(input)) + 1);
        let is_dialer = action & 0x80 != 0;
        match action % 8 {
            0 | 1 => {
                if action % 8 == 0 {
                    self.near(size)
                } else {
                    self.far(size)
                };
                false
            }
            2 => {
                self.now += Duration::from_millis(10 * size as u64);
                let now = self.now;
                self.each(|exchange| exchange.timed_out(now));
                true
            }
            3 => {
                let now = self.now;
                self.one(is_dialer, |exchange| exchange.failed(io::ErrorKind::ConnectionReset.into(), now));
                true
            }
            4 => {
                let Some(connection) = &mut self.connection else { return false };
                connection.ended[usize::from(is_dialer)] = true;
                connection.place != Place::Wild
            }
            5 => {
                // Behind all that is under way, so that it is behind a frame as well as in its place.
                let bytes: Vec<u8> = (0..size).map_while(|_| input.arbitrary().ok()).collect();
                let Some(connection) = &mut self.connection else { return false };
                connection.pipes[usize::from(is_dialer)].extend(bytes);
                connection.place != Place::Wild
            }
            6 => {
                let Some(connection) = &mut self.connection else { return false };
                let pipe = &mut connection.pipes[usize::from(is_dialer)];
                if let Some(changed) = pipe.get_mut(size - 1) {
                    *changed ^= 1 << (action >> 3 & 7);
                }
                true
            }
            _ => {
                self.call_what_does_not_fit(is_dialer);
                false
            }
        }
    }

    /// A driver that is late tells of operations that nobody waits for any more.
    fn call_what_does_not_fit(&mut self, is_dialer: bool) {
        let now = self.now;
        if !matches!(self.dialing.want(), Want::Connect { .. }) {
            let stray = Draw::new(Drawer::Dialer, u8::MAX).fresh();
            self.dialing.connected(u32::MAX, ChannelBinding::None, stray, now);
            assert_eq!(self.dialing.take_given_up(), Some(u32::MAX));
        }
        self.one(is_dialer, |exchange| {
            match exchange.want() {
                Want::Write { .. } => exchange.received(&[0; 300], now),
                Want::Read { .. } => exchange.written(300, now),
                Want::EndSending { .. } | Want::Connect { .. } | Want::Answer | Want::Done => {
                    exchange.received(&[0; 300], now);
                    exchange.written(300, now);
                }
                Want::Discard { .. } => exchange.written(300, now),
            }
            if !matches!(exchange.want(), Want::EndSending { .. }) {
                exchange.sending_ended();
            }
            exchange.take_given_up();
        });
    }

    /// Does something with both ends.
    fn each(&mut self, mut act: impl FnMut(&mut dyn Exchange<Link = u32>)) {
        for is_dialer in [false, true] {
            self.one(is_dialer, &mut act);
        }
    }

    fn one(&mut self, is_dialer: bool, act: impl FnOnce(&mut dyn Exchange<Link = u32>)) {
        if is_dialer {
            return act(&mut self.dialing);
        }
        match self.connection.as_mut().map(|connection| &mut connection.far) {
            Some(FarEnd::ShakingHands(accepting)) => act(accepting),
            Some(FarEnd::Leaving(leaving, _)) => act(leaving),
            Some(FarEnd::Wild | FarEnd::Over) | None => {}
        }
    }

    /// The dialer goes on, with at most `piece` bytes. Whether anything happened.
    fn near(&mut self, piece: usize) -> bool {
        assert!(self.dialing.until() <= self.deadline);
        let now = self.now;
        let connection = self.connection.as_mut();
        match self.dialing.want() {
            Want::Connect { address } => return self.connect(address),
            Want::Write { link, bytes } => {
                let connection = connection.expect("it is connected");
                assert_eq!(*link, connection.number);
                assert!((1..=FRAME).contains(&bytes.len()));
                let count = piece.min(bytes.len());
                connection.pipes[0].extend(&bytes[..count]);
                self.dialing.written(count, now);
            }
            Want::Read { link, at_most } => {
                let connection = connection.expect("it is connected");
                assert_eq!(*link, connection.number);
                let Some(bytes) = connection.take(1, at_most, piece) else { return false };
                self.dialing.received(&bytes, now);
            }
            Want::Done => return false,
            want => panic!("a dialer does not want {want:?}"),
        }
        if self.dialing.link_mut().is_none() {
            // It is given up. What the dialer has sent comes before the end.
            let connection = self.connection.as_mut().expect("it is connected");
            assert_eq!(self.dialing.take_given_up(), Some(connection.number));
            connection.ended[0] = true;
        }
        true
    }

    fn connect(&mut self, address: SocketAddr) -> bool {
        let index = match address {
            SocketAddr::V4(address) => usize::from(address.ip().octets()[3]),
            SocketAddr::V6(_) => panic!("there is none"),
        };
        let place = self.places[index];
        match place {
            Place::Swallows => return false,
            Place::Refuses => self.dialing.failed(io::ErrorKind::ConnectionRefused.into(), self.now),
            Place::Honest | Place::Wild => {
                self.finish_far();
                self.connections += 1;
                let number = self.connections;
                let fresh = Draw::new(Drawer::Dialer, number as u8).fresh();
                self.dialing.connected(number, ChannelBinding::None, fresh, self.now);
                let far = match place {
                    Place::Honest => {
                        let (binding, deadline) = (ChannelBinding::None, self.now + TIME);
                        FarEnd::ShakingHands(Accepting::new(number, &self.acceptor, binding, deadline))
                    }
                    _ => FarEnd::Wild,
                };
                let (pipes, ended, read) = Default::default();
                self.connection = Some(Connection { number, place, pipes, ended, read, far });
            }
        }
        true
    }

    /// The acceptor goes on, with at most `piece` bytes. Whether anything happened.
    fn far(&mut self, piece: usize) -> bool {
        let now = self.now;
        let Some(connection) = &mut self.connection else { return false };
        match &mut connection.far {
            FarEnd::Wild | FarEnd::Over => return false,
            FarEnd::ShakingHands(accepting) => match accepting.want() {
                Want::Answer => {
                    let fresh = Draw::new(Drawer::Acceptor, connection.number as u8).fresh();
                    accepting.answer(self.ends.availability(), fresh, now);
                }
                Want::Write { link, bytes } => {
                    assert_eq!(*link, connection.number);
                    assert!((1..=FRAME).contains(&bytes.len()));
                    let count = piece.min(bytes.len());
                    connection.pipes[1].extend(&bytes[..count]);
                    accepting.written(count, now);
                }
                Want::Read { link, at_most } => {
                    assert_eq!(*link, connection.number);
                    let Some(bytes) = connection.take(0, at_most, piece) else { return false };
                    if let FarEnd::ShakingHands(accepting) = &mut connection.far {
                        accepting.received(&bytes, now);
                    }
                }
                Want::Done => self.finish_far(),
                want => panic!("an acceptor does not want {want:?}"),
            },
            FarEnd::Leaving(leaving, discarded) => match leaving.want() {
                Want::Write { bytes, .. } => {
                    let count = piece.min(bytes.len());
                    connection.pipes[1].extend(&bytes[..count]);
                    leaving.written(count, now);
                }
                Want::EndSending { .. } => {
                    connection.ended[1] = true;
                    leaving.sending_ended();
                }
                Want::Discard { at_most, .. } => {
                    assert!(*discarded + at_most <= LINGER_BYTES_MAX, "bounded");
                    let pipe = &mut connection.pipes[0];
                    // Somebody who sends without end is one whose bytes are all alike.
                    let endless = piece == FRAME && connection.place == Place::Honest;
                    let count = if endless { at_most.min(DISCARDED_AT_ONCE) } else { piece.min(pipe.len()) };
                    if count == 0 && !connection.ended[0] {
                        return false;
                    }
                    pipe.drain(..count.min(pipe.len()));
                    *discarded += count;
                    leaving.received(&[0; DISCARDED_AT_ONCE][..count], now);
                    self.reached.lingered_to_the_bound += usize::from(*discarded == LINGER_BYTES_MAX);
                }
                Want::Done => self.finish_far(),
                want => panic!("who leaves does not want {want:?}"),
            },
        }
        true
    }

    /// The acceptor's end is done, or given up.
    fn finish_far(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        let (now, deadline) = (self.now, self.deadline);
        connection.far = match std::mem::replace(&mut connection.far, FarEnd::Over) {
            FarEnd::ShakingHands(accepting) => match accepting.finish() {
                Accepted::Proved(verified) if self.ends.judges() => {
                    self.reached.refused_late += 1;
                    FarEnd::Leaving(
                        Leaving::new(verified.refuse(Status::DUPLICATE_REPLICA, 0), deadline, now),
                        0,
                    )
                }
                Accepted::Proved(verified) => {
                    assert_eq!(verified.peer().replica, ReplicaId(DIALER));
                    self.proved += 1;
                    FarEnd::Over
                }
                Accepted::Unproved(_) => {
                    assert!(!self.ends.acceptor_authenticates());
                    FarEnd::Over
                }
                Accepted::Rejected(leaving) => {
                    assert!(leaving.until() <= now + LINGER_TIME_MAX);
                    self.reached.rejected += 1;
                    FarEnd::Leaving(leaving, 0)
                }
                Accepted::Failed(failure) => {
                    assert!(!failure.to_string().is_empty());
                    match failure {
                        AcceptFailure::RejectedByPeer(_) => self.reached.refused += 1,
                        AcceptFailure::Left(_) => self.reached.left += 1,
                        AcceptFailure::Rejected(_) => panic!("the peer is owed a reject"),
                        _ => {}
                    }
                    connection.ended[1] = true;
                    FarEnd::Over
                }
            },
            FarEnd::Leaving(..) => {
                connection.ended[1] = true;
                FarEnd::Over
            }
            far => far,
        };
    }

    /// Both ends go on until they are done; time passes where neither can.
    fn settle(&mut self) {
        for _ in 0..STEPS_MAX {
            let moved = self.near(FRAME) | self.far(FRAME);
            if moved {
                continue;
            }
            if let Want::Done = self.dialing.want() {
                // Nobody waits longer than the deadlines say.
                let end = self.now + 2 * TIME;
                self.each(|exchange| {
                    exchange.timed_out(end);
                    assert!(matches!(exchange.want(), Want::Done), "it ends at its deadline");
                });
                self.finish_far();
                self.finish_far();
                return;
            }
            let before = self.connection.as_ref().map(|connection| connection.number);
            self.now = self.now.max(self.dialing.until());
            self.dialing.timed_out(self.now);
            self.reached.timed_out += 1;
            if let Some(connection) = &mut self.connection {
                connection.ended[0] |= self.dialing.take_given_up() == before;
            }
        }
        panic!("it does not end");
    }

    fn judge(mut self, disturbed: bool) -> Reached {
        let keys = if self.ends.v1() || matches!(self.ends.ring(), 0 | 3) { 1 } else { 2 };
        assert!(self.connections <= keys * self.places.len() as u32, "bounded");
        let place = self.connection.as_ref().map(|connection| connection.place);
        let number = self.connection.as_ref().map(|connection| connection.number);
        let honest = self.places.contains(&Place::Honest);
        // Without a proof (H-12) whoever takes the Hello is a peer.
        let expected =
            self.ends.agree() && (honest || self.ends.ring() == 3 && self.places.contains(&Place::Wild));
        match self.dialing.finish() {
            Ok(authenticated) => {
                assert_eq!(Some(*authenticated.link()), number);
                assert!(self.ends.ring() == 3 || place == Some(Place::Honest), "nobody has proved a key");
                assert!(disturbed || expected);
                self.reached.up += usize::from(self.ends.ring() != 3);
                self.reached.unproved += usize::from(self.ends.ring() == 3);
                if !disturbed && self.ends.ring() != 3 {
                    assert_eq!(self.proved, usize::from(!self.ends.judges()), "both ends are up");
                }
                self.reached.moved_on += usize::from(self.places.first() != Some(&Place::Honest));
                self.reached.key_retries += usize::from(self.ends.ring() == 1);
            }
            Err(failure) => {
                assert!(disturbed || !expected, "{failure}");
                assert!(!failure.to_string().is_empty());
                let nowhere = matches!(failure, DialFailure::NoAddress);
                assert_eq!(self.places.is_empty(), nowhere, "{failure}, {:?}", self.places);
                if let DialFailure::Handshake(DialError::Rejected(reject)) = &failure {
                    assert!(!reject.authenticated || place == Some(Place::Honest), "nobody has a key");
                }
            }
        }
        self.reached
    }
}

impl Connection {
    /// What comes next on a pipe; nothing at its end; `None` while there is nothing.
    fn take(&mut self, to: usize, at_most: usize, piece: usize) -> Option<Vec<u8>> {
        assert_eq!(at_most, FRAME - self.read[to] % FRAME, "the rest of the frame, and nothing behind it");
        let count = at_most.min(piece).min(self.pipes[to].len());
        if count == 0 && !self.ended[to] {
            return None;
        }
        self.read[to] += count;
        assert!(self.read[to] <= FRAME * (2 - to), "a challenge, or a Hello and a Finish");
        Some(self.pipes[to].drain(..count).collect())
    }
}
