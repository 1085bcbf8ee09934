//! One link of a node: what all shards share of it, and what its owner has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use replink_handshake::{Authenticated, Peer};

use super::inbox::{Message, Post};
use super::stats::InboundStats;
use crate::driver::Stream;
use crate::mesh::{LinkId, RoundTrip};
use crate::{Attention, Inbound, Outbound, OutboundLimits, SharedOutbound};

/// What every shard may use of a link.
pub(crate) struct SharedLink<S> {
    pub(super) address: SocketAddr,
    pub(super) outbound: SharedOutbound<S>,
    pub(super) place: Arc<Place>,
    pub(super) since: Instant,
    /// Whether a send was given back, so that the embedder wants to know when there is room.
    pub(super) wants_room: AtomicBool,
    pub(super) received: Received,
    round_trip: [AtomicU64; 2],
}

/// Where a link is, and what is wanted of its owner.
pub(super) struct Place {
    pub(super) link: LinkId,
    owner: AtomicUsize,
    /// Whether the owner has yet to take the last [`Message::Attend`].
    attend: AtomicBool,
    /// When something was last seen of the peer, in nanoseconds of the node's time.
    heard: AtomicU64,
}

/// What was received, counted by the owner.
#[derive(Default)]
pub(super) struct Received {
    bytes: AtomicU64,
    frames: AtomicU64,
    reads: AtomicU64,
}

impl Place {
    pub(super) fn new(link: LinkId, owner: usize, heard: u64) -> Self {
        Self {
            link,
            owner: AtomicUsize::new(owner),
            attend: AtomicBool::new(false),
            heard: AtomicU64::new(heard),
        }
    }

    /// The shard that has it, or is about to get it.
    pub(super) fn owner(&self) -> usize {
        self.owner.load(Ordering::Acquire)
    }

    pub(super) fn set_owner(&self, shard: usize) {
        self.owner.store(shard, Ordering::Release);
    }

    /// Whether the owner has to be told: it was not since it last looked.
    pub(super) fn want_attention(&self) -> bool {
        // Looking comes first: it is cheaper, and most often enough.
        !self.attend.load(Ordering::Acquire) && !self.attend.swap(true, Ordering::AcqRel)
    }

    pub(super) fn take_attention(&self) {
        self.attend.store(false, Ordering::Release);
    }

    pub(super) fn hear(&self, now: u64) {
        self.heard.store(now, Ordering::Relaxed);
    }

    pub(super) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }
}

impl Received {
    pub(super) fn count_read(&self, bytes: usize) {
        // One thread counts, others look: no need for an atomic addition.
        self.bytes.store(self.bytes.load(Ordering::Relaxed) + bytes as u64, Ordering::Relaxed);
        self.reads.store(self.reads.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(super) fn count_frame(&self) {
        self.frames.store(self.frames.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> InboundStats {
        InboundStats {
            bytes: self.bytes.load(Ordering::Relaxed),
            frames: self.frames.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
        }
    }
}

impl<S: Stream> SharedLink<S> {
    pub(super) fn id(&self) -> LinkId {
        self.place.link
    }

    pub(super) fn peer(&self) -> &Peer {
        self.outbound.peer()
    }

    pub(super) fn stream(&self) -> &S {
        self.outbound.writer()
    }

    /// Ends the connection at once, whoever has the link. What waits is dropped.
    pub(super) fn sever(&self) {
        self.outbound.close();
        self.stream().shutdown();
    }

    pub(super) fn set_round_trip(&self, round_trip: RoundTrip) {
        for (cell, duration) in self.round_trip.iter().zip([round_trip.last, round_trip.smoothed]) {
            cell.store(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    pub(super) fn round_trip(&self) -> Option<RoundTrip> {
        let [last, smoothed] = [0, 1].map(|index| self.round_trip[index].load(Ordering::Relaxed));
        let known = last != u64::MAX;
        known
            .then(|| RoundTrip { last: Duration::from_nanos(last), smoothed: Duration::from_nanos(smoothed) })
    }
}

/// A link in its owner's hands. It goes from shard to shard as a whole: bytes read ahead, counters
/// and session travel with it.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct OwnedLink<S> {
    pub(super) shared: Arc<SharedLink<S>>,
    pub(super) inbound: Inbound,
    /// Whether the stream may have more to read.
    pub(super) readable: bool,
    /// Whether the stream is known to have an end, which has to be found.
    pub(super) ended: bool,
    /// Whether it waits for its turn to be read.
    pub(super) queued: bool,
    /// Whether frames still go to the embedder: from up to down, and until the peer's last one.
    pub(super) delivers: bool,
    /// Whether nothing more is to be read: the stream is at its end, or the peer is at fault.
    pub(super) over: bool,
    /// Whether our direction was ended.
    pub(super) finished: bool,
}

/// A link that has proved its peer, with its codecs.
pub(super) struct OpenLink<S> {
    pub(super) stream: S,
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
}

impl<S> OpenLink<S> {
    /// A link whose handshake is just over.
    pub(super) fn new(link: Authenticated<S>, limits: OutboundLimits) -> Self {
        let (stream, session) = link.into_parts();
        let (receiving, sending) = session.split();
        let inbound = Inbound::new(receiving, limits.frame_size);
        Self { stream, inbound, outbound: Outbound::new(sending, limits) }
    }

    pub(super) fn peer(&self) -> &Peer {
        self.inbound.peer()
    }
}

impl<S: Stream> OwnedLink<S> {
    /// `post` reaches its owner.
    pub(super) fn new(
        link: OpenLink<S>,
        address: SocketAddr,
        place: Place,
        post: Arc<Post<S>>,
        now: Instant,
    ) -> Self {
        let OpenLink { stream, inbound, outbound } = link;
        let place = Arc::new(place);
        let attended = Arc::clone(&place);
        // What is wanted shows in the state of the queue: the owner is only told to look.
        let attention = move |attention| {
            let told = attention == Attention::Writable && post.reports_writable;
            if !told && attended.want_attention() {
                post.send(attended.owner(), Message::Attend(Arc::clone(&attended)));
            }
        };
        let shared = Arc::new(SharedLink {
            address,
            outbound: SharedOutbound::new(outbound, stream, attention),
            place,
            since: now,
            wants_room: AtomicBool::new(false),
            received: Received::default(),
            round_trip: [const { AtomicU64::new(u64::MAX) }; 2],
        });
        Self {
            shared,
            inbound,
            readable: true,
            ended: false,
            queued: false,
            delivers: true,
            over: false,
            finished: false,
        }
    }
}
