//! Looking for work before going to sleep.

use std::time::{Duration, Instant};

/// To sleep and to be woken takes far longer than most answers of a peer. So a thread that expects one may
/// look for it first, for a while, which costs the processor's time instead.
///
/// It is worth it only where work comes within that while. So the while is shortened, down to nothing but
/// a glance, when nothing has come, and is what was asked for again as soon as work comes that would have
/// been found.
#[derive(Clone, Copy, Debug)]
pub(super) struct BusyPoll {
    limit: Duration,
    current: Duration,
}

/// What part of the limit is left where nothing comes.
const SHORTEST: u32 = 16;

impl BusyPoll {
    /// `limit` of zero: never.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, current: limit }
    }

    pub(super) fn is_off(&self) -> bool {
        self.limit.is_zero()
    }

    /// Looks until `found` says yes, at most for `timeout`. Whether it did.
    pub(super) fn look(
        &self,
        began: Instant,
        timeout: Option<Duration>,
        mut found: impl FnMut() -> bool,
    ) -> bool {
        let while_ = timeout.map_or(self.current, |timeout| timeout.min(self.current));
        loop {
            for _ in 0..16 {
                if found() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if began.elapsed() >= while_ {
                return false;
            }
        }
    }

    /// Work has come `after` the wait began, or nothing but the end of the timeout.
    pub(super) fn learn(&mut self, after: Option<Duration>) {
        self.current = match after {
            Some(after) if after <= self.limit => self.limit,
            _ => (self.current / 2).max(self.limit / SHORTEST),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(160);

    #[test]
    fn looks_longer_only_where_that_finds_something() {
        let mut busy = BusyPoll::new(LIMIT);
        assert_eq!(busy.current, LIMIT);
        for _ in 0..20 {
            busy.learn(None);
        }
        assert_eq!(busy.current, LIMIT / SHORTEST);
        busy.learn(Some(LIMIT * 2));
        assert_eq!(busy.current, LIMIT / SHORTEST);
        busy.learn(Some(LIMIT));
        assert_eq!(busy.current, LIMIT);
    }

    #[test]
    fn stops_when_there_is_something_or_the_time_is_up() {
        let busy = BusyPoll::new(Duration::from_secs(3600));
        let mut looks = 0;
        let found = busy.look(Instant::now(), None, || {
            looks += 1;
            looks == 40
        });
        assert!(found && looks == 40);
        assert!(!busy.look(Instant::now(), Some(Duration::ZERO), || false));
        assert!(BusyPoll::new(Duration::ZERO).is_off());
    }
}
