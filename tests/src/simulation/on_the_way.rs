//! When someone on the way changes what passes on a sealed link, and what may come of it.

use std::collections::BTreeMap;

use replink_transport::InboundError;
use replink_transport::mesh::{DownReason, Loss};

use super::cluster::Cluster;
use super::ledger::Broken;
use super::network::{CHANGES, Change, EndId};

/// Directions that someone has changed: how many frames its sender had accepted until then.
#[derive(Debug, Default)]
pub(super) struct Changed(BTreeMap<EndId, (u64, Vec<Change>)>);

impl Cluster {
    /// The next bytes of one sealed link are changed, or those of a new one.
    pub(super) fn change_on_the_way(&mut self) {
        let change = self.random.pick(&CHANGES);
        let side = self.random.below(2);
        let mut state = self.network.lock();
        let mut ends: Vec<EndId> =
            state.established().into_iter().map(|connection| EndId { connection, side }).collect();
        // A refusal is for a dialer that has just come up.
        if change == Change::Forge {
            for end in &mut ends {
                end.side = 1;
            }
            ends.retain(|&end| !state.path.has_records(end.peer()));
        } else {
            ends.retain(|&end| state.path.has_records(end));
        }
        if !ends.is_empty() {
            let end = ends[self.random.below(ends.len())];
            state.note(format_args!("on the way from {end:?}: {change:?}"));
            state.path.arm(end, change);
        }
    }

    /// Takes note of what was changed since the last time.
    pub(super) fn note_changes(&mut self) {
        let mut state = self.network.lock();
        for (end, change) in state.path.take_fresh() {
            state.trace.count(change.name());
            let accepted = self.ledger.accepted_at(end);
            let (_, changes) = self.ledger.changed.0.entry(end).or_insert((accepted, Vec::new()));
            changes.push(change);
        }
    }
}

impl Changed {
    /// A frame that `sender` has accepted came out at the other end.
    pub(super) fn check_frame(&self, sender: EndId, number: u64) -> Result<(), Broken> {
        match self.0.get(&sender) {
            Some((accepted, changes)) if number >= *accepted => {
                Err(format!("frame {number} of {sender:?} came out, which lies behind {changes:?}"))
            }
            _ => Ok(()),
        }
    }

    /// The link that `sender` sends on is down at the other end.
    pub(super) fn check_down(&self, sender: EndId, reason: &DownReason) -> Result<(), Broken> {
        let changes = self.0.get(&sender).map_or(&[][..], |(_, changes)| changes);
        let is_true = match reason {
            // An honest end breaks nothing: only a record that does not verify, or what is no record.
            DownReason::Lost(Loss::Violation(InboundError::Record(_))) => !changes.is_empty(),
            DownReason::Lost(Loss::Violation(InboundError::HandshakeFrame { .. })) => {
                changes.contains(&Change::Forge)
            }
            DownReason::Lost(Loss::Violation(_)) => false,
            // H-9: what is forged is told as a violation.
            DownReason::Rejected(_) => !changes.contains(&Change::Forge),
            _ => true,
        };
        if is_true { Ok(()) } else { Err(format!("{reason}, from {sender:?}, where {changes:?} was done")) }
    }
}
