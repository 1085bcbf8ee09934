//! How long things took, counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in microseconds: from a round trip within one machine to what a human notices.
const BOUNDS_MICROS: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000,
];

/// How long something took, each time that it was done, since the node was made.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Histogram {
    /// For each upper bound how many took no longer, ascending; what took longer than the last one is in
    /// [`Histogram::count`] only.
    pub buckets: Vec<(Duration, u64)>,
    /// How many there were.
    pub count: u64,
    /// How long all took together.
    pub sum: Duration,
}

/// Counts, by one thread, what others look at.
#[derive(Default)]
pub(super) struct Times {
    buckets: [AtomicU64; BOUNDS_MICROS.len()],
    beyond: AtomicU64,
    sum_nanos: AtomicU64,
}

impl Times {
    pub(super) fn count(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let index = BOUNDS_MICROS.partition_point(|&bound| bound < micros);
        self.buckets.get(index).unwrap_or(&self.beyond).fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(super) fn histogram(&self) -> Histogram {
        let mut count = 0;
        let buckets = BOUNDS_MICROS.iter().zip(&self.buckets).map(|(&bound, bucket)| {
            count += bucket.load(Ordering::Relaxed);
            (Duration::from_micros(bound), count)
        });
        let buckets = buckets.collect();
        let sum = Duration::from_nanos(self.sum_nanos.load(Ordering::Relaxed));
        Histogram { buckets, count: count + self.beyond.load(Ordering::Relaxed), sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_in_its_bucket_and_all_above() {
        let times = Times::default();
        let took = [Duration::from_micros(50), Duration::from_nanos(51_001), Duration::from_secs(60)];
        for &took in &took {
            times.count(took);
        }
        let histogram = times.histogram();
        assert_eq!(histogram.buckets[0], (Duration::from_micros(50), 1));
        assert_eq!(histogram.buckets[1], (Duration::from_micros(100), 2));
        assert_eq!(histogram.buckets.last(), Some(&(Duration::from_secs(5), 2)));
        assert_eq!((histogram.count, histogram.sum), (3, took.iter().sum()));
    }
}
