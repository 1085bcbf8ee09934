use std::net::IpAddr;
use std::time::Instant;

/// Names a pending connection of one gate; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SlotId(pub(super) u64);

/// The right of one connection to be read. It has to be given back to the gate that it came from,
/// with [`Gate::authenticated`](super::Gate::authenticated) or
/// [`Gate::release`](super::Gate::release); one that is dropped stays taken.
#[derive(Debug)]
#[must_use = "a slot that is not given back stays taken"]
pub struct Slot {
    pub(super) id: SlotId,
    pub(super) address: IpAddr,
    pub(super) deadline: Instant,
}

impl Slot {
    /// What [`Gate::expired`](super::Gate::expired) names the connection by.
    pub fn id(&self) -> SlotId {
        self.id
    }

    /// When the handshake must be over, all of it.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }
}
