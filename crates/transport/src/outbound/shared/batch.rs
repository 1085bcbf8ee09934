//! Writes that take their time: an operation of the system has the bytes while it is under way.

use std::io;
use std::mem;

use bytes::Bytes;
use replink_handshake::Seal;

use super::{Counted, FailOnPanic, Flushed, Role, SharedOutbound, Stop};
use crate::GatherWrite;
use crate::outbound::segments::Segments;

/// What one operation writes. The role to write is with it: nobody else writes on the link until it is
/// given back.
pub(crate) struct Batch {
    segments: Segments,
    seal: Option<Seal>,
}

/// What there is to write.
pub(crate) enum Begun {
    /// This. It has to come back by [`SharedOutbound::end_batch`].
    Batch(Batch),
    /// Nothing that is the caller's to write.
    Nothing(Flushed),
}

impl Batch {
    /// What to write, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.segments.iter()
    }

    /// The first `count` of these, to be held for longer than the write takes.
    pub(crate) fn share(&mut self, count: usize) -> Vec<Bytes> {
        self.segments.share(count)
    }
}

impl<W: GatherWrite> SharedOutbound<W> {
    /// As [`SharedOutbound::flush`], for an owner whose writes are operations that end later: gives out
    /// what is to be written next.
    ///
    /// # Errors
    ///
    /// As [`SharedOutbound::flush`].
    pub(crate) fn begin_batch(&self) -> io::Result<Begun> {
        let mut queue = self.lock();
        if let Some(error) = queue.end.and_then(super::End::error) {
            return Err(error);
        }
        if let Role::Writing { flush_again } = &mut queue.role {
            *flush_again = true;
            return Ok(Begun::Nothing(Flushed::Elsewhere));
        }
        let mut segments = queue.take_front();
        let mut seal = queue.outbound.seal.take();
        if !queue.fill(&mut segments) {
            queue.role = Role::Idle;
            self.end_turn(queue, segments, seal, Stop::Empty);
            return Ok(Begun::Nothing(Flushed::Empty));
        }
        queue.role = Role::Writing { flush_again: false };
        drop(queue);
        if let Some(seal) = &mut seal {
            let fail = FailOnPanic(self);
            segments.seal(seal); // S-1: all that was taken goes out at once
            mem::forget(fail);
        }
        Ok(Begun::Batch(Batch { segments, seal }))
    }

    /// The operation has ended: it has written so many bytes, or none and says why. What is left goes out
    /// first the next time.
    ///
    /// # Panics
    ///
    /// If it claims to have written more than it was given.
    pub(crate) fn end_batch(&self, batch: Batch, result: io::Result<usize>) {
        let Batch { mut segments, seal } = batch;
        if let Ok(len) = result {
            let fail = FailOnPanic(self);
            segments.advance(len);
            mem::forget(fail);
        }
        let mut queue = self.lock();
        let stop = match queue.count_write(result) {
            // The caller goes on, or is told when it is time to.
            Counted::Written | Counted::Blocked => {
                queue.role = Role::Idle;
                Stop::More
            }
            Counted::Over => Stop::Over,
            Counted::Failed(kind) => return self.fail(queue, kind),
        };
        self.end_turn(queue, segments, seal, stop);
    }
}
