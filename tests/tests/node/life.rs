//! What counts as life (C-1), and who asks for it (C-2).

use std::io::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use replink_frame::ReplicaId;
use replink_handshake::ControlMessage;
use replink_tests::fixtures::SECRET;
use replink_tests::links::AUTH;
use replink_tests::nodes::{Ground, Replica, poll_until, poll_while, prepare};
use replink_tests::raw_peer::{RawPeer, at, command, put};
use replink_tests::watchdog::watched;
use replink_transport::Received;
use replink_transport::mesh::{DownReason, Loss};
use replink_transport::node::NodeOptions;
use socket2::SockRef;

use crate::mesh::{acceptor, dialed, dialed_by_hand};

const HEARTBEATS: &str = "heartbeat_interval = \"50ms\"\nheartbeat_timeout = \"300ms\"\n";

/// Now and then a byte of something that never becomes whole: what someone on the path can make who holds no key.
struct Drip {
    rest: std::vec::IntoIter<u8>,
    last: Instant,
}

impl Drip {
    fn new() -> Self {
        let mut bytes = vec![0; 250];
        bytes[2] = 1; // as a length it is one that can be
        Self { rest: bytes.into_iter(), last: Instant::now() }
    }

    fn go_on(&mut self, stream: &mut impl Write) {
        if self.last.elapsed() >= Duration::from_millis(8) {
            self.last = Instant::now();
            let byte = self.rest.next().expect("the test is over before it is whole");
            stream.write_all(&[byte]).unwrap();
        }
    }
}

#[test]
fn bytes_that_prove_nothing_keep_no_sealed_link() {
    watched(|| {
        let (ground, mut node) = acceptor(&format!("{HEARTBEATS}sealed = \"required\"\n"));
        let (sender, _receiver) = dialed(&ground, &mut node, 5);
        let mut drip = Drip::new();
        poll_until(&mut node, "its silence is noticed", |node| {
            drip.go_on(&mut sender.link().stream());
            node[0].downs().count() == 1
        });
        let reason = node[0].downs().next().unwrap().reason;
        assert!(matches!(reason, DownReason::Lost(Loss::Silent(_))), "{reason:?}");
    });
}

/// A large frame may take longer than the timer.
#[test]
fn bytes_keep_a_link_that_is_not_sealed() {
    watched(|| {
        let (ground, mut node) = acceptor(&format!("{HEARTBEATS}sealed = \"off\"\n"));
        let (sender, _receiver) = dialed(&ground, &mut node, 5);
        let (mut drip, began) = (Drip::new(), Instant::now());
        poll_until(&mut node, "three times the timeout", |_| {
            drip.go_on(&mut sender.link().stream());
            began.elapsed() > Duration::from_millis(900)
        });
        assert_eq!((node[0].links(), node[0].downs().count()), (1, 0));
    });
}

/// A follower that is at work for a while reads nothing, and its window is shut. It is heard from all the time, and its
/// machine answers: that is backpressure, and no loss. In version 1, where nothing is heard, its machine speaks for it.
#[test]
fn a_peer_that_does_not_read_keeps_its_link() {
    watched(|| {
        for (auth, version) in [("", 2), ("min_version = 1\nversion = 1\n", 1)] {
            let ground = Ground::new(2, "");
            let config = ground.config(&format!("{AUTH}\n{auth}"), HEARTBEATS);
            let endpoint = config.endpoint(ReplicaId(0), 7, 5).unwrap();
            let mut node = [Replica::start(&ground, config, NodeOptions::new(ReplicaId(1)), 1)];
            let (mut sender, _unread) = poll_while(&mut node, || ground.dial(&endpoint, 1, 1).unwrap());
            SockRef::from(sender.link()).set_recv_buffer_size(4096).unwrap();
            poll_until(&mut node, "it is up", |node| node[0].links() == 1);
            let (mut began, mut full) = (Instant::now(), false);
            poll_until(&mut node, "five times the timeout without room", |node| {
                sender.ping().unwrap();
                let sent = node[0].handle().send(ReplicaId(0), &prepare(1, 1 << 16), vec![7; 1 << 16]);
                if sent.is_err() && !std::mem::replace(&mut full, true) {
                    began = Instant::now();
                }
                full && began.elapsed() > Duration::from_millis(1500)
            });
            assert_eq!((node[0].links(), node[0].downs().count()), (1, 0), "version {version}");
        }
    });
}

/// Someone has kept what a replica said before it died, and lets it out little by little: frames, and pongs for
/// pings of long ago. The replica that comes back is let in at once.
#[test]
fn what_was_held_back_does_not_keep_a_restarted_replica_out() {
    watched(|| {
        for sealed in ["required", "off"] {
            let link = format!("heartbeat_interval = \"50ms\"\nsealed = \"{sealed}\"\n");
            let (ground, mut node) = acceptor(&link);
            let (mut sender, mut receiver) = dialed(&ground, &mut node, 5);
            receiver.set_timeout(Some(Duration::from_millis(1))).unwrap();
            let (mut pings, began) = (Vec::new(), Instant::now());
            poll_until(&mut node, "the newcomer would win", |_| {
                if let Some(Received::Control(ControlMessage::Ping { counter })) = receiver.receive().unwrap()
                {
                    pings.push(counter);
                }
                // As long as it lived it answered at once. Then comes a pong now and then, and frames all the time.
                let living = began.elapsed() < Duration::from_millis(200);
                if pings.len() > if living { 0 } else { 8 } {
                    sender.pong(pings.remove(0)).unwrap();
                }
                sender.send(&prepare(1, 0), Bytes::new()).unwrap();
                began.elapsed() > Duration::from_millis(900)
            });
            assert_eq!((node[0].links(), node[0].downs().count()), (1, 0), "it is kept where nobody comes");
            let endpoint = ground.endpoint(0, 6);
            let _restarted = poll_while(&mut node, || ground.dial(&endpoint, 1, 1).unwrap());
            poll_until(&mut node, "it is up", |node| node[0].ups().count() == 2);
            assert_eq!(node[0].downs().next().unwrap().reason, DownReason::Superseded);
            assert_eq!(node[0].ups().last().unwrap().peer.incarnation, 6);
            assert_eq!(node[0].warnings().count(), 0, "and nobody is accused");
        }
    });
}

/// C-2: an end without heartbeats answers pings, and while a frame is arriving it sends pings of its own.
#[test]
fn without_heartbeats_a_frame_that_is_arriving_brings_pings() {
    watched(|| {
        let (ground, mut node) = acceptor("heartbeat_interval = \"0s\"\n");
        let (mut link, session) = dialed_by_hand(&ground, &mut node);
        let peer = RawPeer::new(0, SECRET);
        link.send(&peer.control(&session, "dialer->acceptor", command::PING, 1, 0));
        let pong = poll_while(&mut node, || link.read());
        assert_eq!((pong[at::COMMAND], &pong[136..144]), (command::PONG, &1u64.to_le_bytes()[..]));
        // A header, of whose body nothing comes yet.
        let mut frame = peer.frame(command::PREPARE);
        put(&mut frame, at::SIZE, &100_256u32.to_le_bytes());
        link.send(&frame);
        let began = Instant::now();
        for _ in 0..3 {
            assert_eq!(poll_while(&mut node, || link.read())[at::COMMAND], command::PING);
        }
        let took = began.elapsed();
        assert!(Duration::from_secs(2) <= took && took < Duration::from_secs(10), "{took:?}");
        assert_eq!((node[0].links(), node[0].downs().count()), (1, 0));
        link.send(&vec![0; 100_000]);
        poll_until(&mut node, "the frame is there", |node| node[0].frames().count() == 1);
    });
}
