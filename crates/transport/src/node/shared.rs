//! What all shards and handles of a node share.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use replink_frame::{Command, GenericHeader, ReplicaId, Status};
use replink_handshake::Peer;

use super::addresses::Resolver;
use super::event::RejectedBy;
use super::histogram::Times;
use super::inbox::{LinkEnd, Message, Post, Report};
use super::link::SharedLink;
use super::routes::Routes;
use super::settings::Settings;
use super::stats::{Counted, EndedStats};
use crate::driver::Socket;
use crate::exchange::UnreachableReason;
use crate::mesh::{CommandPolicy, DownReason, LinkId, Loss};
use crate::{SendCause, SendError, Sent};

pub(super) struct Shared<S> {
    /// The zero of the node's time.
    epoch: Instant,
    pub(super) replica: ReplicaId,
    /// By which the embedder's commands are restricted; fixed.
    commands: CommandPolicy,
    pub(super) post: Arc<Post<S>>,
    pub(super) routes: Routes<S>,
    pub(super) clocks: Vec<ShardClock>,
    pub(super) counters: Counters,
    stopped: AtomicBool,
    handing_over: AtomicBool,
    /// A second handle to the listener, to be given to another process.
    listener: Mutex<Option<TcpListener>>,
    settings: Mutex<Arc<Settings>>,
    pub(super) resolver: Resolver,
}

/// When a shard was last at work.
#[derive(Default)]
pub(super) struct ShardClock {
    /// Whether it waits for something to happen: then it has taken note of all that has.
    pub(super) waits: AtomicBool,
    /// When it last looked, in nanoseconds of the node's time.
    pub(super) looked: AtomicU64,
}

/// What shard 0 counts.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) pending: AtomicU32,
    pub(super) accepted: AtomicU64,
    pub(super) closed_unread: AtomicU64,
    pub(super) broken: AtomicU64,
    pub(super) accept_errors: AtomicU64,
    /// By whichever shard has the link.
    pub(super) broken_records: Counts<ReplicaId>,
    /// Links that came up weaker than this end would have had them, by peer.
    pub(super) weaker: Counts<ReplicaId>,
    /// Attempts that came to nothing.
    pub(super) dial_failures: Counts<(ReplicaId, UnreachableReason)>,
    /// Links that are down, by [`DownReason::name`].
    pub(super) downs: Counts<(ReplicaId, &'static str)>,
    pub(super) renewed: Counts<ReplicaId>,
    /// Frames that were given back, by whoever sends.
    pub(super) backpressure: AtomicU64,
    pub(super) handshake_times: Times,
    pub(super) round_trips: Times,
    /// When links that are down last showed life, in nanoseconds of the node's time.
    last_lives: Mutex<BTreeMap<(ReplicaId, u16), u64>>,
    pub(super) handshakes: Counts<(Status, RejectedBy)>,
    ended: Mutex<EndedStats>,
}

/// What is counted rarely, each kind by itself; a kind of which there was none is not named.
pub(super) struct Counts<K>(Mutex<BTreeMap<K, u64>>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + Ord> Counts<K> {
    pub(super) fn count(&self, kind: K) {
        *lock(&self.0).entry(kind).or_default() += 1;
    }

    pub(super) fn all(&self) -> Vec<(K, u64)> {
        lock(&self.0).iter().map(|(&kind, &count)| (kind, count)).collect()
    }
}

impl<S: Socket> Shared<S> {
    pub(super) fn new(settings: Settings, resolver: Resolver, post: Arc<Post<S>>, epoch: Instant) -> Self {
        Self {
            epoch,
            replica: settings.endpoint.local().replica,
            commands: settings.commands,
            routes: Routes::new(),
            clocks: (0..post.shards()).map(|_| ShardClock::default()).collect(),
            counters: Counters::default(),
            stopped: AtomicBool::new(false),
            handing_over: AtomicBool::new(false),
            listener: Mutex::new(None),
            settings: Mutex::new(Arc::new(settings)),
            resolver,
            post,
        }
    }

    /// Nanoseconds of the node's time.
    pub(super) fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn instant(&self, nanos: u64) -> Instant {
        self.epoch + Duration::from_nanos(nanos)
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&lock(&self.settings))
    }

    pub(super) fn set_settings(&self, settings: Arc<Settings>) {
        *lock(&self.settings) = settings;
    }

    pub(super) fn set_listener(&self, listener: TcpListener) {
        *lock(&self.listener) = Some(listener);
    }

    pub(super) fn clone_listener(&self) -> io::Result<Option<TcpListener>> {
        lock(&self.listener).as_ref().map(TcpListener::try_clone).transpose()
    }

    /// Whether nobody else has begun to.
    pub(super) fn begin_hand_over(&self) -> bool {
        !self.handing_over.swap(true, Ordering::AcqRel)
    }

    pub(super) fn set_stopped(&self) {
        *lock(&self.listener) = None;
        self.stopped.store(true, Ordering::Release);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Sends on the link to `peer` on `lane`, from any thread.
    pub(super) fn send(
        &self,
        peer: ReplicaId,
        lane: u16,
        header: &GenericHeader,
        body: Bytes,
    ) -> Result<Sent, SendError> {
        let find = || self.routes.find(peer, lane);
        Self::on_found(find, header, body, |link, header, body| self.send_on(link, header, body))
    }

    /// As [`Shared::send`], on this link, or on one to the same process that has its place.
    pub(super) fn send_back(
        &self,
        link: LinkId,
        (peer, lane): (ReplicaId, u16),
        header: &GenericHeader,
        body: Bytes,
    ) -> Result<Sent, SendError> {
        let find = || self.routes.find(peer, lane).filter(|found| found.stands_for(link));
        Self::on_found(find, header, body, |link, header, body| self.send_on(link, header, body))
    }

    /// Queues a frame for the link to `peer` on `lane`, to go out when its owner is polled.
    pub(super) fn queue(
        &self,
        peer: ReplicaId,
        lane: u16,
        header: &GenericHeader,
        body: Bytes,
    ) -> Result<(), SendError> {
        let find = || self.routes.find(peer, lane);
        Self::on_found(find, header, body, |link, header, body| self.queue_on(link, header, body))
    }

    /// Gives a frame to the link that `find` finds; or to the one that has just taken its place.
    #[inline]
    fn on_found<T>(
        find: impl Fn() -> Option<Arc<SharedLink<S>>>,
        header: &GenericHeader,
        body: Bytes,
        give: impl Fn(Option<&SharedLink<S>>, &GenericHeader, Bytes) -> Result<T, SendError>,
    ) -> Result<T, SendError> {
        let link = find();
        match give(link.as_deref(), header, body) {
            Err(error) if error.cause() == SendCause::Leaving => match find() {
                Some(newer) if link.is_none_or(|link| link.id() != newer.id()) => {
                    let (header, body) = error.into_frame();
                    give(Some(&newer), &header, body)
                }
                _ => Err(error),
            },
            result => result,
        }
    }

    pub(super) fn queue_on(
        &self,
        link: Option<&SharedLink<S>>,
        header: &GenericHeader,
        body: Bytes,
    ) -> Result<(), SendError> {
        let (link, body) = self.may_send(link, header, body)?;
        let queued = link.outbound.queue(header, body);
        if let Err(error) = &queued {
            self.want_room(link, error);
        }
        queued
    }

    pub(super) fn queue_all_on<H: Borrow<GenericHeader>, B: Into<Bytes>>(
        &self,
        link: &SharedLink<S>,
        frames: impl IntoIterator<Item = (H, B)>,
    ) -> Result<(), SendError> {
        if self.restricts_commands() {
            let mut frames = frames.into_iter();
            return frames
                .try_for_each(|(header, body)| self.queue_on(Some(link), header.borrow(), body.into()));
        }
        let queued = link.outbound.queue_all(frames);
        if let Err(error) = &queued {
            self.want_room(link, error);
        }
        queued
    }

    /// Whether there is any role that forbids something.
    pub(super) fn restricts_commands(&self) -> bool {
        self.commands.is_restricted()
    }

    /// Whether the role of `replica`, this one or another, forbids it to send `command`.
    pub(super) fn forbids(&self, replica: ReplicaId, command: Command) -> bool {
        self.restricts_commands() && !self.settings().mesh.permits(replica, command)
    }

    pub(super) fn send_on(
        &self,
        link: Option<&SharedLink<S>>,
        header: &GenericHeader,
        body: Bytes,
    ) -> Result<Sent, SendError> {
        let (link, body) = self.may_send(link, header, body)?;
        let sent = link.outbound.send(header, body);
        match &sent {
            Err(error) => self.want_room(link, error),
            Ok(Sent::Written) => self.wrote(link),
            Ok(Sent::Queued) => {}
        }
        sent
    }

    /// Whether there is a link, and our role permits the frame; here is the body again.
    fn may_send<'a>(
        &self,
        link: Option<&'a SharedLink<S>>,
        header: &GenericHeader,
        body: Bytes,
    ) -> Result<(&'a SharedLink<S>, Bytes), SendError> {
        if self.forbids(self.replica, header.command) {
            return Err(SendError::new(*header, body, SendCause::Denied(header.command)));
        }
        match link {
            Some(link) => Ok((link, body)),
            None => Err(SendError::new(*header, body, SendCause::NotConnected)),
        }
    }

    /// A frame was given back.
    fn want_room(&self, link: &SharedLink<S>, error: &SendError) {
        if matches!(error.cause(), SendCause::Backpressure { .. }) {
            // The queue may have become empty before the owner could know that it matters.
            self.counters.backpressure.fetch_add(1, Ordering::Relaxed);
            link.wants_room.store(true, Ordering::Release);
            self.attend(link);
        }
    }

    /// To be called when this thread may have written on `link`. The owner may have come meanwhile
    /// to see whether there is room, and have found this thread at it: then it has to come again.
    pub(super) fn wrote(&self, link: &SharedLink<S>) {
        if link.wants_room.load(Ordering::Acquire) {
            self.attend(link);
        }
    }

    /// Ends a link that no shard has any more.
    pub(super) fn end(&self, link: &SharedLink<S>) {
        link.sever();
        self.routes.remove(link);
        let report = Report::Ended(DownReason::Lost(Loss::Ended));
        self.post.send(0, Message::Report { link: link.id(), report });
    }

    fn attend(&self, link: &SharedLink<S>) {
        if link.place.want_attention() {
            self.post.send(link.place.owner(), Message::Attend(Arc::clone(&link.place)));
        }
    }
}

impl Counters {
    pub(super) fn count_handshake(&self, status: Status, by: RejectedBy) {
        self.handshakes.count((status, by));
    }

    /// A link is down, on which the peer was `heard` last.
    pub(super) fn down(&self, peer: &Peer, end: LinkEnd, heard: u64) {
        match end {
            LinkEnd::Down(reason) => self.downs.count((peer.replica, reason.name())),
            LinkEnd::Renewed(_) => self.renewed.count(peer.replica),
        }
        let mut lives = lock(&self.last_lives);
        let last = lives.entry((peer.replica, peer.lane)).or_default();
        *last = heard.max(*last);
    }

    /// When a link that is down last showed life.
    pub(super) fn last_life(&self, peer: ReplicaId, lane: u16) -> Option<u64> {
        lock(&self.last_lives).get(&(peer, lane)).copied()
    }

    /// Replicas that are not on the roster any more are forgotten.
    pub(super) fn retain_lives(&self, stays: impl Fn(ReplicaId, u16) -> bool) {
        lock(&self.last_lives).retain(|&(peer, lane), _| stays(peer, lane));
    }

    /// Counts what a link has done that is no longer up, as far as that was not `counted` before.
    pub(super) fn count_ended<S: Socket>(&self, link: &SharedLink<S>, counted: &mut Counted) {
        lock(&self.ended).count(link.received.stats(), link.outbound.stats(), counted);
    }

    /// A link is no longer up: it goes out of `routes` and into the counts at once, so that nobody
    /// sees it twice, or not at all.
    pub(super) fn retire<S: Socket>(&self, link: &SharedLink<S>, routes: &Routes<S>, counted: &mut Counted) {
        let mut ended = lock(&self.ended);
        routes.remove(link);
        ended.links += u64::from(counted.begin());
        ended.count(link.received.stats(), link.outbound.stats(), counted);
    }

    /// What has ended, and what `look` sees of the links that have not.
    pub(super) fn ended_and<T>(&self, look: impl FnOnce() -> T) -> (EndedStats, T) {
        let ended = lock(&self.ended);
        let seen = look();
        (*ended, seen)
    }
}

/// A thread that panicked has left nothing half done: each lock is held for a plain copy.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
