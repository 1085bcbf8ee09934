//! Blocks, which drivers give to shards and get back. Which one is which only its address would tell, and no seed
//! decides that; so they are counted.

use replink_transport::memory::{Block, ReceiveMemory};

use crate::simulation::network::{DriverId, ProcessId, State};

/// Blocks that the shards of one process may keep besides one for each socket that they ever had: a link that ends
/// takes its block with it, and one that needs more than a block at times has let go what it had.
const KEPT_MAX: u64 = 16;

/// Blocks of one process.
#[derive(Clone, Copy, Default, Debug)]
pub(in crate::simulation::network) struct Blocks {
    given: u64,
    /// Also those that a shard has made itself: they are as good.
    back: u64,
    /// Sockets that its shards ever had.
    sockets: u64,
}

impl State {
    /// A shard of `process` gets memory that is the driver's.
    pub(super) fn give_block(&mut self, process: ProcessId, memory: &ReceiveMemory) {
        if memory.room() == 0 {
            return;
        }
        self.trace.count("block provided");
        let blocks = self.blocks.entry(process).or_default();
        blocks.given += 1;
        assert!(
            blocks.given <= blocks.back + blocks.sockets + KEPT_MAX,
            "blocks are not given back: {blocks:?}"
        );
    }

    /// A block comes back.
    pub(in crate::simulation) fn recycle(&mut self, driver: DriverId, mut block: Block) {
        self.trace.count("block given back");
        // Whoever still reads from it is found out.
        block.fill(0xa5);
        let table = self.table(driver);
        table.blocks.push(block);
        let process = table.process;
        self.blocks.entry(process).or_default().back += 1;
    }

    /// Memory that nobody gets back; a block that a shard had lent is the driver's again.
    pub(super) fn keep_block(&mut self, driver: DriverId, memory: ReceiveMemory, provided: bool) {
        let Some(block) = memory.into_block() else { return };
        let table = self.table(driver);
        table.blocks.push(block);
        let process = table.process;
        self.blocks.entry(process).or_default().back += u64::from(!provided);
    }

    /// `process` has one more socket in its hands, and may keep one more block.
    pub(super) fn count_socket(&mut self, process: ProcessId) {
        self.blocks.entry(process).or_default().sockets += 1;
        self.take_hold(process);
    }
}
