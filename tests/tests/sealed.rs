//! Sealed frames (section 5), without a socket.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::IoSlice;

use bytes::Bytes;
use replink_frame::{Command, Flags, GenericHeader, SealFields};
use replink_handshake::{ControlMessage, SEAL_BATCH_BYTES_MAX, SEAL_BATCH_FRAMES_MAX};
use replink_tests::frames::{Ends, LinkKind, ROOMY, body_len, frame, plain};
use replink_tests::random::{Random, for_each_seed};
use replink_transport::{
    Body, Inbound, InboundError, Outbound, OutboundLimits, OwnedFrame, Received, SealError,
};

const LIMIT: u32 = 64 << 20;

fn pair(from_dialer: bool) -> (Outbound, Inbound) {
    let (sending, receiving) = Ends::new(LinkKind::Sealed).direction(from_dialer);
    (Outbound::new(sending, ROOMY), Inbound::new(receiving, LIMIT))
}

/// All that waits, as it goes over the wire.
fn written(outbound: &mut Outbound) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = outbound.slices(&mut slices);
        if count == 0 {
            return bytes;
        }
        let before = bytes.len();
        slices[..count].iter().for_each(|slice| bytes.extend_from_slice(slice));
        let len = bytes.len() - before;
        outbound.advance(len);
    }
}

/// All that comes out when `bytes` go in, in pieces that `size` chooses.
fn received(
    inbound: &mut Inbound,
    bytes: &[u8],
    mut size: impl FnMut() -> usize,
) -> (Vec<OwnedFrame>, Result<(), InboundError>) {
    let (mut frames, mut rest) = (Vec::new(), bytes);
    loop {
        loop {
            match inbound.next() {
                Ok(Some(Received::Frame(frame))) => frames.push(frame.into_owned()),
                Ok(Some(Received::Control(_))) => {}
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
        if rest.is_empty() {
            return (frames, Ok(()));
        }
        let taken = inbound.push(&rest[..size().clamp(1, rest.len())]);
        assert!(taken > 0, "there is room as long as nothing is ready");
        rest = &rest[taken..];
    }
}

/// The frames of a wire image, as byte ranges.
fn frames_of(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut ranges, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let header = GenericHeader::view(bytes[at..].first_chunk().unwrap());
        let end = at + header.size.get() as usize;
        ranges.push(at..end);
        at = end;
    }
    ranges
}

#[test]
fn what_goes_in_comes_out_whatever_the_pieces() {
    for_each_seed(150, |random| {
        let (mut outbound, mut inbound) = pair(random.once_in(2));
        let mut sent = Vec::new();
        let mut wire = Vec::new();
        for _ in 0..random.between(1, 40) {
            if random.once_in(8) {
                outbound.ping().unwrap();
            } else {
                let len = body_len(random);
                let (header, body) = frame(random, len);
                outbound.push(&header, body.clone()).unwrap();
                sent.push(OwnedFrame::new(header, body));
            }
            if random.once_in(4) {
                wire.extend(written(&mut outbound));
            }
        }
        wire.extend(written(&mut outbound));
        let step = random.pick(&[1usize, 100, 5000, 1 << 20]);
        let step = if wire.len() > 100_000 { step.max(100) } else { step };
        let mut random = random.clone();
        let (got, end) = received(&mut inbound, &wire, || random.between(1, step));
        assert_eq!((got.len(), end), (sent.len(), Ok(())));
        assert!(got == sent, "the frames differ");
        assert!(inbound.is_at_frame_boundary());
    });
}

/// S-1: a batch is what is written at once, up to its limits.
#[test]
fn batches_are_as_large_as_they_may_be() {
    let marks = |wire: &[u8]| -> Vec<u8> {
        let header =
            |range: &std::ops::Range<usize>| *GenericHeader::view(wire[range.clone()].first_chunk().unwrap());
        frames_of(wire).iter().map(|range| SealFields::view(&header(range)).mark).collect()
    };
    let roomy = OutboundLimits { queue_frames: 5000, ..ROOMY };
    let (sending, receiving) = Ends::new(LinkKind::Sealed).direction(true);
    let (mut outbound, mut inbound) = (Outbound::new(sending, roomy), Inbound::new(receiving, LIMIT));
    let per_batch = SEAL_BATCH_FRAMES_MAX as usize;
    for _ in 0..=2 * per_batch {
        let (header, body) = plain(0, 0);
        outbound.push(&header, body).unwrap();
    }
    let wire = written(&mut outbound);
    let closing: Vec<_> =
        marks(&wire).iter().enumerate().filter(|(_, mark)| **mark == 0).map(|(at, _)| at).collect();
    assert_eq!(closing, [per_batch - 1, 2 * per_batch - 1, 2 * per_batch]);
    assert_eq!(received(&mut inbound, &wire, || 70_000).0.len(), 2 * per_batch + 1);

    // Four frames of a quarter fit, headers included; then one that is too large for any company.
    let quarter = SEAL_BATCH_BYTES_MAX / 4 - 256;
    for len in [quarter, quarter, quarter, quarter, 0, 4 * quarter + 2000, 0] {
        let (header, body) = plain(len, 7);
        outbound.push(&header, body).unwrap();
    }
    let wire = written(&mut outbound);
    assert_eq!(marks(&wire), [1, 1, 1, 0, 0, 0, 0]);
    assert_eq!(received(&mut inbound, &wire, || 70_000).0.len(), 7);

    // Nothing stays open to wait for more.
    for _ in 0..3 {
        let (header, body) = plain(10, 1);
        outbound.push(&header, body).unwrap();
        assert_eq!(marks(&written(&mut outbound)), [0]);
    }
}

/// A few frames of each kind, in two batches.
fn sample() -> (Vec<u8>, Vec<OwnedFrame>) {
    let (mut outbound, _) = pair(true);
    let mut random = Random::new(1);
    let (mut wire, mut sent) = (Vec::new(), Vec::new());
    for lens in [&[0, 100, 1023][..], &[1024, 0, 5000, 20_000]] {
        for &len in lens {
            let (header, body) = frame(&mut random, len);
            outbound.push(&header, body.clone()).unwrap();
            sent.push(OwnedFrame::new(header, body));
        }
        wire.extend(written(&mut outbound));
    }
    (wire, sent)
}

/// Feeds what is left of `wire` after someone was at it: all frames that come out are the sender's, in
/// order, and not all of them come.
fn assert_detected(what: &str, wire: &[u8], sent: &[OwnedFrame], first_affected_batch: usize) {
    let (_, mut inbound) = pair(true);
    let (got, end) = received(&mut inbound, wire, || 4000);
    // Batches before the affected one, and nothing else.
    let whole = [0, 3, 7][first_affected_batch];
    assert_eq!(got.len(), whole, "{what}: {end:?}");
    assert!(got == sent[..whole], "{what}");
    let ended = end.is_err() || !inbound.is_at_frame_boundary();
    assert!(ended, "{what}: not noticed");
}

#[test]
fn every_flipped_bit_is_detected_and_nothing_of_its_batch_delivered() {
    let (wire, sent) = sample();
    let second_batch = frames_of(&wire)[3].start;
    // Every bit of headers and small bodies; of the large ones every 97th.
    let ranges = frames_of(&wire);
    for at in 0..wire.len() {
        let range = ranges.iter().find(|range| range.contains(&at)).unwrap();
        let in_frame = at - range.start;
        if in_frame >= 256 + 64 && in_frame % 97 != 0 {
            continue;
        }
        for bit in 0..8 {
            let mut changed = wire.clone();
            changed[at] ^= 1 << bit;
            let what = format!("bit {bit} of byte {in_frame} of the frame at {}", range.start);
            assert_detected(&what, &changed, &sent, usize::from(at >= second_batch));
        }
    }
}

#[test]
fn dropped_repeated_swapped_and_cut_frames_are_detected() {
    let (wire, sent) = sample();
    let ranges = frames_of(&wire);
    let batch_of = |frame: usize| usize::from(frame >= 3);
    let rebuilt = |order: &[usize]| -> Vec<u8> {
        order.iter().flat_map(|&frame| wire[ranges[frame].clone()].iter().copied()).collect()
    };
    let all: Vec<usize> = (0..ranges.len()).collect();
    for frame in 0..ranges.len() {
        let without: Vec<_> = all.iter().copied().filter(|&other| other != frame).collect();
        // Without its last frame a stream is only cut short, which the lost connection shows.
        if frame + 1 < ranges.len() {
            assert_detected(&format!("without {frame}"), &rebuilt(&without), &sent, batch_of(frame));
        }
        let mut twice = all.clone();
        twice.insert(frame, frame);
        // A closing frame that comes twice is the next batch, or a part of it.
        let affected = if frame == 2 || frame == 6 { batch_of(frame) + 1 } else { batch_of(frame) };
        // Its first copy closes what it always closed.
        assert_detected(&format!("{frame} twice"), &rebuilt(&twice), &sent, affected.min(2));
        for other in frame + 1..ranges.len() {
            let mut swapped = all.clone();
            swapped.swap(frame, other);
            assert_detected(&format!("{frame} and {other}"), &rebuilt(&swapped), &sent, batch_of(frame));
        }
    }
    // A whole batch again.
    let mut again = wire.clone();
    again.extend_from_slice(&wire[ranges[3].start..]);
    assert_detected("the second batch twice", &again, &sent, 2);
    let again = [&wire[ranges[3].start..], &wire[..ranges[3].start]].concat();
    assert_detected("the batches swapped", &again, &sent, 0);
}

/// A frame of the other direction, and one of another session of the same replicas.
#[test]
fn reflected_and_spliced_frames_are_detected() {
    let (wire, sent) = sample();
    let (_, mut other_direction) = pair(false);
    let (got, end) = received(&mut other_direction, &wire, || 4000);
    assert_eq!((got.len(), end), (0, Err(InboundError::Seal(SealError::Tag))));

    // A session with other nonces.
    let mut sides = replink_tests::fixtures::Sides::with_flags(Flags::SEALED);
    sides.dialer.local.incarnation ^= 1;
    let run = sides.run();
    let ((), session) = run.verified.admit().into_parts();
    let mut inbound = Inbound::new(session.split().0, LIMIT);
    let (got, end) = received(&mut inbound, &wire, || 4000);
    assert_eq!((got.len(), end), (0, Err(InboundError::Seal(SealError::Tag))));
    drop(sent);
}

#[test]
fn a_frame_without_a_seal_and_a_batch_beyond_its_limits_end_the_link() {
    let (_, mut inbound) = pair(true);
    let (header, body) = plain(10, 1);
    let wire = [&header.bytes()[..], &body].concat();
    let (got, end) = received(&mut inbound, &wire, || 4000);
    assert_eq!((got.len(), end), (0, Err(InboundError::Seal(SealError::Tag))));

    let open = |len: usize| {
        let (mut header, body) = plain(len, 1);
        SealFields::view_mut(&mut header).mark = SealFields::OPEN;
        [&header.bytes()[..], &body].concat()
    };
    let (_, mut inbound) = pair(true);
    let many: Vec<u8> = (0..=SEAL_BATCH_FRAMES_MAX).flat_map(|_| open(0)).collect();
    assert_eq!(received(&mut inbound, &many, || 4000).1, Err(InboundError::Seal(SealError::Batch)));

    let (_, mut inbound) = pair(true);
    let large: Vec<u8> = (0..3).flat_map(|_| open(500_000)).collect();
    assert_eq!(received(&mut inbound, &large, || 4000).1, Err(InboundError::Seal(SealError::Batch)));

    // An open frame that no batch can have is refused by its header.
    let (_, mut inbound) = pair(true);
    let header = &open(2_000_000)[..256];
    assert_eq!(received(&mut inbound, header, || 256).1, Err(InboundError::Seal(SealError::Batch)));

    for (at, value) in [(62, 2), (63, 1)] {
        let (_, mut inbound) = pair(true);
        let mut wire = open(0);
        wire[at] = value;
        assert_eq!(received(&mut inbound, &wire, || 4000).1, Err(InboundError::Seal(SealError::Fields)));
    }
}

/// S-2 holds for control frames too: a goodbye that is not proved is none.
/// What a link says of itself and what its codec proves can't come apart.
#[test]
#[should_panic(expected = "a sealed link has a seal, no other has")]
fn an_unsealed_half_that_passes_for_a_sealed_one_makes_no_codec() {
    let [mut sealed, mut plain] =
        [LinkKind::Sealed, LinkKind::V2].map(|kind| Ends::new(kind).direction(true).1);
    std::mem::swap(sealed.control_mut(), plain.control_mut());
    let _codec = Inbound::new(plain, ROOMY.frame_size);
}

#[test]
fn control_frames_are_sealed() {
    let (mut outbound, mut inbound) = pair(true);
    outbound.ping().unwrap();
    outbound.goodbye(replink_frame::GoodbyeReason::SHUTDOWN);
    let wire = written(&mut outbound);
    assert_eq!(inbound.push(&wire[..wire.len() - 1]), wire.len() - 1);
    assert!(inbound.find().unwrap().is_none(), "the tag has not come as a whole");
    inbound.push(&wire[wire.len() - 1..]);
    let mut next = || match inbound.next().unwrap() {
        Some(Received::Control(control)) => control,
        other => panic!("{other:?}"),
    };
    assert_eq!(next(), ControlMessage::Ping { counter: 1 });
    assert_eq!(next(), ControlMessage::Goodbye(replink_frame::GoodbyeReason::SHUTDOWN));

    let mut changed = wire.clone();
    changed[60] = Command::LINK_PONG.0; // its own MAC would find that too; the seal comes first
    let (_, mut inbound) = pair(true);
    inbound.push(&changed);
    assert_eq!(inbound.next().unwrap_err(), InboundError::Seal(SealError::Tag));
}

/// S-4: however many links a body goes to, it is hashed once. What its clones share is the hash, so
/// the tags are the ones that they would be.
#[test]
fn a_shared_body_has_the_same_seal() {
    let (header, body) = plain(100_000, 3);
    let wire = |body: Body| {
        let (mut outbound, _) = pair(true);
        outbound.push(&header, body).unwrap();
        written(&mut outbound)
    };
    let shared = Body::shared(body.clone());
    let expected = wire(Body::from(body));
    assert_eq!(wire(shared.clone()), expected);
    assert_eq!(wire(shared), expected);
}

/// A partial write and more frames behind it.
#[test]
fn what_is_queued_behind_a_partial_write_is_a_batch_of_its_own() {
    for_each_seed(100, |random| {
        let (mut outbound, mut inbound) = pair(true);
        let (mut wire, mut sent) = (Vec::new(), Vec::new());
        for _ in 0..random.between(2, 60) {
            let len = if random.once_in(6) { random.between(4000, 30_000) } else { random.below(2000) };
            let (header, body) = frame(random, len);
            outbound.push(&header, body.clone()).unwrap();
            sent.push(OwnedFrame::new(header, body));
            if random.once_in(2) {
                let mut slices = [IoSlice::new(&[]); 4];
                let count = outbound.slices(&mut slices);
                let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
                let part = random.between(0, bytes.len());
                wire.extend_from_slice(&bytes[..part]);
                outbound.advance(part);
            }
        }
        wire.extend(written(&mut outbound));
        let (got, end) = received(&mut inbound, &wire, || 3000);
        assert_eq!(end, Ok(()));
        assert!(got == sent);
    });
}

#[test]
fn nothing_is_in_the_seals_place_when_a_frame_is_delivered() {
    let (mut outbound, mut inbound) = pair(true);
    for len in [0, 2000, 50_000] {
        let (header, body) = plain(len, 1);
        outbound.push(&header, body).unwrap();
    }
    let (frames, _) = received(&mut inbound, &written(&mut outbound), || 1000);
    assert_eq!(frames.len(), 3);
    for frame in frames {
        assert_eq!(frame.header.reserved_frame, [0; 66]);
        assert!(Bytes::len(&frame.body) < 60_000);
    }
}

#[test]
fn looking_at_a_link_on_which_nothing_has_come_takes_no_memory() {
    let (_outbound, mut inbound) = pair(true);
    assert!(inbound.find().unwrap().is_none());
    assert!(inbound.holds_nothing());
}
