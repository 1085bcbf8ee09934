//! What the command shows: one link beside raw TCP.

use std::time::Duration;

use crate::{Contender, Failure, Flow, Handshakes, Ratio, Raw, ReplicaLink, RoundTrips, Window};

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

/// Windows before the pairs: trials of raw TCP, and one of each kind to warm up.
const TRIALS: u32 = 6;

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
}

impl Plan {
    /// Windows so long that all of them take about `total`, within what makes sense.
    pub fn within(total: Duration) -> Self {
        let pairs = u32::try_from(PAIRS).unwrap_or(u32::MAX);
        let windows = 2 * KINDS * pairs + TRIALS;
        let whole = total / windows;
        Self { window: Window::new((whole * 5 / 6).max(WINDOW_MIN)) }
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
    let raw = Raw::at_its_best(link.shards, !link.busy_poll.is_zero(), window.length)?;
    let mut found = Vec::new();
    for (&name, size) in MEASURES.iter().zip(SIZES) {
        begins(name);
        let flows = pairs(&raw, link, |contender| contender.throughput(size, window))?;
        found.push(comparison(name, "GB/s", &flows, Flow::gigabytes_per_second));
    }
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
    let raw: Vec<_> = pairs.iter().map(|(raw, _)| figure(raw)).collect();
    let link: Vec<_> = pairs.iter().map(|(_, link)| figure(link)).collect();
    Comparison { name, unit, ratio: Ratio::of(&link, &raw) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_not_too_short_and_the_deadline_is_behind_them() {
        for seconds in [0, 1, 20, 600] {
            let plan = Plan::within(Duration::from_secs(seconds));
            assert!(plan.window.length >= WINDOW_MIN);
            assert!(plan.deadline() > Duration::from_secs(seconds));
        }
    }
}
