//! What a frame costs in the codecs, copies included, system calls not.
#![allow(clippy::unwrap_used, reason = "a bench that fails may panic")]

use std::io::IoSlice;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use replink_tests::fixtures::{acceptor_config, dialer_config, handshake};
use replink_transport::frame::{Command, GenericHeader};
use replink_transport::{Inbound, Outbound, OutboundLimits};

fn main() {
    divan::main();
}

const BODIES: [usize; 4] = [0, 4096 - 256, (64 << 10) - 256, (1 << 20) - 256];

const LIMITS: OutboundLimits =
    OutboundLimits { frame_size: 64 << 20, queue_frames: 1024, queue_bytes: 128 << 20 };

fn codecs() -> (Inbound, Outbound) {
    let (dialed, accepted) = handshake(dialer_config(0), acceptor_config(1));
    let (_, sending) = dialed.into_parts().1.split();
    let (receiving, _) = accepted.into_parts().1.split();
    (Inbound::new(receiving, LIMITS.frame_size), Outbound::new(sending, LIMITS))
}

fn frame(outbound: &Outbound, body_len: usize) -> (GenericHeader, Bytes) {
    let cluster = acceptor_config(1).local.cluster;
    debug_assert_eq!(outbound.queued_frames(), 0);
    (GenericHeader::new(cluster, Command::PREPARE, body_len), Bytes::from(vec![7; body_len]))
}

/// Frames per iteration.
const BATCH: usize = 64;

/// Queue a batch of frames, and take them out again as a gathered write would.
#[divan::bench(args = BODIES)]
fn outbound(bencher: Bencher<'_, '_>, body_len: usize) {
    let (_, mut outbound) = codecs();
    let (header, body) = frame(&outbound, body_len);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            outbound.push(&header, body.clone()).unwrap();
        }
        while !outbound.is_empty() {
            let mut slices = [IoSlice::new(&[]); 64];
            let count = outbound.slices(&mut slices);
            let len = slices[..count].iter().map(|slice| slice.len()).sum();
            outbound.advance(len);
        }
    });
}

/// Admit a batch of frames out of bytes that came in one piece.
#[divan::bench(args = BODIES)]
fn inbound(bencher: Bencher<'_, '_>, body_len: usize) {
    let (mut inbound, outbound) = codecs();
    let (header, body) = frame(&outbound, body_len);
    let wire = [header.bytes(), &body[..]].concat().repeat(BATCH);
    bencher.counter(ItemsCount::new(BATCH)).counter(BytesCount::new(wire.len())).bench_local(|| {
        let mut frames = 0;
        let mut rest = &wire[..];
        while frames < BATCH {
            rest = &rest[inbound.push(rest)..];
            while inbound.next().unwrap().is_some() {
                frames += 1;
            }
        }
    });
}
