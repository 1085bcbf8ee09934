//! What the command shows: one link beside raw TCP.

use std::time::Duration;

use crate::raw::CALIBRATION_WINDOWS;
use crate::{
    Connections, Contender, Failure, Flow, Handshakes, Placement, Ratio, Raw, ReplicaLink, RoundTrips, Window,
};

/// How often each figure is measured of both, in turn.
pub const PAIRS: usize = 5;

/// The names of all figures, in order.
pub const MEASURES: [&str; 7] = [
    "throughput_256B",
    "throughput_4KiB",
    "throughput_64KiB",
    "throughput_1MiB",
    "roundtrip_p50",
    "roundtrip_p99",
    "handshakes",
];

const SIZES: [usize; 4] = [256, 4 << 10, 64 << 10, 1 << 20];

/// Kinds of windows of a pair: one for each size, round trips, handshakes.
const KINDS: u32 = 6;

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
    /// Seconds of processor time for 10⁹ bytes, of both ends, where bytes are what is counted.
    pub cpu_seconds_per_gigabyte: Option<Ratio>,
}

impl Plan {
    /// Windows so long that all of them take about `total`, within what makes sense.
    pub fn within(total: Duration, placement: Placement) -> Self {
        let pairs = u32::try_from(PAIRS).unwrap_or(u32::MAX);
        let windows = 2 * KINDS * pairs + TRIALS;
        let whole = total / windows;
        Self { window: Window::new((whole * 5 / 6).max(WINDOW_MIN), placement) }
    }

    /// When whoever waits for the figures may give up.
    pub fn deadline(&self) -> Duration {
        let windows = 2 * KINDS * u32::try_from(PAIRS).unwrap_or(u32::MAX) + TRIALS;
        4 * windows * self.window.whole() + Duration::from_secs(60)
    }
}

/// Measures `link` beside raw TCP, and tells of each kind of window before it begins.
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
    for (&name, size) in MEASURES.iter().zip(SIZES) {
        begins(name);
        let flows = pairs(&raw, link, |contender| contender.throughput(size, window))?;
        let cpu_time = ratio(&flows, Flow::cpu_seconds_per_gigabyte);
        let compared = comparison(name, "GB/s", &flows, Flow::gigabytes_per_second);
        found.push(Comparison { cpu_seconds_per_gigabyte: Some(cpu_time), ..compared });
    }
    let raw = Raw::untried(!link.busy_poll.is_zero());
    begins("round trips");
    let trips = pairs(&raw, link, |contender| contender.round_trip(256, window))?;
    for (&name, share) in MEASURES[SIZES.len()..].iter().zip([0.5, 0.99]) {
        found.push(comparison(name, "us", &trips, |trips: &RoundTrips| trips.quantile(share)));
    }
    begins("handshakes");
    let handshakes = pairs(&raw, link, |contender| contender.handshakes(window))?;
    let per_second = |handshakes: &Handshakes| handshakes.per_second;
    found.push(comparison(MEASURES[MEASURES.len() - 1], "/s", &handshakes, per_second));
    Ok(found)
}

/// Windows of both in turn, raw TCP's first.
fn pairs<T>(
    raw: &Raw,
    link: &ReplicaLink,
    measure: impl Fn(&dyn Contender) -> Result<T, Failure>,
) -> Result<Vec<(T, T)>, Failure> {
    (0..PAIRS).map(|_| Ok((measure(raw)?, measure(link)?))).collect()
}

fn comparison<T>(
    name: &'static str,
    unit: &'static str,
    pairs: &[(T, T)],
    figure: impl Fn(&T) -> f64,
) -> Comparison {
    Comparison { name, unit, ratio: ratio(pairs, figure), cpu_seconds_per_gigabyte: None }
}

fn ratio<T>(pairs: &[(T, T)], figure: impl Fn(&T) -> f64) -> Ratio {
    let raw: Vec<_> = pairs.iter().map(|(raw, _)| figure(raw)).collect();
    let link: Vec<_> = pairs.iter().map(|(_, link)| figure(link)).collect();
    Ratio::of(&link, &raw)
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
}
