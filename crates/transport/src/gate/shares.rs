use super::Terms;

/// Most slots that are kept back for one address of the roster. A replica dials one connection
/// after another, so this leaves room for those that hang, and for a probe.
///
/// All kept-back slots together are at most half of `max_pending`, or one for each address where
/// that is more. Where `max_pending` is not above the number of addresses, none are kept back.
pub const KEPT_BACK_PER_ADDRESS: u32 = 4;

/// How the slots of a gate are divided.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Shares {
    /// Kept back for each address of the roster.
    pub(super) kept_back: u32,
    /// For everyone.
    pub(super) shared: u32,
}

impl Shares {
    pub(super) fn new(terms: &Terms, roster_addresses: usize) -> Self {
        let addresses = u32::try_from(roster_addresses).unwrap_or(u32::MAX);
        if addresses == 0 || addresses >= terms.max_pending {
            return Self { kept_back: 0, shared: terms.max_pending };
        }
        let half = (terms.max_pending / 2 / addresses).max(1);
        let kept_back = KEPT_BACK_PER_ADDRESS.min(terms.max_pending_per_address).min(half);
        Self { kept_back, shared: terms.max_pending - kept_back * addresses }
    }

    /// Shared slots that may be taken before strangers are told `busy`.
    pub(super) fn high_water(self) -> u32 {
        self.shared - self.shared / 4
    }
}
