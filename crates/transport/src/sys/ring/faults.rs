//! Operations that fail, or do less than they were asked to: for tests.

use super::Work;

/// What happens to an operation instead of what it was started for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// It is never submitted, and ends with this error.
    Fail(i32),
    /// It is asked for so many bytes at most.
    Short(usize),
}

/// Decides by a seed which operations fail. Nothing is lost by any of it: a failed operation has not
/// begun.
pub(crate) struct Faults {
    state: u64,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed | 1 }
    }

    pub(super) fn next(&mut self, work: &Work) -> Option<Fault> {
        if !matches!(work, Work::Receive { .. } | Work::ReceiveProvided { .. } | Work::Send { .. }) {
            return None;
        }
        match self.number() % 16 {
            0 => Some(Fault::Fail(libc::ECANCELED)),
            1 => Some(Fault::Fail(libc::ENOBUFS)),
            2 => Some(Fault::Fail(libc::EINTR)),
            3 => Some(Fault::Fail(libc::EAGAIN)),
            4..=7 => Some(Fault::Short(1 + usize::try_from(self.number() % 700).unwrap_or(0))),
            8 => Some(Fault::Short(1)),
            _ => None,
        }
    }

    /// `xorshift64*`: faults have to be repeatable, not unpredictable.
    fn number(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
    }
}
