//! Blocks, which drivers give to shards and get back: for each connection one at most is out.

use replink_transport::memory::{BLOCK_SIZE, Block, ReceiveMemory};

use crate::simulation::network::{DriverId, EndId, State};

impl State {
    /// A shard gets memory that is the driver's.
    pub(super) fn give_block(&mut self, end: EndId, memory: &ReceiveMemory) {
        let Some(address) = address_of(memory) else { return };
        self.trace.count("block provided");
        // Whoever receives into a block has none; so the one before is back, unless it became something else.
        self.blocks.insert(end, address);
    }

    /// A block comes back: one that was given, or one of the shard's own.
    pub(in crate::simulation) fn recycle(&mut self, driver: DriverId, mut block: Block) {
        let address = block.as_ptr().addr();
        // Whether it was given, or is one of the shard's own, is told by its address, which no seed decides. So
        // nothing of that is counted.
        self.blocks.retain(|_, given| *given != address);
        self.trace.count("block given back");
        // Whoever still reads from it is found out.
        block.fill(0xa5);
        self.table(driver).blocks.push(block);
    }

    /// Memory that nobody gets back; a block is the driver's again.
    pub(super) fn keep_block(&mut self, driver: DriverId, memory: Option<ReceiveMemory>) {
        if let Some(block) = memory.and_then(ReceiveMemory::into_block) {
            let address = block.as_ptr().addr();
            self.blocks.retain(|_, given| *given != address);
            self.table(driver).blocks.push(block);
        }
    }
}

/// Where the bytes of a block are that was received into.
fn address_of(memory: &ReceiveMemory) -> Option<usize> {
    let bytes = memory.received(BLOCK_SIZE).find(|bytes| bytes.len() == BLOCK_SIZE)?;
    Some(bytes.as_ptr().addr())
}
