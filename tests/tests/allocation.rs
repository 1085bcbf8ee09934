//! Memory, counted: nothing per frame on the steady path, and nothing for a body whose size was not
//! checked.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(unsafe_code, reason = "a global allocator that counts can't be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::IoSlice;

use bytes::Bytes;
use replink_frame::ReplicaId;
use replink_tests::frames::{Ends, LINK_KINDS, LinkKind, ROOMY, plain, wire};
use replink_tests::links::AUTH;
use replink_tests::nodes::{Ground, QUICK, poll_until, prepare, start_all};
use replink_transport::node::Event;
use replink_transport::{Inbound, Outbound, Received};

struct Counting;

/// Allocations of one thread, so that tests do not count one another's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    allocations: usize,
    largest: usize,
}

thread_local! {
    static COUNTED: Cell<Counted> = const { Cell::new(Counted { allocations: 0, largest: 0 }) };
}

fn count(size: usize) {
    // Without a destructor, this works until the thread's very end.
    COUNTED.with(|counted| {
        let Counted { allocations, largest } = counted.get();
        counted.set(Counted { allocations: allocations + 1, largest: largest.max(size) });
    });
}

// SAFETY: everything is passed on to the system's allocator as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn counted(run: impl FnOnce()) -> Counted {
    COUNTED.set(Counted::default());
    run();
    COUNTED.get()
}

fn inbound(kind: LinkKind, limit: u32) -> Inbound {
    Inbound::new(Ends::new(kind).direction(true).1, limit)
}

#[test]
fn the_count_counts() {
    let counted = counted(|| drop(std::hint::black_box(vec![0u8; 1000])));
    assert_eq!(counted, Counted { allocations: 1, largest: 1000 });
}

#[test]
fn small_frames_lent_in_place_allocate_nothing() {
    for kind in LINK_KINDS {
        let mut inbound = inbound(kind, 1 << 20);
        let bytes: Vec<u8> = (0..40).flat_map(|len| wire(&plain(len * 50, 1))).collect();
        for chunk_size in [100, 1000, 4096, bytes.len()] {
            let counted = counted(|| {
                for _ in 0..50 {
                    for chunk in bytes.chunks(chunk_size) {
                        assert_eq!(inbound.push(chunk), chunk.len());
                        while let Some(received) = inbound.next().unwrap() {
                            assert!(
                                matches!(received, Received::Frame(admitted) if admitted.body().len() < 2000)
                            );
                        }
                    }
                }
            });
            assert_eq!(counted, Counted::default(), "chunks of {chunk_size}");
        }
    }
}

#[test]
fn control_frames_allocate_nothing() {
    let (mut sending, receiving) = Ends::new(LinkKind::V2).direction(true);
    let mut inbound = Inbound::new(receiving, 1 << 20);
    let counted = counted(|| {
        for _ in 0..2000 {
            let (_, ping) = sending.ping().unwrap();
            inbound.push(ping.header().bytes());
            assert!(matches!(inbound.next(), Ok(Some(Received::Control(_)))));
        }
    });
    assert_eq!(counted, Counted::default());
}

#[test]
fn small_bodies_taken_out_share_a_buffer() {
    let mut inbound = inbound(LinkKind::V2, 1 << 20);
    let bytes = wire(&plain(700, 1));
    let mut once = || {
        inbound.push(&bytes);
        let Some(Received::Frame(admitted)) = inbound.next().unwrap() else { panic!("no frame") };
        assert_eq!(admitted.into_body().len(), 700);
    };
    once(); // makes the buffer a shared one
    let counted = counted(|| (0..2000).for_each(|_| once()));
    assert_eq!(counted, Counted::default(), "the buffer is used again, for nobody holds a part of it");
}

#[test]
fn a_larger_body_is_one_allocation_of_its_size() {
    for body_len in [16 * 1024, 100_000, 300_000, 1 << 20] {
        let mut inbound = inbound(LinkKind::V2, 2 << 20);
        let bytes = wire(&plain(body_len, 1));
        let counted = counted(|| {
            for chunk in bytes.chunks(9000) {
                assert_eq!(inbound.push(chunk), chunk.len());
                if let Some(Received::Frame(admitted)) = inbound.next().unwrap() {
                    assert_eq!(admitted.into_body().len(), body_len);
                }
            }
        });
        assert_eq!(counted, Counted { allocations: 1, largest: body_len });
    }
}

#[test]
fn a_larger_body_that_nobody_takes_leaves_its_memory_to_the_next() {
    for kind in LINK_KINDS {
        for body_len in [16 * 1024, 100_000, 300_000, (1 << 20) - 256] {
            let mut inbound = inbound(kind, 2 << 20);
            let bytes = wire(&plain(body_len, 1));
            let mut round = || {
                for chunk in bytes.chunks(9000) {
                    assert_eq!(inbound.push(chunk), chunk.len());
                    if let Some(Received::Frame(admitted)) = inbound.next().unwrap() {
                        assert_eq!(admitted.body().len(), body_len);
                    }
                }
            };
            round();
            let counted = counted(|| (0..20).for_each(|_| round()));
            assert_eq!(counted, Counted::default(), "{body_len}");
        }
    }
}

#[test]
fn a_larger_body_that_came_whole_is_lent_in_place() {
    let mut inbound = inbound(LinkKind::V2, 1 << 20);
    let bytes = wire(&plain(100_000, 1));
    let counted = counted(|| {
        for _ in 0..10 {
            assert_eq!(inbound.push(&bytes), bytes.len());
            let Some(Received::Frame(admitted)) = inbound.next().unwrap() else { panic!("no frame") };
            assert_eq!(admitted.body().len(), 100_000);
        }
    });
    assert_eq!(counted, Counted::default());
}

#[test]
fn nothing_is_allocated_for_a_frame_before_its_header_was_checked() {
    // F-1, F-3
    let limit = 1 << 20;
    let (mut too_large, mut other_cluster, mut reserved, mut handshake) =
        (plain(0, 0).0, plain(900_000, 0).0, plain(900_000, 0).0, plain(900_000, 0).0);
    too_large.size = u32::MAX.into();
    other_cluster.cluster.0[0] ^= 1;
    reserved.reserved_frame[65] = 1;
    handshake.command = replink_frame::Command::REPLICA_HELLO;
    for header in [too_large, other_cluster, reserved, handshake] {
        let mut inbound = inbound(LinkKind::V2, limit);
        let counted = counted(|| {
            inbound.push(header.bytes());
            assert!(inbound.next().is_err());
        });
        assert_eq!(counted, Counted::default());
    }
}

#[test]
fn small_frames_are_sent_without_allocating() {
    let (sending, _) = Ends::new(LinkKind::V2).direction(true);
    let mut outbound = Outbound::new(sending, ROOMY);
    let (header, body) = plain(700, 1);
    let mut round = |frames: usize, step: usize| {
        for _ in 0..frames {
            outbound.push(&header, body.clone()).unwrap();
        }
        outbound.ping().unwrap();
        while !outbound.is_empty() {
            let mut slices = [IoSlice::new(&[]); 64];
            let count = outbound.slices(&mut slices);
            let ready: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            outbound.advance(ready.min(step));
        }
    };
    for _ in 0..3 {
        round(20, 1000); // the queue finds its size
    }
    let counted = counted(|| (0..500).for_each(|_| round(20, 1000)));
    assert_eq!(counted, Counted::default());
}

#[test]
fn large_bodies_are_sent_from_where_they_are() {
    let (sending, _) = Ends::new(LinkKind::V2).direction(true);
    let mut outbound = Outbound::new(sending, ROOMY);
    let (header, body) = plain(1 << 20, 1);
    let mut round = || {
        outbound.push(&header, Bytes::clone(&body)).unwrap();
        let mut slices = [IoSlice::new(&[]); 64];
        let count = outbound.slices(&mut slices);
        assert_eq!(slices[1].as_ptr(), body.as_ptr());
        let ready = slices[..count].iter().map(|slice| slice.len()).sum();
        outbound.advance(ready);
    };
    (0..3).for_each(|_| round());
    let counted = counted(|| (0..1000).for_each(|_| round()));
    assert_eq!(counted, Counted::default());
}

#[test]
fn nodes_that_send_and_receive_allocate_nothing() {
    for (shards, body_len) in [(1, 0), (1, 700), (2, 700), (1, 60_000), (1, 255 * 1024), (1, 1_000_000)] {
        let ground = Ground::new(2, "");
        // A ping or two are no frames; here is nothing but frames.
        // A sealed link may have to make room for another batch of large bodies at any time.
        let sealed = if body_len > 100_000 { "off" } else { "optional" };
        let link = format!("{QUICK}heartbeat_interval = \"0s\"\nsealed = \"{sealed}\"\n");
        let mut replicas = start_all(&ground, AUTH, &link, shards);
        poll_until(&mut replicas, "they are connected", |all| all.iter().all(|one| one.ups().count() == 1));
        let handles: Vec<_> = replicas.iter().map(replink_tests::nodes::Replica::handle).collect();
        let (header, body) = (prepare(1, body_len), Bytes::from(vec![1; body_len]));
        let rounds = if body_len > 1000 { 20 } else { 200_usize };
        // Frames go both ways, `burst` at a time, until all have arrived.
        let mut round = |burst: usize| {
            for (from, handle) in handles.iter().enumerate() {
                let to = ReplicaId(u8::from(from == 0));
                for _ in 0..burst {
                    handle.send(to, &header, body.clone()).unwrap();
                }
            }
            let mut arrived = 0;
            while arrived < 2 * burst {
                for shard in replicas.iter_mut().flat_map(|replica| &mut replica.shards) {
                    let mut events = shard.poll(Some(std::time::Duration::ZERO)).unwrap();
                    while let Some(event) = events.next() {
                        if let Event::Frame { frame, .. } = event {
                            assert_eq!(frame.body().len(), body_len);
                            arrived += 1;
                        }
                    }
                }
            }
        };
        (0..60).for_each(|_| round(50)); // queues, buffers and rings find their sizes
        let before: Vec<_> = handles.iter().map(|handle| handle.stats().links[0]).collect();
        let counted = counted(|| (0..rounds).for_each(|_| round(50)));
        let what = format!("{counted:?}: {shards} shards, bodies of {body_len} bytes");
        if body_len <= 60_000 {
            assert_eq!(counted, Counted::default(), "{what}");
        } else {
            // The longer the socket takes, the more headers wait: now and then they need a chunk more. The
            // frames themselves need nothing.
            assert!(counted.largest <= 64 * 1024 && counted.allocations <= rounds / 2, "{what}");
        }
        for (before, handle) in before.iter().zip(&handles) {
            let after = handle.stats().links[0];
            let (sent, writes) = (
                after.sent.written_frames - before.sent.written_frames,
                after.sent.writes - before.sent.writes,
            );
            let reads = after.received.reads - before.received.reads;
            assert_eq!(
                (sent, after.received.frames - before.received.frames),
                (50 * rounds as u64, 50 * rounds as u64)
            );
            if body_len <= 1000 {
                // A thread that finds nobody writing writes its frame at once, and one read takes many.
                assert!(writes <= sent && reads <= sent, "{writes} writes and {reads} reads");
            }
            if std::env::var_os("REPLINK_TEST_FIGURES").is_some() {
                print(&format!("{shards} shards: {sent} frames each way, {writes} writes, {reads} reads"));
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "figures are asked for")]
fn print(text: &str) {
    println!("{text}");
}
