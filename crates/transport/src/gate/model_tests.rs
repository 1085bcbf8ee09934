//! A gate against a model that counts everything anew each time, from a seed.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::tests::{TIMEOUT, ip, terms};
use super::*;

struct Random(u64);

impl Random {
    /// `SplitMix64`.
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) % u64::from(bound)).expect("below a u32")
    }
}

/// The connections that are pending, and nothing that could be derived from them.
struct Model {
    max_pending: u32,
    per_address: u32,
    roster: BTreeSet<IpAddr>,
    open: Vec<(Slot, IpAddr)>,
}

impl Model {
    fn same_source(&self, a: IpAddr, b: IpAddr) -> bool {
        match (a, b) {
            (IpAddr::V6(v6), IpAddr::V6(w6)) if !self.roster.contains(&a) && !self.roster.contains(&b) => {
                v6.segments()[..4] == w6.segments()[..4]
            }
            _ => a == b,
        }
    }

    fn count(&self, address: IpAddr) -> u32 {
        u32::try_from(self.open.iter().filter(|(_, other)| self.same_source(address, *other)).count())
            .unwrap()
    }

    fn total(&self) -> u32 {
        u32::try_from(self.open.len()).unwrap()
    }

    fn kept_back(&self) -> u32 {
        let addresses = u32::try_from(self.roster.len()).unwrap();
        if addresses == 0 || addresses >= self.max_pending {
            return 0;
        }
        [KEPT_BACK_PER_ADDRESS, self.per_address, (self.max_pending / (2 * addresses)).max(1)]
            .into_iter()
            .min()
            .unwrap()
    }

    /// Slots that are free, and not for others.
    fn admits(&self, address: IpAddr) -> bool {
        let kept = self.kept_back();
        let for_others: u32 = self
            .roster
            .iter()
            .filter(|other| **other != address)
            .map(|other| kept.saturating_sub(self.count(*other)))
            .sum();
        let own = self.roster.contains(&address) && self.count(address) < kept;
        let stranger = !self.roster.contains(&address);
        let has_room = |(prefix, times): (u8, u32)| {
            let within = |other: IpAddr| match (address, other) {
                (IpAddr::V6(a), IpAddr::V6(b)) if stranger && !self.roster.contains(&other) => {
                    a.octets()[..usize::from(prefix / 8)] == b.octets()[..usize::from(prefix / 8)]
                }
                _ => false,
            };
            let count = self.open.iter().filter(|(_, other)| within(*other)).count();
            u32::try_from(count).unwrap() < times * self.per_address
        };
        self.total() < self.max_pending
            && NETWORKS.into_iter().all(has_room)
            && self.count(address) < self.per_address
            && (own || self.total() + for_others < self.max_pending)
    }
}

#[test]
fn a_gate_agrees_with_its_model() {
    for seed in 0..64 {
        run(seed);
    }
}

fn run(seed: u64) {
    let mut random = Random(seed);
    let mut now = Instant::now();
    let pool: Vec<IpAddr> = (0..24)
        .map(|number| match number % 3 {
            0 => ip(&format!("10.0.0.{number}")),
            1 => ip(&format!("2001:db8:0:{number:x}00::{number:x}")),
            _ => ip(&format!("2001:db8:0:{number:x}::1")),
        })
        .collect();
    let mut model = Model { max_pending: 16, per_address: 6, roster: BTreeSet::new(), open: Vec::new() };
    let mut gate = Gate::new(terms(16, 6), []);
    // Whether the kept-back slots may be taken by connections from before a reload.
    let mut settled = true;
    for step in 0..400 {
        let context = format!("seed {seed}, step {step}");
        now += Duration::from_millis(random.below(400).into());
        match random.below(100) {
            0..60 => {
                let address = pool[random.below(24) as usize];
                let own = model.roster.contains(&address) && model.count(address) < model.kept_back();
                let expected = model.admits(address);
                let admitted = gate.admit(address, now);
                assert_eq!(admitted.is_ok(), expected, "{context}: {address} {admitted:?}");
                assert!(!settled || !own || expected, "{context}: {address} has a kept-back slot");
                if let Ok(slot) = admitted {
                    model.open.push((slot, address));
                    assert!(model.total() <= model.max_pending, "{context}");
                    assert!(model.count(address) <= model.per_address, "{context}");
                }
            }
            60..80 if !model.open.is_empty() => {
                let index = random.below(model.total()) as usize;
                gate.release(model.open.swap_remove(index).0);
            }
            80..95 => {
                let mut expected: Vec<_> = model
                    .open
                    .iter()
                    .filter(|(slot, _)| slot.deadline() <= now)
                    .map(|(slot, _)| (slot.deadline(), slot.id()))
                    .collect();
                expected.sort();
                let expired: Vec<_> = gate.expired(now).collect();
                assert_eq!(expired, expected.iter().map(|(_, id)| *id).collect::<Vec<_>>(), "{context}");
                for id in expired {
                    let index = model.open.iter().position(|(slot, _)| slot.id() == id).unwrap();
                    gate.release(model.open.swap_remove(index).0);
                }
            }
            95..98 => {
                let size = random.below(6);
                model.roster = (0..size).map(|_| pool[random.below(24) as usize]).collect();
                gate.replace_roster(model.roster.clone());
                settled = false;
            }
            98.. => {
                model.max_pending = 1 + random.below(32);
                model.per_address = 1 + random.below(model.max_pending);
                gate.replace_terms(terms(model.max_pending, model.per_address));
                settled = false;
            }
            _ => {}
        }
        let unused: u32 =
            model.roster.iter().map(|address| model.kept_back().saturating_sub(model.count(*address))).sum();
        let room = model.total() + unused <= model.max_pending;
        assert!(!settled || room, "{context}");
        settled = room;
        assert_eq!(gate.pending(), model.total(), "{context}");
        let earliest = model.open.iter().map(|(slot, _)| slot.deadline().max(now)).min();
        assert_eq!(gate.next_deadline(now), earliest, "{context}");
    }
    assert_eq!(gate.expired(now + TIMEOUT).count(), model.open.len(), "seed {seed}");
    for (slot, _) in model.open {
        gate.release(slot);
    }
    assert_eq!(
        (gate.pending(), gate.kept_in_use, gate.counts.len(), gate.networks.len(), gate.deadlines.len()),
        (0, 0, 0, 0, 0)
    );
}
