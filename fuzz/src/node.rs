//! The nodes under test, and what the protocol has them say.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock};

use arbitrary::{Arbitrary, Unstructured};
use replink_frame::{ClusterId, Flags, KeyId, ReplicaId, Version};
use replink_handshake::{
    AcceptFailed, Acceptor, AcceptorConfig, App, Authentication, Availability, AwaitChallenge,
    ChannelBinding, DialError, DialTarget, Dialer, DialerConfig, EphemeralSecret, FlagPolicy, Fresh, Key,
    KeyRing, Local, Nonce, Peer, PeerReject, Rejected, Rejection, Roster, Secret, Side,
};

use crate::frame_parse::handshake_fault;
use crate::link::{Dialed, End};
use crate::mac::{Binding, Keys, pair_secret, same};
use crate::patch::byte;
use crate::wire::{self, Frame, HandshakeFault, Said};

/// The first is that of some known answers.
const SECRETS: [&[u8]; 3] = [
    b"0123456789abcdef0123456789abcdef",
    b"another secret, which is as long as it must be",
    b"a third secret, for a rotation within a rotation",
];

/// The cluster `orders`, that of some known answers.
pub static CLUSTER: LazyLock<[u8; 16]> =
    LazyLock::new(|| blake3::hash(b"orders").as_bytes()[..16].try_into().expect("sixteen bytes"));
static KEYS: LazyLock<[Keys; 3]> = LazyLock::new(|| SECRETS.map(Keys::new));

/// With a peer of these ids a node in pairwise mode has a secret.
const PAIRED: std::ops::Range<u8> = 0..6;

/// One key of a ring: of a shared secret, or of a root secret's pair (K-3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Held {
    secret: usize,
    pair: Option<(u8, u8)>,
}

impl Held {
    /// From the formulas.
    fn keys(self) -> Keys {
        thread_local! {
            static PAIRS: RefCell<HashMap<Held, Keys>> = RefCell::default();
        }
        let Some((low, high)) = self.pair else { return KEYS[self.secret] };
        let derive = || Keys::new(&pair_secret(SECRETS[self.secret], low, high));
        PAIRS.with_borrow_mut(|pairs| *pairs.entry(self).or_insert_with(derive))
    }

    /// From the code under test.
    fn key(self) -> Key {
        let app = App::default();
        let secret = Secret::new(SECRETS[self.secret].to_vec()).expect("long");
        let secret = match self.pair {
            None => secret,
            // In either order, and ready-made or not, it is the same secret.
            Some((low, high)) if low % 2 == 0 => {
                Secret::for_pair(&app, &secret, ReplicaId(high), ReplicaId(low))
            }
            Some((low, high)) => {
                let bytes = pair_secret(SECRETS[self.secret], low, high).to_vec();
                Secret::of_pair(bytes, ReplicaId(low), ReplicaId(high)).expect("long")
            }
        };
        Key::derive(&app, &secret)
    }

    fn serves(self, a: u8, b: u8) -> bool {
        self.pair.is_none_or(|pair| pair == (a.min(b), a.max(b)))
    }
}

/// A node's configuration, straight from the input.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Knobs {
    pub replica: u8,
    /// Bit 0 version 1, bit 1 no authentication, bit 2 inside of TLS, bits 3 and 4 the roster,
    /// bits 5 and 6 the releases that are talked to.
    pub switches: u8,
    /// Which ring; bit 7 pairwise mode.
    pub keys: u8,
    pub supported: u16,
    pub required: u16,
    pub release: u32,
    pub incarnation: u64,
}

impl Knobs {
    pub fn read(input: &mut Unstructured<'_>) -> Self {
        input.arbitrary().expect("integers come from any input, zero from none")
    }

    fn switch(&self, bit: u8) -> bool {
        self.switches >> bit & 1 != 0
    }

    /// As an acceptor the lowest version, as a dialer the one to ask for.
    pub fn v1(&self) -> bool {
        self.switch(0)
    }

    pub fn disabled(&self) -> bool {
        self.switch(1)
    }

    pub fn binding(&self) -> Binding {
        let bound = self.switch(2);
        Binding { mode: bound.into(), exporter: [if bound { 0xab } else { 0 }; 32] }
    }

    pub fn channel_binding(&self) -> ChannelBinding {
        let Binding { mode, exporter } = self.binding();
        if mode == 0 { ChannelBinding::None } else { ChannelBinding::TlsExporter(exporter) }
    }

    pub fn on_roster(&self, id: u8) -> bool {
        match self.switches >> 3 & 3 {
            0 => true,
            1 => id < 6,
            2 => id.is_multiple_of(2),
            _ => false,
        }
    }

    pub fn roster(&self) -> Roster {
        (0..=u8::MAX).filter(|&id| self.on_roster(id)).map(ReplicaId).collect()
    }

    pub fn releases(&self) -> RangeInclusive<u32> {
        match self.switches >> 5 & 3 {
            0 => 0..=u32::MAX,
            1 => 1..=1,
            2 => 5..=9,
            _ => RangeInclusive::new(9, 5),
        }
    }

    pub fn offered(&self) -> u16 {
        self.supported | self.required
    }

    /// As a dialer: inside of TLS seals only where they are required (S-6).
    fn asked_for(&self) -> u16 {
        let declined = if self.switch(2) { wire::SEALED & !self.required } else { 0 };
        self.offered() & !declined
    }

    /// The ring: the offered key first, then up to two of a rotation. In pairwise mode so for
    /// every pair, and with the most keys one of a pair of others and a shared one.
    fn held(&self) -> impl Iterator<Item = Held> {
        let (first, count) = (usize::from(self.keys & 0x7f) % 3, usize::from(self.keys & 0x7f) / 3 % 3);
        let secrets = (0..=count).map(move |step| (first + step) % 3);
        let (pairwise, replica) = (self.keys & 0x80 != 0, self.replica);
        let shared = secrets.clone().filter(move |_| !pairwise).map(|secret| Held { secret, pair: None });
        let paired = secrets.flat_map(move |secret| {
            let peers = PAIRED.filter(move |&peer| pairwise && peer != replica);
            peers.map(move |peer| Held { secret, pair: Some((peer.min(replica), peer.max(replica))) })
        });
        let others = (replica.wrapping_add(1), replica.wrapping_add(2));
        let others = (others.0.min(others.1), others.0.max(others.1));
        let more = [Held { secret: first, pair: Some(others) }, Held { secret: first, pair: None }];
        shared.chain(paired).chain(more.into_iter().filter(move |_| pairwise && count == 2))
    }

    /// The keys of the ring, whomever they serve.
    pub fn keys(&self) -> impl Iterator<Item = Keys> {
        self.held().map(Held::keys)
    }

    /// The keys that serve between this node and `peer`, the offered one first (K-3).
    pub fn serving(&self, peer: u8) -> impl Iterator<Item = Keys> {
        let replica = self.replica;
        self.held().filter(move |held| held.serves(replica, peer)).map(Held::keys)
    }

    /// The key with this id, if it serves between this node and `peer`.
    pub fn key(&self, id: &[u8], peer: u8) -> Option<Keys> {
        self.serving(peer).find(|key| key.id == id)
    }

    pub fn local(&self) -> Local {
        Local::new(App::default(), ClusterId(*CLUSTER), ReplicaId(self.replica))
            .release(self.release)
            .incarnation(self.incarnation)
    }

    fn version(&self) -> Version {
        if self.v1() { Version::V1 } else { Version::V2 }
    }

    pub fn ring(&self) -> Arc<KeyRing> {
        thread_local! {
            static RINGS: RefCell<HashMap<Vec<Held>, Arc<KeyRing>>> = RefCell::default();
        }
        let held: Vec<_> = self.held().collect();
        let derive = |held: &Vec<Held>| {
            let mut keys = held.iter().map(|held| held.key());
            let offered = keys.next().expect("a ring has a key");
            let ring = KeyRing::new(offered, keys);
            assert!(ring.ids().map(|id| id.0).eq(held.iter().map(|held| held.keys().id)));
            Arc::new(ring)
        };
        RINGS.with_borrow_mut(|rings| match rings.get(&held) {
            Some(ring) => Arc::clone(ring),
            None => {
                let ring = derive(&held);
                rings.insert(held, Arc::clone(&ring));
                ring
            }
        })
    }

    fn policy(&self) -> FlagPolicy {
        FlagPolicy::new(Flags(self.supported), Flags(self.required))
    }

    pub fn acceptor(&self) -> Acceptor {
        Acceptor::new(
            AcceptorConfig::new(self.local(), self.ring(), self.roster())
                .min_version(self.version())
                .flags(self.policy())
                .releases(self.releases()),
        )
    }

    pub fn dialer(&self) -> Dialer {
        Dialer::new(
            DialerConfig::new(self.local(), self.ring())
                .version(self.version())
                .flags(self.policy())
                .releases(self.releases()),
        )
    }

    /// A frame of this node.
    pub fn said(&self, command: u8, v2: bool) -> Said {
        Said {
            command,
            v2,
            cluster: *CLUSTER,
            sender: self.replica,
            release: self.release,
            incarnation: self.incarnation,
            ..Said::default()
        }
    }

    /// The Hello of this node as a dialer.
    pub fn hello(&self, v2: bool, key: &Keys, lane: u16, draw: &Draw) -> Frame {
        let flags = self.asked_for();
        let ephemeral = if v2 && flags & wire::SHARE != 0 { draw.share() } else { [0; 32] };
        let hello = self.said(wire::HELLO, v2);
        Said { nonce: draw.nonce, flags, key_id: key.id, ephemeral, lane, ..hello }.frame()
    }

    /// What is wrong with a Hello as a frame. Bytes that are not zero don't count below the
    /// lowest version: that comes before them.
    pub fn hello_fault(&self, frame: &Frame) -> Option<HandshakeFault> {
        let too_low = frame[wire::VERSION] == 0 && !self.v1();
        wire::handshake_fault(frame, wire::HELLO)
            .filter(|fault| !(too_low && matches!(fault, HandshakeFault::Unused(_))))
    }

    /// H-11: the key that the handshake goes on with, or the status that the Hello is refused with.
    pub fn judge_hello(&self, frame: &Frame, availability: Availability) -> Result<Keys, u8> {
        if let Some(fault) = wire::handshake_fault(frame, wire::HELLO) {
            return Err(self.hello_fault(frame).map_or(6, |_| fault.status()));
        }
        let v2 = frame[wire::VERSION] == 2;
        let anonymous = wire::is_zero(&frame[wire::NONCE]);
        let sender = frame[wire::REPLICA];
        let refused = [
            (!v2 && !self.v1() && !anonymous, 6), // H-12: an anonymous one learns of auth_required
            (frame[wire::CLUSTER] != *CLUSTER, 2),
            (sender >= self.replica, 3),
            (!self.on_roster(sender), 8),
            (anonymous, 4),
        ];
        if let Some((_, status)) = refused.iter().find(|(refused, _)| *refused) {
            return Err(*status);
        }
        let key = match v2 {
            true => self.key(&frame[wire::KEY_ID], sender),
            false => self.serving(sender).next(),
        };
        let key = key.ok_or(7)?;
        let refused = [
            (v2 && !self.releases().contains(&wire::u32_at(frame, wire::RELEASE)), 12),
            (wire::u16_at(frame, wire::FLAGS) & self.required != self.required, 13),
            (matches!(availability, Availability::Busy { .. }), 9),
            (matches!(availability, Availability::Draining { .. }), 10),
        ];
        match refused.iter().find(|(refused, _)| *refused) {
            Some((_, status)) => Err(*status),
            None => Ok(key),
        }
    }

    /// The challenge that a Hello is answered with.
    pub fn challenge(&self, hello: &Frame, key: &Keys, draw: &Draw) -> Frame {
        let v2 = hello[wire::VERSION] == 2;
        let flags = wire::u16_at(hello, wire::FLAGS) & self.offered();
        let ephemeral = if v2 && flags & wire::SHARE != 0 { draw.share() } else { [0; 32] };
        let lane = wire::u16_at(hello, wire::LANE);
        let said = self.said(wire::CHALLENGE, v2);
        let mut frame = Said { nonce: draw.nonce, flags, key_id: key.id, ephemeral, lane, ..said }.frame();
        let mac = if v2 {
            key.acceptor(hello, &frame, self.binding())
        } else {
            key.v1(hello, &frame, self.replica, self.binding(), 2)
        };
        frame[wire::MAC].copy_from_slice(&mac);
        frame
    }

    /// The reject that a peer is owed whose first frame was `first`, proved with `key` if there
    /// is one (H-7).
    pub fn reject(&self, first: &Frame, refusal: Refusal, key: Option<Keys>, nonce: [u8; 32]) -> Frame {
        let version = if first[wire::COMMAND] == wire::HELLO { first[wire::VERSION] } else { 0 };
        let mut said = self.said(wire::CHALLENGE, version == 2);
        said.status = refusal.status;
        match version {
            0 if refusal.status > 5 => said.status = 1,
            2 => {
                said.retry_after = refusal.retry_after;
                said.key_id = wire::array(first, wire::KEY_ID);
                said.lane = wire::u16_at(first, wire::LANE);
                if let Some(key) = key {
                    said.nonce = nonce;
                    said.mac = key.acceptor(first, &said.frame(), self.binding());
                }
            }
            _ => {}
        }
        let mut frame = said.frame();
        frame[wire::VERSION] = version;
        frame
    }

    /// What comes of a Finish: the X25519 secret of K-4, or why there is no link.
    pub fn judge_finish(
        &self,
        hello: &Frame,
        challenge: &Frame,
        finish: &Frame,
        key: &Keys,
        draw: &Draw,
    ) -> Result<[u8; 32], FinishFault> {
        let v2 = hello[wire::VERSION] == 2;
        if v2 && wire::is_reject(finish) {
            return Err(self.judge_dialer_reject(hello, challenge, finish, key));
        }
        if let Some(fault) = wire::handshake_fault(finish, wire::FINISH) {
            return Err(FinishFault::Frame(fault));
        }
        let proved = if v2 {
            same(&finish[wire::MAC], key.dialer(hello, challenge, finish, self.binding()))
        } else {
            // K-2: any key of the ring.
            let mac = |key: Keys| key.v1(hello, challenge, self.replica, self.binding(), 1);
            self.serving(hello[wire::REPLICA]).any(|key| same(&finish[wire::MAC], mac(key)))
        };
        let repeats = |from: &Frame, field: std::ops::Range<usize>| finish[field.clone()] == from[field];
        let refused = [
            (finish[wire::VERSION] != hello[wire::VERSION], 6),
            (finish[wire::CLUSTER] != *CLUSTER, 2),
            (finish[wire::REPLICA] != hello[wire::REPLICA], 3),
            (!proved, 5),
            (!repeats(challenge, wire::FLAGS), 14),
            (!repeats(hello, wire::KEY_ID) || !repeats(hello, wire::LANE), 14),
            (!repeats(hello, wire::INCARNATION) || !repeats(hello, wire::RELEASE), 14),
        ];
        if let Some((_, status)) = refused.iter().find(|(refused, _)| *refused) {
            return Err(FinishFault::Status(*status));
        }
        if wire::u16_at(challenge, wire::FLAGS) & wire::SHARE == 0 {
            return Ok([0; 32]);
        }
        draw.agree(hello).ok_or(FinishFault::Status(14))
    }

    /// The key that a Finish is proved with, where it is: of version 1 the one of the ring that fits (K-2).
    pub fn key_of_finish(&self, hello: &Frame, challenge: &Frame, finish: &Frame, key: &Keys) -> Keys {
        let mac = |key: &Keys| key.v1(hello, challenge, self.replica, self.binding(), 1);
        let fits = |key: &Keys| hello[wire::VERSION] == 0 && same(&finish[wire::MAC], mac(key));
        self.serving(hello[wire::REPLICA]).find(fits).unwrap_or(*key)
    }

    /// D-12: what a reject in the place of the Finish is.
    fn judge_dialer_reject(
        &self,
        hello: &Frame,
        challenge: &Frame,
        reject: &Frame,
        key: &Keys,
    ) -> FinishFault {
        if let Some(fault) = wire::dialer_reject_fault(reject) {
            return FinishFault::Frame(fault);
        }
        let authenticated = same(&reject[wire::MAC], key.dialer(hello, challenge, reject, self.binding()));
        let repeats = |field: std::ops::Range<usize>| reject[field.clone()] == hello[field];
        let repeated = [wire::KEY_ID, wire::LANE, wire::INCARNATION, wire::RELEASE].map(repeats);
        let refused = [
            (reject[wire::VERSION] != hello[wire::VERSION], 6),
            (reject[wire::CLUSTER] != *CLUSTER, 2),
            (reject[wire::REPLICA] != hello[wire::REPLICA], 3),
            (authenticated && repeated.contains(&false), 14),
        ];
        match refused.iter().find(|(refused, _)| *refused) {
            Some((_, status)) => FinishFault::Status(*status),
            None => FinishFault::ByPeer(PeerReject::new(
                ReplicaId(reject[wire::REPLICA]),
                replink_frame::Status(reject[wire::STATUS]),
                wire::u32_at(reject, wire::RETRY_AFTER),
                authenticated,
            )),
        }
    }

    /// D-12: the reject that this node, a dialer, sends in the place of its Finish.
    pub fn dialer_reject(&self, hello: &Frame, challenge: &Frame, key: &Keys, status: u8) -> Frame {
        let said = Said {
            status,
            key_id: key.id,
            lane: wire::u16_at(hello, wire::LANE),
            ..self.said(wire::CHALLENGE, true)
        };
        let mut frame = said.frame();
        let mac = key.dialer(hello, challenge, &frame, self.binding());
        frame[wire::MAC].copy_from_slice(&mac);
        frame
    }

    /// The Finish that a challenge is answered with.
    pub fn finish(&self, hello: &Frame, challenge: &Frame, key: &Keys) -> Frame {
        let v2 = hello[wire::VERSION] == 2;
        let said = Said {
            flags: wire::u16_at(challenge, wire::FLAGS),
            key_id: key.id,
            lane: wire::u16_at(hello, wire::LANE),
            ..self.said(wire::FINISH, v2)
        };
        let mut frame = said.frame();
        let mac = if v2 {
            key.dialer(hello, challenge, &frame, self.binding())
        } else {
            key.v1(hello, challenge, challenge[wire::REPLICA], self.binding(), 1)
        };
        frame[wire::MAC].copy_from_slice(&mac);
        frame
    }

    /// Checks what came of a Finish that makes no link: the late reject that it owes the peer, or what
    /// the peer said instead of a Finish.
    pub fn check_accept_failed(
        &self,
        failed: AcceptFailed<()>,
        hello: &Frame,
        expected: FinishFault,
        key: Keys,
        nonce: [u8; 32],
    ) -> Result<Frame, PeerReject> {
        assert!(!format!("{failed:?}").is_empty());
        match (failed, expected) {
            (AcceptFailed::RejectedByPeer { reject, .. }, FinishFault::ByPeer(expected)) => {
                assert_eq!(reject, expected);
                assert!(!reject.to_string().is_empty());
                Err(reject)
            }
            (AcceptFailed::Rejected(rejected), FinishFault::Frame(fault)) => {
                let refusal = fault.status().into();
                Ok(self.check_rejected(rejected, hello, Some(fault), refusal, Some(key), nonce))
            }
            (AcceptFailed::Rejected(rejected), FinishFault::Status(status)) => {
                Ok(self.check_rejected(rejected, hello, None, status.into(), Some(key), nonce))
            }
            (failed, expected) => panic!("{failed:?} where {expected:?} is to be"),
        }
    }

    /// Checks every byte and every word of a refusal; the reject frame that it owes the peer.
    pub fn check_rejected(
        &self,
        rejected: Rejected<()>,
        first: &Frame,
        fault: Option<HandshakeFault>,
        refusal: Refusal,
        key: Option<Keys>,
        nonce: [u8; 32],
    ) -> Frame {
        let ((), reply, rejection) = rejected.into_parts();
        assert_eq!(reply, self.reject(first, refusal, key, nonce), "{rejection}");
        assert_ne!(reply[wire::STATUS], 0, "a reject has a status");
        let hello = first[wire::COMMAND] == wire::HELLO;
        let authenticated = hello && first[wire::VERSION] == 2 && key.is_some();
        assert_eq!(authenticated, !wire::is_zero(&reply[wire::MAC]));
        if matches!(reply[wire::VERSION], 0 | 2) {
            assert_eq!(wire::handshake_fault(&reply, wire::CHALLENGE), None);
            assert!(replink_frame::Challenge::parse(&reply).is_ok());
        }
        if reply[wire::VERSION] == 0 {
            assert!(wire::is_zero(&reply[wire::VERSION..]) && wire::is_zero(&reply[128..wire::STATUS]));
            assert!(reply[wire::STATUS] <= 5 && wire::is_zero(&reply[wire::RELEASE]));
        }
        let Rejection { status, claimed, authenticated: proved, frame_error, .. } = rejection;
        assert_eq!(status.0, refusal.status);
        assert_eq!(claimed, hello.then_some(ReplicaId(first[wire::REPLICA])));
        assert_eq!(proved, authenticated);
        assert_eq!(frame_error.map(handshake_fault), fault);
        assert!(!rejection.to_string().is_empty());
        reply
    }
}

/// Why a Finish, or what came in its place, makes no link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FinishFault {
    Frame(HandshakeFault),
    Status(u8),
    /// The dialer says why it does not go on (D-12).
    ByPeer(PeerReject),
}

/// Why a peer is refused.
#[derive(Clone, Copy)]
pub struct Refusal {
    pub status: u8,
    pub retry_after: u32,
}

impl From<u8> for Refusal {
    fn from(status: u8) -> Self {
        Self { status, retry_after: 0 }
    }
}

impl Refusal {
    /// With the delay that `availability` names.
    pub fn of_hello(status: u8, availability: Availability) -> Self {
        let retry_after = match (status, availability) {
            (9, Availability::Busy { retry_after_ms }) => retry_after_ms,
            (10, Availability::Draining { retry_after_ms }) => retry_after_ms,
            _ => 0,
        };
        Self { status, retry_after }
    }
}

/// Which end of a handshake draws.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drawer {
    Dialer = 0xd1,
    Acceptor = 0xac,
}

/// The randomness of one side of one handshake. No two nonces of a run are the same; the exponent
/// always is, for X25519 is what takes the time.
#[derive(Clone, Copy)]
pub struct Draw {
    pub nonce: [u8; 32],
    side: Drawer,
}

static SHARES: LazyLock<[[u8; 32]; 2]> = LazyLock::new(|| {
    [Drawer::Dialer, Drawer::Acceptor]
        .map(|side| x25519_dalek::x25519([side as u8; 32], x25519_dalek::X25519_BASEPOINT_BYTES))
});

impl Draw {
    /// The `count`-th of `side`.
    pub fn new(side: Drawer, count: u8) -> Self {
        let mut nonce = [side as u8; 32];
        nonce[31] = count;
        Self { nonce, side }
    }

    pub fn fresh(&self) -> Fresh {
        Fresh::new(Nonce::new(self.nonce).expect("not zero"), EphemeralSecret::new([self.side as u8; 32]))
    }

    pub fn share(&self) -> [u8; 32] {
        SHARES[usize::from(self.side == Drawer::Acceptor)]
    }

    /// K-4: the secret shared with the sender of `frame`, unless it is all zero.
    pub fn agree(&self, frame: &Frame) -> Option<[u8; 32]> {
        let shared = x25519_dalek::x25519([self.side as u8; 32], wire::array(frame, wire::EPHEMERAL));
        (shared != [0; 32]).then_some(shared)
    }
}

/// From one or five bytes of input.
pub fn availability(input: &mut Unstructured<'_>) -> Availability {
    match byte(input) % 4 {
        2 => Availability::Busy { retry_after_ms: input.arbitrary().unwrap_or(0) },
        3 => Availability::Draining { retry_after_ms: input.arbitrary().unwrap_or(0) },
        _ => Availability::Open,
    }
}

/// Whom a dialer is to dial, straight from the input.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Target {
    pub peer: u8,
    pub lane: u16,
    pub key_index: u8,
}

impl Target {
    pub fn read(input: &mut Unstructured<'_>) -> Self {
        input.arbitrary().expect("integers come from any input, zero from none")
    }
}

/// Why a dialer gives up after the challenge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DialFault {
    Frame(HandshakeFault),
    Version,
    Rejected(PeerReject),
    Cluster,
    WrongPeer,
    ZeroNonce,
    Mac,
    NotRepeated(&'static str),
    NotOffered,
    Policy,
    Release,
    LowOrderShare,
}

impl DialFault {
    /// D-12: the status that a proved acceptor is told.
    pub fn told(&self) -> Option<u8> {
        match self {
            Self::Policy => Some(13),
            Self::Release => Some(12),
            Self::NotRepeated(_) | Self::NotOffered | Self::LowOrderShare => Some(14),
            _ => None,
        }
    }
}

impl From<DialError> for DialFault {
    fn from(error: DialError) -> Self {
        assert!(!error.to_string().is_empty());
        assert!(error.status().is_some_and(|status| !status.is_ok()));
        match error {
            DialError::Rejected(reject) => Self::Rejected(reject),
            DialError::Frame(error) => Self::Frame(handshake_fault(error)),
            DialError::Version { .. } => Self::Version,
            DialError::Cluster { .. } => Self::Cluster,
            DialError::WrongPeer { .. } => Self::WrongPeer,
            DialError::ZeroNonce => Self::ZeroNonce,
            DialError::Mac => Self::Mac,
            DialError::NotRepeated { field } => Self::NotRepeated(field),
            DialError::NotOffered { .. } => Self::NotOffered,
            DialError::Policy { .. } => Self::Policy,
            DialError::Release { .. } => Self::Release,
            DialError::LowOrderShare => Self::LowOrderShare,
            other => panic!("{other} comes before the challenge"),
        }
    }
}

/// A handshake that a dialer under test has begun.
pub struct Dialing {
    pub state: AwaitChallenge<()>,
    pub target: Target,
    pub key: Keys,
    pub draw: Draw,
    pub dialed: Dialed,
}

/// A challenge accepted: the link's end and the Finish that is owed.
pub type Up = (End, Frame);

impl Knobs {
    /// Begins a handshake; `None` if it is one that this node must not begin.
    pub fn dial(&self, dialer: &Dialer, target: Target, draw: Draw) -> Option<Dialing> {
        let key_index = usize::from(target.key_index);
        let key = self.serving(target.peer).nth(key_index);
        let to = DialTarget::new(ReplicaId(target.peer)).lane(target.lane).key_index(key_index);
        match dialer.begin((), to, self.channel_binding(), draw.fresh()) {
            Ok((state, hello)) => {
                assert!(self.replica < target.peer, "H-1");
                assert!(!self.v1() || (self.offered() == 0 && target.lane == 0), "H-13");
                let key = key.expect("a key with this index");
                let hello = *hello.bytes();
                assert_eq!(hello, self.hello(!self.v1(), &key, target.lane, &draw));
                assert_eq!(wire::handshake_fault(&hello, wire::HELLO), None);
                let binding = self.binding();
                let dialed = Dialed { hello, key: Some(key), binding, challenge: None };
                Some(Dialing { state, target, key, draw, dialed })
            }
            Err(failed) => {
                assert_eq!(failed.reply, None);
                match failed.error {
                    DialError::Direction { .. } => assert!(self.replica >= target.peer),
                    DialError::NotInVersion1 => {
                        assert!(self.v1() && (self.offered() != 0 || target.lane != 0));
                    }
                    DialError::NoSuchKey { keys } => {
                        let count = self.serving(target.peer).count();
                        assert_eq!((keys, key.is_none()), (count, true));
                    }
                    other => panic!("{other} before anything was received"),
                }
                None
            }
        }
    }

    /// What the protocol has this node, a dialer, make of the answer: the X25519 secret of K-4, or
    /// why it gives up.
    fn judge_challenge(&self, dialing: &Dialing, frame: &Frame) -> Result<[u8; 32], DialFault> {
        let Dialing { target, draw, dialed, .. } = dialing;
        let hello = &dialed.hello;
        let key = self.key_of_challenge(dialing, frame);
        if let Some(fault) = wire::handshake_fault(frame, wire::CHALLENGE) {
            return Err(DialFault::Frame(fault));
        }
        if frame[wire::VERSION] != hello[wire::VERSION] {
            return Err(DialFault::Version);
        }
        if let Some(reject) = dialed.read_reject(frame) {
            return Err(DialFault::Rejected(reject));
        }
        let v2 = !self.v1();
        let mac = if v2 {
            key.acceptor(hello, frame, self.binding())
        } else {
            key.v1(hello, frame, target.peer, self.binding(), 2)
        };
        let selected = wire::u16_at(frame, wire::FLAGS);
        let unproved = [
            (frame[wire::CLUSTER] != *CLUSTER, DialFault::Cluster),
            (frame[wire::REPLICA] != target.peer, DialFault::WrongPeer),
            (wire::is_zero(&frame[wire::NONCE]), DialFault::ZeroNonce),
            (!same(&frame[wire::MAC], mac), DialFault::Mac),
        ];
        let release = wire::u32_at(frame, wire::RELEASE);
        let proved = [
            (frame[wire::KEY_ID] != key.id, DialFault::NotRepeated("key_id")),
            (wire::u16_at(frame, wire::LANE) != target.lane, DialFault::NotRepeated("lane")),
            (selected & !self.asked_for() != 0, DialFault::NotOffered),
            (self.required & !selected != 0, DialFault::Policy),
            (!self.releases().contains(&release), DialFault::Release),
        ];
        let proved = proved.into_iter().filter(|_| v2);
        if let Some((_, fault)) = unproved.into_iter().chain(proved).find(|(wrong, _)| *wrong) {
            return Err(fault);
        }
        if selected & wire::SHARE == 0 {
            return Ok([0; 32]);
        }
        draw.agree(frame).ok_or(DialFault::LowOrderShare)
    }

    /// The key that a challenge is proved with: of version 1 the one of the ring that fits, if one does (K-2).
    fn key_of_challenge(&self, dialing: &Dialing, frame: &Frame) -> Keys {
        let Dialing { target, key, dialed, .. } = dialing;
        let mac = |key: &Keys| key.v1(&dialed.hello, frame, target.peer, self.binding(), 2);
        let fits = |key: &Keys| self.v1() && same(&frame[wire::MAC], mac(key));
        self.serving(target.peer).find(fits).unwrap_or(*key)
    }

    /// Hands the answer to a dialer under test, and checks everything that comes of it.
    pub fn answer(&self, dialing: Dialing, frame: &Frame) -> Result<Up, DialFault> {
        let expected = self.judge_challenge(&dialing, frame);
        let key = self.key_of_challenge(&dialing, frame);
        let Dialing { state, target, dialed, .. } = dialing;
        match state.receive(frame) {
            Ok((link, finish)) => {
                let shared = expected.unwrap_or_else(|fault| panic!("{fault:?} is to end this"));
                let hello = &dialed.hello;
                let finish = *finish.bytes();
                assert_eq!(finish, self.finish(hello, frame, &key));
                assert_eq!(wire::handshake_fault(&finish, wire::FINISH), None);
                let peer = peer(target.peer, Side::Dialer, &key, frame, frame);
                let session = key.session([hello, frame, &finish], self.binding(), &shared);
                let session = (!self.v1()).then_some(session);
                let dialed = Dialed { challenge: Some(*frame), ..dialed };
                Ok((End::new(link, self, peer, session, Some(dialed)), finish))
            }
            Err(failed) => {
                let proved = failed.error.is_proved();
                let fault = DialFault::from(failed.error);
                assert_eq!(expected, Err(fault.clone()));
                assert_eq!(proved, fault.told().is_some());
                let told = fault.told().map(|status| self.dialer_reject(&dialed.hello, frame, &key, status));
                assert_eq!(failed.reply, told);
                assert!(told.is_none_or(|reject| wire::dialer_reject_fault(&reject).is_none()));
                Err(fault)
            }
        }
    }
}

/// What an end must know of its peer, whose last frame but the Finish was `theirs`.
pub fn peer(replica: u8, side: Side, key: &Keys, theirs: &Frame, challenge: &Frame) -> Peer {
    let version = if theirs[wire::VERSION] == 2 { Version::V2 } else { Version::V1 };
    let proved = Authentication::PreSharedKey(KeyId(key.id));
    let mut peer = Peer::new(ReplicaId(replica), side, version, proved);
    peer.flags = Flags(wire::u16_at(challenge, wire::FLAGS));
    peer.release = wire::u32_at(theirs, wire::RELEASE);
    peer.incarnation = wire::u64_at(theirs, wire::INCARNATION);
    peer.lane = wire::u16_at(theirs, wire::LANE);
    peer
}
