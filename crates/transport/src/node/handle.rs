//! What any thread may use of a node.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use replink_frame::{ClusterId, GenericHeader, KeyId, ReplicaId};
use replink_handshake::{Authentication, KeyRing};

use super::inbox::Message;
use super::link::SharedLink;
use super::sender::LinkSender;
use super::settings::ReloadError;
use super::shared::{ShardClock, Shared};
use super::stats::{LinkStats, NodeStats, PeerStats, ShardStats};
use crate::config::Config;
use crate::driver::Socket;
use crate::mesh::LinkId;
use crate::security::{KeyStats, SecurityStatus};
use crate::{Link, SendError, Sent};

/// A running node, for any thread: sends on every link, shows what the node does, and changes its
/// configuration. Clones are the same node. Things that are asked of the node are done when its
/// shards are polled.
pub struct Handle<S = Link> {
    pub(super) shared: Arc<Shared<S>>,
    lane: u16,
}

impl<S: Socket> Handle<S> {
    pub(super) fn new(shared: Arc<Shared<S>>, lane: u16) -> Self {
        Self { shared, lane }
    }

    /// Which replica this node is.
    pub fn replica(&self) -> ReplicaId {
        self.shared.replica
    }

    /// The cluster that every frame must name (F-3).
    pub fn cluster(&self) -> ClusterId {
        self.shared.settings().endpoint.local().cluster
    }

    /// This node's software release, as the handshake tells it.
    pub fn release(&self) -> u32 {
        self.shared.settings().endpoint.local().release
    }

    /// How many shards the node has.
    pub fn shards(&self) -> usize {
        self.shared.post.shards()
    }

    /// Sends a frame to `peer`: on lane 0, or on the shard's lane if the handle is a shard's. Whoever
    /// finds nobody writing on the link writes, so this may make a system call.
    ///
    /// # Errors
    ///
    /// [`SendError`], as [`Shard::send`](super::Shard::send).
    pub fn send(
        &self,
        peer: ReplicaId,
        header: &GenericHeader,
        body: impl Into<Bytes>,
    ) -> Result<Sent, SendError> {
        self.shared.send(peer, self.lane, header, body.into())
    }

    /// Queues a frame to `peer`, as [`Handle::send`] does, without writing it: it goes out together with all
    /// that is queued when the shard that has the link is polled, or before that with one that is sent.
    /// Many small frames go out much faster so, and without a system call for each.
    ///
    /// # Errors
    ///
    /// [`SendError`], as [`Shard::send`](super::Shard::send).
    pub fn queue(
        &self,
        peer: ReplicaId,
        header: &GenericHeader,
        body: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        self.shared.queue(peer, self.lane, header, body.into())
    }

    /// As [`Handle::queue`], on `lane`.
    ///
    /// # Errors
    ///
    /// [`SendError`], as [`Shard::send`](super::Shard::send).
    pub fn queue_on(
        &self,
        peer: ReplicaId,
        lane: u16,
        header: &GenericHeader,
        body: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        self.shared.queue(peer, lane, header, body.into())
    }

    /// Sends a frame to `peer` on `lane`.
    ///
    /// # Errors
    ///
    /// [`SendError`], as [`Shard::send`](super::Shard::send).
    pub fn send_on(
        &self,
        peer: ReplicaId,
        lane: u16,
        header: &GenericHeader,
        body: impl Into<Bytes>,
    ) -> Result<Sent, SendError> {
        self.shared.send(peer, lane, header, body.into())
    }

    /// Sends a frame back on the link that another one came on: to `peer` on `lane`. Where a newer link has that place
    /// by now it goes out on that one, if it leads to the same process of the peer; not if the peer was restarted.
    ///
    /// # Errors
    ///
    /// [`SendError`], as [`Shard::send`](super::Shard::send);
    /// [`NotConnected`](crate::SendCause::NotConnected) also when `link` is not up any more.
    pub fn send_back(
        &self,
        link: LinkId,
        peer: ReplicaId,
        lane: u16,
        header: &GenericHeader,
        body: impl Into<Bytes>,
    ) -> Result<Sent, SendError> {
        self.shared.send_back(link, (peer, lane), header, body.into())
    }

    /// A sender for the link to `peer` on `lane`, if it is up.
    pub fn sender(&self, peer: ReplicaId, lane: u16) -> Option<LinkSender<S>> {
        let link = self.shared.routes.find(peer, lane)?;
        Some(LinkSender::new(Arc::clone(&self.shared), link))
    }

    /// The link to `peer` on `lane`, if it is up.
    pub fn link(&self, peer: ReplicaId, lane: u16) -> Option<LinkId> {
        self.shared.routes.find(peer, lane).map(|link| link.id())
    }

    /// Has `link` go to shard `to`, as soon as its owner gets to it. No frame is lost, doubled or
    /// out of order. Nothing happens if there is no such link or no such shard.
    pub fn move_link(&self, link: LinkId, to: usize) {
        if let Some(link) = self.shared.routes.with_id(link) {
            self.shared.post.send(link.place.owner(), Message::Move { link, to });
        }
    }

    /// A snapshot of the node and its links.
    pub fn stats(&self) -> NodeStats {
        let now = Instant::now();
        let counters = &self.shared.counters;
        let look = |link: &Arc<SharedLink<S>>| LinkStats {
            link: link.id(),
            peer: *link.peer(),
            address: link.address,
            shard: link.place.owner(),
            up_for: now.saturating_duration_since(link.since),
            received: link.received.stats(),
            sent: link.outbound.stats(),
            round_trip: link.round_trip(),
        };
        let (ended, links) =
            counters.ended_and(|| self.shared.routes.all().iter().map(look).collect::<Vec<_>>());
        NodeStats {
            keys: self.keys(&links),
            links,
            pending: counters.pending.load(Ordering::Relaxed),
            accepted: counters.accepted.load(Ordering::Relaxed),
            closed_unread: counters.closed_unread.load(Ordering::Relaxed),
            broken: counters.broken.load(Ordering::Relaxed),
            handshakes: three(counters.handshakes.all()),
            accept_errors: counters.accept_errors.load(Ordering::Relaxed),
            broken_records: counters.broken_records.all(),
            weaker_links: counters.weaker.all(),
            ended,
            links_ended: three(counters.downs.all()),
            links_renewed: counters.renewed.all(),
            dial_failures: three(counters.dial_failures.all()),
            peers: self.peers(),
            shards: self.shard_stats(),
            backpressure: counters.backpressure.load(Ordering::Relaxed),
            handshake_times: counters.handshake_times.histogram(),
            round_trips: counters.round_trips.histogram(),
        }
    }

    fn peers(&self) -> Vec<PeerStats> {
        let (settings, now) = (self.shared.settings(), self.shared.nanos(Instant::now()));
        let others = settings.mesh.members.iter().filter(|&(&peer, _)| peer != self.shared.replica);
        let look = |peer, role, lane| {
            let link = self.shared.routes.find(peer, lane);
            let heard = link.as_ref().map(|link| link.place.heard(now));
            let heard = heard.or_else(|| self.shared.counters.last_life(peer, lane));
            let last_life = heard.map(|heard| Duration::from_nanos(now.saturating_sub(heard)));
            PeerStats { peer, lane, role, up: link.is_some(), last_life }
        };
        others
            .flat_map(|(&peer, &role)| (0..settings.mesh.lanes).map(move |lane| look(peer, role, lane)))
            .collect()
    }

    fn shard_stats(&self) -> Vec<ShardStats> {
        let now = self.shared.nanos(Instant::now());
        let look = |clock: &ShardClock| {
            let turned =
                if clock.waits.load(Ordering::Relaxed) { now } else { clock.looked.load(Ordering::Relaxed) };
            ShardStats { last_turn: Duration::from_nanos(now.saturating_sub(turned)) }
        };
        self.shared.clocks.iter().map(look).collect()
    }

    fn keys(&self, links: &[LinkStats]) -> Vec<KeyStats> {
        let settings = self.shared.settings();
        let uses = |key| {
            links.iter().filter(|link| link.peer.authentication == Authentication::PreSharedKey(key)).count()
        };
        let ring = settings.config.auth.keys.iter();
        let look = |(ring, key): (&KeyRing, KeyId)| KeyStats {
            key,
            offered: ring.is_offered(key),
            links: uses(key),
        };
        ring.flat_map(|ring| ring.ids().map(move |key| (&**ring, key))).map(look).collect()
    }

    /// How many links are up that were made with this key. One that is not offered can be dropped
    /// from the configuration of this node when that is none.
    pub fn key_in_use(&self, key: KeyId) -> usize {
        let made_with = Authentication::PreSharedKey(key);
        self.shared.routes.all().iter().filter(|link| link.peer().authentication == made_with).count()
    }

    /// How safe the node is as it runs, with everything that an operator should look at.
    pub fn security_status(&self) -> SecurityStatus {
        let mut status = SecurityStatus::of(&self.shared.settings().config, Some(self.shared.replica));
        status.add_keys(&self.stats().keys);
        status
    }

    /// Puts `config` in force: secrets, accept list, allow list, roster, limits. Links whose key is
    /// no longer accepted leave with `key_retired`, spread over
    /// [`RETIRE_SPREAD`](crate::mesh::RETIRE_SPREAD), and are made anew; all others stay. Limits of
    /// frames and queues hold for links that are made from now on. [`Event::Reloaded`] says when it
    /// is in force.
    ///
    /// Names of replicas that are new are looked up, which nobody waits for.
    ///
    /// # Errors
    ///
    /// [`ReloadError`]; the old configuration then stays in force.
    ///
    /// [`Event::Reloaded`]: super::Event::Reloaded
    pub fn reload(&self, config: Config) -> Result<(), ReloadError> {
        if self.is_stopped() {
            return Err(ReloadError::Stopping);
        }
        let settings = Arc::new(self.shared.settings().reloaded(config)?);
        self.shared.post.send(0, Message::Reload(settings));
        Ok(())
    }

    /// Has the names of replicas looked up again, and does not wait for that. The node does so by itself when a
    /// replica with a name can't be reached or its link ends; this is for those who know better.
    pub fn refresh_addresses(&self) {
        self.shared.post.send(0, Message::LookUp);
    }

    /// Ends the node in peace: what is queued goes out, then a goodbye on each link, and what the peers still send
    /// is delivered until they have said theirs (C-3). Connections that come in are told to come back later. Over
    /// when every shard has said [`Event::Stopped`](super::Event::Stopped), within [`Handle::leave_max`].
    pub fn shutdown(&self) {
        self.shared.post.send(0, Message::Shutdown);
    }

    /// How long a link may take to leave: `heartbeat_timeout`, or [`LEAVE_MAX`](crate::mesh::LEAVE_MAX) where there
    /// is none.
    pub fn leave_max(&self) -> Duration {
        self.shared.settings().mesh.leave_max()
    }

    /// Whether the node has been shut down, and its last link is gone.
    pub fn is_stopped(&self) -> bool {
        self.shared.is_stopped()
    }
}

/// What is counted by two things, each with its count.
fn three<A, B>(counts: Vec<((A, B), u64)>) -> Vec<(A, B, u64)> {
    counts.into_iter().map(|((first, second), count)| (first, second, count)).collect()
}

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), lane: self.lane }
    }
}

impl<S> fmt::Debug for Handle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("lane", &self.lane).finish_non_exhaustive()
    }
}
