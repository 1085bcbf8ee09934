use std::time::Duration;

/// How long to wait before the next attempt to connect: exponential, with full jitter.
///
/// Pure: the caller brings the randomness.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits between zero and `min` after the first failure, and up to `max` after many.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }

    /// The wait after one more failure. `random` is uniform over all of `u64`.
    ///
    /// The ceiling doubles with each failure; within it every wait is as likely (full jitter), so
    /// that the replicas of a cluster that fell over together do not come back together.
    pub fn next_wait(&mut self, random: u64) -> Duration {
        let doublings = self.failures.min(31);
        self.failures = self.failures.saturating_add(1);
        let ceiling = self.min.saturating_mul(1 << doublings).min(self.max);
        fraction(ceiling, random)
    }

    /// Other limits from now on; how often it failed stays.
    pub fn set_range(&mut self, min: Duration, max: Duration) {
        (self.min, self.max) = (min, max);
    }

    /// Starts over, after a link that stayed up.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Less than `span`: as much of it as `random` is of all of `u64`.
pub(crate) fn fraction(span: Duration, random: u64) -> Duration {
    let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    let nanos = (u128::from(span) * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_maximum_and_starts_over() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut longest = || backoff.next_wait(u64::MAX).as_millis();
        let waits: Vec<_> = (0..8).map(|_| longest()).collect();
        assert_eq!(waits, [49, 99, 199, 399, 799, 1599, 1999, 1999]);
        backoff.reset();
        assert_eq!(backoff.next_wait(u64::MAX).as_millis(), 49);
        assert_eq!(backoff.next_wait(0), Duration::ZERO);
    }

    #[test]
    fn never_overflows() {
        let mut backoff = Backoff::new(Duration::MAX, Duration::MAX);
        for _ in 0..100 {
            backoff.next_wait(u64::MAX);
        }
    }
}
