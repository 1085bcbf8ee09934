//! Many random numbers from the one that the driver brought.

use std::time::Duration;

/// The driver's number first, then ones that are mixed from it (splitmix64). For spreading waits,
/// not for secrets.
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(random: u64) -> Self {
        Self(random)
    }

    pub(super) fn draw(&mut self) -> u64 {
        let drawn = self.0;
        let mut mixed = drawn.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = mixed ^ (mixed >> 31);
        drawn
    }

    /// Less than `span`, each as likely.
    pub(super) fn within(&mut self, span: Duration) -> Duration {
        crate::backoff::fraction(span, self.draw())
    }
}
