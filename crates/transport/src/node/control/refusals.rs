//! How many of those that did not get in are told of one by one.

use std::time::{Duration, Instant};

/// How many within one [`WINDOW`]. A flood must not fill the disk with its own log.
const TOLD_MAX: u32 = 100;

const WINDOW: Duration = Duration::from_secs(1);

/// Counts what is told of and what is not.
#[derive(Default)]
pub(super) struct Refusals {
    window: Option<Instant>,
    told: u32,
    untold: u64,
}

impl Refusals {
    /// Whether to tell of one more.
    pub(super) fn tell(&mut self, now: Instant) -> bool {
        if self.window.is_none() {
            (self.window, self.told) = (Some(now), 0);
        }
        let tell = self.told < TOLD_MAX;
        self.told += u32::from(tell);
        self.untold += u64::from(!tell);
        tell
    }

    /// When there is a sum to tell, or a window to end.
    pub(super) fn due(&self) -> Option<Instant> {
        self.window.filter(|_| self.untold > 0).map(|window| window + WINDOW)
    }

    /// How many were not told of, once the window is over.
    pub(super) fn take_untold(&mut self, now: Instant) -> Option<u64> {
        if self.window.is_some_and(|window| window + WINDOW <= now) {
            self.window = None;
            let untold = std::mem::take(&mut self.untold);
            return (untold > 0).then_some(untold);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_of_in_sum() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let told = (0..1000).filter(|_| refusals.tell(now)).count();
        assert_eq!(told, TOLD_MAX as usize);
        assert_eq!((refusals.due(), refusals.take_untold(now)), (Some(now + WINDOW), None));
        assert_eq!(refusals.take_untold(now + WINDOW), Some(1000 - u64::from(TOLD_MAX)));
        assert!(refusals.tell(now + WINDOW), "the next window");
        assert_eq!(refusals.due(), None, "nothing untold");
    }
}
