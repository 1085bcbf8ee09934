//! Which key a version 1 dialer is answered with (K-2).

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use replink_frame::ReplicaId;

/// With which key of the ring each replica is answered that dials in version 1, where a Hello names none (K-2). After a
/// handshake that came to nothing because the other end does not hold the key, the next one has its turn.
///
/// To be shared by all that accept for one node, and given to [`Accepting::trying_keys`](super::Accepting::trying_keys)
/// where the peer comes from an address of the roster: strangers have no say in this. It has a place for every replica id
/// there can be and never grows.
pub struct VersionOneKeys([AtomicU8; 256]);

impl Default for VersionOneKeys {
    fn default() -> Self {
        Self([const { AtomicU8::new(0) }; 256])
    }
}

impl VersionOneKeys {
    /// The turn of which key it is; those who know how many there are count on from the first.
    pub(super) fn index(&self, peer: ReplicaId) -> usize {
        self.0[usize::from(peer.0)].load(Ordering::Relaxed).into()
    }

    /// The key that had its turn did not fit. Of handshakes side by side with the same key only one counts.
    pub(super) fn failed(&self, peer: ReplicaId, index: usize) {
        let Ok(index) = u8::try_from(index) else { return };
        let next = index.wrapping_add(1);
        let place = &self.0[usize::from(peer.0)];
        let _counted = place.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

impl fmt::Debug for VersionOneKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VersionOneKeys").finish_non_exhaustive()
    }
}
