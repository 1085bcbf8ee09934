//! How bytes get into a receiving codec: all ways that there are.

use replink_transport::Inbound;
use replink_transport::memory::{Block, ReceiveMemory};

/// One way, and what else is done on the occasion.
#[derive(Clone, Copy)]
pub struct Giving {
    way: u8,
    tidying: u8,
}

/// What became of bytes that were given.
#[derive(Clone, Copy, Default)]
pub struct Given {
    pub taken: usize,
    /// How many the codec had room for.
    pub room: usize,
    /// The memory was lent; it was somebody else's.
    pub lent: bool,
    pub foreign: bool,
}

const WAYS: u8 = 7;
const PUSH: u8 = 0;
const ROOM: u8 = 1;
const LEND: u8 = 2;
const FOREIGN: u8 = 3;
const ROOM_PARTLY: u8 = 4;
const LEND_PARTLY: u8 = 5;

impl Giving {
    /// 0 pushes, and does nothing else.
    pub fn new(choice: u8) -> Self {
        Self { way: choice % WAYS, tidying: choice / WAYS }
    }

    /// Gives the first bytes of `chunk`. `index` counts the calls: what is given in part is not given
    /// in vain for ever.
    pub fn give(self, inbound: &mut Inbound, chunk: &[u8], index: usize) -> Given {
        if let Some(block) = self.tidy(inbound, index)
            && inbound.holds_nothing()
        {
            return receive_elsewhere(inbound, block.into(), chunk); // its own block, once more
        }
        let part = &chunk[..chunk.len() * (index % 3) / 2];
        match self.way {
            PUSH => {
                let taken = inbound.push(chunk);
                Given { taken, room: taken, ..Given::default() }
            }
            ROOM => receive(inbound, chunk),
            LEND => receive_lent(inbound, chunk),
            FOREIGN if inbound.holds_nothing() => {
                let memory = match index % 4 {
                    0 => ReceiveMemory::with_len(1 + index * 61 % 700),
                    1 => ReceiveMemory::with_len(chunk.len() + 1),
                    _ => Block::new().into(),
                };
                receive_elsewhere(inbound, memory, chunk)
            }
            ROOM_PARTLY => receive(inbound, part),
            FOREIGN | LEND_PARTLY => receive_lent(inbound, part),
            _ => Self { way: (index * 5 % usize::from(WAYS - 1)) as u8, tidying: 0 }
                .give(inbound, chunk, index),
        }
    }

    /// Whether each call is made in the same way, so that it gives all that there is room for.
    fn tidy(self, inbound: &mut Inbound, index: usize) -> Option<Block> {
        match self.tidying {
            1 => inbound.relax(),
            2 => return inbound.give_up_block(),
            3 if index.is_multiple_of(3) => inbound.relax(),
            4 if index.is_multiple_of(2) => drop(inbound.give_up_block()),
            5 => {
                let memory = inbound.lend();
                inbound.take_back(memory, 0);
            }
            6 => inbound.received(0),
            _ => {}
        }
        None
    }
}

fn receive(inbound: &mut Inbound, bytes: &[u8]) -> Given {
    let most = inbound.receive_max();
    let places = inbound.room();
    let room = places.iter().map(|place| place.len()).sum();
    assert!(room <= most, "no more is asked for");
    let taken = fill(places, bytes);
    inbound.received(taken);
    Given { taken, room, ..Given::default() }
}

fn receive_lent(inbound: &mut Inbound, bytes: &[u8]) -> Given {
    let mut memory = inbound.lend();
    assert!(!matches!(inbound.find(), Ok(Some(_))), "nothing is to be found meanwhile");
    assert!(inbound.take().is_none() && inbound.give_up_block().is_none() && !inbound.holds_nothing());
    assert_eq!((inbound.push(bytes), inbound.receive_max()), (0, 0), "nor to be received");
    assert!(inbound.room().iter().all(|place| place.is_empty()));
    inbound.relax();
    let room = memory.room();
    let taken = fill(memory.slices(), bytes);
    assert!(memory.received(taken).flatten().eq(&bytes[..taken]));
    inbound.take_back(memory, taken);
    Given { taken, room, lent: true, foreign: false }
}

/// For a codec that holds nothing.
fn receive_elsewhere(inbound: &mut Inbound, mut memory: ReceiveMemory, bytes: &[u8]) -> Given {
    let room = memory.room().min(inbound.receive_max());
    let taken = fill(memory.slices(), &bytes[..bytes.len().min(room)]);
    inbound.take_back(memory, taken);
    Given { taken, room, lent: false, foreign: true }
}

fn fill(places: [&mut [u8]; 2], bytes: &[u8]) -> usize {
    let mut rest = bytes;
    for place in places {
        let len = place.len().min(rest.len());
        place[..len].copy_from_slice(&rest[..len]);
        rest = &rest[len..];
    }
    bytes.len() - rest.len()
}
