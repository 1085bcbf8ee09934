//! Memory to receive into: lent, and taken back with what has come.

use std::mem;

use super::{DirectBody, Inbound, Lent};
use crate::memory::{BLOCK_SIZE, Block, Piece, ReceiveMemory};

/// Most bytes of a large body that one receive takes: received in pieces, a body still is in the cache when
/// it is looked at, and the sender goes on meanwhile.
const DIRECT_RECEIVE_MAX: usize = 128 * 1024;

/// What is received behind a large body, or between two: enough for the header of the next one and little of
/// its body, which would have to be moved to memory of its own.
const BETWEEN_LARGE_BODIES: usize = 4 * 1024;

impl Inbound {
    /// Where bytes are to be received now, for whoever has some, or asks a stream that has: two places, to be
    /// filled in order. Both are empty where frames that have come wait to be taken first, and while the memory
    /// is [lent](Inbound::lend). [`Inbound::received`] then says how many there are.
    pub fn room(&mut self) -> [&mut [u8]; 2] {
        self.settle();
        if self.lent.is_some() {
            return [&mut [], &mut []];
        }
        let (body_max, ahead_max) = self.wanted();
        let body = match &mut self.direct {
            Some(direct) => &mut direct.body[direct.filled..][..body_max],
            None => &mut [],
        };
        [body, self.ahead.room(ahead_max)]
    }

    /// So many bytes were put where [`Inbound::room`] says, the first place first.
    ///
    /// # Panics
    ///
    /// If there are more than there was room for.
    pub fn received(&mut self, len: usize) {
        assert!(len == 0 || self.lent.is_none(), "the memory is lent");
        let (body_max, ahead_max) = self.wanted();
        self.bytes_came |= len > 0;
        let in_body = len.min(body_max);
        assert!(len - in_body <= ahead_max, "more was received than there was room for");
        if let Some(direct) = &mut self.direct {
            direct.filled += in_body;
        }
        self.ahead.received(len - in_body);
    }

    /// The same memory, given away: for operations that end later. Until [`Inbound::take_back`] there is
    /// nothing to be found here, not even what was found before, and nothing else can be received. It has no
    /// room where frames that have come wait to be taken first.
    ///
    /// Where [`Inbound::holds_nothing`], any other memory will do as well.
    ///
    /// # Panics
    ///
    /// If it is lent already.
    pub fn lend(&mut self) -> ReceiveMemory {
        self.settle();
        assert!(self.lent.is_none(), "the memory is lent already");
        let (body_max, ahead_max) = self.wanted();
        let body = match &mut self.direct {
            Some(DirectBody { body, filled }) => {
                Piece { bytes: mem::take(body), filled: *filled, limit: *filled + body_max }
            }
            None => Piece::default(),
        };
        self.lent = Some(Lent { found: self.ready.take() });
        ReceiveMemory { body, ahead: self.ahead.lend(ahead_max) }
    }

    /// Takes memory back, with `received` more bytes in it: what was lent, or memory of the caller's if
    /// nothing was and this [holds nothing](Inbound::holds_nothing). A block of the caller's stays here; other
    /// memory is copied from.
    ///
    /// # Panics
    ///
    /// If there are more bytes than there was room for, or it is other memory than what was lent.
    pub fn take_back(&mut self, memory: ReceiveMemory, received: usize) {
        assert!(received <= memory.room(), "more was received than there was room for");
        self.bytes_came |= received > 0;
        self.settle();
        if let Some(lent) = self.lent.take() {
            let filled = self.direct.as_ref().map_or(0, |direct| direct.filled);
            let lies_here = (filled, self.ahead.end()) == (memory.body.filled, memory.ahead.filled);
            assert!(lies_here, "another memory was lent");
            self.ready = lent.found;
            let in_body = received.min(memory.body.room());
            if let Some(direct) = &mut self.direct {
                direct.body = memory.body.bytes;
                direct.filled += in_body;
            }
            self.ahead.take_back(memory.ahead.bytes);
            self.ahead.received(received - in_body);
        } else if self.holds_nothing() && memory.is_block() {
            self.ahead.take_back(memory.ahead.bytes);
            self.ahead.received(received);
        } else {
            // Where something is held the bytes have to be behind it, and what is no block has too little room
            // for what follows, or takes more than is to be kept.
            for bytes in memory.received(received) {
                let taken = self.push(bytes);
                assert_eq!(taken, bytes.len(), "more was received than there was room for");
            }
        }
    }

    /// Whether nothing lies, and nothing is lent, where the next bytes go: whoever receives next may do so into
    /// memory of its own, at most [`Inbound::receive_max`] bytes.
    pub fn holds_nothing(&self) -> bool {
        self.lent.is_none() && self.direct.is_none() && self.ahead.is_absent()
    }

    /// Most bytes that the next receive should take, whatever memory it has: between large bodies few, so
    /// that the next one is received where it stays.
    pub fn receive_max(&self) -> usize {
        let (body, ahead) = self.wanted();
        let ahead = if self.holds_nothing() { ahead.min(BLOCK_SIZE) } else { ahead };
        body.saturating_add(ahead)
    }

    /// The memory of this codec, for others to be received into, if nothing lies in it and no large body is
    /// under way, behind which it is needed. It makes itself a new one when it needs one.
    pub fn give_up_block(&mut self) -> Option<Block> {
        self.settle();
        if self.direct.is_some() { None } else { self.ahead.give_up() }
    }

    /// Lets all memory go that nothing lies in: for links that are quiet.
    pub fn relax(&mut self) {
        self.settle();
        if self.lent.is_none() {
            self.ahead.relax();
        }
        self.spare.clear();
        if let Some(held) = &mut self.held {
            held.relax();
        }
    }

    /// Takes bytes in the order in which they came, as many as there is room for, and returns
    /// how many it took. The rest is to be given again once [`Inbound::next`] has nothing more. This copies
    /// them; [`Inbound::room`] and [`Inbound::lend`] do not.
    pub fn push(&mut self, chunk: &[u8]) -> usize {
        self.settle();
        if self.lent.is_some() {
            return 0;
        }
        self.bytes_came |= !chunk.is_empty();
        let in_body = match &mut self.direct {
            Some(direct) => {
                let room = &mut direct.body[direct.filled..];
                let len = room.len().min(chunk.len());
                room[..len].copy_from_slice(&chunk[..len]);
                direct.filled += len;
                len
            }
            None => 0,
        };
        let rest = &chunk[in_body..];
        if rest.is_empty() {
            return in_body;
        }
        let room = self.ahead.room(usize::MAX);
        let len = room.len().min(rest.len());
        room[..len].copy_from_slice(&rest[..len]);
        self.ahead.received(len);
        in_body + len
    }

    /// How much to receive next: of the body under way, and behind it.
    fn wanted(&self) -> (usize, usize) {
        if self.lent.is_some() {
            return (0, 0);
        }
        let missing = self.direct.as_ref().map_or(0, DirectBody::missing);
        if missing > DIRECT_RECEIVE_MAX {
            (DIRECT_RECEIVE_MAX, 0) // what comes behind is of the same body
        } else if self.expects_large && self.held.is_none() {
            (missing, BETWEEN_LARGE_BODIES)
        } else {
            (missing, usize::MAX)
        }
    }
}
