//! Sealed links (section 5), without a socket.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::IoSlice;

use bytes::Bytes;
use replink_frame::{Command, Flags, GoodbyeReason, Status, Version};
use replink_handshake::{
    ControlMessage, RECORD_CIPHERTEXT_MAX, RECORD_HEAD_LEN, RECORD_OVERHEAD, Receiving, RecordError,
    RecordSealer,
};
use replink_tests::fixtures::Sides;
use replink_tests::frames::{Ends, LinkKind, ROOMY, body_len, frame, plain, wire};
use replink_tests::random::{Random, for_each_seed};
use replink_transport::memory::BLOCK_SIZE;
use replink_transport::{Inbound, InboundError, Outbound, OwnedFrame, Received};

const LIMIT: u32 = 64 << 20;

fn pair(from_dialer: bool) -> (Outbound, Inbound) {
    let (sending, receiving) = Ends::new(LinkKind::Sealed).direction(from_dialer);
    (Outbound::new(sending, ROOMY), Inbound::new(receiving, LIMIT))
}

/// What a peer seals with that sends whatever it likes, and what receives it.
fn sealer_and_inbound(from_dialer: bool) -> (RecordSealer, Inbound) {
    let (sending, receiving) = Ends::new(LinkKind::Sealed).direction(from_dialer);
    (sending.into_parts().1.unwrap(), Inbound::new(receiving, LIMIT))
}

fn record(sealer: &mut RecordSealer, plaintext: &[u8]) -> Vec<u8> {
    let mut record = vec![0; plaintext.len() + RECORD_OVERHEAD];
    sealer.seal([plaintext], &mut record).unwrap();
    record
}

/// All that waits, as it goes over the wire.
fn written(outbound: &mut Outbound) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = outbound.slices(&mut slices);
        if count == 0 {
            assert!(outbound.is_empty());
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

/// The error when all of it has come at once.
fn refused(inbound: &mut Inbound, bytes: &[u8]) -> InboundError {
    let (frames, end) = received(inbound, bytes, || bytes.len());
    assert!(frames.is_empty());
    end.unwrap_err()
}

/// The records of a wire image, as byte ranges.
fn records_of(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut ranges, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let head = bytes[at..].first_chunk::<RECORD_HEAD_LEN>().unwrap();
        let end = at + u32::from_le_bytes(*head) as usize + RECORD_OVERHEAD;
        ranges.push(at..end);
        at = end;
    }
    ranges
}

/// Bytes of frames in each record.
fn plaintext_lens(wire: &[u8]) -> Vec<usize> {
    records_of(wire).iter().map(|range| range.len() - RECORD_OVERHEAD).collect()
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

/// S-1: frames begin and end anywhere in records, and any peer may cut them elsewhere than this one does.
#[test]
fn records_may_be_cut_anywhere() {
    for_each_seed(60, |random| {
        let (mut sealer, mut inbound) = sealer_and_inbound(random.once_in(2));
        let mut sent = Vec::new();
        let mut stream = Vec::new();
        for _ in 0..random.between(1, 20) {
            let len = body_len(random);
            let (header, body) = frame(random, len);
            stream.extend(self::wire(&(header, body.clone())));
            sent.push(OwnedFrame::new(header, body));
        }
        let most = random.pick(&[300, 5000, RECORD_CIPHERTEXT_MAX]);
        let (mut wire, mut rest) = (Vec::new(), &stream[..]);
        while !rest.is_empty() {
            let (first, behind) = rest.split_at(random.between(1, most).min(rest.len()));
            wire.extend(record(&mut sealer, first));
            rest = behind;
        }
        let mut random = random.clone();
        let (got, end) = received(&mut inbound, &wire, || random.between(1, 200_000));
        assert_eq!((got.len(), end), (sent.len(), Ok(())));
        assert!(got == sent, "the frames differ");
        assert!(inbound.is_at_frame_boundary());
    });
}

/// S-1: what is written at once is sealed at once, in as few records as there may be; a large body has its own.
#[test]
fn records_are_as_large_as_they_may_be() {
    let lens = |bodies: &[usize]| {
        let (mut outbound, mut inbound) = pair(true);
        for &len in bodies {
            let (header, body) = plain(len, 7);
            outbound.push(&header, body).unwrap();
        }
        let wire = written(&mut outbound);
        assert_eq!(received(&mut inbound, &wire, || 70_000).0.len(), bodies.len());
        plaintext_lens(&wire)
    };
    assert_eq!(lens(&[0]), [256]);
    assert_eq!(lens(&[10, 0, 1000, 4000, 0]), [5 * 256 + 5010]);
    assert_eq!(lens(&[4000; 20]), [RECORD_CIPHERTEXT_MAX, 20 * 4256 - RECORD_CIPHERTEXT_MAX]);
    // The header of a large body comes first, and the rest of one that is not much goes with what follows.
    assert_eq!(lens(&[65_536]), [256, 65_536]);
    assert_eq!(lens(&[100, 65_536, 100]), [256 + 100 + 256, 65_536, 256 + 100]);
    assert_eq!(lens(&[70_000, 0]), [256, 65_536, 70_000 - 65_536 + 256]);
    assert_eq!(lens(&[100_000, 0]), [256, 65_536, 100_000 - 65_536, 256]);

    // Nothing stays open to wait for more.
    let (mut outbound, _) = pair(true);
    for _ in 0..3 {
        let (header, body) = plain(10, 1);
        outbound.push(&header, body).unwrap();
        assert_eq!(plaintext_lens(&written(&mut outbound)), [266]);
    }
}

/// A few frames of each kind, in three records.
fn sample() -> (Vec<u8>, Vec<OwnedFrame>) {
    let (mut outbound, _) = pair(true);
    let mut random = Random::new(1);
    let (mut wire, mut sent) = (Vec::new(), Vec::new());
    for lens in [&[0, 100][..], &[300], &[0, 17]] {
        for &len in lens {
            let (header, body) = frame(&mut random, len);
            outbound.push(&header, body.clone()).unwrap();
            sent.push(OwnedFrame::new(header, body));
        }
        wire.extend(written(&mut outbound));
    }
    assert_eq!(records_of(&wire).len(), 3);
    (wire, sent)
}

/// How many frames of [`sample`] are in its first so many records.
const WHOLE: [usize; 4] = [0, 2, 3, 5];

/// Feeds what is left of `wire` after someone was at it: all frames that come out are those of the records before
/// the one that is affected, and the rest never comes.
fn assert_detected(what: &str, wire: &[u8], sent: &[OwnedFrame], first_affected: usize) {
    let (_, mut inbound) = pair(true);
    let (got, end) = received(&mut inbound, wire, || 400);
    assert!(got == sent[..WHOLE[first_affected]], "{what}: {} frames, {end:?}", got.len());
    let ended = end.is_err() || !inbound.is_at_frame_boundary();
    assert!(ended, "{what}: not noticed");
    // S-3: what follows is not looked at, whatever it is.
    if let Err(error) = end {
        inbound.push(wire);
        assert_eq!(inbound.next().unwrap_err(), error);
    }
}

/// Every bit of every record, of its length and of its tag.
#[test]
fn every_flipped_bit_is_detected_and_nothing_of_its_record_delivered() {
    let (wire, sent) = sample();
    let ranges = records_of(&wire);
    for at in 0..wire.len() {
        let affected = ranges.iter().position(|range| range.contains(&at)).unwrap();
        for bit in 0..8 {
            let mut changed = wire.clone();
            changed[at] ^= 1 << bit;
            assert_detected(&format!("bit {bit} of byte {at}"), &changed, &sent, affected);
        }
    }
}

#[test]
fn dropped_repeated_and_swapped_records_are_detected() {
    let (wire, sent) = sample();
    let ranges = records_of(&wire);
    let rebuilt = |order: &[usize]| -> Vec<u8> {
        order.iter().flat_map(|&record| wire[ranges[record].clone()].iter().copied()).collect()
    };
    for (order, affected) in [
        (&[1, 2][..], 0),
        (&[0, 2], 1),
        (&[0, 0, 1, 2], 1),
        (&[0, 1, 1, 2], 2),
        (&[0, 1, 2, 2], 3),
        (&[0, 1, 2, 0], 3),
        (&[1, 0, 2], 0),
        (&[2, 1, 0], 0),
        (&[0, 2, 1], 1),
    ] {
        assert_detected(&format!("{order:?}"), &rebuilt(order), &sent, affected);
    }
    // A stream that is cut short is noticed by who sees that it has ended.
    for end in 1..wire.len() {
        if !ranges.iter().any(|range| range.end == end) {
            let (_, mut inbound) = pair(true);
            received(&mut inbound, &wire[..end], || 400).1.unwrap();
            assert!(!inbound.is_at_frame_boundary(), "{end}");
        }
    }
}

/// A record of the other direction, and one of another session of the same replicas.
#[test]
fn reflected_and_spliced_records_are_detected() {
    let (wire, _) = sample();
    let (_, mut other_direction) = pair(false);
    assert_eq!(refused(&mut other_direction, &wire), RecordError::Tag.into());

    // A session with other nonces.
    let mut sides = Sides::with_flags(Flags::SEALED);
    sides.dialer.local.incarnation ^= 1;
    let run = sides.run();
    let ((), session) = run.verified.admit().into_parts();
    let mut inbound = Inbound::new(session.split().0, LIMIT);
    assert_eq!(refused(&mut inbound, &wire), RecordError::Tag.into());
}

/// S-3, before anything is received or allocated for it.
#[test]
fn a_length_that_no_record_has_ends_the_link() {
    for (found, from_dialer) in [(0, true), (65_537, true), (65_537, false), (u32::MAX, true)] {
        let (_, mut inbound) = pair(from_dialer);
        assert_eq!(refused(&mut inbound, &found.to_le_bytes()), RecordError::Length { found }.into());
    }
    let (_, mut inbound) = pair(true);
    let full = u32::try_from(RECORD_CIPHERTEXT_MAX).unwrap().to_le_bytes();
    assert_eq!(received(&mut inbound, &full, || 4), (Vec::new(), Ok(())), "the longest one");
}

/// A peer that says frames where records are due.
#[test]
fn a_frame_in_clear_ends_the_link() {
    let (_, mut inbound) = pair(true);
    let (mut header, body) = plain(10, 1);
    assert_eq!(
        refused(&mut inbound, &wire(&(header, body.clone()))),
        RecordError::Length { found: 0 }.into()
    );
    header.checksum = [0x11; 16];
    let (_, mut inbound) = pair(true);
    let found = 0x1111_1111;
    assert_eq!(refused(&mut inbound, &wire(&(header, body))), RecordError::Length { found }.into());
}

/// The dialer's half, and the late reject that its acceptor sends.
fn refusal() -> (Receiving, Receiving, RecordSealer, [u8; 256]) {
    let sides = Sides::with_flags(Flags::SEALED);
    let ((), reply, _) = sides.run().verified.refuse(Status::DUPLICATE_REPLICA, 0).into_parts();
    let run = sides.run();
    let (receiving, _) = run.dialed.into_parts().1.split();
    let (acceptors, sending) = run.verified.admit().into_parts().1.split();
    (receiving, acceptors, sending.into_parts().1.unwrap(), reply)
}

/// H-9: in clear, in the place of the acceptor's first record.
#[test]
fn a_late_reject_in_clear_is_told() {
    let (receiving, _, _, reply) = refusal();
    let mut inbound = Inbound::new(receiving, LIMIT);
    assert_eq!(received(&mut inbound, &reply[..255], || 255), (Vec::new(), Ok(())));
    assert_eq!(inbound.push(&reply[255..]), 1);
    let error = inbound.next().unwrap_err();
    let InboundError::LateReject(reject) = error else { panic!("{error}") };
    assert!(reject.authenticated && reject.status == Status::DUPLICATE_REPLICA);
}

/// H-9: whatever is not the acceptor's own, in its place, is a protocol violation, and its status is told nowhere.
#[test]
fn no_other_late_reject_is_told() {
    let violation = InboundError::HandshakeFrame { command: Command::REPLICA_CHALLENGE };
    let no_record = InboundError::Record(RecordError::Length { found: 0 });
    // Forged, in any bit that is not one of its length's place.
    for bit in 32..256 * 8 {
        let (receiving, _, _, mut reply) = refusal();
        reply[bit / 8] ^= 1 << (bit % 8);
        let mut inbound = Inbound::new(receiving, LIMIT);
        let error = refused(&mut inbound, &reply);
        let expected = match error {
            InboundError::HandshakeFrame { .. } => bit / 8 == 60 || error == violation,
            _ => bit / 8 == 60 && error == no_record, // its command is none of the handshake's
        };
        assert!(expected, "bit {bit}: {error}");
    }
    // Later than first.
    let (receiving, _, mut sealer, reply) = refusal();
    let mut inbound = Inbound::new(receiving, LIMIT);
    let first = record(&mut sealer, &wire(&plain(10, 1)));
    assert_eq!(received(&mut inbound, &first, || 4000).0.len(), 1);
    assert_eq!(refused(&mut inbound, &reply), no_record);
    // Inside of a record.
    let (receiving, _, mut sealer, reply) = refusal();
    let mut inbound = Inbound::new(receiving, LIMIT);
    assert_eq!(refused(&mut inbound, &record(&mut sealer, &reply)), violation);
    // Toward an acceptor.
    let (_, acceptors, _, reply) = refusal();
    assert_eq!(refused(&mut Inbound::new(acceptors, LIMIT), &reply), no_record);
}

/// What a link says of itself and what its codec proves can't come apart.
#[test]
#[should_panic(expected = "a sealed link has records, no other has")]
fn an_unsealed_half_that_passes_for_a_sealed_one_makes_no_codec() {
    let [mut sealed, mut plain] =
        [LinkKind::Sealed, LinkKind::V2].map(|kind| Ends::new(kind).direction(true).1);
    std::mem::swap(sealed.control_mut(), plain.control_mut());
    let _codec = Inbound::new(plain, ROOMY.frame_size);
}

/// S-2 holds for control frames too: a goodbye that is not proved is none.
#[test]
fn control_frames_are_sealed() {
    let (mut outbound, mut inbound) = pair(true);
    outbound.ping().unwrap();
    outbound.goodbye(GoodbyeReason::SHUTDOWN);
    let wire = written(&mut outbound);
    assert_eq!(inbound.push(&wire[..wire.len() - 1]), wire.len() - 1);
    assert!(inbound.find().unwrap().is_none(), "the tag has not come as a whole");
    inbound.push(&wire[wire.len() - 1..]);
    let mut next = || match inbound.next().unwrap() {
        Some(Received::Control(control)) => control,
        other => panic!("{other:?}"),
    };
    assert_eq!(next(), ControlMessage::Ping { counter: 1 });
    assert_eq!(next(), ControlMessage::Goodbye(GoodbyeReason::SHUTDOWN));
}

/// From the first byte behind the Finish on, nothing that was sent can be read: no eight bytes of it are there.
#[test]
fn what_goes_over_the_wire_holds_nothing_of_what_was_sent() {
    let (mut outbound, mut inbound) = pair(true);
    let mut random = Random::new(3);
    let mut sent = Vec::new();
    for len in [0, 10, 1024, 5000, 70_000, 200_000] {
        let (header, body) = frame(&mut random, len);
        outbound.push(&header, body.clone()).unwrap();
        sent.push(wire(&(header, body)));
    }
    outbound.ping().unwrap();
    let captured = written(&mut outbound);
    let windows: std::collections::HashSet<&[u8]> = captured.windows(8).collect();
    for bytes in &sent {
        // Zeros of a header would be found where there are zeros: only what says something is looked for.
        let told = bytes.windows(8).filter(|window| window.iter().filter(|byte| **byte != 0).count() > 4);
        assert_eq!(told.filter(|window| windows.contains(window)).count(), 0);
    }
    assert_eq!(received(&mut inbound, &captured, || 100_000).0.len(), sent.len());
}

/// A body for several peers is sealed for each of them, and all get it.
#[test]
fn what_goes_to_several_peers_is_sealed_for_each() {
    let (header, body) = plain(100_000, 3);
    let wires = [true, false].map(|from_dialer| {
        let (mut outbound, mut inbound) = pair(from_dialer);
        outbound.push(&header, body.clone()).unwrap();
        let wire = written(&mut outbound);
        let (frames, end) = received(&mut inbound, &wire, || 5000);
        assert_eq!((frames, end), (vec![OwnedFrame::new(header, body.clone())], Ok(())));
        wire
    });
    assert_eq!(wires[0].len(), wires[1].len());
    let same = wires[0].windows(16).zip(wires[1].windows(16)).filter(|(one, other)| one == other);
    assert_eq!(same.count(), 0);
}

/// S-4: what the socket did not take is sent as it is, and what comes behind it is sealed only then.
#[test]
fn records_that_are_written_in_part_stay_as_they_are() {
    for_each_seed(100, |random| {
        let (mut outbound, mut inbound) = pair(true);
        let (mut wire, mut sent, mut waits) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..random.between(2, 60) {
            let len = if random.once_in(6) { random.between(4000, 300_000) } else { random.below(2000) };
            let (header, body) = frame(random, len);
            outbound.push(&header, body.clone()).unwrap();
            sent.push(OwnedFrame::new(header, body));
            if random.once_in(2) {
                let bytes = if random.once_in(2) {
                    let mut slices = [IoSlice::new(&[]); 4];
                    let count = outbound.slices(&mut slices);
                    slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
                } else {
                    let batch = outbound.lend().unwrap();
                    assert!(!batch.can_be_shared(), "its memory is used again");
                    let bytes: Vec<u8> = batch.iter().flat_map(<[u8]>::to_vec).collect();
                    outbound.take_back(batch, 0);
                    bytes
                };
                assert!(bytes.starts_with(&waits), "sealed again");
                let part = random.between(0, bytes.len());
                wire.extend_from_slice(&bytes[..part]);
                outbound.advance(part);
                waits = bytes[part..].to_vec();
            }
        }
        wire.extend(written(&mut outbound));
        assert_eq!((outbound.queued_frames(), outbound.queued_bytes()), (0, 0));
        let (got, end) = received(&mut inbound, &wire, || 3000);
        assert_eq!(end, Ok(()));
        assert!(got == sent);
    });
}

/// A frame waits until the record with its last byte is written.
#[test]
fn what_waits_is_counted_by_whole_records() {
    let (mut outbound, _) = pair(true);
    let (header, body) = plain(44, 1);
    for _ in 0..2 {
        outbound.push(&header, body.clone()).unwrap();
    }
    let mut slices = [IoSlice::new(&[]); 1];
    assert_eq!(outbound.slices(&mut slices), 1);
    assert_eq!(slices[0].len(), 600 + RECORD_OVERHEAD);
    outbound.advance(600 + RECORD_OVERHEAD - 1);
    assert_eq!((outbound.queued_frames(), outbound.queued_bytes()), (2, 600));
    outbound.advance(1);
    assert_eq!((outbound.queued_frames(), outbound.queued_bytes()), (0, 0));
}

/// S-4: past some steps to next secrets, in both directions.
#[test]
fn both_ends_step_together() {
    for from_dialer in [true, false] {
        let (mut outbound, mut inbound) = pair(from_dialer);
        let (header, body) = plain(3, 1);
        for number in 0..3100 {
            outbound.push(&header, body.clone()).unwrap();
            let (frames, end) = received(&mut inbound, &written(&mut outbound), || 1000);
            assert_eq!((frames.len(), end), (1, Ok(())), "{number}");
        }
    }
}

/// C-1: half a record, or one that is not the peer's, is no sign of life.
#[test]
fn only_a_record_that_was_opened_counts_as_life() {
    let (mut outbound, mut inbound) = pair(true);
    let (header, body) = plain(3, 1);
    outbound.push(&header, body).unwrap();
    let mut wire = written(&mut outbound);
    inbound.push(&wire[..wire.len() - 1]);
    assert!(inbound.find().unwrap().is_none() && !inbound.take_life());
    inbound.push(&wire[wire.len() - 1..]);
    assert!(!inbound.take_life(), "it was not opened yet");
    assert!(inbound.find().unwrap().is_some() && inbound.take_life() && !inbound.take_life());

    let (_, mut inbound) = pair(true);
    wire[10] ^= 1;
    inbound.push(&wire);
    assert!(inbound.find().is_err() && !inbound.take_life());

    // On a link without seals bytes are what there is.
    let (_, receiving) = Ends::new(LinkKind::V2).direction(true);
    let mut inbound = Inbound::new(receiving, LIMIT);
    assert!(!inbound.take_life());
    inbound.push(&[0]);
    assert!(inbound.take_life() && !inbound.take_life());
}

#[test]
fn looking_at_a_link_on_which_nothing_has_come_takes_no_memory() {
    let (_outbound, mut inbound) = pair(true);
    assert!(inbound.find().unwrap().is_none());
    assert!(inbound.holds_nothing());
}

/// A block in which nothing lies is of use to other links, whatever was opened from it.
#[test]
fn the_block_of_what_was_opened_can_be_given_up() {
    let (mut outbound, mut inbound) = pair(true);
    let (header, body) = plain(100_000, 1);
    outbound.push(&header, Bytes::clone(&body)).unwrap();
    let wire = written(&mut outbound);
    let (half, rest) = wire.split_at(BLOCK_SIZE / 2);
    assert!(received(&mut inbound, half, || half.len()).0.is_empty());
    assert!(inbound.give_up_block().is_none(), "half a record lies there");
    assert_eq!(received(&mut inbound, rest, || rest.len()).0.len(), 1);
    assert!(inbound.give_up_block().is_some());
    assert!(inbound.holds_nothing());
    assert_eq!(Version::V2, inbound.peer().version);
}
