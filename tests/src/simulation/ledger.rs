//! What may happen on links, whoever says so: the book that every event is checked against.

use std::collections::{BTreeMap, VecDeque};

use replink_frame::{GoodbyeReason, ReplicaId};
use replink_transport::mesh::{DownReason, LinkId};

use super::network::{EndId, ProcessId};
use super::on_the_way::Changed;

/// One link at one of its ends.
pub(super) type Key = (ProcessId, LinkId);

/// A frame that was accepted to be sent: which one of its link it is, and the hash of all of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    pub(super) number: u64,
    pub(super) digest: u64,
}

/// What a rule was broken with.
pub(super) type Broken = String;

/// Everything that was said of the links.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Whether links end only because one end or both leave: then nothing is lost (C-3).
    pub(super) in_peace: bool,
    links: BTreeMap<Key, Page>,
    /// What was accepted at an end and has not come out at the other.
    under_way: BTreeMap<EndId, Queue>,
    /// Links that ended because a key was retired, by process, peer and lane, since the last time
    /// that one was.
    retired: BTreeMap<(ProcessId, ReplicaId, u16), u32>,
    /// What someone on the way has done.
    pub(super) changed: Changed,
}

#[derive(Debug, Default)]
struct Queue {
    accepted: u64,
    frames: VecDeque<Stamp>,
}

#[derive(Debug)]
struct Page {
    end: EndId,
    peer: ReplicaId,
    lane: u16,
    place: Place,
    /// Whether a newer link of the same peer and lane has given frames: then this one gives none any more.
    overtaken: bool,
    /// Since when the node does not show it, while its embedder has it: it leaves.
    leaves_since: Option<u64>,
}

/// Where the embedder has a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    On(usize),
    Between { to: usize },
    Down,
}

impl Ledger {
    /// A link came up on `shard`. `end` is the connection that it is on.
    pub(super) fn up(
        &mut self,
        key: Key,
        shard: usize,
        end: EndId,
        (peer, lane): (ReplicaId, u16),
    ) -> Result<(), Broken> {
        let place = Place::On(shard);
        let page = Page { end, peer, lane, place, overtaken: false, leaves_since: None };
        if self.links.insert(key, page).is_some() {
            return Err(format!("{key:?} came up twice"));
        }
        Ok(())
    }

    /// A link's queue took a frame at `end`. The stamp's number counts from 0.
    pub(super) fn accepted(&mut self, end: EndId, digest: u64) {
        let queue = self.under_way.entry(end).or_default();
        queue.frames.push_back(Stamp { number: queue.accepted, digest });
        queue.accepted += 1;
    }

    /// How many frames were accepted at `end`.
    pub(super) fn accepted_at(&self, end: EndId) -> u64 {
        self.under_way.get(&end).map_or(0, |queue| queue.accepted)
    }

    /// How many of them have not come out.
    pub(super) fn under_way_from(&self, end: EndId) -> usize {
        self.under_way.get(&end).map_or(0, |queue| queue.frames.len())
    }

    /// A frame came out on `shard`.
    pub(super) fn frame(&mut self, key: Key, shard: usize, frame: Stamp) -> Result<(), Broken> {
        let page = self.on(key, shard, "a frame")?;
        if page.overtaken {
            return Err(format!("{key:?} gave frame {frame:?} behind those of a newer link"));
        }
        let (sender, peer, lane) = (page.end.peer(), page.peer, page.lane);
        for (_, older) in self.links.range_mut((key.0, LinkId(0))..key) {
            older.overtaken |= (older.peer, older.lane) == (peer, lane); // C-3
        }
        self.changed.check_frame(sender, frame.number)?;
        let next = self.under_way.get_mut(&sender).and_then(|queue| queue.frames.pop_front());
        match next {
            Some(next) if next == frame => Ok(()),
            Some(next) => Err(format!("{key:?} gave frame {frame:?} where {next:?} was next")),
            None => Err(format!("{key:?} gave frame {frame:?}, which its peer did not send")),
        }
    }

    /// A queue has room again.
    pub(super) fn drained(&mut self, key: Key, shard: usize) -> Result<(), Broken> {
        self.on(key, shard, "room").map(|_| ())
    }

    /// A link left `shard` for another one.
    pub(super) fn released(&mut self, key: Key, shard: usize, to: usize) -> Result<(), Broken> {
        self.on(key, shard, "a release")?.place = Place::Between { to };
        Ok(())
    }

    /// A link came to `shard` from another one.
    pub(super) fn adopted(&mut self, key: Key, shard: usize) -> Result<(), Broken> {
        let page = self.page(key, "an adoption")?;
        if page.place != (Place::Between { to: shard }) {
            return Err(format!("{key:?} was adopted by shard {shard} where it was {:?}", page.place));
        }
        page.place = Place::On(shard);
        Ok(())
    }

    /// A link is down.
    pub(super) fn down(&mut self, key: Key, shard: usize, reason: &DownReason) -> Result<(), Broken> {
        let page = self.on(key, shard, "the end")?;
        page.place = Place::Down;
        let (peer, lane, sender) = (page.peer, page.lane, page.end.peer());
        self.changed.check_down(sender, reason)?;
        if matches!(
            reason,
            DownReason::Left(GoodbyeReason::KEY_RETIRED) | DownReason::Ended(GoodbyeReason::KEY_RETIRED)
        ) {
            let retired = self.retired.entry((key.0, peer, lane)).or_default();
            *retired += 1;
            if *retired > 1 {
                return Err(format!("{key:?} is the second link that ends because of one retired key"));
            }
        }
        let missing = self.under_way_from(sender);
        if missing > 0 && (self.in_peace || matches!(reason, DownReason::Left(_))) {
            // A goodbye goes out behind all that was accepted.
            return Err(format!("{key:?}: the peer left, and {missing} frames before that are missing"));
        }
        Ok(())
    }

    /// A link was made anew: nothing of it may be missing.
    pub(super) fn renewed(&mut self, key: Key, shard: usize) -> Result<(), Broken> {
        let page = self.on(key, shard, "a renewal")?;
        page.place = Place::Down;
        let sender = page.end.peer();
        match self.under_way_from(sender) {
            0 => Ok(()),
            missing => Err(format!("{key:?} was renewed, and {missing} frames of it are missing")),
        }
    }

    /// One more key is about to be retired.
    pub(super) fn new_rotation(&mut self) {
        self.retired.clear();
    }

    /// A process is no more; nobody hears of its links again.
    pub(super) fn forget(&mut self, process: ProcessId) {
        self.links.retain(|&(owner, _), _| owner != process);
        self.retired.retain(|&(owner, _, _), _| owner != process);
    }

    /// The links that are up at `process`, by peer and lane.
    pub(super) fn live(&self, process: ProcessId) -> Vec<(ReplicaId, u16, LinkId, EndId)> {
        let of =
            self.links.iter().filter(|&(&(owner, _), page)| owner == process && page.place != Place::Down);
        of.map(|(&(_, link), page)| (page.peer, page.lane, link, page.end)).collect()
    }

    /// All shards of `process` have said what there was to say, and the node shows `shown`. Links that leave are not
    /// shown, and don't do so for longer than `leave_max`.
    pub(super) fn settled(
        &mut self,
        process: ProcessId,
        shown: &[(ReplicaId, u16, LinkId)],
        now: u64,
        leave_max: u64,
    ) -> Result<(), Broken> {
        let live = self.live(process);
        let has = |&(peer, lane, link): &(ReplicaId, u16, LinkId)| {
            live.iter().any(|&(its_peer, its_lane, its, _)| (its_peer, its_lane, its) == (peer, lane, link))
        };
        let twice = shown.windows(2).find(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1));
        if let Some(pair) = twice {
            return Err(format!("{process:?} has two links to one peer and lane: {pair:?}"));
        }
        if !shown.iter().all(has) {
            return Err(format!("{process:?}: the embedder has {live:?}, the node shows {shown:?}"));
        }
        for (peer, lane, link, _) in live {
            let page = self.page((process, link), "a look")?;
            if shown.contains(&(peer, lane, link)) {
                page.leaves_since = None;
            } else if now - *page.leaves_since.get_or_insert(now) > leave_max {
                return Err(format!("{process:?}: {link} leaves without end; the node shows {shown:?}"));
            }
        }
        Ok(())
    }

    fn page(&mut self, key: Key, what: &str) -> Result<&mut Page, Broken> {
        self.links.get_mut(&key).ok_or_else(|| format!("{what} of {key:?}, which never came up"))
    }

    fn on(&mut self, key: Key, shard: usize, what: &str) -> Result<&mut Page, Broken> {
        let page = self.page(key, what)?;
        if page.place == Place::On(shard) {
            return Ok(page);
        }
        Err(format!("{what} of {key:?} on shard {shard} where it was {:?}", page.place))
    }
}

#[cfg(test)]
mod tests {
    use replink_transport::mesh::Loss;

    use super::*;

    const NODE: ProcessId = ProcessId(1);
    const END: EndId = EndId { connection: 7, side: 1 };
    const PEER: (ReplicaId, u16) = (ReplicaId(2), 0);

    fn key(link: u64) -> Key {
        (NODE, LinkId(link))
    }

    fn stamp(number: u64) -> Stamp {
        Stamp { number, digest: 100 + number }
    }

    /// A link that is up on shard 0, with three frames on their way to it.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.up(key(1), 0, END, PEER).unwrap();
        (0..3).for_each(|number| ledger.accepted(END.peer(), 100 + number));
        ledger
    }

    #[track_caller]
    fn assert_broken(result: Result<(), Broken>, because: &str) {
        let broken = result.expect_err(because);
        assert!(broken.contains(because), "{broken}");
    }

    #[test]
    fn an_honest_life_is_no_violation() {
        let mut ledger = ledger();
        ledger.frame(key(1), 0, stamp(0)).unwrap();
        ledger.released(key(1), 0, 2).unwrap();
        ledger.adopted(key(1), 2).unwrap();
        ledger.frame(key(1), 2, stamp(1)).unwrap();
        ledger.drained(key(1), 2).unwrap();
        ledger.settled(NODE, &[(PEER.0, PEER.1, LinkId(1))], 0, 9).unwrap();
        ledger.down(key(1), 2, &DownReason::Lost(Loss::Ended)).unwrap();
        ledger.settled(NODE, &[], 0, 9).unwrap();
    }

    #[test]
    fn frames_are_a_prefix_of_what_was_sent() {
        assert_broken(ledger().frame(key(1), 0, stamp(1)), "where");
        let mut repeated = ledger();
        repeated.frame(key(1), 0, stamp(0)).unwrap();
        assert_broken(repeated.frame(key(1), 0, stamp(0)), "where");
        assert_broken(ledger().frame(key(1), 0, Stamp { digest: 1, ..stamp(0) }), "where");
        let mut foreign = Ledger::default();
        foreign.up(key(1), 0, END, PEER).unwrap();
        assert_broken(foreign.frame(key(1), 0, stamp(0)), "did not send");
    }

    #[test]
    fn nothing_comes_where_the_link_is_not() {
        assert_broken(Ledger::default().frame(key(1), 0, stamp(0)), "never came up");
        assert_broken(ledger().frame(key(1), 1, stamp(0)), "on shard 1");
        let mut moved = ledger();
        moved.released(key(1), 0, 2).unwrap();
        assert_broken(moved.frame(key(1), 0, stamp(0)), "Between");
        assert_broken(moved.adopted(key(1), 1), "adopted by shard 1");
        let mut over = ledger();
        over.down(key(1), 0, &DownReason::Superseded).unwrap();
        assert_broken(over.frame(key(1), 0, stamp(0)), "Down");
        assert_broken(over.down(key(1), 0, &DownReason::Superseded), "Down");
        assert_broken(over.drained(key(1), 0), "Down");
    }

    #[test]
    fn of_links_to_one_peer_and_lane_all_but_one_leave() {
        assert_broken(ledger().up(key(1), 0, END, PEER), "twice");
        let shown = |link| (PEER.0, PEER.1, LinkId(link));
        let mut two = ledger();
        two.up(key(2), 1, END, PEER).unwrap();
        two.settled(NODE, &[shown(2)], 100, 9).unwrap();
        two.settled(NODE, &[shown(2)], 109, 9).unwrap();
        assert_broken(two.settled(NODE, &[shown(2)], 110, 9), "without end");
        assert_broken(two.settled(NODE, &[shown(1), shown(2)], 0, 9), "two links");
        assert_broken(two.settled(NODE, &[shown(3)], 0, 9), "shows");
        // C-3: the older one first, and then no more of it.
        two.frame(key(1), 0, stamp(0)).unwrap();
        two.frame(key(2), 1, stamp(1)).unwrap();
        assert_broken(two.frame(key(1), 0, stamp(2)), "behind");
    }

    #[test]
    fn a_goodbye_is_the_last_and_a_key_retires_once() {
        let left = DownReason::Left(GoodbyeReason::SHUTDOWN);
        assert_broken(ledger().down(key(1), 0, &left), "3 frames");
        let ended = DownReason::Ended(GoodbyeReason::SHUTDOWN);
        assert_broken(Ledger { in_peace: true, ..ledger() }.down(key(1), 0, &ended), "3 frames");
        let mut retired = Ledger::default();
        let reason = DownReason::Ended(GoodbyeReason::KEY_RETIRED);
        for link in [1, 2] {
            retired.up(key(link), 0, END, PEER).unwrap();
            let down = retired.down(key(link), 0, &reason);
            assert_eq!(down.is_err(), link == 2);
        }
    }
}
