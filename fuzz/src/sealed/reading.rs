//! What section 5 makes of a stream: a second reading, which opens records one by one with keys of its own
//! making, and then takes frames from all that was opened.

use aegis::aegis128x2::Aegis128X2;

use super::Reached;
use crate::mac;
use crate::wire::{self, Frame};

/// S-3.
const CIPHERTEXT_MAX: usize = 65_536;

/// Bytes of a record in front of its ciphertext and behind it.
const HEAD: usize = 4;
const TAG: usize = 16;

/// A frame that was opened, as it is handed up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    pub header: Frame,
    pub body: Vec<u8>,
    /// Where in the stream the record with its last byte ends.
    pub record_end: usize,
}

/// A record that was opened.
struct Record {
    /// Where it is in the stream.
    at: usize,
    end: usize,
    /// Where its plaintext is among all plaintext.
    plaintext: std::ops::Range<usize>,
}

#[derive(Default)]
pub struct Reading {
    pub items: Vec<Item>,
    records: Vec<Record>,
    pub faulty: bool,
    /// Whether nothing is left that is not a whole frame.
    pub at_boundary: bool,
}

/// The keys of one direction.
struct Keys {
    secret: [u8; 32],
    number: u64,
}

impl Keys {
    fn open(&mut self, ciphertext: &[u8], tag: &[u8; TAG]) -> Option<Vec<u8>> {
        let derived = mac::subkey(&self.secret, "record key");
        let key: [u8; 16] = derived[..16].try_into().expect("half of it");
        let base = u128::from_le_bytes(derived[16..].try_into().expect("half of it"));
        let nonce = (base ^ u128::from(self.number)).to_le_bytes();
        let plaintext = Aegis128X2::<TAG>::new(&key, &nonce).decrypt(ciphertext, tag, &[]).ok()?;
        self.number += 1;
        if self.number.is_multiple_of(1024) {
            self.secret = mac::subkey(&self.secret, "record next");
        }
        Some(plaintext)
    }
}

impl Reading {
    /// `may_be_refused` says whether a late reject may come in clear in the place of the first record (H-9).
    pub fn of(stream: &[u8], secret: &[u8; 32], may_be_refused: bool) -> Self {
        let mut keys = Keys { secret: *secret, number: 0 };
        let (mut reading, mut plaintext) = (Self::default(), Vec::new());
        let mut at = 0;
        while let Some((head, behind)) = stream[at..].split_first_chunk::<HEAD>() {
            let len = u32::from_le_bytes(*head) as usize;
            if len == 0 && at == 0 && may_be_refused {
                // Nobody on the way makes one that is proved.
                reading.faulty = stream.len() >= 256;
                break;
            }
            if !(1..=CIPHERTEXT_MAX).contains(&len) {
                reading.faulty = true;
                break;
            }
            let Some(record) = behind.get(..len + TAG) else { break };
            let (ciphertext, tag) = record.split_at(len);
            let Some(opened) = keys.open(ciphertext, tag.try_into().expect("its length")) else {
                reading.faulty = true;
                break;
            };
            let (begin, end) = (plaintext.len(), at + HEAD + len + TAG);
            plaintext.extend_from_slice(&opened);
            reading.records.push(Record { at, end, plaintext: begin..plaintext.len() });
            at = end;
        }
        let left = reading.take_frames(&plaintext);
        reading.at_boundary = !reading.faulty && at == stream.len() && left == 0;
        reading
    }

    /// What is sealed is what the honest end sealed, so every frame is good. How many bytes are not of a whole one.
    fn take_frames(&mut self, plaintext: &[u8]) -> usize {
        let mut at = 0;
        while let Some((header, behind)) = plaintext[at..].split_first_chunk::<256>() {
            let size = wire::u32_at(header, wire::SIZE) as usize;
            let Some(body) = behind.get(..size - 256) else { break };
            at += size;
            let last = self.records.iter().find(|record| record.plaintext.end >= at).expect("it was opened");
            self.items.push(Item { header: *header, body: body.to_vec(), record_end: last.end });
        }
        plaintext.len() - at
    }

    /// Where records begin.
    pub fn records(&self) -> Vec<usize> {
        self.records.iter().map(|record| record.at).collect()
    }

    pub fn count(&self, reached: &mut Reached) {
        let is_control = |item: &&Item| item.header[wire::COMMAND] >= wire::PING;
        reached.controls += self.items.iter().filter(is_control).count();
        reached.frames += self.items.iter().filter(|item| !is_control(item)).count();
        reached.records += self.records.len();
        let is_full = |record: &&Record| record.plaintext.len() == CIPHERTEXT_MAX;
        reached.full += self.records.iter().filter(is_full).count();
        let mut begin = 0;
        for item in &self.items {
            let (body, end) = (begin + 256, begin + 256 + item.body.len());
            let whole = |record: &&Record| record.plaintext.start <= begin && end <= record.plaintext.end;
            reached.split += usize::from(!self.records.iter().any(|record| whole(&record)));
            let within = |record: &&Record| body <= record.plaintext.start && record.plaintext.end <= end;
            reached.within_bodies += self.records.iter().filter(within).count();
            begin = end;
        }
    }
}
