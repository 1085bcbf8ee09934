//! How shards reach one another.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::addresses::Addresses;
use super::link::{OwnedLink, Place, SharedLink};
use super::settings::Reload;
use crate::driver::Waker;
use crate::mesh::{DownReason, Ending, LinkId};
use replink_frame::{Command, GoodbyeReason};

/// What a shard is told. Those that are about a link go to its owner; one that has given it away
/// sends them on, behind the link itself.
pub(super) enum Message<S> {
    /// Here is a link.
    Adopt { link: Box<OwnedLink<S>>, from: Option<usize> },
    /// A link's queue is to be looked at.
    Attend(Arc<Place>),
    /// A link is no longer up.
    Down { link: Arc<SharedLink<S>>, reason: DownReason },
    /// A link is over.
    Close(Arc<SharedLink<S>>),
    /// A link is to go to shard `to`.
    Move { link: Arc<SharedLink<S>>, to: usize },
    /// For shard 0: what happened on a link.
    Report { link: LinkId, report: Report },
    /// For shard 0: a new configuration.
    Reload(Box<Reload>),
    /// For shard 0: replicas are elsewhere.
    Addresses(Addresses),
    /// For shard 0: the end of the node.
    Shutdown,
    /// The end of this shard.
    Stop,
}

/// What a link's owner tells shard 0.
#[derive(Clone, Copy)]
pub(super) enum Report {
    Pong { echo: u64 },
    Goodbye(GoodbyeReason),
    Ended(Ending),
    Denied(Command),
}

/// The inboxes of all shards.
pub(super) struct Post<S>(Vec<Inbox<S>>);

struct Inbox<S> {
    messages: Mutex<Vec<Message<S>>>,
    waker: Waker,
    /// Whether the shard is gone.
    closed: AtomicBool,
}

impl<S> Post<S> {
    pub(super) fn new(wakers: impl IntoIterator<Item = Waker>) -> Self {
        let inbox = |waker| Inbox { messages: Mutex::default(), waker, closed: AtomicBool::new(false) };
        Self(wakers.into_iter().map(inbox).collect())
    }

    pub(super) fn shards(&self) -> usize {
        self.0.len()
    }

    /// Tells `shard` something. One that is gone is told nothing.
    pub(super) fn send(&self, shard: usize, message: Message<S>) {
        let _unheard = self.try_send(shard, message);
    }

    /// The same; gives the message back if the shard is gone.
    pub(super) fn try_send(&self, shard: usize, message: Message<S>) -> Result<(), Message<S>> {
        let inbox = &self.0[shard];
        let mut messages = inbox.lock();
        // Under the lock: what is told is there when the shard closes.
        if inbox.closed.load(Ordering::Acquire) {
            return Err(message);
        }
        messages.push(message);
        let first = messages.len() == 1;
        drop(messages);
        // The shard takes all there is, so it is awake until it has seen the first.
        if first {
            (inbox.waker)();
        }
        Ok(())
    }

    /// Whether `shard` is there.
    pub(super) fn is_open(&self, shard: usize) -> bool {
        !self.0[shard].closed.load(Ordering::Acquire)
    }

    /// Takes all that `shard` was told, into the empty `messages`.
    pub(super) fn take(&self, shard: usize, messages: &mut Vec<Message<S>>) {
        debug_assert!(messages.is_empty());
        mem::swap(&mut *self.0[shard].lock(), messages);
    }

    pub(super) fn wake(&self, shard: usize) {
        (self.0[shard].waker)();
    }

    /// Takes nothing more for `shard`, which is going. What it was told last.
    pub(super) fn close(&self, shard: usize) -> Vec<Message<S>> {
        let inbox = &self.0[shard];
        let mut messages = inbox.lock();
        inbox.closed.store(true, Ordering::Release);
        mem::take(&mut *messages)
    }
}

impl<S> Inbox<S> {
    fn lock(&self) -> MutexGuard<'_, Vec<Message<S>>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
