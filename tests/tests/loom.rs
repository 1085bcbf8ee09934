//! `SharedOutbound` in every order that threads can come in: `just loom`.
#![cfg(loom)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and say how far they went"
)]

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::Mutex as StdMutex; // for what the model is not about

use bytes::Bytes;
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, Ordering::SeqCst};
use loom::thread;
use replink_frame::{Command, GenericHeader, GoodbyeReason};
use replink_tests::fixtures::local;
use replink_tests::frames::{Ends, LinkKind, ROOMY};
use replink_transport::memory::{SLICES_MAX, SendBatch};
use replink_transport::{
    Attention, Flushed, GatherWrite, Inbound, Loan, Outbound, Received, SendCause, Sent, SharedOutbound,
    TakeOutboundError,
};

/// A socket that has room for some bytes, takes at most so many at once, and notices when two
/// threads write to it at the same time.
struct Wire {
    busy: AtomicBool,
    room: Mutex<usize>,
    at_once: usize,
    bytes: StdMutex<Vec<u8>>,
    /// Fails with this when there is no room.
    without_room: io::ErrorKind,
}

impl GatherWrite for Wire {
    fn write_gathered(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(!self.busy.swap(true, SeqCst), "two threads write at once");
        let mut room = self.room.lock().unwrap();
        let mut given: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        given.truncate(self.at_once.min(*room));
        self.bytes.lock().unwrap().extend_from_slice(&given);
        *room -= given.len();
        drop(room);
        self.busy.store(false, SeqCst);
        if given.is_empty() { Err(self.without_room.into()) } else { Ok(given.len()) }
    }
}

/// What the owner was asked to do.
#[derive(Default)]
struct Asked {
    flush: bool,
    writable: bool,
    closes: u32,
}

struct Model {
    outbound: SharedOutbound<Wire>,
    inbound: StdMutex<Inbound>,
    asked: Arc<StdMutex<Asked>>,
}

impl Model {
    fn new(kind: LinkKind, room: usize, at_once: usize) -> Arc<Self> {
        Self::failing(kind, room, at_once, io::ErrorKind::WouldBlock)
    }

    fn failing(kind: LinkKind, room: usize, at_once: usize, without_room: io::ErrorKind) -> Arc<Self> {
        // A handshake takes more stack than the model checker's threads have.
        let ends = std::thread::spawn(move || Ends::new(kind)).join().unwrap();
        let (sending, receiving) = ends.direction(true);
        let asked = Arc::<StdMutex<Asked>>::default();
        let wire = Wire {
            busy: AtomicBool::new(false),
            room: Mutex::new(room),
            at_once,
            bytes: StdMutex::default(),
            without_room,
        };
        let asking = Arc::clone(&asked);
        let outbound = SharedOutbound::new(Outbound::new(sending, ROOMY), wire, move |attention| {
            let mut asked = asking.lock().unwrap();
            match attention {
                Attention::Flush => asked.flush = true,
                Attention::Writable => asked.writable = true,
                Attention::Close => asked.closes += 1,
            }
        });
        let inbound = StdMutex::new(Inbound::new(receiving, ROOMY.frame_size));
        Arc::new(Self { outbound, inbound, asked })
    }

    /// Sends frames `0..count` of `sender`, and says how many were taken.
    fn send(&self, sender: u8, count: u8) -> u8 {
        for sequence in 0..count {
            let body = Bytes::copy_from_slice(&[sender, sequence]);
            let header = GenericHeader::new(local(0).cluster, Command::PREPARE, body.len());
            match self.outbound.send(&header, body.clone()) {
                Ok(Sent::Written) => {
                    let bytes = self.outbound.writer().bytes.lock().unwrap();
                    assert!(
                        bytes.windows(2).any(|found| found == &body[..]),
                        "told to be written, but is not"
                    );
                }
                Ok(Sent::Queued) => {}
                Err(refused) => {
                    assert_eq!(refused.into_frame(), (header, body.into()), "the very frame comes back");
                    return sequence;
                }
            }
        }
        count
    }

    /// Queues frames `0..count` of `sender` for others to write.
    fn queue(&self, sender: u8, count: u8) -> u8 {
        for sequence in 0..count {
            let body = Bytes::copy_from_slice(&[sender, sequence]);
            let header = GenericHeader::new(local(0).cluster, Command::PREPARE, body.len());
            if self.outbound.queue(&header, body).is_err() {
                return sequence;
            }
        }
        count
    }

    fn spawn(self: &Arc<Self>, run: impl FnOnce(&Self) -> u8 + 'static) -> thread::JoinHandle<u8> {
        let model = Arc::clone(self);
        thread::spawn(move || run(&model))
    }

    /// What the owner does when it is asked to, until it is done.
    fn serve(&self) {
        let asked = std::mem::take(&mut self.asked.lock().unwrap().flush);
        if asked {
            self.flush();
        }
    }

    fn flush(&self) {
        loop {
            match self.outbound.flush().unwrap() {
                Flushed::More => {}
                Flushed::Blocked => return self.asked.lock().unwrap().writable = true,
                Flushed::Empty | Flushed::Elsewhere => return,
            }
        }
    }

    /// As [`Model::serve`], for an owner whose writes are operations.
    fn serve_by_operations(&self) {
        let asked = {
            let mut asked = self.asked.lock().unwrap();
            std::mem::take(&mut asked.flush) | std::mem::take(&mut asked.writable)
        };
        if asked {
            self.operate();
        }
    }

    /// One operation after the other, until there is nothing for the owner to write, or no room.
    fn operate(&self) {
        while let Ok(Loan::Batch(batch)) = self.outbound.lend() {
            if self.end_operation(batch) == Err(io::ErrorKind::WouldBlock) {
                self.asked.lock().unwrap().writable = true; // it waits for room, and tries once more
                return;
            }
        }
    }

    /// Writes once of what was lent, and gives it back.
    fn end_operation(&self, batch: SendBatch) -> Result<(), io::ErrorKind> {
        let result = self.write(&batch);
        let outcome = result.as_ref().map(|_| ()).map_err(io::Error::kind);
        self.outbound.take_back(batch, result);
        outcome
    }

    fn write(&self, batch: &SendBatch) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = batch.slices(&mut slices, usize::MAX);
        self.outbound.writer().write_gathered(&slices[..count])
    }

    /// What is to be written first, which somebody has queued.
    fn lend(&self) -> SendBatch {
        match self.outbound.lend().unwrap() {
            Loan::Batch(batch) => batch,
            other => panic!("{other:?} where a frame waits and nobody writes"),
        }
    }

    /// Checks that the frames on the wire are whole, and in each sender's order. Returns the number
    /// of each sender's frames, and whether a goodbye came, which must have been the last.
    fn received<const SENDERS: usize>(&self) -> ([u8; SENDERS], bool) {
        let mut inbound = self.inbound.lock().unwrap();
        let bytes = self.outbound.writer().bytes.lock().unwrap();
        let (mut counts, mut goodbye, mut bytes) = ([0; SENDERS], false, &bytes[..]);
        while !bytes.is_empty() {
            bytes = &bytes[inbound.push(bytes)..];
            while let Some(received) = inbound.next().unwrap() {
                assert!(!goodbye, "something behind the goodbye");
                match received {
                    Received::Frame(frame) => {
                        let count = &mut counts[usize::from(frame.body()[0])];
                        assert_eq!(frame.body()[1], *count, "out of order, lost or doubled");
                        *count += 1;
                    }
                    Received::Control(_) => goodbye = true,
                }
            }
        }
        (counts, goodbye)
    }

    /// Takes the queue, and writes it as the next owner would. False while a thread writes.
    fn take(&self) -> bool {
        match self.outbound.take_for_hand_off() {
            Ok(mut taken) => {
                let mut bytes = self.outbound.writer().bytes.lock().unwrap();
                while !taken.is_empty() {
                    let mut slices = [IoSlice::new(&[])];
                    taken.slices(&mut slices);
                    let len = slices[0].len();
                    bytes.extend_from_slice(&slices[0]);
                    taken.advance(len);
                }
                assert_eq!(taken.queued_frames(), 0, "the sizes fit the bytes");
                true
            }
            Err(TakeOutboundError::Busy) => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn assert_empty(&self) {
        let stats = self.outbound.stats();
        assert_eq!((stats.queued_frames, stats.queued_bytes), (0, 0));
    }
}

/// Most switches away from a thread that could go on.
const PREEMPTIONS: usize = 5;

/// Every order with at most [`PREEMPTIONS`].
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.max_branches = 10_000;
    let runs = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let began = std::time::Instant::now();
    builder.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    println!("{runs:?} orders in {:?}", began.elapsed());
}

#[test]
fn nothing_is_lost_or_mixed_up_when_three_threads_send() {
    check(|| {
        let model = Model::new(LinkKind::Disabled, usize::MAX, usize::MAX);
        let one = model.spawn(|model| model.send(1, 1));
        let two = model.spawn(|model| model.send(2, 1));
        assert_eq!(model.send(0, 2), 2);
        assert_eq!((one.join().unwrap(), two.join().unwrap()), (1, 1));
        model.serve();
        assert_eq!(model.received(), ([2, 1, 1], false));
        model.assert_empty();
        assert!(model.outbound.stats().writes <= 4);
    });
}

#[test]
fn short_writes_hand_the_role_over_and_someone_always_goes_on() {
    check(|| {
        // Three writes per frame, two per turn.
        let model = Model::new(LinkKind::Disabled, usize::MAX, 100);
        let one = model.spawn(|model| model.send(1, 1));
        let owner = model.spawn(|model| {
            model.serve();
            0
        });
        assert_eq!(model.send(0, 1), 1);
        one.join().unwrap();
        owner.join().unwrap();
        model.serve();
        assert_eq!(model.received(), ([1, 1], false));
        model.assert_empty();
    });
}

#[test]
fn one_flush_when_the_link_becomes_writable_is_enough() {
    check(|| {
        let model = Model::new(LinkKind::Disabled, 100, usize::MAX);
        let one = model.spawn(|model| model.send(1, 1));
        // The owner, told by an edge: once.
        let owner = model.spawn(|model| {
            *model.outbound.writer().room.lock().unwrap() = usize::MAX;
            model.flush();
            0
        });
        assert_eq!(model.send(0, 1), 1);
        one.join().unwrap();
        owner.join().unwrap();
        model.serve();
        assert_eq!(model.received(), ([1, 1], false));
        model.assert_empty();
    });
}

#[test]
fn who_finds_the_link_full_asks_for_it_to_be_polled() {
    check(|| {
        let model = Model::new(LinkKind::Disabled, 300, usize::MAX);
        let one = model.spawn(|model| model.send(1, 1));
        assert_eq!(model.send(0, 2), 2);
        one.join().unwrap();
        model.serve();
        assert!(model.asked.lock().unwrap().writable);
        assert_eq!(model.outbound.flush().unwrap(), Flushed::Blocked);
        *model.outbound.writer().room.lock().unwrap() = usize::MAX;
        model.flush();
        assert_eq!(model.received(), ([2, 1], false));
        model.assert_empty();
    });
}

#[test]
fn nothing_goes_out_behind_a_goodbye() {
    check(|| {
        let model = Model::new(LinkKind::V2, usize::MAX, usize::MAX);
        let one = model.spawn(|model| model.send(1, 1));
        let leaving = model.spawn(|model| {
            model.outbound.goodbye(GoodbyeReason::SHUTDOWN);
            0
        });
        let taken = [model.send(0, 2), one.join().unwrap()];
        leaving.join().unwrap();
        model.serve();
        assert_eq!(model.received(), (taken, true));
        assert_eq!(model.send(0, 1), 0);
        assert_eq!(model.outbound.ended(), Some(SendCause::Leaving));
        assert_eq!(model.asked.lock().unwrap().closes, 1);
        model.assert_empty();
    });
}

#[test]
fn closing_does_not_wait_and_what_went_out_is_a_beginning_of_what_was_sent() {
    check(|| {
        let model = Model::new(LinkKind::Disabled, usize::MAX, 150);
        let one = model.spawn(|model| model.send(1, 1));
        let closing = model.spawn(|model| {
            model.outbound.close();
            0
        });
        model.send(0, 2);
        one.join().unwrap();
        closing.join().unwrap();
        model.received::<2>(); // whole and in order as far as it goes
        assert_eq!(model.send(0, 1), 0);
        assert_eq!(model.outbound.ended(), Some(SendCause::Closed));
        assert_eq!(model.outbound.flush().unwrap_err().kind(), io::ErrorKind::NotConnected);
        assert_eq!(model.asked.lock().unwrap().closes, 0);
        model.assert_empty();
    });
}

#[test]
fn a_failure_is_told_once() {
    check(|| {
        let model = Model::failing(LinkKind::Disabled, 300, usize::MAX, io::ErrorKind::BrokenPipe);
        let one = model.spawn(|model| model.send(1, 1));
        let two = model.spawn(|model| model.send(2, 1));
        model.send(0, 1);
        one.join().unwrap();
        two.join().unwrap();
        let _ = model.outbound.flush();
        model.received::<3>();
        assert_eq!(model.outbound.ended(), Some(SendCause::Failed(io::ErrorKind::BrokenPipe)));
        assert_eq!(model.asked.lock().unwrap().closes, 1);
        model.assert_empty();
    });
}

#[test]
fn what_is_taken_for_a_hand_off_is_what_nobody_has_written() {
    check(|| {
        // Part of a frame, and then nothing more.
        let model = Model::new(LinkKind::Disabled, 300, 150);
        let one = model.spawn(|model| model.send(1, 1));
        let taking = model.spawn(|model| model.take().into());
        let sent = [model.send(0, 2), one.join().unwrap()];
        if taking.join().unwrap() == 0 {
            model.serve();
            assert!(model.take(), "nobody writes any more");
        }
        assert_eq!(model.received(), (sent, false));
        assert_eq!(model.outbound.ended(), Some(SendCause::HandedOff));
        assert_eq!(model.asked.lock().unwrap().closes, 0);
        assert_eq!(model.outbound.flush().unwrap_err().kind(), io::ErrorKind::NotConnected);
        model.assert_empty();
    });
}

#[test]
fn an_owner_with_a_loan_and_senders_do_not_get_in_each_others_way() {
    check(|| {
        let model = Model::new(LinkKind::Disabled, usize::MAX, 200);
        assert_eq!(model.queue(2, 1), 1);
        let one = model.spawn(|model| model.send(1, 1));
        let owner = model.spawn(|model| {
            model.operate();
            0
        });
        assert_eq!(model.send(0, 1), 1);
        one.join().unwrap();
        owner.join().unwrap();
        model.serve_by_operations();
        assert_eq!(model.received(), ([1, 1, 1], false));
        model.assert_empty();
    });
}

/// The owner is not asked for what is queued while it has a loan: it looks again when that is over.
#[test]
fn what_is_queued_during_a_loan_is_seen_by_the_owner() {
    for kind in [LinkKind::Disabled, LinkKind::Sealed] {
        check(move || {
            let model = Model::new(kind, usize::MAX, usize::MAX);
            let one = model.spawn(|model| model.queue(1, 2));
            let owner = model.spawn(|model| {
                model.serve_by_operations();
                0
            });
            assert_eq!(model.queue(0, 1), 1);
            assert_eq!(one.join().unwrap(), 2);
            owner.join().unwrap();
            model.serve_by_operations();
            assert_eq!(model.received(), ([1, 2], false));
            model.assert_empty();
        });
    }
}

/// A loan that comes back without a byte having been written goes out first the next time, whoever writes then.
#[test]
fn what_a_loan_leaves_goes_out_first() {
    check(|| {
        let model = Model::new(LinkKind::Disabled, 100, usize::MAX);
        assert_eq!(model.queue(0, 1), 1);
        let batch = model.lend();
        let one = model.spawn(|model| model.send(1, 1));
        let room = model.spawn(|model| {
            *model.outbound.writer().room.lock().unwrap() = usize::MAX;
            0
        });
        let _ = model.end_operation(batch);
        model.operate();
        one.join().unwrap();
        room.join().unwrap();
        model.serve_by_operations();
        assert_eq!(model.received(), ([1, 1], false));
        model.assert_empty();
    });
}

#[test]
fn a_loan_that_comes_back_after_close_changes_nothing() {
    for kind in [LinkKind::Disabled, LinkKind::Sealed] {
        check(move || {
            let model = Model::new(kind, usize::MAX, 150);
            assert_eq!(model.queue(0, 2), 2);
            let closing = model.spawn(|model| {
                model.outbound.close();
                0
            });
            let one = model.spawn(|model| model.send(1, 1));
            model.operate();
            closing.join().unwrap();
            one.join().unwrap();
            model.received::<2>(); // whole and in order as far as it goes
            assert_eq!(model.outbound.ended(), Some(SendCause::Closed));
            assert_eq!(model.outbound.lend().unwrap_err().kind(), io::ErrorKind::NotConnected);
            assert_eq!((model.send(0, 1), model.queue(0, 1)), (0, 0));
            assert_eq!(model.asked.lock().unwrap().closes, 0);
            model.assert_empty();
        });
    }
}

#[test]
fn nothing_goes_out_behind_a_goodbye_whoever_writes_it() {
    check(|| {
        let model = Model::new(LinkKind::V2, usize::MAX, usize::MAX);
        assert_eq!(model.queue(0, 1), 1);
        let one = model.spawn(|model| model.send(1, 1));
        let leaving = model.spawn(|model| {
            model.outbound.goodbye(GoodbyeReason::SHUTDOWN);
            0
        });
        model.operate();
        let taken = one.join().unwrap();
        leaving.join().unwrap();
        model.serve_by_operations();
        assert_eq!(model.received(), ([1, taken], true));
        assert_eq!((model.send(0, 1), model.queue(0, 1)), (0, 0));
        assert_eq!(model.outbound.ended(), Some(SendCause::Leaving));
        assert_eq!(model.asked.lock().unwrap().closes, 1);
        model.assert_empty();
    });
}

#[test]
fn a_queue_is_not_taken_while_its_bytes_are_lent() {
    for kind in [LinkKind::Disabled, LinkKind::Sealed] {
        check(move || {
            let model = Model::new(kind, usize::MAX, 150);
            assert_eq!(model.queue(0, 1), 1);
            let taking = model.spawn(|model| model.take().into());
            let one = model.spawn(|model| model.send(1, 1));
            if let Ok(Loan::Batch(batch)) = model.outbound.lend() {
                assert!(!model.take(), "the owner has its bytes");
                model.end_operation(batch).unwrap();
            }
            let sent = [1, one.join().unwrap()];
            if taking.join().unwrap() == 0 {
                assert!(model.take(), "nobody writes any more");
            }
            assert_eq!(model.received(), (sent, false));
            assert_eq!(model.outbound.ended(), Some(SendCause::HandedOff));
            assert_eq!(model.asked.lock().unwrap().closes, 0);
            model.assert_empty();
        });
    }
}

#[test]
fn letting_memory_go_loses_nothing() {
    check(|| {
        let model = Model::new(LinkKind::Sealed, usize::MAX, 150);
        assert_eq!(model.queue(0, 1), 1);
        let one = model.spawn(|model| model.send(1, 1));
        let relaxing = model.spawn(|model| {
            model.outbound.relax();
            0
        });
        model.operate();
        one.join().unwrap();
        relaxing.join().unwrap();
        model.outbound.relax();
        model.serve_by_operations();
        assert_eq!(model.received(), ([1, 1], false));
        model.assert_empty();
    });
}

#[test]
fn an_operation_that_fails_is_told_once() {
    check(|| {
        let model = Model::failing(LinkKind::Disabled, 300, usize::MAX, io::ErrorKind::BrokenPipe);
        assert_eq!(model.queue(0, 2), 2);
        let one = model.spawn(|model| model.send(1, 1));
        model.operate();
        one.join().unwrap();
        model.serve_by_operations();
        model.received::<2>();
        assert_eq!(model.outbound.ended(), Some(SendCause::Failed(io::ErrorKind::BrokenPipe)));
        assert_eq!(model.asked.lock().unwrap().closes, 1);
        model.assert_empty();
    });
}
