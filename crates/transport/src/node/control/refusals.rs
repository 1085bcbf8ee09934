//! How many of those that did not get in are told of one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use replink_frame::{ReplicaId, Status};

use crate::gate::Source;
use crate::node::event::RejectedBy;

/// For how long what has been told of counts. A sum of the rest is told at its end.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// How many strangers are told of within one [`WINDOW`]: each of them once for each cause. A flood must not fill the
/// disk with its own log, nor hide in it what matters.
pub(super) const STRANGERS_TOLD_MAX: usize = 20;

/// How many attempts from one address of the roster are told of within one [`WINDOW`], beside the strangers': what
/// comes from there is a replica that is not configured right, or somebody on its machine.
pub(super) const ROSTER_TOLD_MAX: u32 = 20;

/// Whose attempt it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum From {
    /// Somebody's at an address that is not on the roster.
    Stranger(IpAddr),
    /// Somebody's at a replica's address.
    Roster(IpAddr),
    /// A replica's that has proved itself. It is told of once for each cause, and no flood hides that.
    Replica(ReplicaId),
}

/// What came of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Attempt {
    /// One end turned the other away.
    Rejected(Status, RejectedBy),
    /// The peer left when it had read our challenge.
    Declined,
    /// The connection broke, or time was up.
    Broken,
}

/// Counts what is told of and what is not.
#[derive(Default)]
pub(super) struct Refusals {
    window: Option<Instant>,
    strangers: BTreeSet<(Source, Attempt)>,
    roster: BTreeMap<IpAddr, u32>,
    replicas: BTreeSet<(ReplicaId, Attempt)>,
    untold: u64,
}

impl Refusals {
    /// Whether to tell of one more.
    pub(super) fn tell(&mut self, from: From, attempt: Attempt, now: Instant) -> bool {
        self.window.get_or_insert(now);
        let tell = match from {
            From::Replica(replica) => self.replicas.insert((replica, attempt)),
            From::Roster(address) => {
                let told = self.roster.entry(address.to_canonical()).or_default();
                let tell = *told < ROSTER_TOLD_MAX;
                *told += u32::from(tell);
                tell
            }
            From::Stranger(address) => {
                self.strangers.len() < STRANGERS_TOLD_MAX
                    && self.strangers.insert((Source::of_stranger(address.to_canonical()), attempt))
            }
        };
        self.untold += u64::from(!tell);
        tell
    }

    /// When there is a sum to tell, or a window to end.
    pub(super) fn due(&self) -> Option<Instant> {
        self.window.map(|window| window + WINDOW)
    }

    /// How many were not told of, once the window is over.
    pub(super) fn take_untold(&mut self, now: Instant) -> Option<u64> {
        if self.due().is_some_and(|due| due <= now) {
            let untold = std::mem::take(self).untold;
            return (untold > 0).then_some(untold);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const REPLICA: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const WRONG_KEY: Attempt = Attempt::Rejected(Status::UNKNOWN_KEY, RejectedBy::Us);

    /// Whatever strangers do, from however many addresses, a minute has so many lines of theirs and one sum.
    #[test]
    fn a_flood_is_told_of_in_sum() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let strangers = (0..50_000_u32).map(|low| IpAddr::V4(Ipv4Addr::from_bits((198 << 24) | low)));
        let mut told = 0_usize;
        for address in strangers {
            for attempt in [WRONG_KEY, Attempt::Broken, WRONG_KEY] {
                told += usize::from(refusals.tell(From::Stranger(address), attempt, now));
            }
        }
        assert_eq!(told, STRANGERS_TOLD_MAX);
        // And none of them hides what comes from a replica's address.
        let attempts = (0..5).filter(|_| refusals.tell(From::Roster(REPLICA), WRONG_KEY, now)).count();
        assert_eq!(attempts, 5);
        assert_eq!((refusals.due(), refusals.take_untold(now)), (Some(now + WINDOW), None));
        assert_eq!(refusals.take_untold(now + WINDOW), Some(150_000 - STRANGERS_TOLD_MAX as u64));
        assert!(refusals.tell(From::Stranger(REPLICA), WRONG_KEY, now + WINDOW), "the next window");
        assert_eq!(refusals.take_untold(now + 2 * WINDOW), None, "nothing untold");
        assert_eq!(refusals.due(), None);
    }

    /// One that comes again and again is told of once for each cause, so that others are told of too.
    #[test]
    fn one_stranger_does_not_hide_another() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let host = |low| IpAddr::V6(Ipv6Addr::from_bits((0x2001_u128 << 112) | low));
        let told = (0..1000).filter(|&low| refusals.tell(From::Stranger(host(low)), WRONG_KEY, now)).count();
        assert_eq!(told, 1, "one /64 is one stranger");
        assert!(refusals.tell(From::Stranger(host(1)), Attempt::Broken, now), "for something else");
        assert!(refusals.tell(From::Stranger(host(1 << 64)), WRONG_KEY, now), "somebody else");
    }

    /// What comes from a replica's address is bounded too: somebody may be on its machine.
    #[test]
    fn a_roster_address_has_a_budget_of_its_own() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let told = (0..1000).filter(|_| refusals.tell(From::Roster(REPLICA), WRONG_KEY, now)).count();
        assert_eq!(told, ROSTER_TOLD_MAX as usize);
        let proved = From::Replica(ReplicaId(1));
        let told = (0..1000).filter(|_| refusals.tell(proved, WRONG_KEY, now)).count();
        assert_eq!(told, 1, "a replica that comes again and again");
        assert!(refusals.tell(proved, Attempt::Declined, now), "for something else");
    }
}
