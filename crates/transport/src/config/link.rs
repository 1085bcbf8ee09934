use std::time::Duration;

use replink_frame::{HEADER_SIZE, Version};

use super::auth::AuthConfig;
use super::bounds::{check_count, check_duration, check_positive_duration, whole_number};
use super::findings::Findings;
use super::reader::Table;
use super::units;
use crate::DURATION_MAX;

/// `[cluster.link]`: what a link carries, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LinkConfig {
    /// Whether what the link carries is encrypted and proved, record by record (section 5).
    pub sealed: Policy,
    /// Whether the session key takes an ephemeral secret in (K-4). Without it every holder of the secret can
    /// read a recording of a sealed link (S-5).
    pub forward_secrecy: Policy,
    /// Links to each peer; at least 1.
    pub lanes: u16,
    /// How long a shard looks for work before it sleeps; zero to sleep at once.
    pub busy_poll: Duration,
    /// Which driver moves the bytes.
    pub driver: DriverChoice,
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
    /// How old a link gets before it is made anew, without losing a frame; zero for any age.
    pub link_max_age: Duration,
}

/// Whether a link has a feature.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing between never, perhaps and always")]
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

/// Which driver moves the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum DriverChoice {
    /// The best that the machine permits, found out at start.
    Auto,
    /// `io_uring`, or nothing.
    IoUring,
    /// Readiness: `epoll` and its kin.
    Poll,
}

impl DriverChoice {
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
            forward_secrecy: Policy::Optional, // S-5
            lanes: 1,
            busy_poll: Duration::ZERO,
            driver: DriverChoice::Auto,
            max_frame_size: 64 << 20,
            send_queue_frames: 1024,
            send_queue_bytes: 128 << 20,
            heartbeat_interval: Duration::from_secs(1),
            heartbeat_timeout: Duration::from_secs(5),
            reconnect_min: Duration::from_millis(50),
            reconnect_max: Duration::from_secs(2),
            link_max_age: Duration::ZERO,
        }
    }
}

/// What somebody said about links, in a file or in code. What is not there has its default.
#[derive(Clone, Default, Debug)]
pub(super) struct GivenLink {
    pub(super) sealed: Option<Policy>,
    pub(super) forward_secrecy: Option<Policy>,
    pub(super) lanes: Option<u16>,
    pub(super) busy_poll: Option<Duration>,
    pub(super) driver: Option<DriverChoice>,
    pub(super) max_frame_size: Option<u32>,
    pub(super) send_queue_frames: Option<u32>,
    pub(super) send_queue_bytes: Option<u64>,
    pub(super) heartbeat_interval: Option<Duration>,
    pub(super) heartbeat_timeout: Option<Duration>,
    pub(super) reconnect_min: Option<Duration>,
    pub(super) reconnect_max: Option<Duration>,
    pub(super) link_max_age: Option<Duration>,
}

impl GivenLink {
    /// With the defaults: of two settings that go together, one that is given moves the default of the other
    /// along, but not to where that would be a mistake of its own.
    pub(super) fn resolve(self) -> LinkConfig {
        let default = LinkConfig::default();
        let max_frame_size = self.max_frame_size.unwrap_or(default.max_frame_size);
        let heartbeat_interval = self.heartbeat_interval.unwrap_or(match self.heartbeat_timeout {
            Some(timeout) if !timeout.is_zero() => default.heartbeat_interval.min(timeout / 5),
            _ => default.heartbeat_interval,
        });
        let five_intervals = heartbeat_interval.saturating_mul(5).min(DURATION_MAX);
        let reconnect_min = self.reconnect_min.unwrap_or(match self.reconnect_max {
            Some(most) if !most.is_zero() => default.reconnect_min.min(most),
            _ => default.reconnect_min,
        });
        LinkConfig {
            sealed: self.sealed.unwrap_or(default.sealed),
            forward_secrecy: self.forward_secrecy.unwrap_or(default.forward_secrecy),
            lanes: self.lanes.unwrap_or(default.lanes),
            busy_poll: self.busy_poll.unwrap_or(default.busy_poll),
            driver: self.driver.unwrap_or(default.driver),
            max_frame_size,
            send_queue_frames: self.send_queue_frames.unwrap_or(default.send_queue_frames),
            send_queue_bytes: self
                .send_queue_bytes
                .unwrap_or(default.send_queue_bytes.max(max_frame_size.into())),
            heartbeat_interval,
            heartbeat_timeout: self
                .heartbeat_timeout
                .unwrap_or(default.heartbeat_timeout.max(five_intervals)),
            reconnect_min,
            reconnect_max: self
                .reconnect_max
                .unwrap_or(default.reconnect_max.max(reconnect_min).min(DURATION_MAX)),
            link_max_age: self.link_max_age.unwrap_or(default.link_max_age),
        }
    }
}

/// A frame can't be shorter than its header, nor longer than its `size` field can say (F-1).
const FRAME_SIZE_CURE: &str = "must be a size from \"256B\" to \"4294967295B\", such as \"64MiB\"";

/// What a file says. What can't be read is reported, and counts as not said.
pub(super) fn read(link: &Table<'_>) -> GivenLink {
    let cure = "must be \"off\", \"optional\" or \"required\"";
    let policy = |key| link.entry(key)?.word(cure, Policy::from_word);
    let duration = |key| link.entry(key)?.word(units::DURATION_CURE, units::duration);
    let wait = |key| link.entry(key)?.word(units::POSITIVE_DURATION_CURE, units::duration);
    let size = |key| link.entry(key)?.word(units::SIZE_CURE, units::parse_size);
    let frame_size = |text: &str| u32::try_from(units::parse_size(text)?).ok();
    let driver = "must be \"auto\", \"io_uring\" or \"poll\"";
    GivenLink {
        sealed: policy("sealed"),
        forward_secrecy: policy("forward_secrecy"),
        lanes: link.entry("lanes").and_then(|entry| entry.integer(&whole_number(1, u16::MAX))),
        busy_poll: duration("busy_poll"),
        driver: link.entry("driver").and_then(|entry| entry.word(driver, DriverChoice::from_word)),
        max_frame_size: link
            .entry("max_frame_size")
            .and_then(|entry| entry.word(FRAME_SIZE_CURE, frame_size)),
        send_queue_frames: link
            .entry("send_queue_frames")
            .and_then(|entry| entry.integer(&whole_number(1, u32::MAX))),
        send_queue_bytes: size("send_queue_bytes"),
        heartbeat_interval: duration("heartbeat_interval"),
        heartbeat_timeout: duration("heartbeat_timeout"),
        reconnect_min: wait("reconnect_min"),
        reconnect_max: wait("reconnect_max"),
        link_max_age: duration("link_max_age"),
    }
}

/// Whether links can be like this.
pub(super) fn check(config: &LinkConfig, auth: &AuthConfig, findings: &Findings<'_>) {
    let link = findings.within("cluster.link");
    if config.lanes == 0 {
        link.number("lanes", config.lanes, whole_number(1, u16::MAX));
    }
    check_duration(&link, "busy_poll", config.busy_poll);
    if usize::try_from(config.max_frame_size).is_ok_and(|size| size < HEADER_SIZE) {
        link.text("max_frame_size", &units::size_text(config.max_frame_size.into()), FRAME_SIZE_CURE);
    }
    check_count(&link, "send_queue_frames", config.send_queue_frames);
    check_duration(&link, "heartbeat_interval", config.heartbeat_interval);
    check_duration(&link, "heartbeat_timeout", config.heartbeat_timeout);
    check_positive_duration(&link, "reconnect_min", config.reconnect_min);
    check_positive_duration(&link, "reconnect_max", config.reconnect_max);
    check_duration(&link, "link_max_age", config.link_max_age);
    check_conflicts(config, &link);
    check_required(config, auth, &link);
}

/// A link that every peer must have what no version 1 link can have (H-13), and no link without
/// authentication (H-12), would never come up.
fn check_required(config: &LinkConfig, auth: &AuthConfig, link: &Findings<'_>) {
    let (problem, cure) = if !auth.enabled {
        ("cluster.auth.enabled = false", "enable authentication, or set it to \"off\"")
    } else if auth.min_version == Version::V1 {
        (
            "version 1, and cluster.auth.min_version is 1",
            "set min_version and version to 2, or set it to \"optional\"",
        )
    } else if auth.version == Version::V1 {
        ("version 1, and cluster.auth.version is 1", "set version to 2, or set it to \"optional\"")
    } else {
        return;
    };
    let within = if auth.enabled { "in" } else { "with" };
    let problem = format!("is \"required\", which is impossible {within} {problem}");
    for (key, policy) in [("sealed", config.sealed), ("forward_secrecy", config.forward_secrecy)] {
        if policy == Policy::Required {
            link.about(key, problem.as_str(), cure);
        }
    }
}

fn check_conflicts(config: &LinkConfig, link: &Findings<'_>) {
    if config.send_queue_bytes < u64::from(config.max_frame_size) {
        let queue = units::size_text(config.send_queue_bytes);
        let frame = units::size_text(config.max_frame_size.into());
        link.conflict(
            ["send_queue_bytes", "max_frame_size"],
            format!("send_queue_bytes ({queue}) has no room for one frame of max_frame_size ({frame})"),
            format!("set send_queue_bytes to at least \"{frame}\", or lower max_frame_size"),
        );
    }
    let interval = config.heartbeat_interval;
    if !interval.is_zero() && config.heartbeat_timeout <= interval {
        let (timeout, interval) =
            (units::duration_text(config.heartbeat_timeout), units::duration_text(interval));
        link.conflict(
            ["heartbeat_timeout", "heartbeat_interval"],
            format!("heartbeat_timeout ({timeout}) is not above heartbeat_interval ({interval})"),
            format!("set heartbeat_timeout above \"{interval}\", or heartbeat_interval to \"0s\" for no heartbeats"),
        );
    }
    if config.reconnect_min > config.reconnect_max {
        let least = units::duration_text(config.reconnect_min);
        let most = units::duration_text(config.reconnect_max);
        link.conflict(
            ["reconnect_min", "reconnect_max"],
            format!("reconnect_min ({least}) is above reconnect_max ({most})"),
            format!("set reconnect_min to at most \"{most}\", or raise reconnect_max"),
        );
    }
}
