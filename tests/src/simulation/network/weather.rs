//! How the network behaves just now.

use std::collections::BTreeSet;

use super::{HostId, MILLISECOND};
use crate::random::Random;

/// Of how many operations one is late, and for how many nanoseconds at most, where nothing is wrong.
pub(in crate::simulation) const LITTLE_LATE: (usize, usize) = (8, 3_000_000);

/// How the network behaves just now.
#[derive(Debug)]
pub(in crate::simulation) struct Weather {
    /// The least and the most that a byte is under way, in nanoseconds.
    pub(in crate::simulation) delay: (u64, u64),
    /// Directions in which nothing gets through.
    pub(in crate::simulation) blocked: BTreeSet<(HostId, HostId)>,
    /// Of how many attempts to connect one fails at once; 0 for none.
    pub(in crate::simulation) refuses: usize,
    /// Of how many attempts to connect one is never answered; 0 for none.
    pub(in crate::simulation) swallows: usize,
    /// Of how many operations one is late, and for how many nanoseconds at most; 0 for none.
    pub(in crate::simulation) lateness: (usize, usize),
    /// Of how many registrations of connections one fails; 0 for none.
    pub(in crate::simulation) turns_down: usize,
}

impl Weather {
    /// Quiet, with the delays of `random`.
    pub(in crate::simulation) fn fair(random: &mut Random) -> Self {
        let least = random.pick(&[MILLISECOND / 20, MILLISECOND / 2, 2 * MILLISECOND]);
        let most = least * random.pick(&[1, 2, 10]);
        Self {
            delay: (least, most),
            blocked: BTreeSet::new(),
            refuses: 0,
            swallows: 0,
            lateness: LITTLE_LATE,
            turns_down: 0,
        }
    }

    /// Whether bytes get from `from` to `to`.
    pub(in crate::simulation) fn passes(&self, from: HostId, to: HostId) -> bool {
        !self.blocked.contains(&(from, to))
    }

    /// How long the next bytes are under way.
    pub(in crate::simulation) fn draw_delay(&self, random: &mut Random) -> u64 {
        let (least, most) = self.delay;
        let spread = (u128::from(random.number()) * u128::from(most - least + 1)) >> 64;
        least + u64::try_from(spread).unwrap_or(0)
    }
}
