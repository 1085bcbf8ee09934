//! Copies of one process, which their incarnation does not tell apart.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use replink_frame::ReplicaId;

/// Within what time a link that goes there and back again makes two processes of one: whoever has come to another
/// address does not come back from the old one.
const THERE_AND_BACK: Duration = Duration::from_secs(60);

/// Who took a link of which replica over last.
#[derive(Default)]
pub(super) struct Clones(BTreeMap<ReplicaId, TakenOver>);

struct TakenOver {
    from: IpAddr,
    by: IpAddr,
    at: Instant,
}

impl Clones {
    /// A link of `peer` at the address `by` takes over from one at `from`, of the same process as far as is known.
    /// Whether it does so in turn.
    pub(super) fn taken_over(
        &mut self,
        peer: ReplicaId,
        from: SocketAddr,
        by: SocketAddr,
        now: Instant,
    ) -> bool {
        let (from, by) = (from.ip().to_canonical(), by.ip().to_canonical());
        if from == by {
            return false;
        }
        let before = self.0.insert(peer, TakenOver { from, by, at: now });
        before
            .is_some_and(|before| (before.from, before.by) == (by, from) && now <= before.at + THERE_AND_BACK)
    }

    pub(super) fn retain(&mut self, stays: impl Fn(ReplicaId) -> bool) {
        self.0.retain(|&peer, _| stays(peer));
    }
}
