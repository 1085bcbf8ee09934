//! Exchanges on virtual time and without sockets: a connection is a number, and a test moves the bytes.

mod accepting;
mod dialing;
mod leaving;
mod migrating;
mod moving_on;
mod pair;
mod version_one;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use replink_frame::{Challenge, Flags, ReplicaId, Status, Version};
use replink_handshake::{
    App, Authenticated, Availability, ChannelBinding, DialTarget, EphemeralSecret, FlagPolicy, Fresh, Key,
    KeyRing, Local, Nonce, Secret, cluster_id,
};

use super::{Accepted, Accepting, DialFailure, Dialing, Exchange, Want};
use crate::{Endpoint, EndpointSettings};

/// Names a connection.
type Number = u32;

const DIALER: u8 = 0;
const ACCEPTOR: u8 = 2;

/// How long a handshake of these tests may take.
const TIME: Duration = Duration::from_secs(6);

/// Keys are told apart by one byte of their secret.
const KEY: u8 = 7;

fn settings(replica: u8, keys: &[u8]) -> EndpointSettings {
    let app = App::default();
    let mut keys = keys.iter().map(|&byte| Key::derive(&app, &Secret::new(vec![byte; 32]).unwrap()));
    let ring = keys.next().map(|offered| Arc::new(KeyRing::new(offered, keys)));
    let replica = ReplicaId(replica);
    let local = Local::new(app, cluster_id("orders"), replica).release(1).incarnation(9);
    EndpointSettings::new(local, ring, (0..5).map(ReplicaId).collect())
}

fn endpoint(replica: u8) -> Endpoint {
    Endpoint::new(settings(replica, &[KEY])).unwrap()
}

/// H-12.
fn disabled(replica: u8) -> Endpoint {
    Endpoint::new(settings(replica, &[])).unwrap()
}

/// One that has sealed links as `flags` says.
fn with_flags(replica: u8, flags: FlagPolicy) -> Endpoint {
    Endpoint::new(EndpointSettings { flags, ..settings(replica, &[KEY]) }).unwrap()
}

const REQUIRED: FlagPolicy = FlagPolicy::new(Flags::SEALED, Flags::SEALED);
const OPTIONAL: FlagPolicy = FlagPolicy::new(Flags::SEALED, Flags::NONE);
const OFF: FlagPolicy = FlagPolicy::new(Flags::NONE, Flags::NONE);

fn fresh(byte: u8) -> Fresh {
    Fresh::new(Nonce::new([byte; 32]).unwrap(), EphemeralSecret::new([byte; 32]))
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 7400))
}

fn addresses(count: u8) -> Vec<SocketAddr> {
    (1..=count).map(address).collect()
}

fn target() -> DialTarget {
    DialTarget::new(ReplicaId(ACCEPTOR))
}

fn dial(endpoint: &Endpoint, count: u8, now: Instant) -> Dialing<Number> {
    Dialing::new(endpoint, target(), addresses(count), now + TIME, now)
}

/// Where a connection is wanted to.
fn connects_to(dialing: &mut Dialing<Number>) -> Option<SocketAddr> {
    match dialing.want() {
        Want::Connect { address } => Some(address),
        _ => None,
    }
}

/// Takes all that is to be written.
fn written(exchange: &mut impl Exchange<Link = Number>, now: Instant) -> Vec<u8> {
    let mut all = Vec::new();
    while let Want::Write { bytes, .. } = exchange.want() {
        assert!(!bytes.is_empty() && bytes.len() <= 256);
        all.extend(bytes);
        let count = bytes.len();
        exchange.written(count, now);
    }
    all
}

/// Gives what is to be read, in pieces of at most `piece` bytes. What nobody asked for.
fn feed<'a>(
    exchange: &mut impl Exchange<Link = Number>,
    bytes: &'a [u8],
    piece: usize,
    now: Instant,
) -> &'a [u8] {
    let mut rest = bytes;
    while let (Want::Read { at_most, .. }, false) = (exchange.want(), rest.is_empty()) {
        assert!((1..=256).contains(&at_most));
        let (head, behind) = rest.split_at(at_most.min(piece).min(rest.len()));
        exchange.received(head, now);
        rest = behind;
    }
    rest
}

/// Connects, and the Hello that goes out then.
fn hello(dialing: &mut Dialing<Number>, now: Instant) -> Vec<u8> {
    assert!(connects_to(dialing).is_some(), "{dialing:?}");
    dialing.connected(1, ChannelBinding::None, fresh(1), now);
    written(dialing, now)
}

/// What `acceptor` answers to a Hello.
fn answer(acceptor: &Endpoint, availability: Availability, hello: &[u8], now: Instant) -> Vec<u8> {
    let mut accepting = Accepting::new(2, acceptor, ChannelBinding::None, now + TIME);
    assert!(feed(&mut accepting, hello, 256, now).is_empty());
    if let Want::Answer = accepting.want() {
        accepting.answer(availability, fresh(2), now);
    }
    match accepting.want() {
        Want::Done => match accepting.finish() {
            Accepted::Rejected(mut leaving) => written(&mut leaving, now),
            accepted => panic!("{accepted:?}"),
        },
        _ => written(&mut accepting, now),
    }
}

/// A reject without a MAC: anybody can make it.
fn hint(status: Status) -> Vec<u8> {
    let mut reject = Challenge::new(cluster_id("orders"), ReplicaId(ACCEPTOR), Version::V2);
    reject.fields_mut().status = status;
    reject.bytes().to_vec()
}

/// The Finish goes out: the dialer is done.
fn comes_up(dialing: &mut Dialing<Number>, acceptor: &Endpoint, now: Instant) {
    let hello = hello(dialing, now);
    let challenge = answer(acceptor, Availability::Open, &hello, now);
    feed(dialing, &challenge, 256, now);
    assert_eq!(written(dialing, now).len(), 256);
    assert!(matches!(dialing.want(), Want::Done));
}

fn failure(dialing: Dialing<Number>) -> DialFailure {
    let result: Result<Authenticated<Number>, _> = dialing.finish();
    result.unwrap_err()
}

fn just_before(time: Instant) -> Instant {
    time.checked_sub(Duration::from_nanos(1)).unwrap()
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}
