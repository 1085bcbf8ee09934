//! A node that dials, and acceptors that are not what they should be.

use replink_frame::{Command, ReplicaId, Status};
use replink_handshake::{Availability, Side};
use replink_tests::fixtures::SECRET;
use replink_tests::links::AUTH;
use replink_tests::nodes::{Ground, QUICK, Replica, poll_until, poll_while};
use replink_tests::raw_peer::{RawLink, RawPeer, at, command, put};
use replink_tests::watchdog::{TEST_TIME_MAX, soon, watched};
use replink_transport::mesh::{DownReason, Loss};
use replink_transport::node::{NodeOptions, RejectedBy};
use replink_transport::{InboundError, Link, blocking};

/// What an acceptor answers a Hello with.
type Answer<'a> = Box<dyn Fn(&[u8; 256]) -> Vec<u8> + Send + Sync + 'a>;

/// Replica 0 of two, which dials replica 1: the test is that one.
fn dials(auth: &str) -> (Ground, [Replica; 1]) {
    let ground = Ground::new(2, "");
    let config = ground.config(&format!("{AUTH}\n{auth}"), QUICK);
    let replica = Replica::start(&ground, config, NodeOptions::new(ReplicaId(0)), 1);
    (ground, [replica])
}

fn accept(ground: &Ground) -> RawLink {
    let (stream, _) = ground.listener(1).accept().unwrap();
    stream.set_read_timeout(Some(TEST_TIME_MAX / 2)).unwrap();
    RawLink(stream)
}

/// The next attempt meets an honest acceptor, which then closes.
fn connects(ground: &Ground, node: &mut [Replica]) {
    let before = node[0].ups().count();
    let endpoint = ground.endpoint(1, 77);
    let link = poll_while(node, || {
        let link = Link::new(accept(ground).0).unwrap();
        blocking::accept(link, &endpoint, Availability::Open, soon()).unwrap()
    });
    poll_until(node, "it is up", |node| node[0].ups().count() == before + 1);
    assert_eq!(node[0].ups().last().unwrap().peer.side, Side::Dialer);
    drop(link);
    poll_until(node, "it is down", |node| node[0].links() == 0);
    assert_eq!(node[0].downs().last().unwrap().reason, DownReason::Lost(Loss::Ended));
}

#[test]
fn after_each_bad_acceptor_the_next_good_one_is_met() {
    watched(|| {
        let (ground, mut node) = dials("handshake_timeout = \"300ms\"");
        let honest = RawPeer::new(1, SECRET);
        let other = |offset: usize, bytes: &[u8]| {
            let bytes = bytes.to_vec();
            move |hello: &[u8; 256]| {
                let mut challenge = honest.challenge(hello);
                put(&mut challenge, offset, &bytes);
                challenge.to_vec()
            }
        };
        let attacks: [(&str, Answer<'_>); 7] = [
            ("closes", Box::new(|_| Vec::new())),
            ("a part", Box::new(|_| vec![1; 17])),
            ("http", Box::new(|_| b"HTTP/1.1 400 Bad Request\r\n\r\n".repeat(10))),
            ("another MAC", Box::new(other(at::MAC, &[3; 32]))),
            ("another replica", Box::new(other(at::REPLICA, &[9]))),
            ("its own Hello", Box::new(|hello| hello.to_vec())),
            ("no Challenge", Box::new(other(at::COMMAND, &[command::PREPARE]))),
        ];
        for (what, answer) in &attacks {
            poll_while(&mut node, || {
                let mut link = accept(&ground);
                let hello = link.read();
                assert_eq!(hello[at::COMMAND], command::HELLO, "{what}");
                link.send(&answer(&hello));
            });
            assert_eq!(node[0].links(), 0, "{what}");
            connects(&ground, &mut node);
        }
        // One that says nothing at all: its time is up, and the next one has its turn.
        let mut silent = poll_while(&mut node, || accept(&ground));
        assert!(poll_while(&mut node, || {
            silent.read();
            silent.is_over()
        }));
        connects(&ground, &mut node);
    });
}

#[test]
fn a_reject_that_is_proved_is_told_and_one_that_is_not_is_a_hint() {
    watched(|| {
        let (ground, mut node) = dials("");
        let acceptor = RawPeer::new(1, SECRET);
        poll_while(&mut node, || {
            let mut link = accept(&ground);
            link.read();
            link.send(&acceptor.reject(Status::BUSY.0));
        });
        poll_until(&mut node, "it is told", |node| node[0].refusals().count() == 1);
        connects(&ground, &mut node);
        let endpoint = ground.endpoint(1, 77);
        poll_while(&mut node, || {
            let link = Link::new(accept(&ground).0).unwrap();
            let busy = Availability::Busy { retry_after_ms: 1 };
            blocking::accept(link, &endpoint, busy, soon()).unwrap_err()
        });
        poll_until(&mut node, "it is told", |node| node[0].refusals().count() == 2);
        let told: Vec<_> =
            node[0].refusals().map(|refusal| (refusal.by, refusal.status, refusal.authenticated)).collect();
        assert_eq!(told, [(RejectedBy::Peer, Status::BUSY, false), (RejectedBy::Peer, Status::BUSY, true)]);
        connects(&ground, &mut node);
    });
}

#[test]
fn a_late_reject_without_a_mac_is_a_violation_and_its_status_told_nowhere() {
    watched(|| {
        let (ground, mut node) = dials("");
        let acceptor = RawPeer::new(1, SECRET);
        poll_while(&mut node, || {
            let mut link = accept(&ground);
            let hello = link.read();
            link.send(&acceptor.challenge(&hello));
            link.read();
            link.send(&acceptor.reject(Status::DUPLICATE_REPLICA.0));
            while link.try_read().is_ok() {}
        });
        poll_until(&mut node, "it is down", |node| node[0].downs().count() == 1);
        let reason = node[0].downs().next().unwrap().reason;
        let violation = InboundError::HandshakeFrame { command: Command::REPLICA_CHALLENGE };
        assert!(matches!(reason, DownReason::Lost(Loss::Violation(found)) if found == violation), "{reason}");
        assert!(!reason.to_string().contains("duplicate"), "{reason}");
        assert_eq!(node[0].refusals().count(), 0, "what nobody proved is no refusal");
        connects(&ground, &mut node);
    });
}
