//! A cluster, as it is meant to be.

use std::time::Duration;

use bytes::Bytes;
use replink_frame::ReplicaId;
use replink_tests::nodes::{Seen, connected, poll_until, prepare};
use replink_tests::watchdog::watched;
use replink_transport::node::Event;

#[test]
fn three_replicas_connect_and_frames_go_between_all_of_them() {
    watched(|| {
        let (_ground, mut replicas) = connected(2, "");
        for from in 0..3u8 {
            for to in (0..3u8).filter(|&to| to != from) {
                let handle = replicas[usize::from(from)].handle();
                let body = Bytes::from(vec![from; 100]);
                handle.send(ReplicaId(to), &prepare(from.into(), body.len()), body).unwrap();
            }
        }
        poll_until(&mut replicas, "every frame is there", |replicas| {
            replicas.iter().all(|replica| replica.frames().count() == 2)
        });
        for replica in &replicas {
            for (peer, lane, frame) in replica.frames() {
                assert_eq!((lane, u8::try_from(frame.header.view.get()).unwrap()), (0, peer.0));
                assert_eq!(frame.body[..], [peer.0; 100]);
            }
            assert_eq!(replica.downs().count(), 0);
        }
    });
}

#[test]
fn a_link_moves_once_the_embedder_has_taken_what_was_said_of_it() {
    watched(|| {
        let (_ground, mut replicas) = connected(2, "");
        let handle = replicas[0].handle();
        let link = handle.stats().links[0];
        let (from, to) = (link.shard, 1 - link.shard);
        handle.move_link(link.link, to);
        let shards = &mut replicas[0].shards;
        // It is told to let the link go; its embedder takes no event.
        for _ in 0..5 {
            let _untaken = shards[from].poll(Some(Duration::ZERO)).unwrap();
            let mut events = shards[to].poll(Some(Duration::ZERO)).unwrap();
            while let Some(event) = events.next() {
                assert!(!matches!(event, Event::Adopted { .. }), "nobody has heard that it was released");
            }
        }
        poll_until(&mut replicas, "it has moved", |replicas| {
            let moved = |seen: &Seen| matches!(seen, Seen::Moved(moved) if *moved == link.link);
            replicas[0].seen.iter().any(moved)
        });
        let shard =
            replicas[0].handle().stats().links.iter().find(|moved| moved.link == link.link).unwrap().shard;
        assert_eq!(shard, to);
    });
}
