//! What the command shows: one link, sealed and not, beside raw TCP.

use std::time::Duration;

use crate::raw::CALIBRATION_WINDOWS;
use crate::{
    Connections, Contender, Failure, Flow, Handshakes, Placement, Ratio, Raw, ReplicaLink, RoundTrips, Window,
};

/// How often each figure is measured of all three, in turn.
pub const ROUNDS: usize = 5;

/// The names of all figures, in order: of the link that is not sealed, then of the one that is.
pub const MEASURES: [&str; 14] = [
    "throughput_256B",
    "throughput_4KiB",
    "throughput_64KiB",
    "throughput_1MiB",
    "roundtrip_p50",
    "roundtrip_p99",
    "handshakes",
    "throughput_256B_sealed",
    "throughput_4KiB_sealed",
    "throughput_64KiB_sealed",
    "throughput_1MiB_sealed",
    "roundtrip_p50_sealed",
    "roundtrip_p99_sealed",
    "handshakes_sealed",
];

/// Where the figures of the sealed link begin.
const SEALED: usize = MEASURES.len() / 2;

const SIZES: [usize; 4] = [256, 4 << 10, 64 << 10, 1 << 20];

/// Kinds of windows: one for each size, round trips, handshakes. In a round each has one of raw TCP, of the link that
/// is not sealed and of the one that is.
const KINDS: u32 = 6;
#[allow(clippy::cast_possible_truncation, reason = "there are few")]
const WINDOWS: u32 = 3 * KINDS * ROUNDS as u32 + TRIALS;

/// How much shorter than others the windows are that find the best pieces of raw TCP, for each size.
const TRIAL: u32 = 4;
const TRIALS: u32 = 4 * CALIBRATION_WINDOWS / TRIAL;

/// Anything shorter is mostly the start of threads.
const WINDOW_MIN: Duration = Duration::from_millis(20);

/// How long what takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// One window of one figure.
    pub window: Window,
}

/// One figure of a link beside raw TCP's.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Comparison {
    /// One of [`MEASURES`].
    pub name: &'static str,
    /// Of link and raw.
    pub unit: &'static str,
    /// The link's figure beside that of raw TCP.
    pub ratio: Ratio,
    /// The sealed link's figure beside that of the one that is not; nothing of that one.
    pub to_unsealed: Option<Ratio>,
    /// Seconds of processor time for 10⁹ bytes, of both ends, where bytes are what is counted.
    pub cpu_seconds_per_gigabyte: Option<Ratio>,
}

impl Plan {
    /// Windows so long that all of them take about `total`, within what makes sense.
    pub fn within(total: Duration, placement: Placement) -> Self {
        let whole = total / WINDOWS;
        Self { window: Window::new((whole * 5 / 6).max(WINDOW_MIN), placement) }
    }

    /// When whoever waits for the figures may give up.
    pub fn deadline(&self) -> Duration {
        4 * WINDOWS * self.window.whole() + Duration::from_secs(60)
    }
}

/// What is measured of three contenders in one round.
struct Round<T> {
    raw: T,
    unsealed: T,
    sealed: T,
}

/// Measures `link`, once not sealed and once sealed, beside raw TCP, and tells of each kind of window before it begins.
/// The sealed one is forward-secret, as sealed links are by default (S-5); the other one is not.
///
/// # Errors
///
/// [`Failure`], among others where the link's driver is not available.
pub fn compare(
    link: &ReplicaLink,
    plan: Plan,
    mut begins: impl FnMut(&str),
) -> Result<Vec<Comparison>, Failure> {
    link.check()?;
    let window = plan.window;
    begins("raw TCP at its best");
    let trial = Window::new(window.length / TRIAL, window.placement);
    let raw = Raw::at_its_best(&SIZES, Connections::Threads(link.shards), trial)?;
    let mut found = Vec::new();
    for (name, size) in SIZES.iter().enumerate() {
        begins(MEASURES[name]);
        let flows = rounds(&raw, link, |contender| contender.throughput(*size, window))?;
        let cpu_times = comparisons(name, "s/GB", &flows, Flow::cpu_seconds_per_gigabyte);
        let rates = comparisons(name, "GB/s", &flows, Flow::gigabytes_per_second);
        found.extend(rates.into_iter().zip(cpu_times).map(|((name, rate), (_, cpu_time))| {
            (name, Comparison { cpu_seconds_per_gigabyte: Some(cpu_time.ratio), ..rate })
        }));
    }
    let raw = Raw::untried(!link.busy_poll.is_zero());
    begins("round trips");
    let trips = rounds(&raw, link, |contender| contender.round_trip(256, window))?;
    for (name, share) in (SIZES.len()..).zip([0.5, 0.99]) {
        found.extend(comparisons(name, "us", &trips, |trips: &RoundTrips| trips.quantile(share)));
    }
    begins("handshakes");
    let handshakes = rounds(&raw, link, |contender| contender.handshakes(window))?;
    let per_second = |handshakes: &Handshakes| handshakes.per_second;
    found.extend(comparisons(SEALED - 1, "/s", &handshakes, per_second));
    found.sort_by_key(|(name, _)| *name);
    Ok(found.into_iter().map(|(_, comparison)| comparison).collect())
}

/// Windows of all three in turn, raw TCP's first.
fn rounds<T>(
    raw: &Raw,
    link: &ReplicaLink,
    measure: impl Fn(&dyn Contender) -> Result<T, Failure>,
) -> Result<Vec<Round<T>>, Failure> {
    let of = |sealed| ReplicaLink { sealed, forward_secrecy: sealed, ..*link };
    let (unsealed, sealed) = (of(false), of(true));
    let round =
        |_| Ok(Round { raw: measure(raw)?, unsealed: measure(&unsealed)?, sealed: measure(&sealed)? });
    (0..ROUNDS).map(round).collect()
}

/// A figure of either link, with the place of its name in [`MEASURES`]. `name` is that of the one that is not sealed.
fn comparisons<T>(
    name: usize,
    unit: &'static str,
    rounds: &[Round<T>],
    figure: impl Fn(&T) -> f64,
) -> [(usize, Comparison); 2] {
    let of = |which: fn(&Round<T>) -> &T| -> Vec<f64> {
        rounds.iter().map(|round| figure(which(round))).collect()
    };
    let (raw, unsealed, sealed) =
        (of(|round| &round.raw), of(|round| &round.unsealed), of(|round| &round.sealed));
    let comparison = |name: usize, link: &[f64], to_unsealed| {
        let ratio = Ratio::of(link, &raw);
        let comparison =
            Comparison { name: MEASURES[name], unit, ratio, to_unsealed, cpu_seconds_per_gigabyte: None };
        (name, comparison)
    };
    [
        comparison(name, &unsealed, None),
        comparison(SEALED + name, &sealed, Some(Ratio::of(&sealed, &unsealed))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_not_too_short_and_the_deadline_is_behind_them() {
        for seconds in [0, 1, 20, 600] {
            let plan = Plan::within(Duration::from_secs(seconds), Placement::Floating);
            assert!(plan.window.length >= WINDOW_MIN);
            assert!(plan.deadline() > Duration::from_secs(seconds));
        }
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "halves and quarters are exact")]
    fn a_figure_has_both_links_each_beside_raw_tcp_of_the_same_round() {
        let round = |(raw, unsealed, sealed)| Round { raw, unsealed, sealed };
        let found: Vec<_> = [(8.0, 4.0, 2.0), (4.0, 4.0, 3.0), (2.0, 4.0, 4.0)].map(round).into();
        let [(plain_name, plain), (sealed_name, sealed)] = comparisons(1, "GB/s", &found, |figure| *figure);
        assert_eq!((plain.name, sealed.name), ("throughput_4KiB", "throughput_4KiB_sealed"));
        assert_eq!([MEASURES[plain_name], MEASURES[sealed_name]], [plain.name, sealed.name]);
        assert_eq!([plain.ratio.median, sealed.ratio.median], [1.0, 0.75]);
        assert_eq!((plain.to_unsealed, sealed.to_unsealed.unwrap().median), (None, 0.75));
    }

    #[test]
    fn each_name_has_one_of_sealed_links() {
        for (plain, sealed) in MEASURES.iter().zip(&MEASURES[SEALED..]) {
            assert_eq!(format!("{plain}_sealed"), *sealed);
        }
    }
}
