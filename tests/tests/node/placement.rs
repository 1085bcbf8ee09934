//! Which shard has which link, and which lane it sends on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use replink_frame::ReplicaId;
use replink_tests::links::AUTH;
use replink_tests::nodes::{Ground, QUICK, Replica, connected, poll_until, prepare};
use replink_tests::watchdog::watched;
use replink_transport::SendCause;
use replink_transport::node::{NodeOptions, Placement};

/// Peer and shard of each link of replica 2 of three, whose links are placed by `placement`.
fn placed(placement: &Placement, shards: usize) -> Vec<(u8, usize)> {
    let ground = Ground::new(3, "");
    let start = |id| {
        let options = NodeOptions::new(ReplicaId(id)).placement(placement.clone());
        Replica::start(&ground, ground.config(AUTH, QUICK), options, shards)
    };
    let mut replicas: Vec<_> = (0..3).map(start).collect();
    poll_until(&mut replicas, "all are connected", |all| all.iter().all(|one| one.links() == 2));
    let links = replicas[2].handle().stats().links;
    links.iter().map(|link| (link.peer.replica.0, link.shard)).collect()
}

#[test]
fn links_go_where_their_placement_says() {
    watched(|| {
        let mut shards: Vec<_> = placed(&Placement::RoundRobin, 2).iter().map(|link| link.1).collect();
        shards.sort_unstable();
        assert_eq!(shards, [0, 1], "one each, in whichever order they came");
        assert_eq!(placed(&Placement::ByPeer, 2), [(0, 0), (1, 1)]);
        assert_eq!(placed(&Placement::ByPeer, 1), [(0, 0), (1, 0)]);
        let function = Placement::Function(Arc::new(|peer| usize::from(peer.replica.0) + 6));
        assert_eq!(placed(&function, 4), [(0, 2), (1, 3)], "modulo the number of shards");
    });
}

#[test]
fn each_shard_has_a_lane_of_its_own() {
    watched(|| {
        let (_ground, mut replicas) = connected(2, "lanes = 3\n");
        for replica in &replicas {
            let links = replica.handle().stats().links;
            assert_eq!(links.len(), 6);
            for link in links {
                assert_eq!(link.shard, usize::from(link.peer.lane) % 2);
            }
        }
        // What a shard sends goes on its lane, whatever its embedder's other threads do.
        for shard in 0..2u16 {
            let from = &replicas[0].shards[usize::from(shard)];
            assert_eq!(from.lane(), shard);
            from.send(ReplicaId(1), &prepare(shard.into(), 0), Bytes::new()).unwrap();
            from.handle().send(ReplicaId(1), &prepare(shard.into(), 0), Bytes::new()).unwrap();
        }
        replicas[0].handle().send_on(ReplicaId(1), 2, &prepare(2, 0), Bytes::new()).unwrap();
        let error = replicas[0].handle().send_on(ReplicaId(1), 3, &prepare(3, 0), Bytes::new()).unwrap_err();
        assert_eq!(error.cause(), SendCause::NotConnected);
        poll_until(&mut replicas, "all are there", |all| all[1].frames().count() == 5);
        for (_, lane, frame) in replicas[1].frames() {
            assert_eq!(u32::from(lane), frame.header.view.get());
        }
    });
}

#[test]
fn a_lane_that_nobody_reads_does_not_hold_up_the_others() {
    watched(|| {
        let (_ground, mut replicas) = connected(2, "lanes = 2\nsend_queue_frames = 4\n");
        let body = Bytes::from(vec![7; 256 * 1024]);
        let before = replicas[1].frames().count();
        // Shard 1 of replica 1 has lane 1, and is not polled: the lane fills up.
        let handle = replicas[0].handle();
        let mut stuck = 0;
        let error = loop {
            match handle.send_on(ReplicaId(1), 1, &prepare(stuck, body.len()), body.clone()) {
                Ok(_) => stuck += 1,
                Err(error) => break error,
            }
            replicas[0].poll(Duration::ZERO);
        };
        assert!(matches!(error.cause(), SendCause::Backpressure { frames: 4, .. }), "{error:?}");
        let mut sent = 0;
        while replicas[1].frames().count() < before + 50 {
            if handle.send_on(ReplicaId(1), 0, &prepare(sent, body.len()), body.clone()).is_ok() {
                sent += 1;
            }
            replicas[0].poll(Duration::ZERO);
            replicas[1].poll_shard(0, Duration::from_millis(1));
        }
        assert!(replicas[1].frames().all(|(_, lane, _)| lane == 0));
        // Then it is polled, and gets all of it in order.
        poll_until(&mut replicas, "the slow lane catches up", |all| {
            all[1].frames().filter(|(_, lane, _)| *lane == 1).count() == stuck as usize
        });
        let slow = replicas[1].frames().filter(|(_, lane, _)| *lane == 1);
        assert!(slow.map(|(_, _, frame)| frame.header.view.get()).eq(0..stuck));
    });
}
