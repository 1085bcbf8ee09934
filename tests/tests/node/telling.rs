//! What an operator is told, how often, and what is only counted.

use std::time::Duration;

use bytes::Bytes;
use replink_frame::{ReplicaId, Status};
use replink_tests::fixtures::OTHER_SECRET;
use replink_tests::links::AUTH;
use replink_tests::nodes::{Ground, Replica, Seen, poll_until, poll_while, prepare};
use replink_tests::raw_peer::{RawLink, RawPeer};
use replink_tests::watchdog::watched;
use replink_transport::exchange::UnreachableReason;
use replink_transport::mesh::{DownReason, Loss};
use replink_transport::node::{NodeOptions, NodeStats, RejectedBy, Unreachable};

use super::mesh::{acceptor, dialed_by_hand};

/// Replica 0 of two, which dials replica 1.
fn dialer(ground: &Ground) -> [Replica; 1] {
    let config = ground.config(AUTH, "reconnect_min = \"1ms\"\nreconnect_max = \"2ms\"\n");
    [Replica::start(ground, config, NodeOptions::new(ReplicaId(0)), 1)]
}

fn unreachable(replica: &Replica) -> Vec<&Unreachable> {
    let told = replica.seen.iter().filter_map(|seen| match seen {
        Seen::Unreachable(unreachable) => Some(unreachable),
        _ => None,
    });
    told.collect()
}

fn failures(stats: &NodeStats, reason: UnreachableReason) -> u64 {
    stats.dial_failures.iter().filter(|(_, found, _)| *found == reason).map(|(.., count)| count).sum()
}

#[test]
fn a_peer_that_is_not_there_is_told_of_once_and_counted_each_time() {
    watched(|| {
        let mut ground = Ground::new(2, "");
        let address = ground.address(1);
        ground.close(1);
        let mut node = dialer(&ground);
        let refused = UnreachableReason::Refused;
        poll_until(&mut node, "many have failed", |node| failures(&node[0].handle().stats(), refused) >= 20);
        let told = unreachable(&node[0]);
        let [only] = told[..] else { panic!("{told:?}") };
        assert_eq!((only.peer, only.lane, only.address), (ReplicaId(1), 0, Some(address)));
        assert_eq!((only.reason, only.status, only.attempts), (refused, None, 1));
        assert!(only.explanation.contains(&address.to_string()), "{}", only.explanation);
        assert_eq!(node[0].seen.len(), 1, "{:?}", node[0].seen);
        let peer = node[0].handle().stats().peers[0];
        assert_eq!((peer.peer, peer.up, peer.last_life), (ReplicaId(1), false, None));
    });
}

#[test]
fn a_peer_that_refuses_is_told_of_once_for_each_status() {
    watched(|| {
        let ground = Ground::new(2, "");
        let mut node = dialer(&ground);
        let other =
            ground.config(&format!("shared_secret = \"{}\"", std::str::from_utf8(OTHER_SECRET).unwrap()), "");
        let one = Replica::start(&ground, other, NodeOptions::new(ReplicaId(1)), 1);
        let mut both = [node.into_iter().next().unwrap(), one];
        let rejected = UnreachableReason::Rejected;
        poll_until(&mut both, "many have failed", |both| failures(&both[0].handle().stats(), rejected) >= 10);
        node = both.into_iter().next().map(|zero| [zero]).unwrap();
        let told = unreachable(&node[0]);
        let [only] = told[..] else { panic!("{told:?}") };
        assert_eq!((only.reason, only.status), (rejected, Some(Status::UNKNOWN_KEY)));
        let statuses: Vec<_> = node[0].refusals().map(|refusal| (refusal.status, refusal.by)).collect();
        assert_eq!(statuses, [(Status::UNKNOWN_KEY, RejectedBy::Peer)]);
        let counted = node[0].handle().stats().handshakes;
        assert!(counted.iter().any(|&(status, _, count)| status == Status::UNKNOWN_KEY && count >= 10));
    });
}

/// A port scan, or a load balancer that looks every second whether there is somebody.
#[test]
fn who_connects_and_leaves_is_counted_and_not_told_of() {
    watched(|| {
        let (ground, mut node) = acceptor("");
        poll_while(&mut node, || {
            for count in 0..50_u8 {
                let link = ground.raw(1, 1 + count % 5);
                if count % 2 == 0 {
                    link.reset();
                }
            }
        });
        poll_until(&mut node, "all are counted", |node| node[0].handle().stats().broken == 50);
        assert_eq!(node[0].seen.len(), 0, "{:?}", node[0].seen);
    });
}

/// Five tries with a wrong key from a replica's address are five events, whatever strangers do.
#[test]
fn a_flood_hides_no_attempt_from_a_replicas_address() {
    watched(|| {
        let (ground, mut node) = acceptor("");
        let hello = RawPeer::new(0, OTHER_SECRET).hello();
        let mut attempt = |from: u8| {
            let mut link = ground.raw(1, from);
            link.send(&hello);
            link.stop_sending();
            poll_while(&mut node, || while link.try_read().is_ok() {});
        };
        for round in 0..5 {
            for stranger in 0..40 {
                attempt(10 + round * 40 + stranger);
            }
            attempt(1);
        }
        let replicas = node[0].refusals().filter(|refusal| refusal.address.ip() == ground.address(0).ip());
        assert_eq!(replicas.count(), 5);
        let strangers = node[0].refusals().count() - 5;
        assert!((1..=20).contains(&strangers), "{strangers}");
        let stats = node[0].handle().stats();
        assert_eq!(stats.handshakes, [(Status::UNKNOWN_KEY, RejectedBy::Us, 205)]);
    });
}

/// Loses a link. What it gives stays open meanwhile.
type Lose = fn(RawLink) -> Option<RawLink>;

/// Why a link was lost, and what was lost with it.
#[test]
fn a_loss_has_its_reason_and_its_count() {
    let reset = |link: RawLink| {
        link.reset();
        None
    };
    // It stays open: closing it with what it has not read would be a reset.
    let end = |link: RawLink| {
        link.stop_sending();
        Some(link)
    };
    let lose: [(&str, Lose); 2] = [("reset", reset), ("ended", end)];
    for (name, lose) in lose {
        watched(move || {
            let (ground, mut node) = acceptor("heartbeat_interval = \"0s\"\n");
            let (link, _) = dialed_by_hand(&ground, &mut node);
            // The peer takes nothing, and each is larger than what a socket has room for.
            let body = Bytes::from(vec![7; 30 << 20]);
            let handle = node[0].handle();
            for view in 1..=3 {
                handle.queue(ReplicaId(0), &prepare(view, body.len()), body.clone()).unwrap();
            }
            node[0].poll(Duration::from_millis(1));
            let _open = lose(link);
            poll_until(&mut node, "it is down", |node| node[0].downs().count() == 1);
            let down = *node[0].downs().next().unwrap();
            assert_eq!((down.reason.name(), down.undelivered), (name, 3), "{}", down.reason);
            let ended = node[0].handle().stats().links_ended;
            assert_eq!(ended, [(ReplicaId(0), name, 1)]);
            let peer = node[0].handle().stats().peers[0];
            assert!(!peer.up && peer.last_life.is_some_and(|ago| ago < Duration::from_secs(30)), "{peer:?}");
        });
    }
}

/// A frame above this end's limit is named as such, with the key that an operator has to look at.
#[test]
fn a_frame_that_is_too_large_names_the_setting() {
    watched(|| {
        let (ground, mut node) = acceptor("max_frame_size = \"1MiB\"\n");
        let (mut link, _) = dialed_by_hand(&ground, &mut node);
        let header = prepare(1, 2 << 20);
        link.send(header.bytes());
        poll_until(&mut node, "it is down", |node| node[0].downs().count() == 1);
        let reason = node[0].downs().next().unwrap().reason;
        assert_eq!(reason.name(), "frame_too_large");
        assert!(reason.to_string().contains("cluster.link.max_frame_size"), "{reason}");
        let told = DownReason::Left(replink_frame::GoodbyeReason::FRAME_TOO_LARGE);
        assert_eq!(told.name(), "frame_too_large", "and so the other end calls it");
        assert!(told.to_string().contains("cluster.link.max_frame_size"), "{told}");
    });
}

#[test]
fn every_reason_has_a_word_of_the_list() {
    let reasons = [
        DownReason::Superseded,
        DownReason::HandedOver,
        DownReason::Lost(Loss::Ended),
        DownReason::Lost(Loss::Reset),
        DownReason::Lost(Loss::TimedOut),
        DownReason::Lost(Loss::Silent(Duration::ZERO)),
        DownReason::Denied(replink_frame::Command::PREPARE),
    ];
    let goodbyes = (0..=255).map(replink_frame::GoodbyeReason);
    let goodbyes = goodbyes.flat_map(|reason| [DownReason::Left(reason), DownReason::Ended(reason)]);
    for reason in reasons.into_iter().chain(goodbyes) {
        assert!(DownReason::NAMES.contains(&reason.name()), "{reason}: {}", reason.name());
    }
}
