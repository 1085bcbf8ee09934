//! One link that many threads send on: nothing is lost, mixed up or overtaken, whatever the socket
//! does, and few writes carry many frames. `loom.rs` goes through the orders of few steps; this is
//! many steps in the orders that happen.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::{self, IoSlice};
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use replink_frame::{Command, GenericHeader, GoodbyeReason};
use replink_handshake::{ControlMessage, Receiving};
use replink_tests::fixtures::local;
use replink_tests::frames::{Ends, LINK_KINDS, LinkKind, ROOMY, plain};
use replink_tests::random::{Random, for_each_seed};
use replink_transport::memory::SendBatch;
use replink_transport::{
    Attention, Flushed, GatherWrite, Inbound, Link, Outbound, OutboundLimits, Received, SendCause, SendError,
    Sent, SharedOutbound,
};

/// Only a broken build waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

fn share<W: GatherWrite>(
    kind: LinkKind,
    limits: OutboundLimits,
    writer: W,
) -> (SharedOutbound<W>, Inbound, Receiver<Attention>) {
    let (sending, receiving): (_, Receiving) = Ends::new(kind).direction(true);
    let (asking, asked) = mpsc::channel();
    let attention = move |attention| _ = asking.send(attention);
    let outbound = SharedOutbound::new(Outbound::new(sending, limits), writer, attention);
    (outbound, Inbound::new(receiving, limits.frame_size), asked)
}

/// A frame that says who sent it, and which of its sender's it is.
fn numbered(sender: u8, sequence: u32, len: usize) -> (GenericHeader, Bytes) {
    let mut body = vec![sender; len.max(5)];
    body[1..5].copy_from_slice(&sequence.to_le_bytes());
    (GenericHeader::new(local(0).cluster, Command::PREPARE, body.len()), body.into())
}

/// Checks frames of [`numbered`] as they come.
struct Checker {
    inbound: Inbound,
    next: Vec<u32>,
    control: Vec<ControlMessage>,
}

impl Checker {
    fn new(inbound: Inbound, senders: usize) -> Self {
        Self { inbound, next: vec![0; senders], control: Vec::new() }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.inbound.push(bytes)..];
            while let Some(received) = self.inbound.next().unwrap() {
                match received {
                    Received::Frame(frame) => {
                        let body = frame.body();
                        let next = &mut self.next[usize::from(body[0])];
                        assert_eq!(body[1..5], next.to_le_bytes(), "lost, doubled or overtaken");
                        assert!(body[5..].iter().all(|&byte| byte == body[0]), "frames are mixed up");
                        *next += 1;
                    }
                    Received::Control(control) => self.control.push(control),
                }
            }
        }
    }
}

/// A socket that takes as little as it likes.
struct Fickle {
    state: Mutex<(Random, Vec<u8>)>,
    /// Told when it has refused to take anything: it is writable again at once.
    writable: Sender<()>,
}

impl GatherWrite for Fickle {
    fn write_gathered(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state.try_lock().expect("two threads write at once");
        let (random, written) = &mut *state;
        assert!(!slices.is_empty() && slices.iter().all(|slice| !slice.is_empty()));
        match random.below(8) {
            0 => {
                self.writable.send(()).unwrap();
                return Err(io::ErrorKind::WouldBlock.into());
            }
            1 => return Err(io::ErrorKind::Interrupted.into()),
            _ => {}
        }
        let mut all = Vec::new();
        for slice in slices {
            all.extend_from_slice(slice);
        }
        let most = if random.once_in(4) { random.between(1, 300) } else { random.between(1, 100_000) };
        let taken = &all[..all.len().min(most)];
        written.extend_from_slice(taken);
        Ok(taken.len())
    }
}

/// Sends again what is given back, the very frame, until it is taken.
fn send_patiently<W: GatherWrite>(
    outbound: &SharedOutbound<W>,
    frame: &(GenericHeader, Bytes),
    refusals: &mut usize,
) {
    let (mut header, mut body) = (frame.0, frame.1.clone());
    while let Err(refused) = outbound.send(&header, body) {
        assert!(matches!(refused.cause(), SendCause::Backpressure { .. }), "{refused}");
        (header, body) = refused.into_frame();
        assert!(header == frame.0 && body == frame.1 && body.as_ptr() == frame.1.as_ptr());
        *refusals += 1;
        thread::yield_now();
    }
}

#[test]
fn many_threads_over_a_fickle_link() {
    const SENDERS: u8 = 4;
    for_each_seed(20, |random| {
        let (writable, is_writable) = mpsc::channel();
        let socket = Mutex::new((Random::new(random.number()), Vec::new()));
        let limits = OutboundLimits { queue_frames: 50, ..ROOMY };
        let (outbound, inbound, asked) = share(LinkKind::V2, limits, Fickle { state: socket, writable });
        let frames = u32::try_from(random.between(50, 150)).unwrap();
        thread::scope(|scope| {
            let mut senders = Vec::new();
            for sender in 0..SENDERS {
                let (outbound, mut random) = (&outbound, Random::new(random.number()));
                senders.push(scope.spawn(move || {
                    for sequence in 0..frames {
                        let len = random.pick(&[0, 5, 300, 4096, 4097, 20_000]);
                        send_patiently(outbound, &numbered(sender, sequence, len), &mut 0);
                        if random.once_in(20) {
                            outbound.pong(1);
                        }
                    }
                }));
            }
            // The owner: told of an edge for each refusal, and asked for more by the others.
            while senders.iter().any(|sender| !sender.is_finished()) || outbound.stats().queued_frames > 0 {
                let asked_to = asked.try_iter().any(|attention| attention == Attention::Flush);
                let writable = is_writable.try_recv().is_ok();
                if asked_to || writable {
                    while outbound.flush().unwrap() == Flushed::More {}
                }
                thread::yield_now();
            }
        });
        let mut checker = Checker::new(inbound, usize::from(SENDERS));
        let stats = outbound.stats();
        let (_, written) = &*outbound.writer().state.lock().unwrap();
        checker.take(written);
        assert_eq!(checker.next, [frames; SENDERS as usize]);
        assert_eq!(stats.written_frames, u64::from(frames) * 4 + checker.control.len() as u64);
        assert_eq!(stats.written_bytes, written.len() as u64);
    });
}

/// A socket whose first write is held until it is let go.
struct Held {
    began: Sender<()>,
    go_on: Mutex<Receiver<()>>,
    /// Where the slices of each write were, and their lengths.
    slices: Mutex<Vec<Vec<(usize, usize)>>>,
}

impl Held {
    fn new() -> (Self, Receiver<()>, Sender<()>) {
        let (began, has_begun) = mpsc::channel();
        let (let_go, go_on) = mpsc::channel();
        (Self { began, go_on: Mutex::new(go_on), slices: Mutex::default() }, has_begun, let_go)
    }
}

impl GatherWrite for Held {
    fn write_gathered(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let _ = self.began.send(());
        match self.go_on.lock().unwrap().recv_timeout(PATIENCE) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => panic!("a sender waits for the write"),
        }
        let places = slices.iter().map(|slice| (slice.as_ptr() as usize, slice.len())).collect();
        self.slices.lock().unwrap().push(places);
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }
}

#[test]
fn who_comes_during_a_write_does_not_wait_and_goes_out_with_the_next() {
    let (held, has_begun, let_go) = Held::new();
    let (outbound, _, asked) = share(LinkKind::V2, ROOMY, held);
    thread::scope(|scope| {
        let (header, body) = plain(5, 1);
        let outbound = &outbound;
        let first = scope.spawn({
            let body = body.clone();
            move || outbound.send(&header, body).unwrap()
        });
        has_begun.recv_timeout(PATIENCE).unwrap();
        // The write is under way, and stays so until they are all back.
        let senders: Vec<_> = (0..8)
            .map(|_| {
                let body = body.clone();
                scope.spawn(move || {
                    for _ in 0..100 {
                        assert_eq!(outbound.send(&header, body.clone()).unwrap(), Sent::Queued);
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(outbound.flush().unwrap(), Flushed::Elsewhere);
        drop(let_go);
        assert_eq!(first.join().unwrap(), Sent::Written);
    });
    let stats = outbound.stats();
    assert_eq!((stats.written_frames, stats.queued_frames, stats.writes), (801, 0, 2));
    assert!(asked.try_recv().is_err(), "nothing is left for the owner");
}

#[test]
fn a_broadcast_body_goes_out_from_where_it_is() {
    let (header, body) = plain(100_000, 1);
    for _ in 0..3 {
        let (held, ..) = Held::new();
        let (outbound, ..) = share(LinkKind::V2, ROOMY, held);
        assert_eq!(outbound.send(&header, body.clone()).unwrap(), Sent::Written);
        let slices = outbound.writer().slices.lock().unwrap();
        assert_eq!(slices[0][1], (body.as_ptr() as usize, body.len()));
    }
}

/// Writes as scripted, then without end.
struct Scripted(Mutex<Vec<io::Result<usize>>>);

impl GatherWrite for Scripted {
    fn write_gathered(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let all = slices.iter().map(|slice| slice.len()).sum();
        let next = self.0.lock().unwrap().pop();
        next.unwrap_or(Ok(all))
    }
}

fn scripted(
    kind: LinkKind,
    answers: Vec<io::Result<usize>>,
) -> (SharedOutbound<Scripted>, Receiver<Attention>) {
    let (outbound, _, asked) = share(kind, ROOMY, Scripted(Mutex::new(answers)));
    (outbound, asked)
}

fn cause(result: Result<Sent, SendError>) -> SendCause {
    let refused = result.unwrap_err();
    let cause = refused.cause();
    let (header, body) = plain(5, 1);
    assert!(refused.into_frame() == (header, body), "the very frame comes back");
    cause
}

#[test]
fn nobody_writes_for_the_others_without_end() {
    let (outbound, asked) = scripted(LinkKind::V2, (0..20).map(|_| Ok(10)).collect());
    let (header, body) = plain(5, 1);
    assert_eq!(outbound.send(&header, body).unwrap(), Sent::Queued);
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), [Attention::Flush]);
    let turn = outbound.stats().writes;
    assert!(turn < 20);
    // The owner goes on, or another sender.
    assert_eq!(outbound.flush().unwrap(), Flushed::More);
    assert_eq!(outbound.stats().writes, 2 * turn);
    assert_eq!(outbound.ping(), Some(1));
    let stats = outbound.stats();
    assert_eq!((stats.queued_frames, stats.written_frames, stats.written_bytes), (0, 2, 261 + 256));
    assert_eq!(outbound.flush().unwrap(), Flushed::Empty);
}

#[test]
fn queued_frames_go_out_together_and_in_order() {
    let frames: Vec<_> = (0..100).map(|sequence| numbered(0, sequence, 5)).collect();
    let (held, bytes) = Kept::new();
    let (outbound, inbound, asked) = share(LinkKind::V2, ROOMY, held);
    let (first, rest) = frames.split_first().unwrap();
    outbound.queue(&first.0, first.1.clone()).unwrap();
    outbound.queue_all(rest.iter().map(|(header, body)| (header, body.clone()))).unwrap();
    assert_eq!((outbound.stats().queued_frames, outbound.stats().writes), (100, 0));
    assert!(asked.try_iter().all(|attention| attention == Attention::Flush));
    assert_eq!(outbound.flush().unwrap(), Flushed::Empty);
    assert_eq!((outbound.stats().written_frames, outbound.stats().writes), (100, 1));
    let mut checker = Checker::new(inbound, 1);
    checker.take(&bytes.lock().unwrap());
    assert_eq!(checker.next, [100]);
    outbound.queue_all(std::iter::empty::<(GenericHeader, Bytes)>()).unwrap();
    assert!(asked.try_iter().all(|attention| attention == Attention::Flush));
    assert!(asked.try_recv().is_err(), "nothing was queued");
}

/// Which frame is given back, and what is queued then and what not, wherever the queue is full.
#[test]
fn the_first_frame_without_room_comes_back_and_the_next_are_left() {
    for room in [1, 31, 32, 33, 64, 70] {
        let limits = OutboundLimits { queue_frames: room, ..ROOMY };
        let (kept, _) = Kept::new();
        let (outbound, _inbound, _asked) = share(LinkKind::V2, limits, kept);
        let mut frames = (0..100).map(|sequence| numbered(0, sequence, 5));
        let refused = outbound.queue_all(&mut frames).unwrap_err();
        assert!(matches!(refused.cause(), SendCause::Backpressure { .. }));
        let (header, body) = numbered(0, room, 5);
        assert!(refused.into_frame() == (header, body), "the very frame comes back");
        assert_eq!(outbound.stats().queued_frames, room as usize);
        assert!(frames.next().unwrap() == numbered(0, room + 1, 5), "the next one was not taken");
        outbound.close();
        let refused = outbound.queue_all(&mut frames).unwrap_err();
        assert_eq!(refused.cause(), SendCause::Closed);
    }
}

/// Takes everything, and keeps it.
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn new() -> (Self, Arc<Mutex<Vec<u8>>>) {
        let bytes = Arc::default();
        (Self(Arc::clone(&bytes)), bytes)
    }
}

impl GatherWrite for Kept {
    fn write_gathered(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut bytes = self.0.lock().unwrap();
        let before = bytes.len();
        for slice in slices {
            bytes.extend_from_slice(slice);
        }
        Ok(bytes.len() - before)
    }
}

#[test]
fn a_blocked_link_is_the_owners() {
    let would_block = || Err(io::ErrorKind::WouldBlock.into());
    let (outbound, asked) = scripted(LinkKind::V2, vec![would_block(), Ok(3), would_block()]);
    let (header, body) = plain(5, 1);
    for _ in 0..10 {
        assert_eq!(outbound.send(&header, body.clone()).unwrap(), Sent::Queued);
    }
    assert_eq!(outbound.stats().writes, 1, "senders do not try");
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), [Attention::Writable]);
    assert_eq!(outbound.flush().unwrap(), Flushed::Blocked);
    assert_eq!(outbound.send(&header, body.clone()).unwrap(), Sent::Queued);
    assert_eq!(outbound.flush().unwrap(), Flushed::Empty);
    assert_eq!(outbound.stats().written_frames, 11);
    assert_eq!(outbound.send(&header, body).unwrap(), Sent::Written);
}

#[test]
fn a_goodbye_is_the_last() {
    for kind in LINK_KINDS {
        let (outbound, asked) = scripted(kind, vec![Err(io::ErrorKind::WouldBlock.into())]);
        let (header, body) = plain(5, 1);
        outbound.send(&header, body.clone()).unwrap();
        assert_eq!(asked.try_iter().collect::<Vec<_>>(), [Attention::Writable]);
        outbound.goodbye(GoodbyeReason::SHUTDOWN);
        outbound.goodbye(GoodbyeReason::OPERATOR);
        assert_eq!(cause(outbound.send(&header, body.clone())), SendCause::Leaving);
        assert_eq!(outbound.ping(), None);
        outbound.pong(1);
        assert_eq!(outbound.flush().unwrap(), Flushed::Empty);
        assert_eq!(outbound.flush().unwrap(), Flushed::Empty);
        let frames = if kind == LinkKind::V2 { 2 } else { 1 };
        assert_eq!(outbound.stats().written_frames, frames);
        assert_eq!(asked.try_iter().collect::<Vec<_>>(), [Attention::Close], "once");
        outbound.close();
        assert_eq!(cause(outbound.send(&header, body)), SendCause::Closed);
    }
}

#[test]
fn a_link_that_failed_says_so_and_gives_frames_back() {
    let reset = io::ErrorKind::ConnectionReset;
    for (failure, kind) in [(Err(reset.into()), reset), (Ok(0), io::ErrorKind::WriteZero)] {
        let (outbound, asked) = scripted(LinkKind::V2, vec![failure, Ok(100)]);
        let (header, body) = plain(5, 1);
        assert_eq!(outbound.send(&header, body.clone()).unwrap(), Sent::Queued);
        assert_eq!(asked.try_iter().collect::<Vec<_>>(), [Attention::Close]);
        assert_eq!(outbound.ended(), Some(SendCause::Failed(kind)));
        assert_eq!(cause(outbound.send(&header, body)), SendCause::Failed(kind));
        assert_eq!(outbound.flush().unwrap_err().kind(), kind);
        assert_eq!((outbound.stats().queued_frames, outbound.stats().queued_bytes), (0, 0));
        outbound.close();
        assert_eq!(outbound.ended(), Some(SendCause::Failed(kind)), "the first cause stays");
    }
}

#[test]
fn a_writer_that_panics_or_lies_ends_the_link() {
    let (outbound, asked) = scripted(LinkKind::V2, vec![Ok(1000)]);
    let (header, body) = plain(5, 1);
    let panicked = thread::scope(|scope| scope.spawn(|| outbound.send(&header, body.clone())).join());
    assert!(panicked.is_err());
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), [Attention::Close]);
    assert_eq!(cause(outbound.send(&header, body)), SendCause::Failed(io::ErrorKind::Other));
}

#[test]
fn many_threads_to_a_slow_reader_over_tcp() {
    const SENDERS: u8 = 4;
    const FRAMES: u32 = 1500;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    socket2::SockRef::from(&stream).set_send_buffer_size(16 * 1024).unwrap();
    stream.set_nonblocking(true).unwrap();
    let link = Link::new(stream).unwrap();
    let limits = OutboundLimits { queue_frames: 64, queue_bytes: 256 * 1024, ..ROOMY };
    let (outbound, inbound, asked) = share(LinkKind::V2, limits, link);
    let (refused, was_refused) = mpsc::channel();
    let most = thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (outbound, refused) = (&outbound, refused.clone());
            scope.spawn(move || {
                for sequence in 0..FRAMES {
                    let len = if sequence % 50 == 0 { 50_000 } else { 1000 };
                    let mut refusals = 0;
                    let frame = numbered(sender, sequence, len);
                    if let Err(error) = outbound.send(&frame.0, frame.1.clone()) {
                        assert!(matches!(error.cause(), SendCause::Backpressure { .. }), "{error}");
                        let _ = refused.send(());
                        send_patiently(outbound, &frame, &mut refusals);
                    }
                }
            });
        }
        let reader = scope.spawn(move || {
            // So slow that it begins when the senders have met backpressure.
            was_refused.recv_timeout(PATIENCE).unwrap();
            let mut checker = Checker::new(inbound, usize::from(SENDERS));
            let mut buffer = vec![0; 30_000];
            while checker.next.iter().any(|&next| next < FRAMES) || checker.control.is_empty() {
                let len = io::Read::read(&mut &peer, &mut buffer).unwrap();
                assert!(len > 0);
                checker.take(&buffer[..len]);
            }
            assert_eq!(checker.control, [ControlMessage::Goodbye(GoodbyeReason::SHUTDOWN)]);
        });
        // The owner. A blocked link would be polled; here it is tried again and again.
        let mut most = 0;
        let all = u64::from(SENDERS) * u64::from(FRAMES);
        while outbound.stats().written_frames < all {
            most = most.max(outbound.stats().queued_bytes);
            outbound.flush().unwrap();
            thread::yield_now();
        }
        outbound.goodbye(GoodbyeReason::SHUTDOWN);
        while outbound.flush().unwrap() != Flushed::Empty {}
        reader.join().unwrap();
        most
    });
    assert!(most <= limits.queue_bytes);
    assert!(asked.try_iter().any(|attention| attention == Attention::Writable));
    let stats = outbound.stats();
    assert_eq!(stats.written_frames, 6001);
}

/// Takes everything, and has a frame come while the last write of a turn is under way.
struct Visited {
    shared: OnceLock<Weak<SharedOutbound<Visited>>>,
    writes: Mutex<usize>,
    bytes: Mutex<Vec<u8>>,
}

impl GatherWrite for Visited {
    fn write_gathered(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        *self.writes.lock().unwrap() += 1;
        let mut bytes = self.bytes.lock().unwrap();
        let before = bytes.len();
        for slice in slices {
            bytes.extend_from_slice(slice);
        }
        let written = bytes.len() - before;
        drop(bytes);
        if *self.writes.lock().unwrap() < 20 {
            let shared = self.shared.get().unwrap().upgrade().unwrap();
            let (header, body) = plain(2000, 7);
            shared.queue(&header, body).unwrap();
        }
        Ok(written)
    }
}

/// A turn of writing may end just when it has taken out what it does not write any more: on a sealed link
/// that is not sealed yet.
#[test]
fn what_a_turn_has_taken_out_and_left_goes_along_to_the_next_owner() {
    for kind in [LinkKind::V2, LinkKind::Sealed] {
        let (sending, receiving) = Ends::new(kind).direction(true);
        let (mut inbound, writer) = (
            Inbound::new(receiving, ROOMY.frame_size),
            Visited { shared: std::sync::OnceLock::new(), writes: Mutex::default(), bytes: Mutex::default() },
        );
        let shared = Arc::new(SharedOutbound::new(Outbound::new(sending, ROOMY), writer, |_| {}));
        shared.writer().shared.set(Arc::downgrade(&shared)).unwrap();
        let (header, body) = plain(10, 1);
        assert_eq!(shared.send(&header, body).unwrap(), Sent::Written);
        let count = *shared.writer().writes.lock().unwrap();
        let mut taken = shared.take_for_hand_off().unwrap();
        let batch = taken.lend().unwrap();
        let mut bytes = shared.writer().bytes.lock().unwrap().clone();
        batch.iter().for_each(|piece| bytes.extend_from_slice(piece));
        assert_eq!(inbound.push(&bytes), bytes.len());
        let mut frames = 0;
        while inbound.next().unwrap().is_some() {
            frames += 1;
        }
        assert_eq!(frames, count + 1, "{kind:?}");
        assert!(inbound.is_at_frame_boundary());
    }
}

#[test]
#[should_panic(expected = "nothing was lent")]
fn a_loan_that_was_not_given_out_is_the_callers_bug() {
    let writer = Fickle { state: Mutex::new((Random::new(1), Vec::new())), writable: mpsc::channel().0 };
    let (shared, _, _) = share(LinkKind::V2, ROOMY, writer);
    shared.take_back(SendBatch::default(), Ok(0));
}
