//! Writes that take their time: whoever makes them has the bytes until they have ended.

use std::io;
use std::mem;

use super::{Counted, End, FailOnPanic, Flushed, Role, SharedOutbound};
use crate::GatherWrite;
use crate::memory::SendBatch;

/// What there is to write.
#[derive(Debug)]
#[non_exhaustive]
pub enum Loan {
    /// This. Nobody else writes on the link until it is given back by [`SharedOutbound::take_back`].
    Batch(SendBatch),
    /// Nothing that is the caller's to write.
    Nothing(Flushed),
}

impl<W: GatherWrite> SharedOutbound<W> {
    /// As [`SharedOutbound::flush`], for an owner whose writes are operations that end later: gives out
    /// what is to be written next.
    ///
    /// # Errors
    ///
    /// As [`SharedOutbound::flush`].
    pub fn lend(&self) -> io::Result<Loan> {
        let mut queue = self.lock();
        if let Some(error) = queue.end.and_then(End::error) {
            return Err(error);
        }
        if let Role::Writing { flush_again } = &mut queue.role {
            *flush_again = true;
            return Ok(Loan::Nothing(Flushed::Elsewhere));
        }
        if queue.front.is_empty() && queue.outbound.segments.is_empty() {
            queue.role = Role::Idle;
            self.leave(queue);
            return Ok(Loan::Nothing(Flushed::Empty));
        }
        let mut segments = queue.take_front();
        let mut seal = queue.outbound.seal.take();
        queue.fill(&mut segments);
        queue.role = Role::Writing { flush_again: false };
        queue.lent = true;
        if let Some(seal) = &mut seal {
            drop(queue); // sealing takes its time
            let fail = FailOnPanic(self);
            segments.seal(seal); // S-1: all that was taken goes out at once
            mem::forget(fail);
            queue = self.lock();
        }
        let batch = segments.take_batch();
        queue.outbound.seal = seal;
        queue.front = segments; // with the memory that it keeps
        Ok(Loan::Batch(batch))
    }

    /// Takes back what was lent: so many bytes of it are written, or none and why. What is left goes out
    /// first the next time.
    ///
    /// # Panics
    ///
    /// If it had fewer bytes, which fails the link, or if nothing was lent.
    pub fn take_back(&self, batch: SendBatch, result: io::Result<usize>) {
        let mut batch = batch;
        if let Ok(len) = result {
            let fail = FailOnPanic(self);
            batch.advance(len);
            mem::forget(fail);
        }
        let mut queue = self.lock();
        assert!(mem::take(&mut queue.lent), "nothing was lent");
        match queue.count_write(result) {
            // The caller goes on, or is told when it is time to.
            Counted::Written | Counted::Blocked => {
                queue.role = Role::Idle;
                queue.front.put_first(batch);
            }
            Counted::Over => {
                drop(queue);
                drop(batch); // may free much memory: not while the lock is held
            }
            Counted::Failed(kind) => self.fail(queue, kind),
        }
    }

    /// Lets all memory go that nothing lies in: for links that are quiet.
    pub fn relax(&self) {
        let mut queue = self.lock();
        if queue.role == Role::Idle && queue.end.is_none() {
            queue.front.relax();
            queue.outbound.relax();
        }
    }
}
