//! What someone on the way makes of the records: he sees all of them, those of the other direction and of another
//! link of the same replicas, and has no key.

use arbitrary::Unstructured;

use super::reading::Reading;
use super::sender;
use crate::inbound::pair::Pair;
use crate::mac;
use crate::patch::{self, byte};
use crate::records::{Direction, OVERHEAD};
use crate::wire::Frame;

const EDITS_MAX: u8 = 3;

/// What arrives.
pub struct Tampering {
    pub bytes: Vec<u8>,
    pub deeds: Deeds,
}

#[derive(Default)]
pub struct Deeds {
    pub flipped: usize,
    pub dropped: usize,
    pub repeated: usize,
    pub swapped: usize,
    pub spliced: usize,
    pub dripped: usize,
    pub cut: usize,
}

impl Tampering {
    pub fn read(input: &mut Unstructured<'_>, pair: &Pair, sent: &[u8], honest: &Reading) -> Self {
        let mut records = Vec::new();
        let mut from = 0;
        for end in honest.record_ends() {
            records.push(sent[from..end].to_vec());
            from = end;
        }
        let mut deeds = Deeds::default();
        for _ in 0..byte(input) % (EDITS_MAX + 1) {
            change(input, pair, &mut records, &mut deeds);
        }
        Self { bytes: records.concat(), deeds }
    }
}

fn change(input: &mut Unstructured<'_>, pair: &Pair, records: &mut Vec<Vec<u8>>, deeds: &mut Deeds) {
    let kind = byte(input);
    let at = usize::from(input.arbitrary::<u16>().unwrap_or(0));
    // Between records, behind the last one too; or one of them.
    let between = at % (records.len() + 1);
    let (first, fine) = (between.min(records.len().saturating_sub(1)), byte(input));
    let second = if records.is_empty() { 0 } else { (first + usize::from(fine % 4)) % records.len() };
    match kind % 9 {
        8 => {
            let mut frame: Frame = match fine % 4 {
                0 | 1 => sender::reject(pair),
                2 => pair.challenge,
                _ => pair.hello,
            };
            patch::change(input, &mut frame, &[pair.hello, pair.challenge, pair.finish]);
            records.insert(if fine & 4 == 0 { 0 } else { between }, frame.to_vec());
            deeds.spliced += 1;
        }
        7 => {
            let len = usize::from(fine % 24);
            let garbage = input.bytes(len).unwrap_or_default().to_vec();
            records.insert(between, garbage);
            deeds.dripped += 1;
        }
        _ if records.is_empty() => {}
        0 => {
            let record = &mut records[first];
            let place = place(record.len(), kind >> 4, input.arbitrary().unwrap_or(0));
            if let Some(byte) = record.get_mut(place) {
                *byte ^= 1 << (fine % 8);
                deeds.flipped += 1;
            }
        }
        1 => {
            records.remove(first);
            deeds.dropped += 1;
        }
        2 => {
            let again = records[first].clone();
            records.insert((second + 1).min(records.len()), again);
            deeds.repeated += 1;
        }
        3 => {
            records.swap(first, second);
            deeds.swapped += usize::from(first != second);
        }
        4 => {
            records[first] = elsewhere(pair, fine, first as u64, &records[first]);
            deeds.spliced += 1;
        }
        5 => {
            let record = &mut records[first];
            let len = place(record.len(), kind >> 4, input.arbitrary().unwrap_or(0));
            record.truncate(len);
            records.truncate(first + 1);
            deeds.cut += 1;
        }
        // Bytes within a record are left out, or come twice.
        _ => {
            let record = &mut records[first];
            let from = place(record.len(), kind >> 4, input.arbitrary().unwrap_or(0));
            let to = (from + 1 + usize::from(fine % 20)).min(record.len());
            let some: Vec<u8> = record.drain(from.min(to)..to).collect();
            if fine & 0x80 != 0 {
                let twice = [&some[..], &some].concat();
                record.splice(from..from, twice);
            }
            deeds.dripped += 1;
        }
    }
}

/// In the length, at the beginning of the ciphertext, in the tag, or anywhere.
fn place(len: usize, which: u8, at: u16) -> usize {
    let at = usize::from(at);
    let place = match which % 4 {
        0 => at % 4,
        1 => 4 + at % 32,
        2 => len.saturating_sub(1 + at % 16),
        _ => at * 257 % len.max(1),
    };
    place.min(len.saturating_sub(1))
}

/// A record as long as `record`, genuine for its number: of the other direction, or of another link.
fn elsewhere(pair: &Pair, which: u8, number: u64, record: &[u8]) -> Vec<u8> {
    let plaintext = vec![which; record.len().saturating_sub(OVERHEAD).max(1)];
    let mut direction = match which % 2 {
        0 => pair.records(false),
        _ => Direction::new(mac::subkey(pair.records(true).secret(), "another link"), 0),
    };
    direction.skip_to(number);
    direction.seal(&plaintext)
}
