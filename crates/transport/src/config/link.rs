use std::time::Duration;

use replink_frame::{HEADER_SIZE, Version};

use super::auth::AuthConfig;
use super::reader::Table;
use super::{unavailable, units};

/// `[cluster.link]`: what a link carries, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkConfig {
    /// Whether each batch of frames carries a tag that proves it (section 5).
    pub sealed: Policy,
    /// Whether the kernel encrypts the link (section 6).
    pub encryption: Policy,
    /// Whether the session key takes an ephemeral secret in (K-4). Follows `encryption` unless
    /// it is set.
    pub forward_secrecy: Policy,
    /// Links to each peer; at least 1.
    pub lanes: u16,
    /// How long a shard looks for work before it sleeps; zero to sleep at once.
    pub busy_poll: Duration,
    /// Bytes in one direction after which a link is renewed; 0 for never of its own accord.
    pub renew_after: u64,
    /// What moves the bytes.
    pub driver: Driver,
    /// Longest frame in bytes, header included (F-1); at least the 256 of a header.
    pub max_frame_size: u32,
    /// Most frames that wait on one link to be sent; above zero.
    pub send_queue_frames: u32,
    /// Most bytes that wait on one link to be sent; at least `max_frame_size`.
    pub send_queue_bytes: u64,
    /// Time between two pings; zero for none.
    pub heartbeat_interval: Duration,
    /// How long a silent link is kept; above `heartbeat_interval`, unless that is zero.
    pub heartbeat_timeout: Duration,
    /// The first wait before a lost link is dialed anew; above zero.
    pub reconnect_min: Duration,
    /// The longest wait before it; at least `reconnect_min`.
    pub reconnect_max: Duration,
}

/// Whether a link has a feature.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Policy {
    /// It never has.
    Off,
    /// It has if the peer takes part.
    Optional,
    /// It has, or there is no link.
    Required,
}

impl Policy {
    /// The word for it in a `cluster.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Off, Self::Optional, Self::Required].into_iter().find(|policy| policy.as_str() == word)
    }
}

/// What moves the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Driver {
    /// The best that the machine permits, found out at start.
    Auto,
    /// `io_uring`, or nothing.
    IoUring,
    /// Readiness: `epoll` and its kin.
    Poll,
}

impl Driver {
    /// The word for it in a `cluster.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::IoUring => "io_uring",
            Self::Poll => "poll",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Auto, Self::IoUring, Self::Poll].into_iter().find(|driver| driver.as_str() == word)
    }
}

impl Default for LinkConfig {
    /// What an empty `[cluster.link]` means.
    fn default() -> Self {
        Self {
            sealed: Policy::Optional,
            encryption: Policy::Off,
            forward_secrecy: Policy::Off,
            lanes: 1,
            busy_poll: Duration::ZERO,
            renew_after: 0,
            driver: Driver::Auto,
            max_frame_size: 64 << 20,
            send_queue_frames: 1024,
            send_queue_bytes: 128 << 20,
            heartbeat_interval: Duration::from_secs(1),
            heartbeat_timeout: Duration::from_secs(5),
            reconnect_min: Duration::from_millis(50),
            reconnect_max: Duration::from_secs(2),
        }
    }
}

/// A frame can't be shorter than its header, nor longer than its `size` field can say (F-1).
const FRAME_SIZE_CURE: &str = "must be a size from \"256B\" to \"4294967295B\", such as \"64MiB\"";

/// Always gives something: it counts only if no mistake was reported.
pub(super) fn read(link: &Table<'_>) -> LinkConfig {
    let cure = "must be \"off\", \"optional\" or \"required\"";
    let policy = |key| link.entry(key)?.word(cure, Policy::from_word);
    let duration = |key| link.entry(key)?.word(units::DURATION_CURE, units::duration);
    let wait = |key| link.entry(key)?.word(units::POSITIVE_DURATION_CURE, units::positive_duration);
    let size = |key| link.entry(key)?.word(units::SIZE_CURE, units::parse_size);
    let driver = |entry: super::reader::Entry<'_>| {
        entry.word("must be \"auto\", \"io_uring\" or \"poll\"", Driver::from_word)
    };

    let default = LinkConfig::default();
    let max_frame_size = link
        .entry("max_frame_size")
        .and_then(|entry| entry.word(FRAME_SIZE_CURE, frame_size))
        .unwrap_or(default.max_frame_size);
    // Of two settings that go together, one that is given moves the default of the other along.
    let (interval, timeout) = (duration("heartbeat_interval"), duration("heartbeat_timeout"));
    let heartbeat_interval = interval.unwrap_or(match timeout {
        Some(timeout) if !timeout.is_zero() => default.heartbeat_interval.min(timeout / 5),
        _ => default.heartbeat_interval,
    });
    let heartbeat_timeout = timeout.unwrap_or(default.heartbeat_timeout.max(heartbeat_interval * 5));
    let (least, most) = (wait("reconnect_min"), wait("reconnect_max"));
    let reconnect_min = least.unwrap_or(default.reconnect_min.min(most.unwrap_or(default.reconnect_max)));
    let reconnect_max = most.unwrap_or(default.reconnect_max.max(reconnect_min));
    let encryption = policy("encryption").unwrap_or(default.encryption);
    let config = LinkConfig {
        sealed: policy("sealed").unwrap_or(default.sealed),
        encryption,
        forward_secrecy: policy("forward_secrecy").unwrap_or(encryption),
        lanes: link.entry("lanes").and_then(|entry| entry.integer(1, u16::MAX)).unwrap_or(default.lanes),
        busy_poll: duration("busy_poll").unwrap_or(default.busy_poll),
        renew_after: size("renew_after").unwrap_or(default.renew_after),
        driver: link.entry("driver").and_then(driver).unwrap_or(default.driver),
        max_frame_size,
        send_queue_frames: link
            .entry("send_queue_frames")
            .and_then(|entry| entry.integer(1, u32::MAX))
            .unwrap_or(default.send_queue_frames),
        send_queue_bytes: size("send_queue_bytes")
            .unwrap_or(default.send_queue_bytes.max(max_frame_size.into())),
        heartbeat_interval,
        heartbeat_timeout,
        reconnect_min,
        reconnect_max,
    };
    check_conflicts(link, &config);
    unavailable::check_link(link, &config);
    config
}

/// A link that every peer must have what no version 1 link can have (H-13), and no link without
/// authentication (H-12), would never come up.
pub(super) fn check_required(link: &Table<'_>, config: &LinkConfig, auth: &AuthConfig) {
    let policies = [
        ("sealed", config.sealed),
        ("encryption", config.encryption),
        ("forward_secrecy", config.forward_secrecy),
    ];
    for (key, policy) in policies {
        let Some(entry) = link.entry(key).filter(|_| policy == Policy::Required) else { continue };
        if !auth.enabled {
            let problem = "is \"required\", which is impossible with cluster.auth.enabled = false";
            entry.report(problem, "enable authentication, or set it to \"off\"");
        } else if auth.min_version == Version::V1 {
            let problem =
                "is \"required\", which is impossible in version 1, and cluster.auth.min_version is 1";
            entry.report(problem, "set min_version and version to 2, or set it to \"optional\"");
        } else if auth.version == Version::V1 {
            let problem = "is \"required\", which is impossible in version 1, and cluster.auth.version is 1";
            entry.report(problem, "set version to 2, or set it to \"optional\"");
        }
    }
}

fn check_conflicts(link: &Table<'_>, config: &LinkConfig) {
    if config.send_queue_bytes < u64::from(config.max_frame_size) {
        let queue = units::size_text(config.send_queue_bytes);
        let frame = units::size_text(config.max_frame_size.into());
        link.report_conflict(
            ["send_queue_bytes", "max_frame_size"],
            format!("send_queue_bytes ({queue}) has no room for one frame of max_frame_size ({frame})"),
            format!("set send_queue_bytes to at least \"{frame}\", or lower max_frame_size"),
        );
    }
    let interval = config.heartbeat_interval;
    if !interval.is_zero() && config.heartbeat_timeout <= interval {
        let (timeout, interval) =
            (units::duration_text(config.heartbeat_timeout), units::duration_text(interval));
        link.report_conflict(
            ["heartbeat_timeout", "heartbeat_interval"],
            format!("heartbeat_timeout ({timeout}) is not above heartbeat_interval ({interval})"),
            format!("set heartbeat_timeout above \"{interval}\", or heartbeat_interval to \"0s\" for no heartbeats"),
        );
    }
    if config.reconnect_min > config.reconnect_max {
        let least = units::duration_text(config.reconnect_min);
        let most = units::duration_text(config.reconnect_max);
        link.report_conflict(
            ["reconnect_min", "reconnect_max"],
            format!("reconnect_min ({least}) is above reconnect_max ({most})"),
            format!("set reconnect_min to at most \"{most}\", or raise reconnect_max"),
        );
    }
}

fn frame_size(text: &str) -> Option<u32> {
    let bytes = u32::try_from(units::parse_size(text)?).ok()?;
    usize::try_from(bytes).is_ok_and(|bytes| bytes >= HEADER_SIZE).then_some(bytes)
}
