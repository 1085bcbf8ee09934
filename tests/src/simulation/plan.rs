//! What a seed decides once: the cluster's shape, and the settings of each of its replicas.

use std::sync::Arc;
use std::time::Duration;

use replink_frame::{HEADER_SIZE, ReplicaId};
use replink_handshake::Secret;
use replink_transport::config::{Config, Policy};
use replink_transport::mesh::RETIRE_SPREAD;
use replink_transport::node::Placement;

use super::network::{HostId, MILLISECOND, SECOND, address_of};
use crate::random::Random;

/// Replicas of the cluster.
pub(super) const REPLICAS: u8 = 3;

/// `handshake_timeout`.
pub(super) const HANDSHAKE_TIMEOUT: u64 = 2 * SECOND;
/// The longest `heartbeat_timeout` of any configuration.
const HEARTBEAT_TIMEOUT: u64 = 2_500 * MILLISECOND;
/// Two of the longest `heartbeat_interval`: for so long a shard that was not polled is excused.
const ALIVE_WINDOW: u64 = SECOND;
/// For so long a link may be silent, where no embedder is busy, before it is down: the second is for
/// a configuration that changes meanwhile.
const SILENCE_MAX: u64 = HEARTBEAT_TIMEOUT + ALIVE_WINDOW + SECOND;
/// Where heartbeats are off: for so long a peer's machine may be silent.
const VANISHED_WITHIN: u64 = 30 * SECOND;
/// For so long a link may leave (C-3), where its embedder may be busy for some seconds.
pub(super) const LEAVE_TIME_MAX: u64 = HEARTBEAT_TIMEOUT + 8 * SECOND;
/// `reconnect_min` and `reconnect_max`.
const RECONNECT: (u64, u64) = (50 * MILLISECOND, SECOND);

/// For so long after the last fault a link may still die of it: both ends have it, and the time of
/// silence is over before the next ping, or what was under way, gets through.
pub(super) const SETTLING: u64 = 2 * SECOND;

/// After the last fault, every pair is connected on every lane within this. One after the other:
///
/// - a link whose peer is gone is noticed after `heartbeat_timeout`, and two intervals if its shard was
///   not polled; or an attempt that hangs ends
///   after `handshake_timeout`; where both happen, it is one after the other;
/// - the next attempt comes after `reconnect_max`;
/// - it may be turned away, for the acceptor has not noticed yet that the dialer's process is a new
///   one, or has no slot because of attempts that hang there: one more `handshake_timeout`, and after
///   it `reconnect_max` and its jitter of `reconnect_min`;
/// - a retired key may end the link once more, within `RETIRE_SPREAD`.
///
/// What the network needs for all that is within the last second.
const CONNECTED_WITHIN: u64 = HEARTBEAT_TIMEOUT
    + ALIVE_WINDOW
    + 2 * HANDSHAKE_TIMEOUT
    + 2 * RECONNECT.1
    + RECONNECT.0
    + RETIRE_SPREAD.as_secs() * SECOND
    + SECOND;

/// What a seed decides once.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) lanes: u16,
    pub(super) shards: [usize; REPLICAS as usize],
    pub(super) body_max: usize,
    /// The longest waits between two sends, and between two deeds of the attacker, in milliseconds.
    pub(super) send_every: usize,
    pub(super) attack_every: usize,
    /// Whether heartbeats are on. Without them the system has to find out who has vanished.
    pub(super) heartbeats: bool,
    /// For how long there are faults, in seconds: long enough for what finds out who has vanished.
    pub(super) faults_for: (usize, usize),
    /// The longest time in milliseconds between two faults.
    pub(super) fault_every: usize,
    /// The longest time in milliseconds for which a machine is away that vanishes.
    pub(super) vanishes_for: usize,
    forward_secrecy: bool,
    placements: [u64; REPLICAS as usize],
}

/// The settings of one replica, as its operator has them.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Which secret it offers.
    pub(super) offers: u32,
    /// Which one it also accepts.
    pub(super) accepts: Option<u32>,
    /// Which replica is not on its roster.
    pub(super) without: Option<HostId>,
    pub(super) queue_frames: u32,
    pub(super) max_pending: u32,
    pub(super) eager: bool,
}

impl Plan {
    pub(super) fn new(random: &mut Random, capacity: usize) -> Self {
        let body_max = match capacity {
            0..1_000 => 3_000,
            1_000..10_000 => 20_000,
            10_000..50_000 => 100_000,
            _ => 320_000,
        };
        let mut plan = Self {
            lanes: u16::try_from(random.between(1, 3)).unwrap(),
            shards: std::array::from_fn(|_| random.between(1, 3)),
            body_max,
            // Where little is sent, shards other than the first are polled as good as never.
            send_every: random.pick(&[15, 30, 300, 3_000]),
            attack_every: random.pick(&[100, 400, 3_000]),
            forward_secrecy: random.once_in(4),
            placements: std::array::from_fn(|_| random.number()),
            heartbeats: !random.once_in(8),
            faults_for: (5, 11),
            fault_every: 900,
            vanishes_for: 3_000,
        };
        if !plan.heartbeats {
            (plan.faults_for, plan.fault_every, plan.vanishes_for) = ((60, 120), 20_000, 60_000);
        }
        plan
    }

    /// For how long a link may be silent.
    pub(super) fn silence_max(&self) -> u64 {
        if self.heartbeats { SILENCE_MAX } else { VANISHED_WITHIN }
    }

    /// Within how long every pair is connected after the last fault.
    pub(super) fn connected_within(&self) -> u64 {
        if self.heartbeats { CONNECTED_WITHIN } else { CONNECTED_WITHIN + VANISHED_WITHIN }
    }

    /// How the replica at `host` places its links.
    pub(super) fn placement(&self, host: HostId) -> Placement {
        let choice = self.placements[usize::from(host.0)];
        match choice % 3 {
            0 => Placement::RoundRobin,
            1 => Placement::ByPeer,
            _ => Placement::Function(Arc::new(move |peer| {
                let place = choice >> (u32::from(peer.replica.0) + 3 * u32::from(peer.lane % 8)) & 7;
                usize::try_from(place).unwrap_or(0)
            })),
        }
    }

    /// Whether links are sealed, as the configuration says it.
    fn sealed(&self) -> Policy {
        match self.placements[0] >> 32 & 3 {
            0 => Policy::Off,
            1 => Policy::Required,
            _ => Policy::Optional,
        }
    }

    /// The configuration that `settings` stand for.
    pub(super) fn config(&self, settings: &Settings) -> Config {
        let frame_size = u32::try_from(self.body_max + HEADER_SIZE).unwrap();
        let required = |wanted| if wanted { Policy::Required } else { Policy::Off };
        let (interval, timeout) = if settings.eager { (300, 1_500) } else { (500, 2_500) };
        let interval = if self.heartbeats { interval } else { 0 };
        let mut config = Config::builder("orders")
            .shared_secret(secret(settings.offers))
            .handshake_timeout(Duration::from_nanos(HANDSHAKE_TIMEOUT))
            .max_pending(settings.max_pending)
            .max_pending_per_address(settings.max_pending / 2)
            .lanes(self.lanes)
            .forward_secrecy(required(self.forward_secrecy))
            .sealed(self.sealed())
            .max_frame_size(frame_size)
            .send_queue_bytes(self.queue_bytes())
            .send_queue_frames(settings.queue_frames)
            .heartbeat_interval(Duration::from_millis(interval))
            .heartbeat_timeout(Duration::from_millis(timeout))
            .link_max_age(if settings.eager { Duration::from_secs(20) } else { Duration::ZERO })
            .reconnect_min(Duration::from_nanos(RECONNECT.0))
            .reconnect_max(Duration::from_nanos(RECONNECT.1));
        if let Some(number) = settings.accepts {
            config = config.accept_secret(secret(number));
        }
        for host in (0..REPLICAS).map(HostId).filter(|&host| settings.without != Some(host)) {
            config = config.node(ReplicaId(host.0), address_of(host));
        }
        config.build().unwrap()
    }

    /// Bytes that may wait on one link.
    pub(super) fn queue_bytes(&self) -> u64 {
        3 * (self.body_max + HEADER_SIZE) as u64
    }
}

impl Settings {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut settings =
            Self { offers: 0, accepts: None, without: None, queue_frames: 0, max_pending: 0, eager: false };
        settings.change_limits(random);
        settings
    }

    /// Other limits.
    pub(super) fn change_limits(&mut self, random: &mut Random) {
        self.queue_frames = random.pick(&[2, 8, 64]);
        self.max_pending = random.pick(&[8, 16, 40]);
        self.eager = random.once_in(2);
    }
}

/// One of the secrets that the cluster has in the course of time.
pub(super) fn secret(number: u32) -> Secret {
    Secret::new(format!("the {number}. secret of a simulated cluster").into_bytes()).unwrap()
}
