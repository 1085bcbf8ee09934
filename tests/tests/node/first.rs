//! A cluster, as it is meant to be.

use bytes::Bytes;
use replink_frame::ReplicaId;
use replink_tests::nodes::{connected, poll_until, prepare};
use replink_tests::watchdog::watched;

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
