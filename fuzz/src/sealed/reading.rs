//! What section 5 makes of a stream, read frame by frame and hashed in one piece.

use super::Reached;
use crate::mac::same_tag;
use crate::node::CLUSTER;
use crate::wire::{self, Frame};

/// H[62], H[63] and H[64..80].
const MARK: usize = 62;
const ZERO: usize = 63;
const TAG: std::ops::Range<usize> = 64..80;

/// S-1.
const BATCH_FRAMES: usize = 1024;
const BATCH_BYTES: usize = 1 << 20;

/// A frame that is proved, as it is handed up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    pub header: Frame,
    pub body: Vec<u8>,
    /// Where in the stream its tag is.
    pub batch_end: usize,
}

#[derive(Default)]
pub struct Reading {
    pub items: Vec<Item>,
    /// For each batch that is proved: items up to its end, and where in the stream that is.
    pub batch_ends: Vec<(usize, usize)>,
    /// Where what is proved ends.
    pub end: usize,
    pub faulty: bool,
    /// Where frames begin.
    pub frames: Vec<usize>,
}

/// A batch under way.
#[derive(Default)]
struct Batch {
    items: Vec<Item>,
    bytes: usize,
    message: Vec<u8>,
}

impl Reading {
    pub fn of(stream: &[u8], key: &[u8; 32], limit: u32) -> Self {
        let mut reading = Self::default();
        let mut batch = Batch::default();
        let mut at = 0;
        while let Some((header, rest)) = stream[at..].split_first_chunk::<256>() {
            let size = wire::u32_at(header, wire::SIZE) as usize;
            if fault(header, &batch, limit) {
                reading.faulty = true;
                break;
            }
            let Some(body) = rest.get(..size - 256) else { break };
            reading.frames.push(at);
            at += size;
            batch.add(header, body, reading.batch_ends.len() as u64);
            if header[MARK] == 0 {
                let batch = std::mem::take(&mut batch);
                if !same_tag(&header[TAG], key, &batch.message) {
                    reading.faulty = true;
                    break;
                }
                reading.items.extend(batch.items.into_iter().map(|item| Item { batch_end: at, ..item }));
                reading.batch_ends.push((reading.items.len(), at));
                reading.end = at;
            }
        }
        reading
    }

    pub fn count(&self, reached: &mut Reached) {
        let is_control = |item: &&Item| item.header[wire::COMMAND] >= wire::PING;
        reached.controls += self.items.iter().filter(is_control).count();
        reached.frames += self.items.iter().filter(|item| !is_control(item)).count();
        reached.hashed += self.items.iter().filter(|item| item.body.len() >= 1024).count();
        reached.batches += self.batch_ends.len();
        let mut before = 0;
        for &(items, _) in &self.batch_ends {
            reached.shared_tags += usize::from(items - before > 1);
            before = items;
        }
    }
}

/// What is wrong with a header, before a tag was looked at.
fn fault(header: &Frame, batch: &Batch, limit: u32) -> bool {
    let mut plain = *header;
    plain[MARK..TAG.end].fill(0);
    let size = wire::u32_at(header, wire::SIZE);
    let of_its_kind = match header[wire::COMMAND] {
        wire::PING..=wire::GOODBYE => size != 256, // the rest is looked at once it is proved
        _ => wire::embedder_fault(&plain, &CLUSTER, limit).is_some(),
    };
    let open = header[MARK] == 1;
    let seal = header[MARK] > 1 || header[ZERO] != 0 || open && !wire::is_zero(&header[TAG]);
    let single = batch.items.is_empty() && !open;
    let too_much = batch.items.len() == BATCH_FRAMES || !single && batch.bytes + size as usize > BATCH_BYTES;
    of_its_kind || seal || too_much
}

impl Batch {
    fn add(&mut self, header: &Frame, body: &[u8], seq: u64) {
        if self.items.is_empty() {
            self.message.extend_from_slice(&seq.to_le_bytes());
        }
        let mut item = *header;
        item[TAG].fill(0);
        self.message.extend_from_slice(&item);
        if body.len() < 1024 {
            self.message.extend_from_slice(body);
        } else {
            self.message.extend_from_slice(blake3::hash(body).as_bytes());
        }
        item[MARK] = 0;
        self.bytes += 256 + body.len();
        self.items.push(Item { header: item, body: body.to_vec(), batch_end: 0 });
    }
}
