//! Whoever is on the way between two replicas: an observer, who sees the records of every sealed link and to whom no
//! number may seem to be used twice, and someone who changes what passes.

mod change;
mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::io::IoSlice;

pub(in crate::simulation) use self::change::{CHANGES, Change};
use self::records::Records;
use super::EndId;
use crate::random::Random;
use crate::raw_peer::at;

/// Bytes in clear that the dialer and the acceptor of a link send first.
const CLEAR: [usize; 2] = [512, 256];

/// Of what a socket did not take the observer keeps so many bytes, to see that they come again.
const UNTAKEN_MAX: usize = 64;

/// Bytes of other links that can be put into one.
const OVERHEARD_MAX: usize = 16;

/// What passes between replicas.
#[derive(Debug, Default)]
pub(in crate::simulation) struct Path {
    directions: BTreeMap<EndId, Direction>,
    /// Head and tag of every record that was sent.
    seen: BTreeSet<[u8; 20]>,
    overheard: Vec<(EndId, Vec<u8>)>,
    /// Directions that were changed since somebody asked.
    fresh: Vec<(EndId, Change)>,
}

/// What goes from one end to the other.
#[derive(Debug, Default)]
struct Direction {
    clear: Vec<u8>,
    records: Records,
    untaken: Vec<u8>,
    armed: Option<Change>,
    /// Bytes that were let through, and those that have arrived.
    passed: u64,
    landed: u64,
    /// How many bytes were let through before the first change.
    changed_at: Option<u64>,
}

impl Path {
    /// A socket at `end` was given `slices`, and has taken the first `taken` bytes of them.
    pub(super) fn observe(&mut self, end: EndId, slices: &[IoSlice<'_>], taken: usize) {
        let is_sealed = self.is_sealed(end.connection);
        let direction = self.directions.entry(end).or_default();
        let mut left = taken;
        for slice in slices {
            let (mut bytes, _) = slice.split_at(slice.len().min(left));
            left -= bytes.len();
            let in_clear = (CLEAR[end.side] - direction.clear.len()).min(bytes.len());
            direction.clear.extend_from_slice(&bytes[..in_clear]);
            bytes = &bytes[in_clear..];
            if is_sealed {
                direction.records.pass(bytes, |head_and_tag| {
                    let is_new = self.seen.insert(head_and_tag);
                    assert!(is_new, "{end:?} sent a record that was sent before (S-4)");
                });
            }
        }
        if is_sealed && direction.clear.len() == CLEAR[end.side] {
            direction.compare_untaken(end, slices, taken);
        }
    }

    /// What becomes of `bytes`, which were taken at `end` and observed.
    pub(super) fn pass(&mut self, end: EndId, bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
        let overheard = self.overheard.iter().find(|(other, _)| *other != end).map(|(_, bytes)| &bytes[..]);
        let challenge = self.directions.get(&EndId { side: 1, ..end }).map_or(&[][..], |other| &other.clear);
        let forged = (end.side == 1).then(|| change::forge(challenge, random)).flatten();
        let Some(direction) = self.directions.get_mut(&end) else { return bytes };
        let (len, started) = (bytes.len() as u64, direction.passed >= CLEAR[end.side] as u64);
        let passed = match direction.armed.filter(|_| started) {
            Some(change) => {
                let place = change::Place {
                    before: direction.records.before(),
                    is_first: direction.passed == CLEAR[end.side] as u64,
                    overheard,
                    forged,
                };
                match change.apply(&bytes, &place, random) {
                    Some(changed) => {
                        direction.armed = change.goes_on();
                        if direction.changed_at.is_none() {
                            direction.changed_at = Some(direction.passed);
                        }
                        self.fresh.push((end, change));
                        changed
                    }
                    None => bytes,
                }
            }
            None => bytes,
        };
        direction.passed += passed.len() as u64;
        let is_sealed = self.is_sealed(end.connection);
        if is_sealed && started && len > 40 && random.once_in(8) {
            self.overheard.retain(|(other, _)| *other != end);
            self.overheard.insert(0, (end, passed[..passed.len().min(400)].to_vec()));
            self.overheard.truncate(OVERHEARD_MAX);
        }
        passed
    }

    /// So many bytes from `from` have arrived. Whether some of them may count as life (C-1): what was changed never
    /// verifies.
    pub(super) fn arrived(&mut self, from: EndId, len: usize) -> bool {
        let Some(direction) = self.directions.get_mut(&from) else { return true };
        let before = direction.landed;
        direction.landed += len as u64;
        direction.changed_at.is_none_or(|at| before < at)
    }

    /// Whether both ends of a connection have agreed to seal, and the dialer has said so.
    fn is_sealed(&self, connection: u64) -> bool {
        let [dialer, acceptor] = [0, 1].map(|side| self.directions.get(&EndId { connection, side }));
        let (Some(dialer), Some(acceptor)) = (dialer, acceptor) else { return false };
        let Some(challenge) = acceptor.clear.first_chunk::<256>() else { return false };
        let selected = u16::from_le_bytes([challenge[at::FLAGS], challenge[at::FLAGS + 1]]);
        dialer.clear.len() >= 256 && challenge[at::STATUS] == 0 && selected & 8 != 0
    }

    /// Whether records pass in this direction: what passes there next can be changed.
    pub(in crate::simulation) fn has_records(&self, end: EndId) -> bool {
        let direction = self.directions.get(&end).filter(|_| self.is_sealed(end.connection));
        direction.is_some_and(|direction| direction.clear.len() == CLEAR[end.side])
    }

    /// What comes next from `end` is changed so.
    pub(in crate::simulation) fn arm(&mut self, end: EndId, change: Change) {
        self.directions.entry(end).or_default().armed = Some(change);
    }

    /// Nothing more is changed.
    pub(in crate::simulation) fn disarm(&mut self) {
        self.directions.values_mut().for_each(|direction| direction.armed = None);
    }

    /// Whether anything of a connection was changed.
    pub(in crate::simulation) fn is_changed(&self, connection: u64) -> bool {
        let directions = [0, 1].map(|side| self.directions.get(&EndId { connection, side }));
        directions.into_iter().flatten().any(|direction| direction.changed_at.is_some())
    }

    /// Which directions were changed since this was asked last.
    pub(in crate::simulation) fn take_fresh(&mut self) -> Vec<(EndId, Change)> {
        std::mem::take(&mut self.fresh)
    }
}

impl Direction {
    /// What was sealed and not taken is given again as it was (S-4): other bytes in the same place would be another
    /// record with the same number.
    fn compare_untaken(&mut self, end: EndId, slices: &[IoSlice<'_>], taken: usize) {
        let known = self.untaken.len();
        let mut given = slices.iter().flat_map(|slice| slice.iter().copied());
        let again = given.by_ref().take(known);
        assert!(again.eq(self.untaken.iter().copied()), "{end:?} seals anew what was not sent (S-4)");
        let mut skipped = taken;
        self.untaken.clear();
        for slice in slices {
            let rest = &slice[skipped.min(slice.len())..];
            skipped -= skipped.min(slice.len());
            self.untaken.extend_from_slice(&rest[..rest.len().min(UNTAKEN_MAX - self.untaken.len())]);
        }
    }
}
