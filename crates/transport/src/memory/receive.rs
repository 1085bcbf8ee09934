use std::fmt;
use std::mem;

/// Bytes of a [`Block`]: what one receive takes of small frames. It fits into the processor's second-level
/// cache beside the memory that its frames go to.
pub const BLOCK_SIZE: usize = 128 * 1024;

/// A piece of memory to receive into, always [`BLOCK_SIZE`] bytes long. It is no link's for longer than
/// something lies in it, so a few of them serve many links.
pub struct Block(Box<[u8]>);

impl Block {
    /// A new one, of zeros.
    pub fn new() -> Self {
        Self(vec![0; BLOCK_SIZE].into())
    }

    /// `None` where it is not as long as a block.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() == BLOCK_SIZE).then(|| Self(bytes.into()))
    }
}

impl Default for Block {
    fn default() -> Self {
        Self::new()
    }
}

impl std::ops::Deref for Block {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl std::ops::DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Block")
    }
}

/// Where received bytes go: up to two places, the first one first. All of it is initialized, so any code may
/// fill it, safe or not.
///
/// A codec lends it ([`Inbound::lend`](crate::Inbound::lend)) and takes it back together with how many bytes
/// were put in. What was in it before stays as it is.
pub struct ReceiveMemory {
    /// The rest of a large body, or nothing.
    pub(crate) body: Piece,
    /// Whatever comes behind that.
    pub(crate) ahead: Piece,
}

/// One place: the bytes from `filled` up to `limit` may be written to.
#[derive(Default)]
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    pub(crate) filled: usize,
    pub(crate) limit: usize,
}

impl Piece {
    pub(crate) fn room(&self) -> usize {
        self.limit - self.filled
    }

    fn rest(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..self.limit]
    }
}

impl ReceiveMemory {
    /// Memory for so many bytes, in one place.
    pub fn with_len(len: usize) -> Self {
        let ahead = Piece { bytes: vec![0; len], filled: 0, limit: len };
        Self { body: Piece::default(), ahead }
    }

    /// Memory for so many bytes in each of two places.
    #[cfg(test)]
    pub(crate) fn in_two_places(first: usize, second: usize) -> Self {
        let body = Piece { bytes: vec![0; first], filled: 0, limit: first };
        Self { body, ..Self::with_len(second) }
    }

    /// As many bytes as there is room for.
    pub fn room(&self) -> usize {
        self.body.room() + self.ahead.room()
    }

    /// The places to fill, in order. Either may be empty, and both are where all room is.
    pub fn slices(&mut self) -> [&mut [u8]; 2] {
        [self.body.rest(), self.ahead.rest()]
    }

    /// The bytes that a receive of `received` bytes has put in, as they came.
    pub fn received(&self, received: usize) -> impl Iterator<Item = &[u8]> {
        let in_body = received.min(self.body.room());
        let in_ahead = (received - in_body).min(self.ahead.room());
        let body = &self.body.bytes[self.body.filled..][..in_body];
        let ahead = &self.ahead.bytes[self.ahead.filled..][..in_ahead];
        [body, ahead].into_iter()
    }

    pub(crate) fn is_block(&self) -> bool {
        self.body.bytes.is_empty() && self.ahead.filled == 0 && self.ahead.bytes.len() == BLOCK_SIZE
    }

    /// The block that this is made of, where it is one and nothing else.
    pub fn into_block(self) -> Option<Block> {
        if self.body.bytes.is_empty() { Block::from_bytes(self.ahead.bytes) } else { None }
    }
}

impl From<Block> for ReceiveMemory {
    fn from(mut block: Block) -> Self {
        let ahead = Piece { bytes: mem::take(&mut block.0).into_vec(), filled: 0, limit: BLOCK_SIZE };
        Self { body: Piece::default(), ahead }
    }
}

impl fmt::Debug for ReceiveMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveMemory").field("room", &self.room()).finish_non_exhaustive()
    }
}
