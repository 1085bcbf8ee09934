//! What is measured, and what of it.

use std::error::Error;
use std::time::Duration;

use crate::{Counted, Window};

/// Why there is no figure.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A way to carry frames from one end to the other. Each call makes its own connections, so that no
/// window has the luck of another's.
pub trait Contender {
    /// What tables call it.
    fn name(&self) -> String;

    /// As many frames of `size` bytes as go one way in `window`, header included.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    fn throughput(&self, size: usize, window: Window) -> Result<Flow, Failure>;

    /// Frames of `size` bytes there and back, one after the other.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    fn round_trip(&self, size: usize, window: Window) -> Result<RoundTrips, Failure>;

    /// Connections that become ready for frames, one after the other.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    fn handshakes(&self, window: Window) -> Result<Handshakes, Failure>;
}

/// What went one way in a window.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Flow {
    /// Bytes of whole frames a second.
    pub bytes_per_second: f64,
    /// Seconds of processor time that both ends took together, for each second.
    pub cpu_per_second: f64,
    /// System calls for each frame, where they are counted.
    pub calls: Option<Calls>,
}

/// System calls for each frame.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Calls {
    /// Reads that gave something.
    pub reads: f64,
    /// Writes that took something.
    pub writes: f64,
}

impl Flow {
    /// The sum of what connections beside each other have moved: `receivers` counted bytes; everyone
    /// took processor time.
    pub fn of<'a>(senders: &[Counted], receivers: impl IntoIterator<Item = &'a Counted>) -> Self {
        let mut flow = Self::default();
        for counted in receivers {
            flow.bytes_per_second += counted.bytes_per_second();
            flow.cpu_per_second += counted.cpu_per_second();
        }
        flow.cpu_per_second += senders.iter().map(Counted::cpu_per_second).sum::<f64>();
        flow
    }

    /// 10⁹ bytes a second.
    pub fn gigabytes_per_second(&self) -> f64 {
        self.bytes_per_second / 1e9
    }

    /// Seconds of processor time of both ends for 10⁹ bytes.
    pub fn cpu_seconds_per_gigabyte(&self) -> f64 {
        self.cpu_per_second / self.gigabytes_per_second()
    }
}

/// How long round trips took.
#[derive(Clone, Default, Debug)]
pub struct RoundTrips {
    /// In nanoseconds, in ascending order.
    sorted: Vec<u64>,
}

impl RoundTrips {
    /// These times.
    pub fn new(times: Vec<Duration>) -> Self {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let mut sorted: Vec<_> = times.into_iter().map(nanos).collect();
        sorted.sort_unstable();
        Self { sorted }
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The time, in microseconds, that `share` of them did not exceed: 0.5 is the median.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index of a list, and a time for people"
    )]
    pub fn quantile(&self, share: f64) -> f64 {
        let index = (self.sorted.len() as f64 * share) as usize;
        self.sorted.get(index).or(self.sorted.last()).map_or(f64::NAN, |&nanos| nanos as f64 / 1e3)
    }
}

/// Connections that became ready for frames.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Handshakes {
    /// How many a second.
    pub per_second: f64,
    /// Processor time of the dialer for one, in microseconds, connecting and closing included.
    pub dialer_cpu_us: f64,
    /// Processor time of the acceptor for one, in microseconds, accepting and closing included.
    pub acceptor_cpu_us: f64,
}

impl Handshakes {
    /// What the dialer counted, and the time that the acceptor took for it.
    pub fn of(dialer: &Counted, acceptor: &Counted) -> Self {
        let per_second = dialer.frames_per_second();
        Self {
            per_second,
            dialer_cpu_us: dialer.cpu_per_second() / per_second * 1e6,
            acceptor_cpu_us: acceptor.cpu_per_second() / per_second * 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_times() {
        let times = (1..=100).rev().map(Duration::from_micros).collect();
        let trips = RoundTrips::new(times);
        let found = [0.0, 0.5, 0.99, 1.0].map(|share| format!("{:.0}", trips.quantile(share)));
        assert_eq!(found, ["1", "51", "100", "100"]);
        assert!(RoundTrips::default().quantile(0.5).is_nan());
    }
}
