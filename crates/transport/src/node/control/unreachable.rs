//! What is told of peers that can't be reached: the first time, on another reason, and then once a minute.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use replink_frame::{ReplicaId, Status};

use crate::exchange::UnreachableReason;
use crate::mesh::WARN_AGAIN;

/// How long a link has to be up for what was before it to be over. One that an acceptor refuses after all (H-9) is up
/// for a moment, again and again.
const STAYS_UP_MIN: Duration = Duration::from_secs(10);

/// A reason, with the status where it was refused, and whether that is proved.
pub(super) type Why = (UnreachableReason, Option<Status>, bool);

/// The peers that can't be reached just now.
#[derive(Default)]
pub(super) struct Unreachable(BTreeMap<ReplicaId, Trouble>);

struct Trouble {
    since: Instant,
    attempts: u64,
    /// The lanes that have had no link, and since when they have one again.
    lanes: BTreeMap<u16, Option<Instant>>,
    /// When which reason was told last. As many as there are reasons and statuses, at most.
    told: BTreeMap<Why, Instant>,
}

/// What there is to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Told {
    /// For how long there has been no link.
    pub(super) since: Duration,
    /// How often it was tried in that time.
    pub(super) attempts: u64,
}

impl Unreachable {
    /// An attempt has failed. What to tell, if it is time to.
    pub(super) fn failed(&mut self, peer: ReplicaId, lane: u16, why: Why, now: Instant) -> Option<Told> {
        let new = || Trouble { since: now, attempts: 0, lanes: BTreeMap::new(), told: BTreeMap::new() };
        let trouble = self.0.entry(peer).or_insert_with(new);
        let up = trouble.lanes.insert(lane, None).flatten();
        if up.is_some_and(|since| now >= since + STAYS_UP_MIN) {
            *trouble = new();
            trouble.lanes.insert(lane, None);
        }
        trouble.attempts += 1;
        let told = trouble.told.get(&why);
        if told.is_some_and(|&told| now < told + WARN_AGAIN) {
            return None;
        }
        trouble.told.insert(why, now);
        Some(Told { since: now.saturating_duration_since(trouble.since), attempts: trouble.attempts })
    }

    /// There is a link. If it stays up, what was is over.
    pub(super) fn reached(&mut self, peer: ReplicaId, lane: u16, now: Instant) {
        if let Some(up) = self.0.get_mut(&peer).and_then(|trouble| trouble.lanes.get_mut(&lane)) {
            *up = Some(now);
        }
    }

    /// Peers that are not on the roster any more, or lanes, are nobody's trouble.
    pub(super) fn retain(&mut self, stays: impl Fn(ReplicaId, u16) -> bool) {
        self.0.retain(|&peer, trouble| {
            trouble.lanes.retain(|&lane, _| stays(peer, lane));
            !trouble.lanes.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: ReplicaId = ReplicaId(2);
    const REFUSED: Why = (UnreachableReason::Refused, None, false);
    const WRONG_KEY: Why = (UnreachableReason::Rejected, Some(Status::UNKNOWN_KEY), false);

    #[test]
    fn a_peer_is_told_of_once_then_on_change_then_once_a_minute() {
        let (mut unreachable, start) = (Unreachable::default(), Instant::now());
        let mut told = Vec::new();
        // Refused and rejected in turn, as by two addresses of one name, ten times a second, on two lanes.
        for attempt in 0..1200_u32 {
            let now = start + Duration::from_millis(100) * attempt;
            let why = if attempt % 2 == 0 { REFUSED } else { WRONG_KEY };
            if let Some(Told { attempts, .. }) = unreachable.failed(PEER, (attempt / 2 % 2) as u16, why, now)
            {
                told.push(attempts);
            }
        }
        assert_eq!(told, [1, 2, 601, 602]);
    }

    #[test]
    fn what_is_over_is_news_again() {
        let (mut unreachable, now) = (Unreachable::default(), Instant::now());
        assert!(unreachable.failed(PEER, 0, REFUSED, now).is_some());
        assert!(unreachable.failed(PEER, 1, REFUSED, now).is_none(), "another lane is no other peer");
        unreachable.reached(PEER, 1, now);
        let soon = now + Duration::from_secs(1);
        assert!(unreachable.failed(PEER, 1, REFUSED, soon).is_none(), "it did not stay up");
        unreachable.reached(PEER, 1, soon);
        let later = soon + STAYS_UP_MIN;
        let first = Told { since: Duration::ZERO, attempts: 1 };
        assert_eq!(unreachable.failed(PEER, 1, REFUSED, later), Some(first));
        unreachable.retain(|peer, _| peer != PEER);
        assert_eq!(unreachable.failed(PEER, 1, REFUSED, later), Some(first));
    }
}
