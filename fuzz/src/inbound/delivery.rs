//! How bytes arrive at the receiving codec under test, and what comes out of it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::mem;
use std::ops::Range;

use arbitrary::Unstructured;
use bytes::Bytes;
use replink_frame::Command;
use replink_transport::memory::BLOCK_SIZE;
use replink_transport::{Found, Inbound, InboundError, Link, Received};

use super::pair::{Expected, Fault, Item, Pair};
use super::{Reached, sockets};
use crate::giving::{Given, Giving};
use crate::patch::byte;
use crate::wire;

/// Chunks that are as small as the input wants them; later ones are larger, for the time it takes.
const SMALL_CHUNKS_MAX: usize = 2048;

/// Beside a block and one frame, in bytes: what owns them.
const SMALL_CHANGE: usize = 1024;

/// In which chunks bytes come, and what the embedder does with its frames.
#[derive(Clone, Copy)]
pub struct Style {
    chunks: [(u8, u8); 3],
    choice: u8,
}

impl Style {
    pub fn read(input: &mut Unstructured<'_>) -> Self {
        let mut chunk = || (byte(input), byte(input));
        Self { chunks: [chunk(), chunk(), chunk()], choice: byte(input) }
    }

    pub fn over_sockets(self) -> bool {
        self.choice >> 6 == 3
    }

    /// The size of a chunk, in bytes, above zero.
    fn chunk_len(self, index: usize) -> usize {
        let (kind, fine) = self.chunks[index % self.chunks.len()];
        let fine = usize::from(fine);
        let len = match kind % 6 {
            0 => BLOCK_SIZE * 4,
            1 => 1 + fine,
            2 => (1 + fine) << 8,
            3 => 16 * 1024 + 128 + fine,
            4 => BLOCK_SIZE - 128 + fine,
            _ => 128 + fine,
        };
        if index < SMALL_CHUNKS_MAX { len } else { len.max(4096) }
    }

    /// How it is given.
    fn giving(self, index: usize) -> Giving {
        Giving::new(self.chunks[index % self.chunks.len()].0 / 6)
    }

    fn appetite(self) -> Appetite {
        match self.choice & 3 {
            0 | 1 => Appetite::Eager,
            2 => Appetite::Lazy,
            _ => Appetite::Slow,
        }
    }

    /// How often a frame is looked for before it is taken.
    fn finds(self, index: usize) -> usize {
        if self.choice & 4 == 0 { 0 } else { 1 + index % 2 }
    }

    /// Whether one is looked for, and not taken before more has come.
    fn finds_early(self, index: usize) -> bool {
        self.choice & 4 != 0 && index.is_multiple_of(3)
    }

    /// How many bodies the embedder keeps.
    fn kept_max(self) -> usize {
        [0, 1, 5, usize::MAX][usize::from(self.choice >> 3 & 3)]
    }

    /// Whether a frame is taken out, or looked at where it is.
    fn takes(self, index: usize) -> bool {
        self.choice & 32 != 0 || index % 3 == 1
    }
}

/// When frames are asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Appetite {
    /// All of them after each chunk.
    Eager,
    /// None until there is no room.
    Lazy,
    /// One after each chunk.
    Slow,
}

pub struct Delivery<'a> {
    inbound: Inbound,
    stream: &'a [u8],
    limit: u32,
    expected: &'a Expected,
    style: Style,
    reached: &'a mut Reached,
    allocated: &'a dyn Fn() -> usize,
    /// What was allocated before the codec was made.
    allocated_before: usize,
    /// Bytes that the codec took, and items that it gave.
    taken: usize,
    given: usize,
    kept: VecDeque<(Bytes, Range<usize>)>,
}

impl<'a> Delivery<'a> {
    pub fn new(
        pair: &Pair,
        stream: &'a [u8],
        limit: u32,
        expected: &'a Expected,
        style: Style,
        reached: &'a mut Reached,
        allocated: &'a dyn Fn() -> usize,
    ) -> Self {
        let receiving = pair.receiving();
        let allocated_before = allocated();
        let inbound = Inbound::new(receiving, limit);
        assert_eq!(inbound.peer().replica.0, pair.far().replica);
        Self {
            inbound,
            stream,
            limit,
            expected,
            style,
            reached,
            allocated,
            allocated_before,
            taken: 0,
            given: 0,
            kept: VecDeque::new(),
        }
    }

    pub fn run(mut self) {
        let arrived = if self.style.over_sockets() { self.receive_all() } else { self.push_all() };
        let error = arrived.and_then(|()| self.take_all()).err();
        assert_eq!(error.map(|error| Fault::of(error, self.limit)), self.expected.fault);
        assert_eq!(self.given, self.expected.items.len());
        match error {
            Some(error) => self.check_failed(error),
            None => {
                assert_eq!(self.taken, self.stream.len());
                assert_eq!(self.inbound.is_at_frame_boundary(), self.expected.end == self.stream.len());
                self.inbound.relax();
                assert!(self.inbound.holds_nothing() || self.expected.end < self.stream.len());
                self.check_relaxed();
            }
        }
        self.check_memory();
        drop(self.inbound);
        for (body, range) in self.kept {
            assert!(body == self.stream[range], "what was taken stays");
        }
    }

    fn push_all(&mut self) -> Result<(), InboundError> {
        let (mut index, mut emptied) = (0, true);
        while self.taken < self.stream.len() {
            let rest = &self.stream[self.taken..];
            let chunk = &rest[..rest.len().min(self.style.chunk_len(index))];
            if self.style.finds_early(index) {
                self.find();
            }
            let given = self.style.giving(index).give(&mut self.inbound, chunk, index);
            index += 1;
            assert!(given.taken <= chunk.len());
            assert!(given.room > 0 || !emptied, "there is room once all was taken");
            self.count(given, chunk.len());
            self.taken += given.taken;
            self.check_memory();
            emptied = self.consume(given.taken < chunk.len())?;
        }
        Ok(())
    }

    /// As [`Delivery::push_all`], through a socket.
    fn receive_all(&mut self) -> Result<(), InboundError> {
        sockets::with(|sockets| {
            let (mut index, mut emptied) = (0, true);
            while self.taken < self.stream.len() {
                let rest = &self.stream[self.taken..];
                let mut left = sockets.send(&rest[..rest.len().min(self.style.chunk_len(index).max(512))]);
                index += 1;
                while left > 0 {
                    if self.style.finds_early(index) {
                        self.find();
                    }
                    let full = match self.receive(&sockets.near, index) {
                        Ok(received) => {
                            assert!((1..=left).contains(&received), "{received} of {left} bytes");
                            left -= received;
                            self.taken += received;
                            self.check_memory();
                            false
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::ResourceBusy);
                            assert!(!emptied, "there is room once all was taken");
                            true
                        }
                    };
                    emptied = match self.consume(full) {
                        Ok(emptied) => emptied,
                        Err(error) => {
                            sockets.receive(left);
                            return Err(error);
                        }
                    };
                }
            }
            Ok(())
        })
    }

    /// One read into the codec's memory, where it is or lent.
    fn receive(&mut self, link: &Link, index: usize) -> io::Result<usize> {
        if index.is_multiple_of(2) {
            let received = sockets::retry(|| link.receive(self.inbound.room()))?;
            self.inbound.received(received);
            return Ok(received);
        }
        let mut memory = self.inbound.lend();
        let result = sockets::retry(|| link.receive(memory.slices()));
        self.inbound.take_back(memory, result.as_ref().map_or(0, |&received| received));
        result
    }

    fn count(&mut self, given: Given, len: usize) {
        self.reached.lent += usize::from(given.lent);
        self.reached.foreign += usize::from(given.foreign);
        self.reached.partly += usize::from(given.taken < len.min(given.room));
        self.reached.nothing += usize::from(given.taken == 0);
    }

    /// Takes items, as is the embedder's way; whether all that have come were taken.
    fn consume(&mut self, full: bool) -> Result<bool, InboundError> {
        match self.style.appetite() {
            Appetite::Slow => self.take().map(|took| !took),
            Appetite::Lazy if !full => Ok(false),
            Appetite::Eager | Appetite::Lazy => self.take_all().map(|()| true),
        }
    }

    fn take_all(&mut self) -> Result<(), InboundError> {
        while self.take()? {}
        Ok(())
    }

    /// The next item, if it has come; or whether what has come ends the link.
    fn next(&self) -> (Option<&'a Item>, bool) {
        let next = self.expected.items.get(self.given);
        let fails = next.is_none() && self.expected.fault.is_some() && self.expected.end + 256 <= self.taken;
        (next.filter(|item| item.end() <= self.taken), fails)
    }

    /// Looks for an item, which stays where it is.
    fn find(&mut self) {
        let (next, fails) = self.next();
        let expected = next.map(|item| match item {
            Item::Control(..) => Found::Control,
            Item::Frame(range) => Found::Frame(Command(self.stream[range.start + wire::COMMAND])),
        });
        assert_eq!(self.inbound.find().map_err(|_| ()), if fails { Err(()) } else { Ok(expected) });
        self.reached.found += usize::from(expected.is_some());
    }

    /// Takes one item, if there is one.
    fn take(&mut self) -> Result<bool, InboundError> {
        let index = self.given;
        let (next, fails) = self.next();
        let has_come = next.is_some();
        (0..self.style.finds(index)).for_each(|_| self.find());
        let taken = self.style.takes(index).then_some(index);
        let kept = match self.inbound.next().inspect_err(|_| assert!(fails))? {
            None => {
                assert!(!fails, "what is wrong is told at once");
                assert!(!has_come, "what has come is given");
                return Ok(false);
            }
            Some(received) => {
                assert!(has_come, "nothing is given that has not come");
                compare(received, next.expect("it has come"), self.stream, index, taken.is_some())
            }
        };
        if let Some((body, range)) = kept {
            self.keep(body, range);
        }
        self.given += 1;
        self.check_memory();
        Ok(true)
    }

    fn keep(&mut self, body: Bytes, range: Range<usize>) {
        if self.style.kept_max() == 0 {
            return;
        }
        self.kept.push_back((body, range));
        if self.kept.len() > self.style.kept_max() {
            let (body, range) = self.kept.pop_front().expect("one at least");
            assert!(body == self.stream[range], "what was taken stays");
        }
    }

    /// A link that failed stays so, whatever else comes.
    fn check_failed(&mut self, error: InboundError) {
        for index in 0..8 {
            assert_eq!(self.inbound.find(), Err(error));
            assert!(self.inbound.take().is_none());
            assert_eq!(self.inbound.next().map(|received| received.is_some()), Err(error));
            let chunk = &self.stream[..self.stream.len().min(BLOCK_SIZE / 2)];
            self.taken += self.style.giving(index).give(&mut self.inbound, chunk, index).taken;
            self.check_memory();
        }
    }

    /// What a codec that nothing lies in keeps.
    fn check_relaxed(&self) {
        if self.style.kept_max() == 0 && self.inbound.holds_nothing() {
            let allocated = (self.allocated)().saturating_sub(self.allocated_before);
            assert!(allocated <= SMALL_CHANGE, "{allocated} bytes are kept");
        }
    }

    /// What lies here is a block and one frame at most. What is held is no more: a body that nobody took is
    /// memory for the next, and no other body is under way meanwhile.
    fn check_memory(&self) {
        let most = BLOCK_SIZE + self.limit as usize;
        let given = self.given.checked_sub(1).map_or(0, |last| self.expected.items[last].end());
        assert!(self.taken - given <= most, "{} bytes are held", self.taken - given);
        if self.style.kept_max() == 0 {
            let allocated = (self.allocated)().saturating_sub(self.allocated_before);
            assert!(allocated <= most + SMALL_CHANGE, "{allocated} bytes are allocated");
        }
    }
}

/// Compares what came, the `index`-th, with what was to come; its body, if it `is_taken` out.
pub fn compare(
    received: Received<'_>,
    item: &Item,
    stream: &[u8],
    index: usize,
    is_taken: bool,
) -> Option<(Bytes, Range<usize>)> {
    match (received, item) {
        (Received::Control(control), Item::Control(expected, _)) => {
            assert_eq!(control, *expected);
            None
        }
        (Received::Frame(frame), Item::Frame(range)) => {
            let (header, body) = stream[range.clone()].split_at(256);
            assert_eq!(frame.header().bytes(), header);
            assert!(frame.body() == body);
            if !is_taken {
                #[expect(
                    clippy::forget_non_drop,
                    reason = "for as long as nothing happens when it is dropped"
                )]
                if index.is_multiple_of(2) {
                    mem::forget(frame); // the codec goes on behind it, whatever becomes of it
                }
                return None;
            }
            let taken = if index.is_multiple_of(4) {
                let owned = frame.into_owned();
                assert_eq!(owned.header.bytes(), header);
                owned.body
            } else {
                frame.into_body()
            };
            assert!(taken == body);
            Some((taken, range.start + 256..range.end))
        }
        (received, _) => panic!("{received:?} where the other kind was sent"),
    }
}
