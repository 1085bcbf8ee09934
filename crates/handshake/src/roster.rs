use core::fmt;

use replink_frame::ReplicaId;

/// The replica ids that belong to the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Roster([u64; 4]);

impl Roster {
    /// Whether `id` is on it.
    pub fn contains(&self, id: ReplicaId) -> bool {
        self.0[usize::from(id.0 >> 6)] & (1 << (id.0 & 63)) != 0
    }

    /// All ids, ascending.
    pub fn iter(&self) -> impl Iterator<Item = ReplicaId> {
        (0..=u8::MAX).map(ReplicaId).filter(|&id| self.contains(id))
    }
}

impl FromIterator<ReplicaId> for Roster {
    fn from_iter<I: IntoIterator<Item = ReplicaId>>(ids: I) -> Self {
        ids.into_iter().fold(Self::default(), |mut roster, id| {
            roster.0[usize::from(id.0 >> 6)] |= 1 << (id.0 & 63);
            roster
        })
    }
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_exactly_what_was_put_in() {
        let ids = [0, 1, 63, 64, 127, 128, 254, 255].map(ReplicaId);
        let roster: Roster = ids.into_iter().collect();
        assert!(roster.iter().eq(ids));
        assert!(!roster.contains(ReplicaId(2)) && !roster.contains(ReplicaId(253)));
    }
}
