//! What must come of a stream of records: the frames of those that verify, and when.

use super::Reached;
use crate::inbound::pair::{Expected, Fault, Item, Pair};
use crate::records::{CIPHERTEXT_MAX, Opened, RecordFault};

/// From this size on bodies that have not come as a whole get memory of their own.
const LARGE_BODY: usize = 16 * 1024;

pub struct Reading {
    opened: Opened,
    judged: Expected,
    /// What ends the link, and how much of the stream has to be there to see it.
    fault: Option<(Fault, usize)>,
    /// Bytes of the stream.
    len: usize,
}

impl Reading {
    /// Of what comes to the near end.
    pub fn of(pair: &Pair, stream: &[u8], limit: u32) -> Self {
        let opened = Opened::of(stream, pair.records(true));
        let judged = pair.judge(&opened.plaintext, limit);
        let fault = match judged.fault {
            // A header is looked at when it is whole.
            Some(fault) => Some((fault, opened.needed_for(judged.end + 256))),
            None => record_fault(pair, stream, &opened),
        };
        Self { opened, judged, fault, len: stream.len() }
    }

    pub fn plaintext(&self) -> &[u8] {
        &self.opened.plaintext
    }

    pub fn items(&self) -> &[Item] {
        &self.judged.items
    }

    pub fn fault(&self) -> Option<(Fault, usize)> {
        self.fault
    }

    /// Where each record ends in the stream.
    pub fn record_ends(&self) -> impl Iterator<Item = usize> {
        self.opened.records.iter().map(|record| record.end)
    }

    /// Whether the stream is records, one behind the other, to its end.
    pub fn ends_whole(&self) -> bool {
        self.opened.fault.is_none() && self.opened.end() == self.len
    }

    /// Whether neither a frame nor a record has come in part.
    pub fn is_at_frame_boundary(&self) -> bool {
        self.judged.end == self.opened.plaintext.len() && self.opened.end() == self.len
    }

    /// How many items have come as a whole with the first `taken` bytes.
    pub fn ready_in(&self, taken: usize) -> usize {
        self.judged.items.partition_point(|item| self.opened.needed_for(item.end()) <= taken)
    }

    /// How many records have.
    pub fn records_in(&self, taken: usize) -> usize {
        self.opened.whole_in(taken)
    }

    /// Whether the first `count` items are the same here and there.
    pub fn same_items(&self, other: &Self, count: usize) -> bool {
        let end = count.checked_sub(1).map_or(0, |last| self.judged.items[last].end());
        self.plaintext()[..end] == other.plaintext()[..end]
    }

    pub fn count(&self, reached: &mut Reached) {
        let mut before = 0;
        let mut bodies = Vec::new();
        for item in self.items() {
            match item {
                Item::Frame(range) => {
                    reached.frames += 1;
                    bodies.push(range.start + 256..range.end);
                }
                Item::Control(..) => reached.controls += 1,
            }
        }
        for record in &self.opened.records {
            let (start, end) = (before, record.plaintext_end);
            before = end;
            reached.full_record += usize::from(end - start == CIPHERTEXT_MAX);
            reached.tiny_record += usize::from(end - start == 1);
            let Some(body) = bodies.get(bodies.partition_point(|body| body.end < end)) else { continue };
            reached.split_header += usize::from((body.start - 255..body.start).contains(&end));
            reached.split_frame += usize::from((body.start..body.end).contains(&end));
            let is_inside = body.len() >= LARGE_BODY && body.start <= start;
            reached.body_record += usize::from(is_inside && end - start >= LARGE_BODY);
            let ended = bodies[..bodies.partition_point(|body| body.end < end)].last();
            let large =
                ended.is_some_and(|body| body.len() >= LARGE_BODY && body.start <= start && start < body.end);
            reached.beyond_body += usize::from(large);
        }
        reached.stepped += usize::from(self.opened.records.len() >= 1024);
    }

    /// Counts how the link ends.
    pub fn count_end(&self, reached: &mut Reached) {
        let is_clear = self.opened.begins_clear;
        let counter = match self.fault {
            None if self.is_at_frame_boundary() => return,
            None => &mut reached.short,
            Some((Fault::Record(RecordFault::Tag), _)) => &mut reached.broken_tag,
            Some((Fault::Record(RecordFault::Length(0)), _)) if !is_clear => &mut reached.late,
            Some((Fault::Record(RecordFault::Length(_)), _)) => &mut reached.broken_length,
            Some((Fault::LateReject(_), _)) => &mut reached.clear_reject,
            Some((Fault::Handshake(_), _)) if is_clear => &mut reached.forged_reject,
            Some((Fault::Handshake(_), _)) => &mut reached.inside,
            Some(_) => &mut reached.frame_fault,
        };
        *counter += 1;
    }
}

/// S-3; and H-9: four zeros in the place of a dialer's first record are the beginning of a refusal.
fn record_fault(pair: &Pair, stream: &[u8], opened: &Opened) -> Option<(Fault, usize)> {
    let (fault, at) = opened.fault?;
    if !(opened.begins_clear && pair.near_dials()) {
        return Some((Fault::Record(fault), at));
    }
    let frame = stream.first_chunk::<256>()?;
    let is_handshake = matches!(frame[crate::wire::COMMAND], crate::wire::HELLO..=crate::wire::FINISH);
    let fault = if is_handshake { pair.judge_handshake(frame, true) } else { Fault::Record(fault) };
    Some((fault, 256))
}
