use super::{CANCELLED, OperationId, Ring, Wait};

use std::mem::{self, ManuallyDrop};
use std::time::Duration;

use io_uring::opcode;

/// Rounds of waiting for what is under way, when the ring goes.
const DRAIN_ROUNDS_MAX: u32 = 50;
const DRAIN_ROUND: Duration = Duration::from_millis(20);

impl Ring {
    /// Where one thread alone submits, the kernel works on its operations only while that thread is in
    /// [`Ring::enter`] (`IORING_SETUP_DEFER_TASKRUN`). This ring is going, so no thread ever is again: closing
    /// it fails what is left without another look at its memory. All but what the network still sends from
    /// may be freed.
    fn free_what_nobody_carries_out(&mut self) {
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            let Some(place) = slot.place else { continue };
            let index = u32::try_from(index).expect("as when it was made");
            let id = OperationId { index, generation: slot.generation };
            // SAFETY: the place is this ring's, and the kernel does not write to what is looked at.
            let is_sent_from = unsafe { (*place.as_ptr()).is_sent_from() };
            if !is_sent_from {
                self.finish(id);
            }
        }
    }
}

impl Drop for Ring {
    /// Ends all that is under way and waits for it, for it uses memory of ours.
    fn drop(&mut self) {
        self.closing = true;
        // What was not submitted is not under way: the kernel has not seen it.
        for entry in mem::take(&mut self.unsubmitted) {
            let id = OperationId::from_user_data(entry.get_user_data());
            if self.place(id).is_some() {
                self.finish(id);
            }
        }
        for (index, slot) in (0..).zip(&self.slots) {
            if slot.place.is_some() {
                let id = OperationId { index, generation: slot.generation };
                let entry = opcode::AsyncCancel::new(id.user_data()).build();
                self.unsubmitted.push_back(entry.user_data(CANCELLED));
            }
        }
        for _ in 0..DRAIN_ROUNDS_MAX {
            self.completed.clear();
            // An error: this is not the thread that may submit.
            let entered = self.under_way == 0 || self.enter(Wait::For(DRAIN_ROUND)).is_err();
            self.take_completions();
            if entered {
                break;
            }
        }
        if self.under_way > 0 && self.features.single_issuer {
            self.free_what_nobody_carries_out();
        }
        if self.under_way > 0 {
            // The kernel may still use their memory, so it is never freed. Closing the ring cancels them,
            // at some later time.
            tracing::debug!(operations = self.under_way, "operations outlive their ring");
        }
        // SAFETY: dropped here and nowhere else, and not used again.
        unsafe { ManuallyDrop::drop(&mut self.io_uring) };
        if self.under_way == 0 || self.features.single_issuer {
            // SAFETY: as above. The ring is closed, and no operation is left that could pick a block: it has
            // ended, or nobody ever carries it out.
            unsafe { ManuallyDrop::drop(&mut self.provided) };
        }
    }
}
