//! Sending: order, queues that are full, and bodies that go to several.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use replink_frame::ReplicaId;
use replink_tests::links::AUTH;
use replink_tests::nodes::{Ground, QUICK, Replica, Seen, connected, poll_until, prepare, start_all};
use replink_tests::running::{Running, wait_until};
use replink_tests::streams::{Sink, Source};
use replink_tests::watchdog::watched;
use replink_transport::SendCause;
use replink_transport::node::Event;

#[test]
fn a_full_queue_gives_the_frame_back_and_says_when_it_is_empty() {
    watched(|| {
        let (_ground, mut replicas) = connected(1, "send_queue_frames = 8\n");
        let (handle, to) = (replicas[0].handle(), ReplicaId(1));
        let body = Bytes::from(vec![1; 128 * 1024]);
        for round in 1..=3 {
            let before = replicas[1].frames().count();
            let mut sent = 0;
            let error = loop {
                match handle.send(to, &prepare(sent, body.len()), body.clone()) {
                    Ok(_) => sent += 1,
                    Err(error) => break error,
                }
            };
            let SendCause::Backpressure { frames, bytes } = error.cause() else { panic!("{error:?}") };
            assert_eq!(frames, 8);
            assert!(bytes > 7 * 128 * 1024, "{bytes}");
            let (header, given_back) = error.into_frame();
            assert_eq!((header.view.get(), given_back.as_ptr()), (sent, body.as_ptr()));
            // The queue of the other link has room.
            handle.send(ReplicaId(2), &prepare(0, 0), Bytes::new()).unwrap();
            let link = handle.link(to, 0).unwrap();
            let drained = |replica: &Replica| {
                replica.count(|seen| matches!(seen, Seen::Drained(drained) if *drained == link))
            };
            assert_eq!(drained(&replicas[0]), round - 1);
            poll_until(&mut replicas, "it is empty", |all| drained(&all[0]) == round);
            handle.send(to, &header, given_back).unwrap();
            let all = before + 1 + sent as usize;
            poll_until(&mut replicas, "all are there", |replicas| replicas[1].frames().count() == all);
            let views = replicas[1].frames().skip(before).map(|(_, _, frame)| frame.header.view.get());
            assert!(views.eq(0..=sent), "in order, and the one that was given back once");
            assert_eq!(drained(&replicas[0]), round, "once each time");
        }
    });
}

#[test]
fn threads_that_wait_for_an_empty_queue_are_always_told() {
    // A queue of few frames, whose senders all wait for Event::Drained and for nothing else: one that
    // is not said hangs. The frames of each thread stay in order.
    const SENDERS: u32 = 4;
    const FRAMES: u64 = 3000;
    watched(|| {
        let ground = Ground::new(2, "");
        let link = format!("{QUICK}heartbeat_interval = \"0s\"\nsend_queue_frames = 2\n");
        let [sending, receiving]: [Replica; 2] = start_all(&ground, AUTH, &link, 1).try_into().unwrap();
        let handle = sending.handle();
        let (drained, sink) = (Arc::new(AtomicU64::new(0)), Arc::new(Sink::default()));
        let (count, take) = (Arc::clone(&drained), Arc::clone(&sink));
        let running = [
            Running::start(sending.shards, move |_, event| {
                if matches!(event, Event::Drained { .. }) {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }),
            Running::start(receiving.shards, move |_, event| {
                if let Event::Frame { frame, .. } = event {
                    take.take(frame.header(), frame.body());
                }
            }),
        ];
        wait_until("they are connected", || handle.link(ReplicaId(1), 0).is_some());
        thread::scope(|scope| {
            for stream in 0..SENDERS {
                let (handle, drained, sink) = (&handle, &drained, &sink);
                scope.spawn(move || {
                    let mut source = Source::new(stream, stream.into());
                    while source.sum().0 < FRAMES {
                        let (mut header, body) = source.next(20_000);
                        let mut body = body;
                        loop {
                            let before = drained.load(Ordering::SeqCst);
                            let Err(error) = handle.send(ReplicaId(1), &header, body) else { break };
                            assert!(matches!(error.cause(), SendCause::Backpressure { .. }), "{error}");
                            (header, body) = error.into_frame();
                            wait_until("Drained", || drained.load(Ordering::SeqCst) > before);
                        }
                    }
                    wait_until("all has arrived", || sink.sum(stream).0 == FRAMES);
                    assert_eq!(sink.sum(stream), source.sum());
                });
            }
        });
        assert!(drained.load(Ordering::SeqCst) > 0, "the queue was full now and then");
        drop(running);
    });
}

#[test]
fn one_body_goes_to_all() {
    watched(|| {
        let (_ground, mut replicas) = connected(2, "");
        let body = Bytes::from((0..=255u8).cycle().take(700_000).collect::<Vec<_>>());
        for to in [1, 2] {
            replicas[0].handle().send(ReplicaId(to), &prepare(to.into(), body.len()), body.clone()).unwrap();
        }
        poll_until(&mut replicas, "both have it", |all| all[1..].iter().all(|one| one.frames().count() == 1));
        for (to, replica) in replicas.iter().enumerate().skip(1) {
            let (peer, _, frame) = replica.frames().next().unwrap();
            assert_eq!((peer, frame.header.view.get() as usize), (ReplicaId(0), to));
            assert_eq!(frame.body, body);
        }
        assert!(body.is_unique(), "nothing keeps it once it is out");
    });
}

#[test]
fn frames_that_no_link_may_carry_come_back() {
    watched(|| {
        let (_ground, mut replicas) = connected(1, "max_frame_size = \"4KiB\"\n");
        let handle = replicas[0].handle();
        let cause = |to: u8, announced, given: usize| {
            let error = handle.send(ReplicaId(to), &prepare(1, announced), vec![0; given]).unwrap_err();
            error.cause()
        };
        assert!(matches!(cause(1, 4096, 4096), SendCause::Frame(_)), "above max_frame_size");
        assert_eq!(cause(1, 10, 9), SendCause::BodyLength { announced: 10, given: 9 });
        assert_eq!(cause(7, 0, 0), SendCause::NotConnected, "not on the roster");
        assert_eq!(cause(0, 0, 0), SendCause::NotConnected, "itself");
        handle.send(ReplicaId(1), &prepare(2, 3840), vec![0; 3840]).unwrap();
        poll_until(&mut replicas, "the largest one arrives", |all| all[1].frames().count() == 1);
        replicas[0].poll(Duration::ZERO);
        assert_eq!(replicas[0].downs().count(), 0);
    });
}
