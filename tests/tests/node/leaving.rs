//! Leaving loses nothing, and who is at fault is told so (C-3).

use bytes::Bytes;
use replink_frame::{GoodbyeReason, ReplicaId};
use replink_handshake::ControlMessage;
use replink_tests::links::receive;
use replink_tests::nodes::{Seen, poll_until, poll_while, prepare};
use replink_tests::watchdog::watched;
use replink_transport::SendCause;
use replink_transport::blocking::LinkEnd;
use replink_transport::mesh::{DownReason, Loss};

use crate::mesh::{acceptor, dialed};

/// Larger than what sockets keep.
const MUCH: usize = 500_000;

#[test]
fn who_leaves_delivers_what_still_comes() {
    watched(|| {
        let (ground, mut node) = acceptor("");
        let (mut sender, mut receiver) = dialed(&ground, &mut node, 5);
        node[0].handle().shutdown();
        let said = poll_while(&mut node, || receive(&mut receiver).unwrap().control());
        assert_eq!(said, ControlMessage::Goodbye(GoodbyeReason::SHUTDOWN));
        let end = poll_while(&mut node, || receive(&mut receiver).unwrap_err());
        assert!(matches!(end, LinkEnd::Left(GoodbyeReason::SHUTDOWN)), "and then nothing: {end:?}");
        let refused = node[0].handle().send(ReplicaId(0), &prepare(9, 0), Bytes::new()).unwrap_err();
        assert!(matches!(refused.cause(), SendCause::NotConnected | SendCause::Leaving));
        poll_while(&mut node, || {
            for view in 0..20 {
                sender.send(&prepare(view, MUCH), vec![1; MUCH]).unwrap();
            }
            sender.goodbye(GoodbyeReason::SHUTDOWN).unwrap();
        });
        poll_until(&mut node, "it has stopped", |node| node[0].shards[0].is_stopped());
        let views: Vec<u32> = node[0].frames().map(|(_, _, frame)| frame.header.view.get()).collect();
        assert!(views.into_iter().eq(0..20));
        let reason = node[0].downs().next().unwrap().reason;
        assert_eq!(reason, DownReason::Ended(GoodbyeReason::SHUTDOWN));
        let last = node[0].seen.iter().rposition(|seen| matches!(seen, Seen::Frame(..))).unwrap();
        assert!(matches!(node[0].seen[last + 1], Seen::Down(_)), "behind all of it");
    });
}

#[test]
fn who_is_left_sends_what_is_queued_and_says_goodbye() {
    watched(|| {
        let (ground, mut node) = acceptor("");
        let (sender, mut receiver) = dialed(&ground, &mut node, 5);
        let body = Bytes::from(vec![7; MUCH]);
        for view in 0..20 {
            node[0].handle().send(ReplicaId(0), &prepare(view, MUCH), body.clone()).unwrap();
        }
        assert!(node[0].handle().stats().links[0].sent.queued_frames > 0, "some of it waits");
        sender.goodbye(GoodbyeReason::OPERATOR).unwrap();
        poll_until(&mut node, "it is down", |node| node[0].downs().count() == 1);
        assert_eq!(node[0].downs().next().unwrap().reason, DownReason::Left(GoodbyeReason::OPERATOR));
        let views: Vec<u32> = poll_while(&mut node, || {
            (0..20).map(|_| receive(&mut receiver).unwrap().frame().header.view.get()).collect()
        });
        assert!(views.into_iter().eq(0..20));
        let said = poll_while(&mut node, || receive(&mut receiver).unwrap().control());
        assert!(matches!(said, ControlMessage::Goodbye(_)), "{said:?}");
        let end = poll_while(&mut node, || receive(&mut receiver).unwrap_err());
        assert!(matches!(end, LinkEnd::Left(_)), "{end:?}");
    });
}

/// A frame above the limit ends the link; its sender learns why, although it is in the middle of it.
#[test]
fn a_frame_that_is_too_large_is_called_that() {
    watched(|| {
        for sealed in ["required", "off"] {
            let link = format!("max_frame_size = \"64KiB\"\nsealed = \"{sealed}\"\n");
            let (ground, mut node) = acceptor(&link);
            let (mut sender, mut receiver) = dialed(&ground, &mut node, 5);
            let said = poll_while(&mut node, || {
                std::thread::scope(|scope| {
                    // It may fail: the other end closes once it has said why.
                    scope.spawn(|| sender.send(&prepare(1, 900_000), vec![0; 900_000]));
                    receive(&mut receiver).unwrap().control()
                })
            });
            assert_eq!(said, ControlMessage::Goodbye(GoodbyeReason::FRAME_TOO_LARGE));
            poll_until(&mut node, "it is down", |node| node[0].downs().count() == 1);
            let reason = node[0].downs().next().unwrap().reason;
            assert!(matches!(reason, DownReason::Lost(Loss::Violation(_))), "{reason:?}");
            // The link of the one that was told is not in the way of its next one.
            drop((sender, receiver));
            let _again = dialed(&ground, &mut node, 5);
        }
    });
}
