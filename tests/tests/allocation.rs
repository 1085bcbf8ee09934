//! Memory, counted: nothing per frame on the steady path, and nothing for a body whose size was not
//! checked.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(unsafe_code, reason = "a global allocator that counts can't be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::IoSlice;

use bytes::Bytes;
use replink_frame::ReplicaId;
use replink_tests::frames::{EVERY_KIND, Ends, LINK_KINDS, LinkKind, ROOMY, plain, wire};
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
    /// Bytes that this thread has allocated and not freed.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

fn hold(size: isize) {
    HELD.with(|held| held.set(held.get() + size));
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
        hold(layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        hold(-layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        hold(size.cast_signed() - layout.size().cast_signed());
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

/// A codec that has its block, and whatever else it needs for a first frame.
fn inbound(kind: LinkKind, limit: u32) -> Inbound {
    let mut inbound = Inbound::new(Ends::new(kind).direction(true).1, limit);
    assert!(inbound.room().iter().any(|place| !place.is_empty()));
    inbound
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
    assert!(!inbound.room()[1].is_empty(), "it has its block");
    let counted = counted(|| {
        for _ in 0..2000 {
            let (_, ping) = sending.control_mut().ping().unwrap();
            inbound.push(ping.header().bytes());
            assert!(matches!(inbound.next(), Ok(Some(Received::Control(_)))));
        }
    });
    assert_eq!(counted, Counted::default());
}

/// What is kept is what is paid for: a frame does not hold the memory that it came in.
#[test]
fn a_small_body_taken_out_is_one_allocation_of_its_size() {
    let mut inbound = inbound(LinkKind::V2, 1 << 20);
    let bytes = [wire(&plain(64, 1)), wire(&plain(15_000, 2)), wire(&plain(0, 3))].concat();
    let mut kept = Vec::with_capacity(300);
    for len in [64, 15_000, 0] {
        if inbound.find().unwrap().is_none() {
            inbound.push(&bytes);
        }
        let counted = counted(|| {
            let Some(Received::Frame(admitted)) = inbound.next().unwrap() else { panic!("no frame") };
            kept.push(admitted.into_body());
        });
        assert_eq!(counted, Counted { allocations: usize::from(len > 0), largest: len });
    }
    // And the codec's own block is nobody else's.
    assert!(inbound.find().unwrap().is_none() && inbound.give_up_block().is_some());
}

/// A body does not get the memory of a much larger one that came before it.
#[test]
fn a_body_that_is_kept_holds_no_more_than_twice_its_size() {
    let mut inbound = inbound(LinkKind::V2, 2 << 20);
    let mut kept = |len: usize, take: bool| {
        let mut largest = 0;
        for chunk in wire(&plain(len, 1)).chunks(9000) {
            largest = largest.max(counted(|| assert_eq!(inbound.push(chunk), chunk.len())).largest);
            let found = counted(|| {
                if let Some(Received::Frame(admitted)) = inbound.next().unwrap() {
                    assert!(!take || admitted.into_body().len() == len);
                }
            });
            largest = largest.max(found.largest);
        }
        largest
    };
    assert_eq!(kept(1 << 20, false), 1 << 20);
    assert_eq!(kept(16 * 1024, true), 16 * 1024, "not what the large one had left");
}

/// A link that is quiet holds nothing, whatever came on it.
#[test]
fn a_quiet_link_holds_no_memory() {
    for kind in EVERY_KIND {
        let (sending, receiving) = Ends::new(kind).direction(true);
        let (mut inbound, mut outbound) = (Inbound::new(receiving, 2 << 20), Outbound::new(sending, ROOMY));
        let before = HELD.get();
        let lens = [100, 60_000, 1 << 20, 700];
        for (len, times) in lens.into_iter().map(|len| (len, 1)).chain([(0, 5000), (20_000, 60)]) {
            let (header, body) = plain(len, 1);
            (0..times).for_each(|_| outbound.push(&header, body.clone()).unwrap());
            while let Some(batch) = outbound.lend() {
                for chunk in batch.iter().flat_map(|piece| piece.chunks(9000)) {
                    assert_eq!(inbound.push(chunk), chunk.len());
                    while inbound.next().unwrap().is_some() {}
                }
                let len = batch.len();
                outbound.take_back(batch, len);
            }
        }
        inbound.relax();
        outbound.relax();
        let all = HELD.get() - before;
        // A few queues have found their sizes.
        assert!(all < 4096, "{kind:?}: {all} bytes");
    }
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
            (0..2).for_each(|_| round());
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
        let mut written = 0;
        while !outbound.is_empty() {
            let mut slices = [IoSlice::new(&[]); 64];
            let count = outbound.slices(&mut slices);
            let large = slices[..count].last().unwrap();
            assert!(body.as_ptr_range().contains(&large.as_ptr()), "after {written} bytes");
            let ready: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            outbound.advance(ready);
            written += ready;
        }
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
        let heartbeats = "heartbeat_interval = \"60s\"\nheartbeat_timeout = \"120s\"";
        let link = format!("{QUICK}{heartbeats}\n");
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
