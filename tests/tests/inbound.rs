//! The receiving codec: whatever the frames and however the bytes come, the frames come out as
//! they were sent, and what breaks the protocol ends the link.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::mem;

use bytes::Bytes;
use replink_frame::{Command, FrameError, GenericHeader, ReplicaId, Status, Version};
use replink_handshake::{ControlError, ControlMessage, SendingControl};
use replink_tests::fixtures::local;
use replink_tests::frames::{Ends, LINK_KINDS, LinkKind, ROOMY, body_len, frame, late_reject, plain, wire};
use replink_tests::random::{Random, for_each_seed};
use replink_transport::memory::{BLOCK_SIZE, Block, ReceiveMemory};
use replink_transport::{Inbound, InboundError, Outbound, Received};

const LIMIT: u32 = 4 << 20;

/// What must come out.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Expected {
    Frame(Box<GenericHeader>, Bytes),
    Control(ControlMessage),
}

/// A random sequence of frames, and its bytes.
fn sequence(random: &mut Random, sending: &mut SendingControl, count: usize) -> (Vec<Expected>, Vec<u8>) {
    let (mut expected, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let control = match random.below(12) {
            0 => sending.ping().map(|(counter, frame)| (ControlMessage::Ping { counter }, frame)),
            1 => {
                let echo = random.number();
                sending.pong(echo).map(|frame| (ControlMessage::Pong { echo }, frame))
            }
            _ => None,
        };
        if let Some((control, frame)) = control {
            bytes.extend_from_slice(frame.header().bytes());
            expected.push(Expected::Control(control));
        } else {
            let len = body_len(random);
            let (header, body) = frame(random, len);
            bytes.extend_from_slice(&wire(&(header, body.clone())));
            expected.push(Expected::Frame(header.into(), body));
        }
    }
    (expected, bytes)
}

/// How the bytes come.
#[derive(Clone, Copy)]
enum Chunks {
    Whole,
    UpTo(usize),
}

/// Takes frames as an embedder might: looks in place, keeps bodies for a while, ignores some.
#[derive(Default)]
struct Embedder {
    seen: usize,
    kept: Vec<(Bytes, Bytes)>,
}

impl Embedder {
    fn take(&mut self, received: Received<'_>, expected: &[Expected], random: &mut Random) {
        let expected = expected.get(self.seen).expect("no more frames than were sent");
        self.seen += 1;
        match (received, expected) {
            (Received::Control(control), Expected::Control(sent)) => assert_eq!(control, *sent),
            (Received::Frame(admitted), Expected::Frame(header, body)) => {
                assert_eq!(admitted.header(), &**header);
                assert!(admitted.body() == body, "body of frame {}", self.seen);
                match random.below(5) {
                    0 => self.kept.push((admitted.into_body(), body.clone())),
                    1 => {
                        let owned = admitted.into_owned();
                        assert_eq!(owned.header, **header);
                        self.kept.push((owned.body, body.clone()));
                    }
                    #[expect(
                        clippy::forget_non_drop,
                        reason = "safe code may do this, and nothing must come of it"
                    )]
                    2 => mem::forget(admitted),
                    _ => {}
                }
            }
            (received, expected) => panic!("{received:?} came where {expected:?} was sent"),
        }
        if !self.kept.is_empty() && random.once_in(6) {
            let (kept, sent) = self.kept.swap_remove(random.below(self.kept.len()));
            assert!(kept == sent, "a body changed while it was kept");
        }
        if random.once_in(40) {
            self.check_kept();
        }
    }

    fn check_kept(&mut self) {
        for (kept, sent) in self.kept.drain(..) {
            assert!(kept == sent, "a body changed while it was kept");
        }
    }
}

/// Puts what comes first of `bytes` into places, and says how much.
fn fill(places: [&mut [u8]; 2], bytes: &[u8]) -> usize {
    let mut rest = bytes;
    for place in places {
        let len = place.len().min(rest.len());
        place[..len].copy_from_slice(&rest[..len]);
        rest = &rest[len..];
    }
    bytes.len() - rest.len()
}

/// Gives the codec what comes first of `bytes`, in any of its ways, and says how much it took.
fn give(inbound: &mut Inbound, bytes: &[u8], random: &mut Random) -> usize {
    let most = if random.once_in(3) { random.between(0, bytes.len()) } else { bytes.len() };
    match random.below(4) {
        0 => inbound.push(bytes),
        1 => {
            let len = fill(inbound.room(), &bytes[..most]);
            inbound.received(len);
            len
        }
        // Memory of somebody else's.
        2 if inbound.holds_nothing() => {
            let mut memory = ReceiveMemory::from(Block::new());
            let len = fill(memory.slices(), &bytes[..most.min(inbound.receive_max())]);
            inbound.take_back(memory, len);
            len
        }
        _ => {
            let mut memory = inbound.lend();
            assert_eq!(inbound.find().unwrap(), None, "nothing can be looked at meanwhile");
            let len = fill(memory.slices(), &bytes[..most]);
            inbound.take_back(memory, len);
            len
        }
    }
}

/// Feeds all `bytes`, taking at most `greed` frames after each push.
fn feed(
    inbound: &mut Inbound,
    bytes: &[u8],
    chunks: Chunks,
    greed: usize,
    expected: &[Expected],
    random: &mut Random,
) {
    let mut embedder = Embedder::default();
    let mut rest = bytes;
    let mut idle = 0;
    while !rest.is_empty() {
        let chunk = match chunks {
            Chunks::Whole => rest.len(),
            Chunks::UpTo(most) => random.between(1, most).min(rest.len()),
        };
        let taken = give(inbound, &rest[..chunk], random);
        assert!(taken <= chunk);
        rest = &rest[taken..];
        let mut got = 0;
        while got < greed {
            if random.once_in(3) {
                inbound.find().unwrap(); // asking changes nothing
            }
            let Some(received) = inbound.next().unwrap() else { break };
            embedder.take(received, expected, random);
            got += 1;
        }
        // Once is fine: a large body may just have moved to a buffer of its own and made room.
        // And nothing may have been given.
        idle = if taken > 0 || got > 0 { 0 } else { idle + 1 };
        assert!(idle < 20, "stalled: no room, and no frame either");
    }
    while let Some(received) = inbound.next().unwrap() {
        embedder.take(received, expected, random);
    }
    assert_eq!(embedder.seen, expected.len());
    assert!(inbound.is_at_frame_boundary());
    embedder.check_kept();
}

#[test]
fn frames_come_out_as_sent_in_any_chunks() {
    for_each_seed(40, |random| {
        let kind = random.pick(&LINK_KINDS);
        let (sending, receiving) = Ends::new(kind).direction(random.once_in(2));
        let mut sending = sending.into_parts().0;
        let mut inbound = Inbound::new(receiving, LIMIT);
        // Several rounds over one codec: the read-ahead is in another state at each.
        for _ in 0..4 {
            let count = random.between(1, 30);
            let (expected, bytes) = sequence(random, &mut sending, count);
            let chunks = match random.below(6) {
                0 => Chunks::Whole,
                1 => Chunks::UpTo(300),
                2 => Chunks::UpTo(5000),
                3 => Chunks::UpTo(20_000),
                _ => Chunks::UpTo(2 * BLOCK_SIZE),
            };
            let greed = random.pick(&[1, 2, usize::MAX, usize::MAX]);
            feed(&mut inbound, &bytes, chunks, greed, &expected, random);
        }
    });
}

#[test]
fn frames_come_out_as_sent_byte_by_byte() {
    for_each_seed(2, |random| {
        let (sending, receiving) = Ends::new(LinkKind::V2).direction(true);
        let mut sending = sending.into_parts().0;
        let mut inbound = Inbound::new(receiving, LIMIT);
        let (expected, bytes) = sequence(random, &mut sending, 6);
        feed(&mut inbound, &bytes, Chunks::UpTo(1), usize::MAX, &expected, random);
    });
}

/// Sizes whose parts lie differently in the two buffers, cut in two everywhere.
#[test]
fn one_frame_cut_in_two_at_every_byte() {
    for body in [0, 1, 700, 16 * 1024 - 1, 16 * 1024] {
        let (_, receiving) = Ends::new(LinkKind::V2).direction(true);
        let mut inbound = Inbound::new(receiving, LIMIT);
        let sent = plain(body, 7);
        let next = plain(3, 9);
        let bytes = [wire(&sent), wire(&next)].concat();
        let whole = 256 + body;
        for cut in 0..=whole {
            assert_eq!(inbound.push(&bytes[..cut]), cut);
            assert_eq!(inbound.find().unwrap().is_some(), cut == whole);
            assert_eq!(inbound.is_at_frame_boundary(), cut == 0);
            assert_eq!(inbound.push(&bytes[cut..]), bytes.len() - cut);
            for (header, body) in [&sent, &next] {
                let Some(Received::Frame(admitted)) = inbound.next().unwrap() else { panic!("no frame") };
                assert_eq!((admitted.header(), admitted.body()), (header, &body[..]));
            }
            assert!(inbound.next().unwrap().is_none());
            assert!(inbound.is_at_frame_boundary());
        }
    }
}

#[test]
fn a_body_that_is_kept_stays_as_it_is_however_much_comes_later() {
    let (_, receiving) = Ends::new(LinkKind::V1).direction(true);
    let mut inbound = Inbound::new(receiving, LIMIT);
    let mut kept = Vec::new();
    // Far more than the read-ahead holds, with every size of frame among the kept ones.
    for round in 0..400usize {
        let len = [1, 100, 5000, 16 * 1024, 40_000][round % 5];
        let fill = u8::try_from(round % 251).unwrap();
        let bytes = wire(&plain(len, fill));
        let half = bytes.len() / 2;
        assert_eq!(inbound.push(&bytes[..half]), half);
        assert!(inbound.next().unwrap().is_none());
        assert_eq!(inbound.push(&bytes[half..]), bytes.len() - half);
        let Some(Received::Frame(admitted)) = inbound.next().unwrap() else { panic!("no frame") };
        kept.push((admitted.into_body(), len, fill));
        if round % 7 == 0 {
            kept.swap_remove(round % kept.len());
        }
        let Some((body, len, fill)) = kept.get(round * 7 % kept.len().max(1)) else { continue };
        assert!(body.len() == *len && body.iter().all(|byte| byte == fill));
    }
    for (body, len, fill) in kept {
        assert!(body == vec![fill; len]);
    }
}

#[test]
fn an_empty_body_holds_no_memory() {
    let (_, receiving) = Ends::new(LinkKind::V1).direction(true);
    let mut inbound = Inbound::new(receiving, LIMIT);
    inbound.push(&wire(&plain(0, 0)));
    let Some(Received::Frame(admitted)) = inbound.next().unwrap() else { panic!("no frame") };
    let body = admitted.into_body();
    assert!(body.is_empty());
    // Only memory that is shared with nothing has an owner to ask for it back.
    assert!(body.as_ptr() == Bytes::new().as_ptr(), "the empty body keeps the read-ahead alive");
}

/// What a frame does to a link that has carried a good frame before, or has not.
fn refused(receiving: replink_handshake::Receiving, after: &[u8], bytes: &[u8], limit: u32) -> InboundError {
    let mut inbound = Inbound::new(receiving, limit);
    assert_eq!(inbound.push(after), after.len());
    while let Some(received) = inbound.next().unwrap() {
        assert!(matches!(received, Received::Frame(_)));
    }
    // The header alone is enough to refuse it.
    assert_eq!(inbound.push(&bytes[..255]), 255);
    assert!(inbound.next().unwrap().is_none());
    inbound.push(&bytes[255..]);
    let error = inbound.next().unwrap_err();

    // It stays refused, and nothing behind it comes out.
    inbound.push(&wire(&plain(10, 1)));
    for _ in 0..3 {
        assert_eq!(inbound.next().unwrap_err(), error);
        assert_eq!(inbound.find().unwrap_err(), error);
    }
    assert!(!inbound.is_at_frame_boundary());
    error
}

/// The frame is refused in both roles, on every kind of link, first or later.
fn refused_everywhere(bytes: &[u8; 256], limit: u32) -> InboundError {
    let good = wire(&plain(0, 1));
    let mut errors = Vec::new();
    for kind in LINK_KINDS {
        for from_dialer in [true, false] {
            for after in [&good[..], &[]] {
                let receiving = Ends::new(kind).direction(from_dialer).1;
                errors.push(refused(receiving, after, bytes, limit));
            }
        }
    }
    assert!(errors.iter().all(|error| *error == errors[0]), "the same error everywhere: {errors:?}");
    errors[0]
}

#[test]
fn sizes_are_checked_against_header_and_limit() {
    // F-1
    for limit in [256, 1000, 70_000, u32::MAX] {
        for found in [0, 1, 255, limit.saturating_add(1), u32::MAX] {
            if (256..=limit).contains(&found) {
                continue;
            }
            let (mut header, _) = plain(0, 0);
            header.size = found.into();
            let error = refused_everywhere(header.bytes(), limit);
            assert_eq!(error, InboundError::Frame(FrameError::Size { found, limit }));
            assert!(error.to_string().starts_with("peer broke the protocol: frame announces"));
        }
    }
    for limit in [256, 1000, 70_000] {
        let (_, receiving) = Ends::new(LinkKind::V2).direction(true);
        let mut inbound = Inbound::new(receiving, limit);
        let largest = plain(limit as usize - 256, 5);
        inbound.push(&wire(&largest));
        let Some(Received::Frame(admitted)) = inbound.next().unwrap() else { panic!("no frame") };
        assert_eq!(admitted.into_owned().body, largest.1);
    }
}

#[test]
fn another_clusters_frame_is_refused() {
    // F-3
    for byte in 0..16 {
        let (mut header, _) = plain(0, 0);
        header.cluster.0[byte] ^= 0x80;
        let error = refused_everywhere(header.bytes(), LIMIT);
        let expected = local(0).cluster;
        assert_eq!(error, InboundError::Frame(FrameError::Cluster { expected, found: header.cluster }));
    }
}

#[test]
fn commands_that_are_not_the_embedders_are_refused() {
    // Section 1.1
    for command in [0, 248, 249, 253, 254, 255].map(Command) {
        let (mut header, _) = plain(0, 0);
        header.command = command;
        let error = refused_everywhere(header.bytes(), LIMIT);
        assert_eq!(error, InboundError::Frame(FrameError::Command { found: command }));
    }
}

/// F-4: version 1 has no use for them, and whoever has carries them.
#[test]
fn the_transports_reserved_bytes_are_carried_on_version_1() {
    for kind in [LinkKind::V1, LinkKind::Disabled] {
        let (sending, receiving) = Ends::new(kind).direction(true);
        let (mut outbound, mut inbound) = (Outbound::new(sending, ROOMY), Inbound::new(receiving, LIMIT));
        let (mut header, body) = plain(10, 1);
        header.reserved_frame = [7; 66];
        outbound.push(&header, body.clone()).unwrap();
        let batch = outbound.lend().unwrap();
        batch.iter().for_each(|bytes| assert_eq!(inbound.push(bytes), bytes.len()));
        let Some(Received::Frame(frame)) = inbound.next().unwrap() else { panic!("no frame") };
        assert_eq!((frame.header(), frame.body()), (&header, &body[..]));
    }
}

#[test]
fn the_transports_reserved_bytes_must_be_zero() {
    for offset in 62..128 {
        for value in [1, 0x80] {
            let mut bytes: [u8; 256] = *plain(0, 0).0.bytes();
            bytes[offset] = value;
            let receiving = Ends::new(LinkKind::V2).direction(offset % 2 == 0).1;
            let error = refused(receiving, &[], &bytes, LIMIT);
            assert_eq!(error, InboundError::Frame(FrameError::UnusedByte { offset }));
        }
    }
}

#[test]
fn handshake_frames_after_the_handshake_are_refused() {
    // H-9
    for command in [Command::REPLICA_HELLO, Command::REPLICA_CHALLENGE, Command::REPLICA_FINISH] {
        let (mut header, _) = plain(0, 0);
        header.command = command;
        // An ok challenge is no reject, whatever else it says.
        let error = refused_everywhere(header.bytes(), LIMIT);
        assert_eq!(error, InboundError::HandshakeFrame { command });
        assert!(error.to_string().contains(&command.to_string()));
    }
}

#[test]
fn a_late_reject_counts_only_first_and_only_for_the_dialer() {
    // H-9
    for version in [Version::V1, Version::V2] {
        let reject = || late_reject(version, Status::DUPLICATE_REPLICA);
        let (receiving, bytes) = reject();
        let InboundError::LateReject(reason) = refused(receiving, &[], &bytes, LIMIT) else {
            panic!("no late reject");
        };
        assert_eq!(reason.from, ReplicaId(2));
        assert_eq!(reason.authenticated, version == Version::V2);
        // Version 1 has no code for it.
        let status = if version == Version::V1 { Status::UNKNOWN_COMMAND } else { Status::DUPLICATE_REPLICA };
        assert_eq!(reason.status, status);

        let violation = InboundError::HandshakeFrame { command: Command::REPLICA_CHALLENGE };
        let (receiving, bytes) = reject();
        assert_eq!(refused(receiving, &wire(&plain(5, 1)), &bytes, LIMIT), violation);
        let (receiving, bytes) = reject();
        assert_eq!(refused(receiving, &wire(&plain(20_000, 1)), &bytes, LIMIT), violation);
        // The acceptor never gets one.
        let kind = if version == Version::V1 { LinkKind::V1 } else { LinkKind::V2 };
        let acceptors = Ends::new(kind).direction(true).1;
        assert_eq!(refused(acceptors, &[], &bytes, LIMIT), violation);
        // Nor does a link of the other version.
        let other = if version == Version::V1 { LinkKind::V2 } else { LinkKind::V1 };
        assert_eq!(refused(Ends::new(other).direction(false).1, &[], &bytes, LIMIT), violation);
    }
}

#[test]
fn a_control_frame_before_a_late_reject_makes_it_a_violation() {
    let (_, bytes) = late_reject(Version::V2, Status::DRAINING);
    let (sending, receiving) = Ends::new(LinkKind::V2).direction(false);
    let mut sending = sending.into_parts().0;
    let mut inbound = Inbound::new(receiving, LIMIT);
    inbound.push(sending.ping().unwrap().1.header().bytes());
    inbound.push(&bytes);
    assert!(matches!(inbound.next(), Ok(Some(Received::Control(ControlMessage::Ping { counter: 1 })))));
    let violation = InboundError::HandshakeFrame { command: Command::REPLICA_CHALLENGE };
    assert_eq!(inbound.next().unwrap_err(), violation);
}

#[test]
fn a_retry_hint_reaches_the_dialer() {
    let (receiving, bytes) = late_reject(Version::V2, Status::BUSY);
    let error = refused(receiving, &[], &bytes, LIMIT);
    assert!(matches!(error, InboundError::LateReject(reject) if reject.retry_after_ms == 250));
    assert!(error.to_string().contains("busy (9)"), "{error}");
}

#[test]
fn control_frames_that_were_not_made_for_this_moment_are_refused() {
    for from_dialer in [true, false] {
        let control = |error| InboundError::Control(error);
        let ends = || Ends::new(LinkKind::V2).direction(from_dialer);
        let ping = |sending: &mut SendingControl| *sending.ping().unwrap().1.header();

        // Any bit of the counter, the MAC or what else the MAC covers.
        for offset in [56, 57, 128, 135, 160, 191] {
            let (sending, receiving) = ends();
            let mut sending = sending.into_parts().0;
            let mut bytes = *ping(&mut sending).bytes();
            bytes[offset] ^= 1;
            assert_eq!(refused(receiving, &[], &bytes, LIMIT), control(ControlError::Mac), "byte {offset}");
        }
        // Bytes that are not in use.
        for offset in [0, 31, 52, 62, 80, 127, 136, 144, 159, 192, 255] {
            let (sending, receiving) = ends();
            let mut sending = sending.into_parts().0;
            let mut bytes = *ping(&mut sending).bytes();
            bytes[offset] ^= 1;
            let unused = ControlError::Frame(FrameError::UnusedByte { offset });
            assert_eq!(refused(receiving, &[], &bytes, LIMIT), control(unused));
        }
        // Another size.
        let (sending, receiving) = ends();
        let mut sending = sending.into_parts().0;
        let mut header = ping(&mut sending);
        header.size = 257.into();
        let size = ControlError::Frame(FrameError::Size { found: 257, limit: 256 });
        assert_eq!(refused(receiving, &[], header.bytes(), LIMIT), control(size));
        // Another sender: our own frame, reflected.
        let ends_of_link = Ends::new(LinkKind::V2);
        let (mut ours, receiving) = if from_dialer {
            (ends_of_link.dialer.1, ends_of_link.dialer.0)
        } else {
            (ends_of_link.acceptor.1, ends_of_link.acceptor.0)
        };
        let error = refused(receiving, &[], ping(ours.control_mut()).bytes(), LIMIT);
        assert!(matches!(error, InboundError::Control(ControlError::Sender { .. })), "{error:?}");
        // Replayed, or in the wrong order.
        for (first, then, last, found) in [(0, 0, 1, 1), (1, 0, 2, 1)] {
            let (sending, receiving) = ends();
            let mut sending = sending.into_parts().0;
            let pings = [ping(&mut sending), ping(&mut sending)];
            let mut inbound = Inbound::new(receiving, LIMIT);
            inbound.push(pings[first].bytes());
            inbound.push(pings[then].bytes());
            assert!(matches!(inbound.next(), Ok(Some(Received::Control(_)))));
            let error = inbound.next().unwrap_err();
            assert_eq!(error, control(ControlError::Counter { last, found }));
        }
    }
}

#[test]
fn links_without_a_session_key_have_no_control_frames() {
    // H-13
    for kind in [LinkKind::V1, LinkKind::Disabled] {
        let mut sending = Ends::new(LinkKind::V2).direction(true).0.into_parts().0;
        let bytes = *sending.ping().unwrap().1.header().bytes();
        let error = refused(Ends::new(kind).direction(true).1, &[], &bytes, LIMIT);
        let version = Version::V1;
        assert_eq!(error, InboundError::Control(ControlError::NotOnThisLink { version }));
    }
}

#[test]
fn good_frames_before_a_bad_one_come_out() {
    let (_, receiving) = Ends::new(LinkKind::V2).direction(true);
    let mut inbound = Inbound::new(receiving, LIMIT);
    let mut bytes = Vec::new();
    for fill in 0..5 {
        bytes.extend_from_slice(&wire(&plain(fill, u8::try_from(fill).unwrap())));
    }
    bytes.extend_from_slice(&[0; 256]);
    inbound.push(&bytes);
    for len in 0..5 {
        assert!(
            matches!(inbound.next(), Ok(Some(Received::Frame(admitted))) if admitted.body().len() == len)
        );
    }
    assert!(inbound.next().is_err());
}

/// Somebody looks for a frame, and gives the memory away before it is taken.
#[test]
fn what_was_found_is_there_again_once_the_memory_is_back() {
    let mut links: Vec<_> = LINK_KINDS.map(|kind| (kind, Vec::new())).into();
    links.push((LinkKind::Sealed, Vec::new()));
    for (kind, bytes) in &mut links {
        let (sending, receiving) = Ends::new(*kind).direction(true);
        let mut outbound = Outbound::new(sending, ROOMY);
        let mut inbound = Inbound::new(receiving, LIMIT);
        let control = usize::from(outbound.ping().is_some());
        for len in [10, 20_000, 0] {
            let (header, body) = plain(len, 3);
            outbound.push(&header, body).unwrap();
        }
        let batch = outbound.lend().unwrap();
        batch.iter().for_each(|piece| bytes.extend_from_slice(piece));
        let cut = bytes.len() - 256 - 5000;
        let mut rest = &bytes[inbound.push(&bytes[..cut])..];
        for _ in 0..3 + control {
            let found = inbound.find().unwrap();
            let mut memory = inbound.lend();
            assert_eq!(inbound.find().unwrap(), None, "{kind:?}: nothing is to be found meanwhile");
            assert!(inbound.take().is_none() && !inbound.is_at_frame_boundary() || found.is_none());
            assert_eq!((inbound.push(rest), inbound.receive_max()), (0, 0));
            assert!(inbound.room().iter().all(|place| place.is_empty()));
            assert!(!inbound.holds_nothing() && inbound.give_up_block().is_none());
            inbound.relax();
            let len = fill(memory.slices(), &rest[..rest.len().min(2000)]);
            inbound.take_back(memory, len);
            rest = &rest[len..];
            if let Some(found) = found {
                assert_eq!(inbound.find().unwrap(), Some(found), "{kind:?}");
                assert!(inbound.take().is_some());
            }
        }
        loop {
            while inbound.next().unwrap().is_some() {}
            if rest.is_empty() {
                break;
            }
            rest = &rest[inbound.push(rest)..];
        }
        assert!(inbound.is_at_frame_boundary(), "{kind:?}");
    }
}

/// What is no block has no room for the rest of a frame, or takes more than a link may hold.
#[test]
fn memory_of_any_size_will_do_where_nothing_is_held() {
    let bytes = wire(&plain(5000, 1)).repeat(50);
    for len in [1, 100, 255, 256, 5000, BLOCK_SIZE - 1, BLOCK_SIZE, 4 * BLOCK_SIZE] {
        let (_, receiving) = Ends::new(LinkKind::V2).direction(true);
        let mut inbound = Inbound::new(receiving, LIMIT);
        let (mut rest, mut frames) = (&bytes[..], 0);
        while !rest.is_empty() {
            let taken = if inbound.holds_nothing() {
                let mut memory = ReceiveMemory::with_len(len);
                let most = rest.len().min(inbound.receive_max());
                let filled = fill(memory.slices(), &rest[..most]);
                inbound.take_back(memory, filled);
                filled
            } else {
                let taken = fill(inbound.room(), rest);
                inbound.received(taken);
                taken
            };
            assert!(taken > 0, "there is room where no frame is whole, with {len} bytes");
            rest = &rest[taken..];
            while inbound.next().unwrap().is_some() {
                frames += 1;
            }
            let held = inbound.lend();
            assert!(held.room() <= BLOCK_SIZE, "{} of {len}", held.room());
            inbound.take_back(held, 0);
            inbound.give_up_block();
        }
        assert_eq!(frames, 50);
    }
}

#[test]
#[should_panic(expected = "another memory was lent")]
fn memory_of_another_link_is_the_callers_bug() {
    let [mut one, mut other] =
        [(); 2].map(|()| Inbound::new(Ends::new(LinkKind::V2).direction(true).1, LIMIT));
    one.push(&[0; 10]);
    let (_mine, theirs) = (one.lend(), other.lend());
    one.take_back(theirs, 0);
}

#[test]
#[should_panic(expected = "lent already")]
fn lending_twice_is_the_callers_bug() {
    let mut inbound = Inbound::new(Ends::new(LinkKind::V2).direction(true).1, LIMIT);
    let _memory = inbound.lend();
    let _again = inbound.lend();
}

#[test]
fn what_is_held_is_bounded() {
    // Without taking frames out, the read-ahead fills up and takes no more.
    let (_, receiving) = Ends::new(LinkKind::V2).direction(true);
    let mut inbound = Inbound::new(receiving, LIMIT);
    let bytes: Vec<u8> = (0..4000).flat_map(|_| wire(&plain(0, 0))).collect();
    let mut taken = 0;
    for chunk in bytes.chunks(1000) {
        taken += inbound.push(chunk);
    }
    assert!(taken <= BLOCK_SIZE, "{taken} bytes held");
    let mut frames = 0;
    while inbound.next().unwrap().is_some() {
        frames += 1;
    }
    assert_eq!(frames, taken / 256);
}
