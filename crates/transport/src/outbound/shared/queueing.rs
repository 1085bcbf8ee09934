//! Frames that wait for others to go out with.

use std::borrow::Borrow;

use bytes::Bytes;
use replink_frame::GenericHeader;

use super::{Attention, Role, SharedOutbound};
use crate::{GatherWrite, SendCause, SendError};

/// Most frames that are queued while the lock is held once: others that send wait no longer than a microsecond.
const QUEUED_AT_ONCE: usize = 32;

impl<W: GatherWrite> SharedOutbound<W> {
    /// Queues a frame without writing it, so that many go out together: with the next that is sent, or when
    /// the owner, who is asked to, flushes.
    ///
    /// # Errors
    ///
    /// As [`SharedOutbound::send`].
    pub fn queue(&self, header: &GenericHeader, body: impl Into<Bytes>) -> Result<(), SendError> {
        let body = body.into();
        let mut queue = self.lock();
        if let Some(end) = queue.end {
            drop(queue);
            return Err(SendError::new(*header, body, end.into()));
        }
        let queued = queue.outbound.enqueue(header, body);
        let idle = queue.role == Role::Idle;
        drop(queue);
        match queued {
            Ok(_copied) => {
                if idle {
                    (self.attention)(Attention::Flush);
                }
                Ok(())
            }
            Err((cause, body)) => Err(SendError::new(*header, body, cause)),
        }
    }

    /// Queues frames, as [`SharedOutbound::queue`] does, until there are no more or one is refused. The lock is
    /// taken once for up to 32 of them, which for small frames saves a third of the time.
    ///
    /// What comes behind a refused frame is not taken out of `frames`, so pass it by reference to go on with
    /// it later. While the lock is held, the iterator is asked for its next frame: it must not itself send on
    /// this link, or it waits for itself.
    ///
    /// # Errors
    ///
    /// As [`SharedOutbound::send`]; the frames before the one that is given back are queued.
    pub fn queue_all<H: Borrow<GenericHeader>, B: Into<Bytes>>(
        &self,
        frames: impl IntoIterator<Item = (H, B)>,
    ) -> Result<(), SendError> {
        let mut frames = frames.into_iter();
        while self.queue_some(&mut frames)? {}
        Ok(())
    }

    /// As many as are queued with the lock taken once. Whether there may be more.
    fn queue_some<H: Borrow<GenericHeader>, B: Into<Bytes>>(
        &self,
        frames: &mut impl Iterator<Item = (H, B)>,
    ) -> Result<bool, SendError> {
        let mut copied = [const { None }; QUEUED_AT_ONCE]; // to be dropped when the lock is not held
        let mut refused = None;
        let mut queue = self.lock();
        let end = queue.end.map(SendCause::from);
        let before = queue.outbound.queued;
        let mut more = true;
        for slot in &mut copied {
            let Some((header, body)) = frames.next() else {
                more = false;
                break;
            };
            let result = match end {
                Some(cause) => Err((cause, body.into())),
                None => queue.outbound.enqueue(header.borrow(), body.into()),
            };
            match result {
                Ok(body) => *slot = Some(body),
                Err((cause, body)) => {
                    refused = Some(SendError::new(*header.borrow(), body, cause));
                    break;
                }
            }
        }
        let waits = queue.role == Role::Idle && queue.outbound.queued != before;
        drop(queue);
        if waits {
            (self.attention)(Attention::Flush);
        }
        refused.map_or(Ok(more), Err)
    }
}
