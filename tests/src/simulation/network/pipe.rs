//! One direction of a connection: what is under way, and what has arrived and waits to be read.

use std::collections::VecDeque;

use super::acknowledging::Acknowledged;

/// What is on its way.
#[derive(Debug)]
pub(super) enum Item {
    Bytes(Vec<u8>),
    /// The end of the direction.
    Fin,
}

#[derive(Debug)]
pub(super) struct Pipe {
    /// Arrival times never go down: bytes do not overtake each other.
    pub(super) in_flight: VecDeque<(u64, Item)>,
    pub(super) flying: usize,
    pub(super) arrived: VecDeque<u8>,
    pub(super) capacity: usize,
    /// Whether nothing more is sent.
    pub(super) ended: bool,
    /// Whether the reader gets to the end behind what has arrived.
    pub(super) end_arrived: bool,
    /// Whether the sender has met a full pipe, and wants to know when there is room.
    pub(super) wants_room: bool,
    /// What was sent first, as an eavesdropper keeps it.
    pub(super) overheard: Vec<u8>,
    pub(super) acknowledged: Acknowledged,
}

/// Bytes of each direction that an eavesdropper keeps: the handshake and the first frames.
const OVERHEARD_MAX: usize = 2048;

impl Pipe {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            in_flight: VecDeque::new(),
            flying: 0,
            arrived: VecDeque::new(),
            capacity,
            ended: false,
            end_arrived: false,
            wants_room: false,
            overheard: Vec::new(),
            acknowledged: Acknowledged::default(),
        }
    }

    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.flying + self.arrived.len())
    }

    /// `bytes` go on their way.
    pub(super) fn send(&mut self, bytes: Vec<u8>, arrival: u64) {
        let kept = (OVERHEARD_MAX - self.overheard.len()).min(bytes.len());
        self.overheard.extend_from_slice(&bytes[..kept]);
        self.flying += bytes.len();
        self.acknowledged.sent += bytes.len() as u64;
        self.in_flight.push_back((self.not_before(arrival), Item::Bytes(bytes)));
    }

    /// The end goes on its way.
    pub(super) fn end(&mut self, arrival: u64) {
        self.ended = true;
        self.in_flight.push_back((self.not_before(arrival), Item::Fin));
    }

    pub(super) fn last_arrival(&self) -> u64 {
        self.in_flight.back().map_or(0, |&(at, _)| at)
    }

    fn not_before(&self, arrival: u64) -> u64 {
        arrival.max(self.last_arrival())
    }

    /// Takes what is due at `now` out of the air. What the receiver then has is up to the caller.
    pub(super) fn land(&mut self, now: u64) -> Vec<Item> {
        let mut landed = Vec::new();
        while self.in_flight.front().is_some_and(|&(at, _)| at <= now) {
            if let Some((_, item)) = self.in_flight.pop_front() {
                if let Item::Bytes(bytes) = &item {
                    self.flying -= bytes.len();
                }
                landed.push(item);
            }
        }
        landed
    }

    /// Everything that the reader has not read is lost.
    pub(super) fn lose(&mut self) {
        self.in_flight.clear();
        self.flying = 0;
        self.arrived.clear();
    }
}
