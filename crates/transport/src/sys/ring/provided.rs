use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use crate::memory::{BLOCK_SIZE, ReceiveMemory, SpareBlocks};

/// Names the blocks to the kernel; there is one group of them.
pub(super) const GROUP: u16 = 0;

/// Blocks that wait for the kernel at least. It takes them in turn, so few of them stay in the processor's
/// cache.
const WAITING_MIN: usize = 2;

/// Blocks that wait for the kernel at most: 8 MiB. As a count of entries this has to be a power of two.
const WAITING_MAX: u16 = 64;

/// Blocks picked in a row without a shortage, after which fewer are kept waiting.
const SHRINK_AFTER: u32 = 1024;

/// The kernel wants the entries on a page of their own; no kind of page is larger.
const ALIGNMENT: usize = 64 * 1024;

/// Blocks that lie ready for whichever connection something comes on (`IORING_REGISTER_PBUF_RING`).
///
/// The kernel picks one when it has bytes to put into it, so a connection that waits has none.
pub(super) struct ProvidedBlocks {
    /// Shared with the kernel, which reads them and nothing else.
    entries: NonNull<BufRingEntry>,
    tail: u16,
    /// The blocks that wait, by the number that the kernel knows them by. As memory to receive into: its bytes
    /// stay where they are when it moves.
    waiting: Vec<Option<ReceiveMemory>>,
    /// Numbers that name no block at the moment.
    unused: Vec<u16>,
    wanted: usize,
    without_shortage: u32,
}

fn layout() -> Layout {
    Layout::new::<[BufRingEntry; WAITING_MAX as usize]>().align_to(ALIGNMENT).expect("a power of two")
}

impl ProvidedBlocks {
    /// # Errors
    ///
    /// Where the kernel can't do that, or forbids it.
    pub(super) fn register(ring: &IoUring) -> io::Result<Self> {
        #[expect(clippy::cast_ptr_alignment, reason = "the layout asks for more than that")]
        // SAFETY: the layout has a size.
        let entries = unsafe { alloc_zeroed(layout()) }.cast::<BufRingEntry>();
        let Some(entries) = NonNull::new(entries) else { handle_alloc_error(layout()) };
        let provided = Self {
            entries,
            tail: 0,
            waiting: (0..WAITING_MAX).map(|_| None).collect(),
            unused: (0..WAITING_MAX).rev().collect(),
            wanted: WAITING_MIN,
            without_shortage: 0,
        };
        let address = entries.as_ptr() as u64;
        // SAFETY: so many entries are at this address, zeroed, until `provided` is dropped; whoever has the
        // ring closes that first (`Ring::drop`).
        unsafe { ring.submitter().register_buf_ring_with_flags(address, WAITING_MAX, GROUP, 0) }?;
        Ok(provided)
    }

    /// Has as many blocks wait as are wanted.
    pub(super) fn fill(&mut self, spare: &mut SpareBlocks) {
        let waiting = WAITING_MAX as usize - self.unused.len();
        if waiting >= self.wanted {
            return;
        }
        for _ in waiting..self.wanted {
            let number = self.unused.pop().expect("no more are wanted than there are numbers");
            self.offer(number, spare.take());
        }
        // SAFETY: the tail is in what is unused of the first entry, aligned as a `u16`, and the kernel reads it
        // as an atomic. Nobody else writes to it.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut()) };
        // Behind the entries: a kernel that sees the tail sees them.
        tail.store(self.tail, Ordering::Release);
    }

    fn offer(&mut self, number: u16, memory: ReceiveMemory) {
        let memory = self.waiting[usize::from(number)].insert(memory);
        let [_, bytes] = memory.slices();
        debug_assert_eq!(bytes.len(), BLOCK_SIZE);
        let place = usize::from(self.tail % WAITING_MAX);
        // SAFETY: the place is within the entries. The kernel does not read there yet: no more blocks wait than
        // there are places, so what was here before is picked. The tail, which is part of the first entry, is
        // not touched. The block stays in `waiting`, untouched, until the kernel has picked it.
        unsafe {
            let entry = &mut *self.entries.as_ptr().add(place);
            entry.set_addr(bytes.as_mut_ptr() as u64);
            entry.set_len(u32::try_from(bytes.len()).expect("a block is small"));
            entry.set_bid(number);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// The block that the kernel has picked and is done with.
    pub(super) fn picked(&mut self, number: u16) -> Option<ReceiveMemory> {
        let memory = self.waiting.get_mut(usize::from(number))?.take()?;
        self.unused.push(number);
        self.without_shortage += 1;
        if self.without_shortage == SHRINK_AFTER {
            self.without_shortage = 0;
            self.wanted = (self.wanted * 3 / 4).max(WAITING_MIN);
        }
        Some(memory)
    }

    /// The kernel has found none.
    pub(super) fn ran_out(&mut self) {
        self.without_shortage = 0;
        self.wanted = (self.wanted * 2).min(WAITING_MAX.into());
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.iter().flatten().count()
    }
}

impl Drop for ProvidedBlocks {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and the kernel does not know it any more.
        unsafe { dealloc(self.entries.as_ptr().cast(), layout()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provided() -> Option<(IoUring, ProvidedBlocks)> {
        // Where there is none, there is nothing to test.
        let ring = IoUring::new(8).ok()?;
        let provided = ProvidedBlocks::register(&ring).ok()?;
        Some((ring, provided))
    }

    #[test]
    fn as_many_wait_as_are_wanted_and_no_more_than_fit() {
        let Some((ring, mut provided)) = provided() else { return };
        let mut spare = SpareBlocks::default();
        assert_eq!(provided.waiting(), 0, "nobody has received yet");
        provided.fill(&mut spare);
        assert_eq!(provided.waiting(), WAITING_MIN);
        for _ in 0..10 {
            provided.ran_out();
            provided.fill(&mut spare);
        }
        assert_eq!(provided.waiting(), usize::from(WAITING_MAX));
        for _ in 0..30 * SHRINK_AFTER {
            let number = provided.waiting.iter().position(Option::is_some).unwrap();
            let memory = provided.picked(u16::try_from(number).unwrap()).unwrap();
            assert_eq!(memory.room(), BLOCK_SIZE);
            spare.put_memory(memory);
            provided.fill(&mut spare);
            assert_eq!(provided.unused.len() + provided.waiting(), usize::from(WAITING_MAX));
        }
        assert_eq!(provided.waiting(), WAITING_MIN);
        assert!(provided.picked(WAITING_MAX).is_none(), "there is no such block");
        drop(ring);
    }
}
