//! Writes that take their time: whoever makes them has the bytes until they have ended.

use std::io;
use std::mem;

use super::{Counted, End, FailOnPanic, Flushed, Role, SharedOutbound, Written};
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
        let mut segments = mem::take(&mut queue.front);
        let mut sealing = queue.outbound.sealing.take();
        if !queue.fill(&mut segments, sealing.as_deref()) {
            queue.front = segments;
            queue.outbound.sealing = sealing;
            queue.role = Role::Idle;
            self.leave(queue);
            return Ok(Loan::Nothing(Flushed::Empty));
        }
        queue.role = Role::Writing { flush_again: false };
        let batch = match &mut sealing {
            Some(sealing) => {
                drop(queue); // sealing takes its time
                let fail = FailOnPanic(self);
                let sealed = sealing.seal_next(segments.batch_mut());
                mem::forget(fail);
                queue = self.lock();
                if let Err(error) = sealed {
                    self.fail(queue, io::ErrorKind::Other);
                    return Err(io::Error::other(error)); // S-4
                }
                sealing.lend()
            }
            None => segments.take_batch(),
        };
        if queue.end.and_then(End::error).is_none() {
            queue.outbound.sealing = sealing;
            queue.front = segments; // with the memory that it keeps
        }
        queue.lent = true;
        Ok(Loan::Batch(batch))
    }

    /// Takes back what was lent: so many bytes of it are written, or none and why. What is left goes out
    /// first the next time.
    ///
    /// # Panics
    ///
    /// If it had fewer bytes, which fails the link, or if nothing was lent.
    pub fn take_back(&self, mut batch: SendBatch, result: io::Result<usize>) {
        if let Ok(len) = result {
            let fail = FailOnPanic(self);
            batch.advance(len);
            mem::forget(fail);
        }
        let mut queue = self.lock();
        assert!(mem::take(&mut queue.lent), "nothing was lent");
        let written = result.map(|taken| {
            let sealing = queue.outbound.sealing.as_mut();
            Written { taken, of_frames: sealing.map_or(taken, |sealing| sealing.count_written(taken)) }
        });
        match queue.count_write(written) {
            // The caller goes on, or is told when it is time to.
            Counted::Written | Counted::Blocked => {
                queue.role = Role::Idle;
                match &mut queue.outbound.sealing {
                    Some(sealing) => sealing.take_back(batch),
                    None => queue.front.put_first(batch),
                }
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
