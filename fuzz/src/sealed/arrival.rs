//! How a stream of records arrives, and what is handed up of it and when.

use replink_frame::Command;
use replink_transport::memory::BLOCK_SIZE;
use replink_transport::{Found, Inbound, InboundError};

use super::reading::Reading;
use super::{FRAME_LIMIT, Reached};
use crate::giving::Giving;
use crate::inbound::delivery::compare;
use crate::inbound::pair::{Fault, Item, Pair};
use crate::wire;

/// What a link may hold, in bytes: a block for records and one for frames, and a frame, or the body of one that nobody
/// took.
const HELD_MAX: usize = 2 * BLOCK_SIZE + FRAME_LIMIT as usize + SMALL_CHANGE;

/// What a link holds on which nothing comes: what opens records, and what owns the rest.
const SMALL_CHANGE: usize = 2 * 1024;

pub struct Arrival<'a> {
    inbound: Inbound,
    stream: &'a [u8],
    chunks: [(usize, Giving); 3],
    expected: &'a Reading,
    reached: &'a mut Reached,
    allocated: &'a dyn Fn() -> usize,
    allocated_before: usize,
    /// Bytes that the codec took, items that it gave, records that counted as life.
    taken: usize,
    given: usize,
    alive: usize,
}

impl<'a> Arrival<'a> {
    pub fn new(
        pair: &Pair,
        stream: &'a [u8],
        chunks: [(usize, Giving); 3],
        expected: &'a Reading,
        reached: &'a mut Reached,
        allocated: &'a dyn Fn() -> usize,
    ) -> Self {
        let receiving = pair.receiving();
        let allocated_before = allocated();
        let inbound = Inbound::new(receiving, FRAME_LIMIT);
        let (taken, given, alive) = (0, 0, 0);
        Self { inbound, stream, chunks, expected, reached, allocated, allocated_before, taken, given, alive }
    }

    pub fn run(mut self) {
        let error = self.arrive().err();
        assert_eq!(
            error.map(|error| Fault::of(error, FRAME_LIMIT)),
            self.expected.fault().map(|(fault, _)| fault)
        );
        assert_eq!(self.given, self.expected.items().len(), "what has come is handed up");
        match error {
            Some(error) => self.stays_failed(error),
            None => {
                assert_eq!(self.inbound.is_at_frame_boundary(), self.expected.is_at_frame_boundary());
                self.inbound.relax();
                let nothing = self.inbound.holds_nothing();
                assert!(nothing || !self.expected.is_at_frame_boundary());
                if self.expected.is_at_frame_boundary() {
                    assert!(self.held() <= SMALL_CHANGE, "{} bytes are kept", self.held());
                }
            }
        }
    }

    fn arrive(&mut self) -> Result<(), InboundError> {
        let mut emptied = true;
        for index in 0.. {
            if self.taken == self.stream.len() {
                break;
            }
            let rest = &self.stream[self.taken..];
            let (len, giving) = self.chunks[index % self.chunks.len()];
            // Many small ones take their time.
            let len = if index < 2048 { len } else { len.max(4096) };
            let given = giving.give(&mut self.inbound, &rest[..rest.len().min(len)], index);
            assert!(given.room > 0 || !emptied, "there is room once all was taken");
            self.taken += given.taken;
            self.reached.lent += usize::from(given.lent);
            self.reached.foreign += usize::from(given.foreign);
            self.check_memory();
            // Now and then what was found stays for the next time.
            emptied = index % 5 != 4;
            if emptied { self.take_all()? } else { self.find() }
        }
        self.take_all()
    }

    /// The next item, if it has come; or whether what has come ends the link.
    fn next(&self) -> (Option<&'a Item>, bool) {
        let expected = self.expected;
        let next = expected.items().get(self.given).filter(|_| self.given < expected.ready_in(self.taken));
        let fails = self.given == expected.items().len();
        let fails = fails && expected.fault().is_some_and(|(_, needed)| needed <= self.taken);
        (next, fails)
    }

    /// Looks for an item, which stays where it is.
    fn find(&mut self) {
        let (next, fails) = self.next();
        let expected = next.map(|item| match item {
            Item::Control(..) => Found::Control,
            Item::Frame(range) => {
                Found::Frame(Command(self.expected.plaintext()[range.start + wire::COMMAND]))
            }
        });
        assert_eq!(self.inbound.find().map_err(|_| ()), if fails { Err(()) } else { Ok(expected) });
        self.check_memory();
    }

    fn take_all(&mut self) -> Result<(), InboundError> {
        loop {
            let (next, fails) = self.next();
            let index = self.given;
            let is_taken = index.is_multiple_of(2);
            match self.inbound.next().inspect_err(|_| assert!(fails, "nothing is wrong yet"))? {
                None => {
                    assert!(next.is_none() && !fails, "what has come is told at once");
                    break;
                }
                Some(received) => {
                    let item = next.expect("nothing is handed up before its record has come and verified");
                    _ = compare(received, item, self.expected.plaintext(), index, is_taken);
                }
            }
            self.given += 1;
            self.check_memory();
        }
        // C-1: a record that verified is life, and nothing else is.
        let opened = self.expected.records_in(self.taken);
        assert_eq!(self.inbound.take_life(), opened > self.alive);
        self.alive = opened;
        Ok(())
    }

    /// S-3: nothing of that direction is opened any more, whatever comes.
    fn stays_failed(&mut self, error: InboundError) {
        self.inbound.take_life();
        for index in 0..4 {
            assert_eq!(self.inbound.find(), Err(error));
            assert!(self.inbound.take().is_none());
            let chunk = &self.stream[..self.stream.len().min(BLOCK_SIZE / 2)];
            self.chunks[index % 3].1.give(&mut self.inbound, chunk, index);
            assert!(!self.inbound.take_life(), "garbage is no life");
            self.check_memory();
        }
    }

    fn held(&self) -> usize {
        (self.allocated)().saturating_sub(self.allocated_before)
    }

    fn check_memory(&self) {
        assert!(self.held() <= HELD_MAX, "{} bytes are held", self.held());
    }
}
