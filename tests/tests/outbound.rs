//! The sending codec: whatever is queued and however little the socket takes, the bytes are those
//! of the frames one behind the other, and the queue keeps to its limits.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;
use replink_frame::{Command, CommandClass, FrameError, GenericHeader, GoodbyeReason};
use replink_handshake::ControlMessage;
use replink_tests::frames::{Ends, LINK_KINDS, LinkKind, ROOMY, body_len, frame, plain, wire};
use replink_tests::random::{Random, for_each_seed};
use replink_transport::{Inbound, Outbound, OutboundLimits, Received, SendCause};

/// All that waits, by way of [`Outbound::slices`].
fn waiting(outbound: &mut Outbound) -> Vec<u8> {
    let Some(batch) = outbound.lend() else { return Vec::new() };
    let bytes = batch.iter().flatten().copied().collect();
    assert!(outbound.lend().is_none(), "it is lent once");
    outbound.take_back(batch, 0);
    bytes
}

fn joined(slices: &[IoSlice<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for slice in slices {
        bytes.extend_from_slice(slice);
    }
    bytes
}

/// What an [`Outbound`] should be: one vector of bytes.
#[derive(Default)]
struct Model {
    bytes: Vec<u8>,
    /// Bytes left of each frame.
    frames: VecDeque<usize>,
}

impl Model {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.frames.push_back(bytes.len());
    }

    fn advance(&mut self, mut len: usize) -> Vec<u8> {
        let written = self.bytes.drain(..len).collect();
        while len > 0 {
            let first = self.frames.front_mut().unwrap();
            let part = len.min(*first);
            *first -= part;
            len -= part;
            if *first == 0 {
                self.frames.pop_front();
            }
        }
        written
    }

    fn is_full(&self, limits: OutboundLimits, size: usize) -> bool {
        !self.frames.is_empty()
            && (self.frames.len() >= limits.queue_frames as usize
                || (self.bytes.len() + size) as u64 > limits.queue_bytes)
    }

    fn check(&self, outbound: &Outbound) {
        assert_eq!(outbound.queued_frames(), self.frames.len());
        assert_eq!(outbound.queued_bytes(), self.bytes.len() as u64);
        assert_eq!(outbound.is_empty(), self.bytes.is_empty());
    }
}

/// Writes part of what waits, as a socket would that takes `most` bytes of `slots` slices.
fn write_some(outbound: &mut Outbound, slots: usize, most: usize) -> Vec<u8> {
    let mut slices = vec![IoSlice::new(&[]); slots];
    let count = outbound.slices(&mut slices);
    let mut written = joined(&slices[..count]);
    written.truncate(most);
    outbound.advance(written.len());
    written
}

fn queue_control(outbound: &mut Outbound, model: &mut Model, random: &mut Random, frame_max: usize) {
    let before = outbound.queued_frames();
    match random.below(3) {
        0 => drop(outbound.ping()),
        1 => outbound.pong(random.number()),
        _ => outbound.goodbye(GoodbyeReason::OPERATOR),
    }
    assert!(outbound.queued_frames() <= before.max(frame_max) + 1);
    if outbound.queued_frames() > before {
        let bytes = waiting(outbound);
        model.push(&bytes[bytes.len() - 256..]);
    }
}

#[test]
fn the_bytes_are_those_of_the_frames_however_they_are_written() {
    for_each_seed(100, |random| {
        let (sending, _) = Ends::new(random.pick(&LINK_KINDS)).direction(random.once_in(2));
        let limits = OutboundLimits {
            frame_size: 600_000,
            queue_frames: u32::try_from(random.between(1, 40)).unwrap(),
            queue_bytes: random.between(256, 400_000) as u64,
        };
        let mut outbound = Outbound::new(sending, limits);
        let mut model = Model::default();
        for _ in 0..100 {
            match random.below(8) {
                0..=3 => {
                    let len = if random.once_in(3) { body_len(random) } else { random.below(5000) };
                    let (header, body) = frame(random, len);
                    let full = model.is_full(limits, 256 + len);
                    let (frames, bytes) = (outbound.queued_frames(), outbound.queued_bytes());
                    match outbound.push(&header, body.clone()) {
                        Ok(()) => {
                            assert!(!full);
                            model.push(&wire(&(header, body)));
                        }
                        Err(refused) => {
                            assert!(full);
                            assert_eq!(refused.cause(), SendCause::Backpressure { frames, bytes });
                            assert!(refused.into_frame() == (header, body), "the very frame comes back");
                        }
                    }
                }
                4 => queue_control(&mut outbound, &mut model, random, limits.queue_frames as usize + 64),
                5 => assert!(waiting(&mut outbound) == model.bytes),
                _ => {
                    let slots = random.pick(&[1, 2, 3, 64]);
                    let most = random.pick(&[0, 1, 255, 256, 257, 4096, 70_000, usize::MAX]);
                    let written = write_some(&mut outbound, slots, most);
                    assert!(written == model.advance(written.len()));
                }
            }
            model.check(&outbound);
        }
        while !outbound.is_empty() {
            let most = random.pick(&[1000, 70_000]);
            let written = write_some(&mut outbound, 2, most);
            assert!(!written.is_empty() && written == model.advance(written.len()));
            model.check(&outbound);
        }
    });
}

/// What is queued while an operation has the bytes goes out behind what that leaves over.
#[test]
fn what_is_queued_while_it_is_lent_comes_behind() {
    for_each_seed(50, |random| {
        let kind = random.pick(&LINK_KINDS);
        let (sending, receiving) = Ends::new(kind).direction(random.once_in(2));
        let mut outbound = Outbound::new(sending, ROOMY);
        let mut inbound = Inbound::new(receiving, ROOMY.frame_size);
        let (mut sent, mut stream) = (Vec::new(), Vec::new());
        let mut queue = |outbound: &mut Outbound, random: &mut Random| {
            let len = body_len(random).min(100_000);
            let (header, body) = frame(random, len);
            outbound.push(&header, body.clone()).unwrap();
            sent.push((header, body));
        };
        for _ in 0..20 {
            queue(&mut outbound, random);
            let batch = outbound.lend().unwrap();
            for _ in 0..random.below(3) {
                queue(&mut outbound, random);
                assert_eq!(outbound.slices(&mut [IoSlice::new(&[]); 4]), 0, "somebody else is writing");
            }
            let all = batch.len();
            let written = random.pick(&[0, 1, 300, all / 2, all]).min(all);
            stream.extend(batch.iter().flatten().take(written));
            outbound.take_back(batch, written);
            if random.once_in(4) {
                outbound.relax();
            }
        }
        while let Some(batch) = outbound.lend() {
            stream.extend(batch.iter().flatten());
            let all = batch.len();
            outbound.take_back(batch, all);
        }
        assert!(outbound.is_empty());
        let (mut rest, mut frames) = (&stream[..], sent.iter());
        while !rest.is_empty() {
            rest = &rest[inbound.push(rest)..];
            while let Some(Received::Frame(admitted)) = inbound.next().unwrap() {
                let (header, body) = frames.next().unwrap();
                assert!(admitted.header() == header && admitted.body() == &body[..]);
            }
        }
        assert!(frames.next().is_none());
    });
}

#[test]
fn what_goes_out_comes_in() {
    for_each_seed(20, |random| {
        let kind = random.pick(&LINK_KINDS);
        let (sending, receiving) = Ends::new(kind).direction(random.once_in(2));
        let mut outbound = Outbound::new(sending, ROOMY);
        let mut inbound = Inbound::new(receiving, ROOMY.frame_size);
        let mut sent = VecDeque::new();
        let mut control = VecDeque::new();
        for _ in 0..25 {
            for _ in 0..random.below(4) {
                let len = body_len(random);
                let (header, body) = frame(random, len);
                outbound.push(&header, body.clone()).unwrap();
                sent.push_back((header, body));
            }
            if random.once_in(3) {
                let ping = outbound.ping();
                assert_eq!(ping.is_some(), kind == LinkKind::V2);
                control.extend(ping.map(|counter| ControlMessage::Ping { counter }));
            }
            for _ in 0..random.below(6) {
                let most = random.pick(&[1, 300, 16 * 1024, 400_000]);
                let bytes = write_some(&mut outbound, 64, most);
                take_all(&mut inbound, &bytes, &mut sent, &mut control);
            }
        }
        while !outbound.is_empty() {
            let bytes = write_some(&mut outbound, 64, 50_000);
            take_all(&mut inbound, &bytes, &mut sent, &mut control);
        }
        assert!(sent.is_empty() && control.is_empty() && inbound.is_at_frame_boundary());
    });
}

fn take_all(
    inbound: &mut Inbound,
    mut bytes: &[u8],
    sent: &mut VecDeque<(GenericHeader, Bytes)>,
    control: &mut VecDeque<ControlMessage>,
) {
    while !bytes.is_empty() {
        bytes = &bytes[inbound.push(bytes)..];
        while let Some(received) = inbound.next().unwrap() {
            match received {
                Received::Frame(admitted) => {
                    let owned = admitted.into_owned();
                    assert!(sent.pop_front().unwrap() == (owned.header, owned.body));
                }
                Received::Control(received) => assert_eq!(Some(received), control.pop_front()),
            }
        }
    }
}

#[test]
fn the_queue_has_a_limit_of_frames() {
    let (sending, _) = Ends::new(LinkKind::V2).direction(true);
    let mut outbound = Outbound::new(sending, OutboundLimits { queue_frames: 3, ..ROOMY });
    let (header, body) = plain(10, 1);
    for _ in 0..3 {
        outbound.push(&header, body.clone()).unwrap();
    }
    let refused = outbound.push(&header, body.clone()).unwrap_err();
    assert_eq!(refused.cause(), SendCause::Backpressure { frames: 3, bytes: 798 });
    assert!(refused.to_string().contains("backpressure: 3 frames and 798 bytes wait"), "{refused}");
    assert_eq!(refused.into_frame(), (header, body.clone()));
    // A frame that is partly written still waits.
    outbound.advance(265);
    assert!(outbound.push(&header, body.clone()).is_err());
    outbound.advance(1);
    outbound.push(&header, body).unwrap();
}

#[test]
fn the_queue_has_a_limit_of_bytes_and_takes_one_frame_whatever_its_size() {
    let (sending, _) = Ends::new(LinkKind::V2).direction(true);
    let mut outbound = Outbound::new(sending, OutboundLimits { queue_bytes: 1000, ..ROOMY });
    let (large, large_body) = plain(5000, 1);
    outbound.push(&large, large_body.clone()).unwrap();
    assert!(outbound.push(&plain(0, 0).0, Bytes::new()).is_err());
    outbound.advance(5256);
    let (small, body) = plain(244, 2);
    outbound.push(&small, body.clone()).unwrap();
    outbound.push(&small, body.clone()).unwrap(); // exactly 1000
    assert!(outbound.push(&plain(0, 0).0, Bytes::new()).is_err());
    assert!(outbound.push(&large, large_body).is_err());
    outbound.advance(1);
    assert!(outbound.push(&plain(0, 0).0, Bytes::new()).is_err());
    outbound.advance(255);
    outbound.push(&plain(0, 0).0, Bytes::new()).unwrap();
}

#[test]
fn headers_that_no_link_carries_are_given_back() {
    let (sending, _) = Ends::new(LinkKind::V2).direction(true);
    let limit = 1000;
    let mut outbound = Outbound::new(sending, OutboundLimits { frame_size: limit, ..ROOMY });
    let mut refuse = |header: GenericHeader, body: Bytes, expected: SendCause| {
        let refused = outbound.push(&header, body.clone()).unwrap_err();
        assert_eq!(refused.cause(), expected);
        assert_eq!(refused.into_frame(), (header, body));
        assert!(outbound.is_empty() && waiting(&mut outbound).is_empty());
    };
    let changed = |change: &dyn Fn(&mut GenericHeader)| {
        let (mut header, body) = plain(10, 1);
        change(&mut header);
        (header, body)
    };

    for found in [0, 255, limit + 1, u32::MAX] {
        let (header, body) = changed(&|header| header.size = found.into());
        refuse(header, body, FrameError::Size { found, limit }.into());
    }
    for size in [256u32, 265, 267, 1000] {
        let (header, body) = changed(&|header| header.size = size.into());
        let announced = size as usize - 256;
        refuse(header, body, SendCause::BodyLength { announced, given: 10 });
    }
    let (header, body) = changed(&|header| header.cluster.0[3] ^= 1);
    let expected = plain(0, 0).0.cluster;
    refuse(header, body, FrameError::Cluster { expected, found: header.cluster }.into());
    for command in (0..=255).map(Command).filter(|command| command.class() != CommandClass::Embedder) {
        let (header, body) = changed(&|header| header.command = command);
        refuse(header, body, FrameError::Command { found: command }.into());
    }
    for offset in 62..128 {
        let (header, body) = changed(&|header| header.reserved_frame[offset - 62] = 1);
        refuse(header, body, FrameError::UnusedByte { offset }.into());
    }
}

#[test]
fn control_frames_go_past_the_queues_limits_but_not_without_end() {
    let (sending, receiving) = Ends::new(LinkKind::V2).direction(true);
    let mut outbound = Outbound::new(sending, OutboundLimits { queue_frames: 2, queue_bytes: 600, ..ROOMY });
    let (header, body) = plain(10, 1);
    outbound.push(&header, body.clone()).unwrap();
    outbound.push(&header, body.clone()).unwrap();
    assert!(outbound.push(&header, body.clone()).is_err());

    assert_eq!(outbound.ping(), Some(1));
    // A peer that pings without reading.
    for echo in 0..10_000 {
        outbound.pong(echo);
    }
    let held = outbound.queued_frames();
    assert!((3..=2 + 64).contains(&held), "{held} frames held");
    assert_eq!(outbound.ping(), None, "no ping that could not be answered in time");
    // Leaving is always possible, and is the last thing that goes out.
    outbound.goodbye(GoodbyeReason::KEY_RETIRED);

    let mut inbound = Inbound::new(receiving, 1000);
    inbound.push(&waiting(&mut outbound));
    let mut control = Vec::new();
    while let Some(received) = inbound.next().unwrap() {
        if let Received::Control(received) = received {
            control.push(received);
        }
    }
    assert_eq!(control.len(), held - 2 + 1);
    assert_eq!(control.first(), Some(&ControlMessage::Ping { counter: 1 }));
    assert_eq!(control.last(), Some(&ControlMessage::Goodbye(GoodbyeReason::KEY_RETIRED)));
}

#[test]
fn version_1_has_no_control_frames() {
    // H-13
    for kind in [LinkKind::V1, LinkKind::Disabled] {
        let (sending, _) = Ends::new(kind).direction(true);
        let mut outbound = Outbound::new(sending, ROOMY);
        assert_eq!(outbound.ping(), None);
        outbound.pong(1);
        outbound.goodbye(GoodbyeReason::SHUTDOWN);
        assert!(outbound.is_empty());
    }
}

#[test]
#[should_panic(expected = "more was sent than there was")]
fn writing_what_was_never_queued_is_the_callers_bug() {
    let (sending, _) = Ends::new(LinkKind::V2).direction(true);
    let mut outbound = Outbound::new(sending, ROOMY);
    outbound.push(&plain(0, 0).0, Bytes::new()).unwrap();
    outbound.advance(257);
}
