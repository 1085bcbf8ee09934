use super::{Block, ReceiveMemory};

/// Blocks that are kept for the next receive. All further ones are freed: a burst of many connections leaves
/// no more behind than this.
const SPARE_MAX: usize = 8;

/// Blocks that are nobody's at the moment. The one that was used last is given out first: most of it is still
/// in the processor's cache.
#[derive(Debug, Default)]
pub(crate) struct SpareBlocks(Vec<Block>);

impl SpareBlocks {
    /// A block as memory to receive into.
    pub(crate) fn take(&mut self) -> ReceiveMemory {
        self.0.pop().unwrap_or_default().into()
    }

    /// A block that is not needed any more.
    pub(crate) fn put(&mut self, block: Block) {
        if self.0.len() < SPARE_MAX {
            self.0.push(block);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Memory that is not needed any more; kept if it is a block.
    pub(crate) fn put_memory(&mut self, memory: ReceiveMemory) {
        if let Some(block) = memory.into_block() {
            self.put(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_out_what_came_last_and_keeps_a_handful() {
        let mut spare = SpareBlocks::default();
        for mark in 0..=SPARE_MAX {
            let mut block = Block::new();
            block[0] = u8::try_from(mark).unwrap();
            spare.put(block);
        }
        let mut first = spare.take();
        assert_eq!(usize::from(first.slices()[1][0]), SPARE_MAX - 1);
        spare.put_memory(first);
        spare.put_memory(ReceiveMemory::with_len(100));
        assert_eq!(spare.0.len(), SPARE_MAX);
    }
}
