//! Peers that dial us and have fewer links than there are lanes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use replink_frame::ReplicaId;

use super::MeshSettings;

/// How long a peer may take to make them all, a few at once, and to try again what comes to nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Those peers, until they have all their links or none.
#[derive(Default)]
pub(super) struct Lanes(BTreeMap<ReplicaId, Missing>);

struct Missing {
    up: u16,
    /// When it is said; `None` once it was.
    due: Option<Instant>,
}

impl Lanes {
    /// So many links of `peer` are up now.
    pub(super) fn changed(&mut self, peer: ReplicaId, up: u16, settings: &MeshSettings, now: Instant) {
        if up == 0 || up >= settings.lanes {
            self.0.remove(&peer);
            return;
        }
        let new = || Missing { up, due: Some(now + PATIENCE.min(settings.leave_max())) };
        self.0.entry(peer).or_insert_with(new).up = up;
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.0.values().filter_map(|missing| missing.due).min()
    }

    /// The peers of which it is to be said now, and how many links they have.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(ReplicaId, u16)> {
        let due = self.0.iter_mut().filter_map(|(&peer, missing)| {
            missing.due.take_if(|due| *due <= now).map(|_| (peer, missing.up))
        });
        due.collect()
    }
}
