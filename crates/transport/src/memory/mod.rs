//! Memory that goes between codecs and whatever moves the bytes: codecs lend it, drivers fill it or send
//! from it, and neither needs to know the other.
//!
//! Both kinds are values with one owner. So they can stay with an operation for as long as it takes, and a
//! connection can't be received into, or sent from, twice at once.

mod receive;
mod send;
#[cfg(feature = "node")]
mod spare_blocks;

pub(crate) use receive::Piece;
pub use receive::{BLOCK_SIZE, Block, ReceiveMemory};
pub(crate) use send::Records;
pub use send::{SEND_MAX, SLICES_MAX, SendBatch};
#[cfg(feature = "node")]
pub(crate) use spare_blocks::SpareBlocks;
