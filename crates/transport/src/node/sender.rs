//! Sending on one link.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use replink_frame::{GenericHeader, ReplicaId};

use super::link::SharedLink;
use super::shared::Shared;
use crate::driver::Socket;
use crate::mesh::LinkId;
use crate::{Link, SendError, Sent};

/// Sends on one link, from any thread, without looking for it each time: for those who send many small
/// frames. When the link is down, frames come back; the next link to the same peer has a sender of its own
/// ([`Handle::sender`](super::Handle::sender)).
pub struct LinkSender<S = Link> {
    shared: Arc<Shared<S>>,
    link: Arc<SharedLink<S>>,
}

impl<S: Socket> LinkSender<S> {
    pub(super) fn new(shared: Arc<Shared<S>>, link: Arc<SharedLink<S>>) -> Self {
        Self { shared, link }
    }

    /// Which link it is.
    pub fn link(&self) -> LinkId {
        self.link.id()
    }

    /// Where it leads.
    pub fn peer(&self) -> ReplicaId {
        self.link.peer().replica
    }

    /// As [`Handle::send`](super::Handle::send), on this link.
    ///
    /// # Errors
    ///
    /// [`SendError`], as [`Shard::send`](super::Shard::send); once the link has ended it says how.
    pub fn send(&self, header: &GenericHeader, body: impl Into<Bytes>) -> Result<Sent, SendError> {
        self.shared.send_on(Some(&self.link), header, body.into())
    }

    /// As [`Handle::queue`](super::Handle::queue), on this link.
    ///
    /// # Errors
    ///
    /// As [`LinkSender::send`].
    #[inline]
    pub fn queue(&self, header: &GenericHeader, body: impl Into<Bytes>) -> Result<(), SendError> {
        self.shared.queue_on(Some(&self.link), header, body.into())
    }

    /// Queues frames on this link, one behind the other, until there are no more or one is refused: the way
    /// to send many small frames. What comes behind a refused frame is not taken out of `frames`, so pass it
    /// by reference to go on with it when there is room again.
    ///
    /// `frames` is asked for the next one while the link's queue is locked: it must not itself send on this
    /// link.
    ///
    /// # Errors
    ///
    /// As [`LinkSender::send`]; the frames before the one that is given back are queued.
    pub fn queue_all<H: Borrow<GenericHeader>, B: Into<Bytes>>(
        &self,
        frames: impl IntoIterator<Item = (H, B)>,
    ) -> Result<(), SendError> {
        self.shared.queue_all_on(&self.link, frames)
    }
}

impl<S> Clone for LinkSender<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), link: Arc::clone(&self.link) }
    }
}

impl<S: Socket> fmt::Debug for LinkSender<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkSender")
            .field("link", &self.link())
            .field("peer", &self.peer())
            .finish_non_exhaustive()
    }
}
