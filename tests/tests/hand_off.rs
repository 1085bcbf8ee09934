//! Links go from one process to the next, and the peers notice nothing.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail by panicking, and name their seed")]

use std::io::{self, ErrorKind, IoSlice, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command as Process, Stdio};
use std::thread;

use bytes::Bytes;
use replink_frame::{Command, Flags, GenericHeader, GoodbyeReason, HEADER_SIZE, ReplicaId};
use replink_handshake::{Authenticated, ControlMessage};
use replink_tests::links::{
    AUTH, Got, config_with, endpoint_with, listen, read_from, receive, shake_hands, write_to,
};
use replink_tests::random::Random;
use replink_tests::watchdog::{soon, watched};
use replink_transport::config::Policy;
use replink_transport::hand_off::{
    HandOffError, Predecessor, RefusalCode, RefusedLink, StateError, Successor, Taken,
};
use replink_transport::memory::BLOCK_SIZE;
use replink_transport::{
    Endpoint, Inbound, Link, Outbound, OwnedFrame, Received, SendCause, SharedOutbound, TakeOutboundError,
    blocking::{self, LinkEnd},
};
use socket2::SockRef;

type Parts = (Link, Inbound, Outbound);

const DISABLED: &str = "enabled = false";
const VERSION_1: &str =
    "shared_secret = \"a secret for tests, 32 bytes or more\"\nversion = 1\nmin_version = 1";

/// A node that is to be upgraded, and a peer that does not know.
struct World {
    node: Endpoint,
    peer: Endpoint,
    node_dials: bool,
}

impl World {
    fn new(auth: &str, link: &str, node_dials: bool) -> Self {
        let [low, high] = [0, 3].map(|replica| endpoint_with(replica, auth, link));
        let (node, peer) = if node_dials { (low, high) } else { (high, low) };
        Self { node, peer, node_dials }
    }

    /// A link between the two: the node's end, and the peer's.
    fn link(&self) -> (Parts, (blocking::Sender, blocking::Receiver)) {
        let (node, peer) = self.ends();
        (parts(node, &self.node), blocking::open(peer, self.peer.outbound_limits()).unwrap())
    }

    /// The same, both as they are for a driver.
    fn ends(&self) -> (Authenticated<Link>, Authenticated<Link>) {
        let (node, peer) = if self.node_dials {
            let (dialed, accepted) = shake_hands(&self.node, &self.peer);
            (dialed.unwrap(), accepted.unwrap())
        } else {
            let (dialed, accepted) = shake_hands(&self.peer, &self.node);
            (accepted.unwrap(), dialed.unwrap())
        };
        (node, peer)
    }

    fn hand_over(&self, parts: Parts) -> Parts {
        let mut taken = transfer(&self.node, &self.node, vec![parts], |results| {
            assert!(results.iter().all(Result::is_ok), "{results:?}");
        });
        match taken.pop() {
            Some(Taken::Link { link, inbound, outbound }) if taken.is_empty() => (link, inbound, outbound),
            taken => panic!("{taken:?} where a link was expected"),
        }
    }
}

fn parts(end: Authenticated<Link>, endpoint: &Endpoint) -> Parts {
    let (link, session) = end.into_parts();
    link.stream().set_read_timeout(None).unwrap();
    link.stream().set_write_timeout(None).unwrap();
    let (receiving, sending) = session.split();
    let limits = endpoint.outbound_limits();
    (link, Inbound::new(receiving, limits.frame_size), Outbound::new(sending, limits))
}

/// A whole transfer of these links; what the successor took.
fn transfer(
    old: &Endpoint,
    new: &Endpoint,
    links: Vec<Parts>,
    check: impl FnOnce(&[Result<(), HandOffError>]) + Send,
) -> Vec<Taken> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut predecessor = Predecessor::begin(&ours, old, soon()).unwrap();
            let give = |(link, inbound, outbound)| predecessor.link(link, inbound, outbound);
            let results: Vec<_> = links.into_iter().map(give).collect();
            check(&results);
            predecessor.finish().unwrap();
        });
        let mut successor = Successor::begin(&theirs, soon()).unwrap();
        let (node, local) = (successor.node(), old.local());
        assert_eq!((node.incarnation, node.release), (local.incarnation, local.release));
        let mut taken = Vec::new();
        while let Some(next) = successor.next(new).unwrap() {
            taken.push(next);
        }
        assert!(successor.next(new).unwrap().is_none(), "and so it stays");
        taken
    })
}

/// Frame `number` of a direction: its length and content follow from the seed, and its checksum is
/// the body's hash.
fn numbered(seed: u64, number: u64) -> (GenericHeader, Bytes) {
    let mut random = Random::new(seed ^ (number << 20));
    let len = match random.below(12) {
        0 => 0,
        1..=6 => random.between(1, 700),
        7..=9 => random.between(700, 20_000),
        10 => random.between(20_000, 100_000),
        _ => random.between(BLOCK_SIZE, BLOCK_SIZE + 100_000),
    };
    let body = random.bytes(len);
    let mut header = GenericHeader::new(replink_handshake::cluster_id("orders"), Command::PREPARE, len);
    header.checksum_body = blake3::hash(&body).as_bytes()[..16].try_into().unwrap();
    header.view = u32::try_from(number).unwrap().into();
    (header, body.into())
}

fn check_numbered(frame: &OwnedFrame, seed: u64, number: u64) {
    assert_eq!(frame.header.view.get(), u32::try_from(number).unwrap(), "lost, doubled or overtaken");
    assert_eq!(frame.header.checksum_body, blake3::hash(&frame.body).as_bytes()[..16]);
    let (header, body) = numbered(seed, number);
    assert_eq!(frame, &OwnedFrame::new(header, body));
}

/// What `result` has taken; nothing where it would block.
fn moved(result: io::Result<usize>) -> usize {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ResourceBusy) => 0,
        result => {
            let moved = result.unwrap();
            assert!(moved > 0, "the peer is still there");
            moved
        }
    }
}

const FRAMES: u64 = 120;
const HAND_OVERS: u32 = 10;

/// Both directions under way at once, and the node moves on from process to process.
fn moves_on_in_the_middle_of_everything(auth: &str, sealed: Policy, node_dials: bool, seed: u64) {
    println!("seed {seed}");
    let link =
        format!("sealed = \"{}\"\nmax_frame_size = \"1MiB\"\nsend_queue_bytes = \"8MiB\"", sealed.as_str());
    let world = World::new(auth, &link, node_dials);
    let (mut parts, (mut sender, mut receiver)) = world.link();
    assert_eq!(parts.1.peer().flags.contains(Flags::SEALED), sealed == Policy::Required);
    SockRef::from(parts.0.stream()).set_send_buffer_size(16 * 1024).unwrap();
    parts.0.stream().set_nonblocking(true).unwrap();
    let has_pings = parts.1.peer().version == replink_frame::Version::V2;

    thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..FRAMES {
                if number % 10 == 0 {
                    sender.ping().unwrap();
                }
                let (header, body) = numbered(seed, number);
                sender.send(&header, body).unwrap();
            }
            sender // its end stays open
        });
        let received_by_peer = scope.spawn(move || {
            let (mut number, mut echoes) = (0, 0);
            while number < FRAMES || (has_pings && echoes < FRAMES / 10) {
                match receive(&mut receiver).unwrap() {
                    Got::Frame(frame) => {
                        check_numbered(&frame, !seed, number);
                        number += 1;
                    }
                    Got::Control(ControlMessage::Pong { echo }) => {
                        assert!(echo > echoes, "pongs in order");
                        echoes += 1;
                    }
                    Got::Control(ControlMessage::Ping { .. }) => {}
                    got @ Got::Control(_) => panic!("{got:?}"),
                }
            }
            receiver
        });

        let mut random = Random::new(seed);
        let (mut taken, mut queued, mut hand_overs) = (0, 0, 0);
        while taken < FRAMES || queued < FRAMES || !parts.2.is_empty() || hand_overs < HAND_OVERS {
            let (link, inbound, outbound) = &mut parts;
            match random.below(5) {
                0 => {
                    moved(read_from(inbound, link));
                }
                1 => {
                    for _ in 0..random.below(20) {
                        match inbound.next().unwrap() {
                            Some(Received::Frame(frame)) => {
                                check_numbered(&frame.into_owned(), seed, taken);
                                taken += 1;
                            }
                            Some(Received::Control(ControlMessage::Ping { counter })) => {
                                outbound.pong(counter);
                            }
                            Some(Received::Control(control)) => panic!("{control:?}"),
                            None => break,
                        }
                    }
                }
                2 => {
                    inbound.find().unwrap(); // holds something back
                }
                3 if queued < FRAMES => {
                    let (header, body) = numbered(!seed, queued);
                    match outbound.push(&header, body) {
                        Ok(()) => queued += 1,
                        Err(full) => assert!(matches!(full.cause(), SendCause::Backpressure { .. })),
                    }
                    if random.once_in(10) {
                        outbound.ping();
                    }
                }
                _ => {
                    if !outbound.is_empty() {
                        moved(write_to(outbound, link));
                    }
                    thread::yield_now();
                }
            }
            let progress = (taken + queued) * u64::from(HAND_OVERS) / (2 * FRAMES);
            if progress > u64::from(hand_overs)
                || (progress == u64::from(HAND_OVERS) && hand_overs < HAND_OVERS)
            {
                hand_overs += 1;
                parts = world.hand_over(parts);
            }
        }
        received_by_peer.join().unwrap();
        assert!(parts.1.is_at_frame_boundary());
    });
}

#[test]
fn nothing_is_lost_or_doubled_on_the_way() {
    for seed in [1, 2] {
        for node_dials in [false, true] {
            for sealed in [Policy::Required, Policy::Off] {
                watched(move || moves_on_in_the_middle_of_everything(AUTH, sealed, node_dials, seed));
            }
        }
    }
}

#[test]
fn nor_on_version_1_links_and_on_those_that_prove_nothing() {
    for auth in [VERSION_1, DISABLED] {
        watched(move || moves_on_in_the_middle_of_everything(auth, Policy::Optional, true, 3));
        watched(move || moves_on_in_the_middle_of_everything(auth, Policy::Optional, false, 4));
    }
}

fn wire((header, body): &(GenericHeader, Bytes)) -> Vec<u8> {
    [&header.bytes()[..], body].concat()
}

fn next_frame(inbound: &mut Inbound) -> OwnedFrame {
    match inbound.next().unwrap() {
        Some(Received::Frame(frame)) => frame.into_owned(),
        other => panic!("{other:?} where a frame was expected"),
    }
}

fn frame_of(len: usize, number: u32) -> (GenericHeader, Bytes) {
    let body: Vec<u8> = Random::new(number.into()).bytes(len);
    let mut header = GenericHeader::new(replink_handshake::cluster_id("orders"), Command::PREPARE, len);
    header.view = number.into();
    (header, body.into())
}

/// What `outbound` makes of these frames, written at once.
fn written(outbound: &mut Outbound, frames: &[(GenericHeader, Bytes)]) -> Vec<u8> {
    for (header, body) in frames {
        outbound.push(header, body.clone()).unwrap();
    }
    let mut bytes = Vec::new();
    while !outbound.is_empty() {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = outbound.slices(&mut slices);
        let before = bytes.len();
        slices[..count].iter().for_each(|slice| bytes.extend_from_slice(slice));
        outbound.advance(bytes.len() - before);
    }
    bytes
}

/// Everything that an inbound can hold, at every place where a body can be cut.
#[test]
fn what_was_read_ahead_travels() {
    watched(|| {
        let frames = [frame_of(10, 1), frame_of(0, 2), frame_of(300_000, 3), frame_of(5000, 4)];
        let cuts = [
            0,
            1,
            HEADER_SIZE,
            HEADER_SIZE + 9,
            HEADER_SIZE + 10,
            2 * HEADER_SIZE + 10,
            3 * HEADER_SIZE + 10,
            3 * HEADER_SIZE + 11,
            200_000,
            3 * HEADER_SIZE + 300_009,
            3 * HEADER_SIZE + 300_010,
            4 * HEADER_SIZE + 300_011,
            4 * HEADER_SIZE + 305_009,
            4 * HEADER_SIZE + 305_010,
        ];
        // A frame has records of its own, or shares one with others.
        for (sealed, batch) in [("off", 1), ("required", 1), ("required", 2), ("required", 4)] {
            let world = World::new(AUTH, &format!("sealed = \"{sealed}\""), false);
            for (cut, is_asked) in cuts.into_iter().flat_map(|cut| [(cut, false), (cut, true)]) {
                let (node, peer) = world.ends();
                let (link, mut inbound, outbound) = parts(node, &world.node);
                let (_peer, _, mut sender) = parts(peer, &world.peer);
                let bytes: Vec<u8> =
                    frames.chunks(batch).flat_map(|batch| written(&mut sender, batch)).collect();
                let mut taken = Vec::new();
                let push = |inbound: &mut Inbound, taken: &mut Vec<OwnedFrame>, mut bytes: &[u8]| {
                    loop {
                        bytes = &bytes[inbound.push(bytes)..];
                        if bytes.is_empty() {
                            return;
                        }
                        // A body that gets memory of its own makes room, too.
                        if let Some(Received::Frame(frame)) = inbound.next().unwrap() {
                            taken.push(frame.into_owned());
                        }
                    }
                };
                push(&mut inbound, &mut taken, &bytes[..cut]);
                if is_asked {
                    // Looks for a frame, finds one or begins a body of its own, and takes none.
                    while taken.len() < 2 && cut >= 3 * HEADER_SIZE + 11 && batch < 4 {
                        taken.push(next_frame(&mut inbound));
                    }
                    inbound.find().unwrap();
                }
                let (_link, mut inbound, _) = world.hand_over((link, inbound, outbound));
                push(&mut inbound, &mut taken, &bytes[cut..]);
                while taken.len() < frames.len() {
                    taken.push(next_frame(&mut inbound));
                }
                assert!(inbound.next().unwrap().is_none() && inbound.is_at_frame_boundary());
                for (taken, (header, body)) in taken.into_iter().zip(&frames) {
                    assert_eq!(taken, OwnedFrame::new(*header, body.clone()), "cut at {cut}");
                }
            }
        }
    });
}

#[test]
fn a_proved_control_frame_that_nobody_has_taken_travels_and_counters_go_on() {
    watched(|| {
        let world = World::new(AUTH, "", true);
        let (mut parts, (mut sender, mut receiver)) = world.link();
        for round in 1..=3 {
            assert_eq!(sender.ping().unwrap(), Some(round));
            while parts.1.find().unwrap().is_none() {
                assert!(read_from(&mut parts.1, &parts.0).unwrap() > 0);
            }
            parts = world.hand_over(parts);
            let Some(Received::Control(ControlMessage::Ping { counter })) = parts.1.next().unwrap() else {
                panic!("the ping is lost");
            };
            assert_eq!(counter, round);
            parts.2.pong(counter);
            assert_eq!(parts.2.ping(), Some(2 * round), "a pong and a ping each round");
            parts = world.hand_over(parts);
            while !parts.2.is_empty() {
                write_to(&mut parts.2, &parts.0).unwrap();
            }
            let mut got = || receiver.receive().unwrap().map(|got| format!("{got:?}"));
            assert_eq!(got().unwrap(), format!("Control(Pong {{ echo: {round} }})"));
            assert_eq!(got().unwrap(), format!("Control(Ping {{ counter: {} }})", 2 * round));
        }
    });
}

/// The peer does not read, so the first waiting frame is written in part; another process writes the rest. On a
/// sealed link that is the first record, and it is not sealed again (S-4).
#[test]
fn a_frame_written_in_part_is_finished_by_the_next_process() {
    for sealed in ["off", "required"] {
        watched(move || finishes_what_was_written_in_part(sealed));
    }
}

fn finishes_what_was_written_in_part(sealed: &str) {
    let limits = "max_frame_size = \"1MiB\"\nsend_queue_bytes = \"16MiB\"";
    let world = World::new(AUTH, &format!("sealed = \"{sealed}\"\n{limits}"), true);
    let ((link, inbound, mut outbound), (_sender, mut receiver)) = world.link();
    SockRef::from(link.stream()).set_send_buffer_size(8 * 1024).unwrap();
    link.stream().set_nonblocking(true).unwrap();
    let frames: Vec<_> = (0..40).map(|number| frame_of(90_000 + number as usize, number)).collect();
    for (header, body) in &frames {
        outbound.push(header, body.clone()).unwrap();
    }
    let total = outbound.queued_bytes();
    while let Ok(written) = write_to(&mut outbound, &link) {
        assert!(written > 0);
    }
    let waiting = (outbound.queued_frames(), outbound.queued_bytes());
    assert!(waiting.1 > 0 && waiting.1 < total, "{waiting:?} of {total}");
    assert_ne!(waiting.1 % 256, 1, "not by accident");

    let (link, inbound, outbound) = world.hand_over((link, inbound, outbound));
    if sealed == "off" {
        assert_eq!((outbound.queued_frames(), outbound.queued_bytes()), waiting);
    } else {
        // What is sealed counts as the bytes that it is, in no frames.
        assert!(outbound.queued_frames() < waiting.0 && outbound.queued_bytes() <= waiting.1 + 80);
    }
    // Once more, with the same records.
    let (link, _inbound, mut outbound) = world.hand_over((link, inbound, outbound));
    link.stream().set_nonblocking(false).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !outbound.is_empty() {
                write_to(&mut outbound, &link).unwrap();
            }
            assert_eq!(outbound.queued_frames(), 0);
        });
        for (header, body) in frames {
            assert_eq!(receive(&mut receiver).unwrap().frame(), OwnedFrame::new(header, body));
        }
    });
}

/// S-4: the step to the next secret is behind the last record of the step before, in this process or the next.
#[test]
fn a_link_goes_on_around_a_step_to_the_next_secret() {
    for records in [1023, 1024, 1025] {
        watched(move || {
            let world = World::new(AUTH, "sealed = \"required\"", true);
            let (mut parts, (mut sender, mut receiver)) = world.link();
            let exchange =
                |parts: &mut Parts, sender: &mut blocking::Sender, receiver: &mut blocking::Receiver| {
                    let frame = frame_of(5, 1);
                    parts.2.push(&frame.0, frame.1.clone()).unwrap();
                    while !parts.2.is_empty() {
                        write_to(&mut parts.2, &parts.0).unwrap();
                    }
                    assert_eq!(receive(receiver).unwrap().frame().body, frame.1);
                    sender.send(&frame.0, frame.1.clone()).unwrap();
                    while parts.1.next().unwrap().is_none() {
                        assert!(read_from(&mut parts.1, &parts.0).unwrap() > 0);
                    }
                };
            for _ in 0..records {
                exchange(&mut parts, &mut sender, &mut receiver);
            }
            for _ in 0..2 {
                parts = world.hand_over(parts);
                exchange(&mut parts, &mut sender, &mut receiver);
            }
        });
    }
}

/// As a node does it: threads send on a shared outbound until it is taken from them.
#[test]
fn a_shared_outbound_is_taken_from_its_senders() {
    watched(|| {
        let world = World::new(AUTH, "max_frame_size = \"1MiB\"\nsend_queue_bytes = \"16MiB\"", false);
        let ((link, inbound, outbound), (_sender, mut receiver)) = world.link();
        link.stream().set_nonblocking(true).unwrap();
        SockRef::from(link.stream()).set_send_buffer_size(8 * 1024).unwrap();
        let shared = SharedOutbound::new(outbound, link.try_clone().unwrap(), |_| {});
        let (sent, outbound) = thread::scope(|scope| {
            let sending = scope.spawn(|| {
                for number in 0.. {
                    let (header, body) = frame_of(3000, number);
                    match shared.send(&header, body.clone()) {
                        Ok(_) => {}
                        Err(refused) if matches!(refused.cause(), SendCause::Backpressure { .. }) => {
                            return number;
                        }
                        Err(refused) => {
                            assert_eq!(refused.cause(), SendCause::HandedOff);
                            assert_eq!(refused.into_frame(), (header, body));
                            return number;
                        }
                    }
                }
                unreachable!("the peer does not read")
            });
            let outbound = loop {
                match shared.take_for_hand_off() {
                    Ok(outbound) => break outbound,
                    Err(TakeOutboundError::Busy) => thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            };
            (sending.join().unwrap(), outbound)
        });
        assert_eq!(shared.ended(), Some(SendCause::HandedOff));
        assert_eq!(shared.flush().unwrap_err().kind(), ErrorKind::NotConnected);
        let again = shared.take_for_hand_off().unwrap_err();
        assert_eq!(again, TakeOutboundError::Ended(SendCause::HandedOff));
        assert_eq!((shared.stats().queued_frames, shared.stats().queued_bytes), (0, 0));
        drop(shared);

        let (link, inbound, mut outbound) = world.hand_over((link, inbound, outbound));
        let (header, body) = frame_of(3000, sent);
        outbound.push(&header, body).unwrap_or_else(|full| {
            assert!(matches!(full.cause(), SendCause::Backpressure { .. }));
        });
        link.stream().set_nonblocking(false).unwrap();
        let (mut sender, _receiver) = blocking::resume(link, inbound, outbound).unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                sender.flush().unwrap();
                sender.goodbye(GoodbyeReason::SHUTDOWN).unwrap();
            });
            for number in 0..sent {
                let (header, body) = frame_of(3000, number);
                assert_eq!(receive(&mut receiver).unwrap().frame(), OwnedFrame::new(header, body));
            }
        });
    });
}

#[test]
fn a_node_hands_off_its_listener_and_every_link() {
    watched(|| {
        let world = World::new(AUTH, "", true);
        let listener = listen();
        let address = listener.local_addr().unwrap();
        let waiting = std::net::TcpStream::connect(address).unwrap(); // not accepted yet
        let (ours, theirs) = UnixStream::pair().unwrap();
        let links: Vec<_> = (0..4).map(|_| world.link()).collect();
        let (links, mut peers): (Vec<_>, Vec<_>) = links.into_iter().unzip();
        let addresses: Vec<_> = links.iter().map(|(link, ..)| link.peer_address()).collect();
        let taken = thread::scope(|scope| {
            scope.spawn(|| {
                let mut predecessor = Predecessor::begin(&ours, &world.node, soon()).unwrap();
                predecessor.listener(&listener).unwrap();
                for (link, inbound, outbound) in links {
                    predecessor.link(link, inbound, outbound).unwrap();
                }
                assert!(!predecessor.is_over());
                predecessor.finish().unwrap();
                drop(listener);
            });
            let mut successor = Successor::begin(&theirs, soon()).unwrap();
            // Another release, as after an upgrade.
            let config = config_with(AUTH, "");
            let replica = world.node.local().replica;
            let endpoint = config.endpoint(replica, 8, successor.node().incarnation).unwrap();
            std::iter::from_fn(|| successor.next(&endpoint).unwrap()).collect::<Vec<_>>()
        });
        let mut taken = taken.into_iter();
        let Some(Taken::Listener(listener)) = taken.next() else { panic!("no listener") };
        assert_eq!(listener.accept().unwrap().1, waiting.local_addr().unwrap());
        for (taken, ((_, receiver), address)) in taken.zip(peers.iter_mut().zip(addresses)) {
            let Taken::Link { link, inbound, mut outbound } = taken else { panic!("{taken:?}") };
            assert_eq!(link.peer_address(), address);
            let flags = rustix::io::fcntl_getfd(&link).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "no child gets it");
            assert_eq!(inbound.peer().replica, world.peer.local().replica);
            let (header, body) = frame_of(100, 1);
            outbound.push(&header, body.clone()).unwrap();
            write_to(&mut outbound, &link).unwrap();
            assert_eq!(receive(receiver).unwrap().frame(), OwnedFrame::new(header, body));
        }
    });
}

/// Where the successor of [`a_link_goes_to_another_process`] finds its predecessor.
const SOCKET_VARIABLE: &str = "REPLINK_TEST_HAND_OFF";

/// No test by itself: it is run as another process, sends back what comes, and leaves.
#[test]
fn successor_process() {
    let Some(path) = std::env::var_os(SOCKET_VARIABLE) else { return };
    watched(move || {
        let stream = UnixStream::connect(path).unwrap();
        let mut successor = Successor::begin(&stream, soon()).unwrap();
        let endpoint = config_with(AUTH, "").endpoint(ReplicaId(3), 8, successor.node().incarnation).unwrap();
        let taken = successor.next(&endpoint).unwrap();
        assert!(successor.next(&endpoint).unwrap().is_none());
        let Some(Taken::Link { link, inbound, outbound }) = taken else { panic!("{taken:?}") };
        let (mut sender, mut receiver) = blocking::resume(link, inbound, outbound).unwrap();
        for _ in 0..3 {
            let OwnedFrame { header, body, .. } = receive(&mut receiver).unwrap().frame();
            sender.send(&header, body).unwrap();
        }
        sender.goodbye(GoodbyeReason::SHUTDOWN).unwrap();
        assert!(matches!(receive(&mut receiver), Err(LinkEnd::Closed)), "the peer closes last");
    });
}

#[test]
fn a_link_goes_to_another_process() {
    watched(|| {
        let world = World::new(AUTH, "sealed = \"off\"", false);
        let ((link, mut inbound, mut outbound), (mut sender, mut receiver)) = world.link();
        let frames = [frame_of(10, 1), frame_of(200_000, 2), frame_of(3000, 3)];
        let bytes: Vec<u8> = frames.iter().flat_map(wire).collect();
        let (ahead, behind) = bytes.split_at(100_000);
        inbound.push(ahead);
        let (header, body) = frame_of(70_000, 0);
        outbound.push(&header, body.clone()).unwrap();

        let folder = tempfile::tempdir().unwrap(); // of this user alone
        let path = folder.path().join("hand-off");
        let listener = UnixListener::bind(&path).unwrap();
        let mut process = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "successor_process", "--nocapture"])
            .env(SOCKET_VARIABLE, &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (stream, _) = listener.accept().unwrap();
        let mut predecessor = Predecessor::begin(&stream, &world.node, soon()).unwrap();
        predecessor.link(link, inbound, outbound).unwrap();
        predecessor.finish().unwrap();

        assert_eq!(receive(&mut receiver).unwrap().frame(), OwnedFrame::new(header, body));
        sender.link().stream().write_all(behind).unwrap();
        for (header, body) in frames {
            assert_eq!(receive(&mut receiver).unwrap().frame(), OwnedFrame::new(header, body));
        }
        assert!(matches!(receive(&mut receiver).unwrap(), Got::Control(ControlMessage::Goodbye(_))));
        assert!(matches!(receive(&mut receiver), Err(LinkEnd::Left(_))));
        sender.flush().unwrap();
        drop((sender, receiver));
        assert!(process.wait().unwrap().success());
    });
}

/// What the successor's configuration does not allow is closed, and the other links still go.
#[test]
fn a_successor_with_other_settings_refuses_what_does_not_fit() {
    watched(|| {
        let link = "sealed = \"off\"\nmax_frame_size = \"1MiB\"\nsend_queue_bytes = \"8MiB\"";
        let world = World::new(AUTH, link, false);
        let small = endpoint_with(
            3,
            AUTH,
            "max_frame_size = \"64KiB\"\nsend_queue_bytes = \"64KiB\"\nsend_queue_frames = 4",
        );
        let (mut under_way, mut under_way_peer) = world.link();
        let large = wire(&frame_of(500_000, 1));
        assert_eq!(under_way.1.push(&large[..100_000]), 100_000);
        assert!(under_way.1.next().unwrap().is_none());
        let (mut queued, mut queued_peer) = world.link();
        for number in 0..3 {
            let (header, body) = frame_of(50_000, number);
            queued.2.push(&header, body).unwrap();
        }
        let (failed, mut failed_peer) = {
            let (mut parts, peer) = world.link();
            parts.1.push(&[0; 256]);
            parts.1.next().unwrap_err();
            (parts, peer)
        };
        let (good, mut good_peer) = world.link();
        let taken = transfer(&world.node, &small, vec![under_way, queued, failed, good], |results| {
            assert!(matches!(
                results,
                [
                    Err(HandOffError::Refused(RefusalCode::STATE)),
                    Err(HandOffError::Refused(RefusalCode::STATE)),
                    Err(HandOffError::Inbound(_)),
                    Ok(())
                ]
            ));
        });
        let [first, second, good] = <[_; 3]>::try_from(taken).unwrap();
        assert!(matches!(first, Taken::Refused(RefusedLink::State(StateError::Frame(_)))), "{first:?}");
        assert!(matches!(second, Taken::Refused(RefusedLink::State(StateError::Limit { .. }))), "{second:?}");
        for (_, receiver) in [&mut under_way_peer, &mut queued_peer, &mut failed_peer] {
            receive(receiver).unwrap_err(); // shut down
        }
        let Taken::Link { link, mut outbound, .. } = good else { panic!("{good:?}") };
        let (header, body) = frame_of(10, 1);
        outbound.push(&header, body.clone()).unwrap();
        write_to(&mut outbound, &link).unwrap();
        assert_eq!(receive(&mut good_peer.1).unwrap().frame(), OwnedFrame::new(header, body));
    });
}
