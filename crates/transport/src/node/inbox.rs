//! How shards reach one another.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::collector::Collector;
use super::link::{OwnedLink, Place, SharedLink};
use super::settings::Settings;
use crate::config::Address;
use crate::driver::Waker;
use crate::mesh::{DownReason, LinkId};
use replink_frame::{GoodbyeReason, ReplicaId};

/// What a shard is told. Those that are about a link go to its owner; one that has given it away
/// sends them on, behind the link itself.
pub(super) enum Message<S> {
    /// Here is a link.
    Adopt { link: Box<OwnedLink<S>>, from: Option<usize> },
    /// A link's queue is to be looked at.
    Attend(Arc<Place>),
    /// A link is no longer up.
    Down { link: Arc<SharedLink<S>>, end: LinkEnd },
    /// A link's frames may go to the embedder: those of the links before it have (C-3).
    Deliver(Arc<SharedLink<S>>),
    /// A link is over.
    Close(Arc<SharedLink<S>>),
    /// A link is to go to shard `to`.
    Move { link: Arc<SharedLink<S>>, to: usize },
    /// A link is to go to another process.
    Surrender { link: Arc<SharedLink<S>>, collector: Arc<Collector<S>> },
    /// For shard 0: what happened on a link.
    Report { link: LinkId, report: Report },
    /// For shard 0: a new configuration.
    Reload(Arc<Settings>),
    /// For shard 0: all names of replicas are to be looked up again.
    LookUp,
    /// For shard 0: a name was looked up.
    LookedUp(Box<LookedUp>),
    /// For shard 0: the end of the node.
    Shutdown,
    /// For shard 0: the end of the node, in favour of another process.
    HandOver(Arc<Collector<S>>),
    /// The end of this shard.
    Stop,
}

impl<S> Message<S> {
    /// The link that it is about, where it is for the owner of one.
    pub(super) fn link(&self) -> Option<&Place> {
        match self {
            Self::Attend(place) => Some(place),
            Self::Down { link, .. }
            | Self::Close(link)
            | Self::Deliver(link)
            | Self::Move { link, .. }
            | Self::Surrender { link, .. } => Some(&link.place),
            // A link that is given is its new owner's from then on.
            Self::Adopt { .. }
            | Self::Report { .. }
            | Self::Reload(_)
            | Self::LookUp
            | Self::LookedUp(_)
            | Self::Shutdown
            | Self::HandOver(_)
            | Self::Stop => None,
        }
    }
}

/// How a link ends for the embedder.
#[derive(Clone, Copy)]
pub(super) enum LinkEnd {
    Down(DownReason),
    /// Nothing was lost, and this one has its place.
    Renewed(LinkId),
}

/// What a name was found to stand for.
pub(super) struct LookedUp {
    pub(super) peer: ReplicaId,
    pub(super) name: Address,
    pub(super) result: io::Result<Vec<SocketAddr>>,
}

/// What a link's owner tells shard 0.
#[derive(Clone, Copy)]
pub(super) enum Report {
    /// A pong has come; [`Place`] has what it echoes.
    Pong,
    /// A frame has come in part.
    Arriving,
    Goodbye(GoodbyeReason),
    /// The peer is at fault, and is to be told; nothing more is delivered.
    AtFault(DownReason),
    Ended(DownReason),
    /// The embedder was told that the link is down: nothing of it is delivered any more.
    Quiet,
}

/// The inboxes of all shards.
pub(super) struct Post<S> {
    inboxes: Vec<Inbox<S>>,
}

/// What a shard was told and has not taken.
struct Told<S> {
    /// `None` once the shard is gone.
    messages: Option<Vec<Message<S>>>,
    /// Whether it was woken for them: it takes all there is.
    woken: bool,
}

struct Inbox<S> {
    told: Mutex<Told<S>>,
    /// The thread that polled it last.
    thread: AtomicUsize,
    waker: Waker,
}

impl<S> Post<S> {
    pub(super) fn new(wakers: impl IntoIterator<Item = Waker>) -> Self {
        let inbox = |waker| Inbox {
            told: Mutex::new(Told { messages: Some(Vec::new()), woken: false }),
            thread: AtomicUsize::new(0),
            waker,
        };
        Self { inboxes: wakers.into_iter().map(inbox).collect() }
    }

    pub(super) fn shards(&self) -> usize {
        self.inboxes.len()
    }

    /// Tells `shard` something. One that is gone is told nothing.
    pub(super) fn send(&self, shard: usize, message: Message<S>) {
        let _told = self.send_and(shard, message, || {});
    }

    /// Gives a link to `shard`. Whoever learns from `place` that it is there, and tells that shard
    /// something about it, comes behind the link itself.
    ///
    /// # Errors
    ///
    /// The shard is gone: here is the link again.
    pub(super) fn give(
        &self,
        shard: usize,
        link: Box<OwnedLink<S>>,
        from: Option<usize>,
    ) -> Result<(), Box<OwnedLink<S>>> {
        let place = Arc::clone(&link.shared.place);
        let message = Message::Adopt { link, from };
        match self.send_and(shard, message, || place.set_owner(shard)) {
            Err(Message::Adopt { link, .. }) => Err(link),
            _ => Ok(()),
        }
    }

    /// Does `then` before anyone else can tell `shard` anything, or it can be heard.
    fn send_and(&self, shard: usize, message: Message<S>, then: impl FnOnce()) -> Result<(), Message<S>> {
        let inbox = &self.inboxes[shard];
        let mut guard = inbox.lock();
        // What it has queued itself, a shard finds before it waits.
        let mine =
            matches!(message, Message::Attend(_)) && inbox.thread.load(Ordering::Relaxed) == current_thread();
        let Some(messages) = guard.messages.as_mut() else { return Err(message) };
        messages.push(message);
        then();
        let wakes = !mine && !mem::replace(&mut guard.woken, true);
        drop(guard);
        if wakes {
            (inbox.waker)();
        }
        Ok(())
    }

    /// This thread polls `shard`.
    pub(super) fn attend_here(&self, shard: usize) {
        self.inboxes[shard].thread.store(current_thread(), Ordering::Relaxed);
    }

    /// Whether `shard` was told something that it has not taken.
    pub(super) fn has_message(&self, shard: usize) -> bool {
        self.inboxes[shard].lock().messages.as_ref().is_some_and(|messages| !messages.is_empty())
    }

    /// Takes all that `shard` was told, into the empty `taken`.
    pub(super) fn take(&self, shard: usize, taken: &mut Vec<Message<S>>) {
        debug_assert!(taken.is_empty());
        let mut told = self.inboxes[shard].lock();
        told.woken = false;
        if let Some(messages) = &mut told.messages {
            mem::swap(messages, taken);
        }
    }

    /// Whether `shard` takes nothing any more.
    pub(super) fn is_gone(&self, shard: usize) -> bool {
        self.inboxes[shard].lock().messages.is_none()
    }

    pub(super) fn wake(&self, shard: usize) {
        (self.inboxes[shard].waker)();
    }

    /// Takes nothing more for `shard`, which is going. What it was told last.
    pub(super) fn close(&self, shard: usize) -> Vec<Message<S>> {
        self.inboxes[shard].lock().messages.take().unwrap_or_default()
    }
}

impl<S> Inbox<S> {
    fn lock(&self) -> MutexGuard<'_, Told<S>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells this thread from all others that are there.
fn current_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| std::ptr::from_ref(here) as usize)
}
