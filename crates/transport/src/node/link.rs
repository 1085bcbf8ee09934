//! One link of a node: what all shards share of it, and what its owner has.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use replink_frame::HEADER_SIZE;
use replink_handshake::{Authenticated, Peer, RECORD_OVERHEAD};

use super::inbox::{Message, Post};
use super::stats::InboundStats;
use crate::driver::{Registration, Socket};
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
    /// The links of the same process of the peer that this one, or one of them, was made in the place of.
    replaced: OnceLock<Vec<LinkId>>,
}

/// As many links are remembered that a link stands for; those before are long gone.
const REPLACED_MAX: usize = 8;

/// Where a link is, and what is wanted of its owner.
pub(super) struct Place {
    pub(super) link: LinkId,
    owner: AtomicUsize,
    /// Whether the owner has yet to take the last [`Message::Attend`].
    attend: AtomicBool,
    /// When the peer last showed life (C-1), in nanoseconds of the node's time.
    heard: AtomicU64,
    /// Since when something has lain there that the owner has not looked through, in the same; 0 for nothing.
    unlooked: AtomicU64,
    /// Whether a frame has come in part, and whether shard 0 was told since it last saw that none has.
    arriving: AtomicBool,
    told_arriving: AtomicBool,
    /// What the peer's last pong echoed; 0 once shard 0 has taken it.
    echo: AtomicU64,
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
            unlooked: AtomicU64::new(0),
            arriving: AtomicBool::new(false),
            told_arriving: AtomicBool::new(false),
            echo: AtomicU64::new(0),
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

    /// Something has come, at `since` or later, that the owner has yet to look through.
    pub(super) fn arrived(&self, since: u64) {
        if self.unlooked.load(Ordering::Relaxed) == 0 {
            self.unlooked.store(since.max(1), Ordering::Release);
        }
    }

    /// The owner has looked through all that had come. Only what was `life` renews the heartbeat timer (C-1).
    /// What is left may be a part of a frame that is `arriving` (C-2): whether shard 0 has to be told so.
    pub(super) fn looked_through(&self, life: bool, arriving: bool, now: u64) -> bool {
        self.arriving.store(arriving, Ordering::Release);
        if life {
            self.heard.store(now, Ordering::Relaxed);
        }
        self.unlooked.store(0, Ordering::Release);
        arriving
            && !self.told_arriving.load(Ordering::Relaxed)
            && !self.told_arriving.swap(true, Ordering::AcqRel)
    }

    /// When the peer last showed life. The time does not count for which something has lain there that nobody
    /// looked through, because the embedder was at work or took no events.
    pub(super) fn heard(&self, now: u64) -> u64 {
        let unlooked = match self.unlooked.load(Ordering::Acquire) {
            0 => 0,
            since => now.saturating_sub(since),
        };
        self.heard.load(Ordering::Relaxed).saturating_add(unlooked)
    }

    /// Whether a frame has come in part. If none has, shard 0 wants to be told of the next one.
    pub(super) fn is_arriving(&self) -> bool {
        self.arriving.load(Ordering::Acquire) || {
            self.told_arriving.store(false, Ordering::Release);
            // One may have begun before it wanted to.
            self.arriving.load(Ordering::Acquire)
        }
    }

    /// The peer has answered the ping with this counter. Whether shard 0 has to be told: it was not since it
    /// last looked, so that a peer's pongs never pile up.
    pub(super) fn put_echo(&self, echo: u64) -> bool {
        self.echo.swap(echo, Ordering::AcqRel) == 0
    }

    /// The last answer; it stands for the ones before.
    pub(super) fn take_echo(&self) -> u64 {
        self.echo.swap(0, Ordering::AcqRel)
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

impl<S: Socket> SharedLink<S> {
    pub(super) fn id(&self) -> LinkId {
        self.place.link
    }

    pub(super) fn peer(&self) -> &Peer {
        self.outbound.peer()
    }

    /// It takes the place of `before`. What is an answer to something that came on that one goes out on this one, if it
    /// is the same process of the peer that gets it.
    pub(super) fn replaces(&self, before: &Self) {
        let (peer, other) = (self.peer(), before.peer());
        if peer.incarnation != 0 && peer.incarnation == other.incarnation {
            let older = before.replaced.get().into_iter().flatten().copied();
            let replaced = std::iter::once(before.id()).chain(older).take(REPLACED_MAX).collect();
            let _ = self.replaced.set(replaced);
        }
    }

    /// Whether it is `link`, or has its place.
    pub(super) fn stands_for(&self, link: LinkId) -> bool {
        self.id() == link || self.replaced.get().is_some_and(|replaced| replaced.contains(&link))
    }

    pub(super) fn socket(&self) -> &S {
        self.outbound.writer()
    }

    /// Ends the connection at once, whoever has the link. What waits is dropped.
    pub(super) fn sever(&self) {
        self.outbound.close();
        self.socket().shutdown();
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
pub(crate) struct OwnedLink<S> {
    pub(super) shared: Arc<SharedLink<S>>,
    pub(super) inbound: Inbound,
    pub(super) phase: Phase,
    /// What the owner's driver knows it by; none while it goes from one owner to another.
    pub(super) registration: Option<Registration>,
    /// Whether our direction was ended.
    pub(super) finished: bool,
    /// Whether the peer has ended its direction, while ours still had something to say.
    pub(super) peer_finished: bool,
    /// Whether there is a frame for the embedder that is held.
    pub(super) has_held: bool,
    /// Bytes received and sent when it was last seen whether it is quiet.
    looked_at: (u64, [u64; 2]),
}

/// How far a link is on its way from up to gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// A link of the same peer and lane is leaving, and what it delivers comes first (C-3): what comes is read, and
    /// control frames are answered, up to the first frame for the embedder.
    Held,
    /// Its frames go to the embedder.
    Delivering,
    /// It is down, or never came up: what comes is read, control frames are answered, and nobody is told.
    Draining,
    /// The peer has said its last: what comes is thrown away, up to the end of the stream. The link ends there, once
    /// our own goodbye is out.
    Left,
    /// The peer is at fault: what comes is thrown away, up to the end of the stream, so that nothing destroys the
    /// goodbye that says so on its way (C-3).
    Discarding,
    /// It goes to another process: nothing more is read.
    Silenced,
}

/// A link that has proved its peer, with its codecs.
pub(super) struct OpenLink<S> {
    pub(super) socket: S,
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
}

impl<S> OpenLink<S> {
    /// A link whose handshake is just over.
    pub(super) fn new(link: Authenticated<S>, limits: OutboundLimits) -> Self {
        let (socket, session) = link.into_parts();
        let (receiving, sending) = session.split();
        let inbound = Inbound::new(receiving, limits.frame_size);
        Self { socket, inbound, outbound: Outbound::new(sending, limits) }
    }

    pub(super) fn peer(&self) -> &Peer {
        self.inbound.peer()
    }
}

impl<S: Socket> OwnedLink<S> {
    /// `post` reaches its owner.
    pub(super) fn new(
        link: OpenLink<S>,
        address: SocketAddr,
        place: Place,
        post: Arc<Post<S>>,
        now: Instant,
    ) -> Self {
        let OpenLink { socket, inbound, outbound } = link;
        let place = Arc::new(place);
        let attended = Arc::clone(&place);
        // What is wanted shows in the state of the queue: the owner is only told to look.
        let attention = move |_: Attention| {
            if attended.want_attention() {
                post.send(attended.owner(), Message::Attend(Arc::clone(&attended)));
            }
        };
        let shared = Arc::new(SharedLink {
            address,
            outbound: SharedOutbound::new(outbound, socket, attention),
            place,
            since: now,
            wants_room: AtomicBool::new(false),
            received: Received::default(),
            round_trip: [const { AtomicU64::new(u64::MAX) }; 2],
            replaced: OnceLock::new(),
        });
        Self {
            shared,
            inbound,
            phase: Phase::Delivering,
            registration: None,
            finished: false,
            peer_finished: false,
            has_held: false,
            looked_at: (0, [0; 2]),
        }
    }

    /// To be called with each control frame: a link on which nothing else has gone since the one before lets its
    /// memory go. `now` is in nanoseconds; two frames that come together say nothing.
    pub(super) fn relax_if_quiet(&mut self, now: u64) {
        let bytes = [self.shared.received.stats().bytes, self.shared.outbound.stats().written_bytes];
        let (looked, before) = self.looked_at;
        if now.saturating_sub(looked) < QUIET_FOR_MIN {
            return;
        }
        self.looked_at = (now, bytes);
        let quiet = bytes.iter().zip(before).all(|(now, before)| now - before <= QUIET_BYTES_MAX);
        if quiet {
            self.inbound.relax();
            self.shared.outbound.relax();
        }
    }
}

/// How long there was nothing on a quiet link, in nanoseconds: a ping and a pong may come one behind the other.
const QUIET_FOR_MIN: u64 = 10_000_000;

/// What goes in one direction of a quiet link between two control frames that come: a ping and a pong, in a record
/// each where the link is sealed.
const QUIET_BYTES_MAX: u64 = 2 * (HEADER_SIZE + RECORD_OVERHEAD) as u64;

#[cfg(test)]
mod tests {
    use super::*;

    /// C-1: who sends bytes that prove nothing, however fast, has its silence counted all the same; a peer is
    /// not silent for the sake of an embedder that does not look.
    #[test]
    fn only_life_renews_the_timer() {
        let place = Place::new(LinkId(1), 0, 100);
        for now in 101..200 {
            place.arrived(now - 1);
            assert_eq!(place.heard(now), 101, "what is about to be looked at");
            assert!(!place.looked_through(false, false, now));
            assert_eq!(place.heard(now), 100);
        }
        place.arrived(200);
        place.arrived(900);
        assert_eq!(place.heard(1_000), 900, "since 200 nobody has looked");
        assert!(!place.looked_through(true, false, 1_000));
        assert_eq!(place.heard(5_000), 1_000);
    }

    /// However many pongs come before shard 0 looks, it is told once.
    #[test]
    fn pongs_do_not_pile_up() {
        let place = Place::new(LinkId(1), 0, 0);
        let told = (1..=100_000).filter(|&echo| place.put_echo(echo)).count();
        assert_eq!((told, place.take_echo()), (1, 100_000));
        assert!(place.put_echo(100_001), "and once more when it has looked");
    }
}
