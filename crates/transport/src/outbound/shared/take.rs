//! Taking the queue out of a `SharedOutbound`, to give it to another process.

use std::mem;
use std::ops::{Deref, DerefMut};

use thiserror::Error;

use super::{End, Role, SharedOutbound};
use crate::outbound::{Outbound, SendCause};

/// Why a queue was not taken.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TakeOutboundError {
    /// A thread is in the middle of a write. Nothing has changed: try again.
    #[error("a thread is writing to the link; try again")]
    Busy,
    /// Nothing more can be sent on this link.
    #[error("nothing can be taken over: {0}")]
    Ended(SendCause),
}

impl<W> SharedOutbound<W> {
    /// Takes all that waits, and the right to send, out of here, so that another may send on the link.
    /// Later sends give their frame back with [`SendCause::HandedOff`].
    ///
    /// What was written to the link is not in the result, and all else that was queued is, in order;
    /// its first frame, or on a sealed link its first record, may be written in part.
    ///
    /// # Errors
    ///
    /// [`TakeOutboundError::Busy`] while a thread writes. On a non-blocking link that is over soon; on a
    /// blocking one it may take until the peer reads. [`TakeOutboundError::Ended`] when the link is being
    /// left, is closed, has failed, or was taken before.
    pub fn take_for_hand_off(&self) -> Result<Outbound, TakeOutboundError> {
        let mut queue = self.lock();
        if let Some(end) = queue.end {
            return Err(TakeOutboundError::Ended(end.into()));
        }
        if matches!(queue.role, Role::Writing { .. }) {
            return Err(TakeOutboundError::Busy);
        }
        let Some(mut outbound) = queue.outbound.0.take() else {
            return Err(TakeOutboundError::Ended(SendCause::HandedOff)); // not without an end
        };
        queue.end = Some(End::HandedOff);
        queue.role = Role::Idle;
        let mut front = mem::take(&mut queue.front);
        drop(queue);
        outbound.segments.put_first(front.take_batch());
        Ok(outbound)
    }
}

/// Where the queue is until it is taken. From then on the end is [`End::HandedOff`], and whoever sees an
/// end does not look here.
pub(super) struct Slot(Option<Outbound>);

impl Slot {
    pub(super) fn new(outbound: Outbound) -> Self {
        Self(Some(outbound))
    }

    pub(super) fn held(&self) -> Option<&Outbound> {
        self.0.as_ref()
    }
}

impl Deref for Slot {
    type Target = Outbound;
    fn deref(&self) -> &Outbound {
        self.0.as_ref().expect("the queue is taken only once the end says so")
    }
}

impl DerefMut for Slot {
    fn deref_mut(&mut self) -> &mut Outbound {
        self.0.as_mut().expect("the queue is taken only once the end says so")
    }
}
