//! Sealing what goes out (section 5).

use std::collections::VecDeque;

use replink_handshake::{RECORD_CIPHERTEXT_MAX, RECORD_OVERHEAD, RecordError, RecordSealer};

use crate::memory::{Records, SendBatch};

/// Most records that are sealed before they are written: they are still in the cache when the system copies
/// them, and no link keeps more that its socket did not take.
const RECORDS_MAX: usize = 4;

/// Most bytes of records that wait to be written.
#[cfg(all(feature = "hand-off", target_os = "linux"))]
pub(crate) const SEALED_MAX: usize = RECORDS_MAX * (RECORD_CIPHERTEXT_MAX + RECORD_OVERHEAD);

/// Pieces from this size on, in bytes, have records of their own: bodies that the receiver opens into the memory
/// where they stay.
const OWN_RECORD_MIN: usize = 16 * 1024;

/// What seals the records of a link, and those that are not written yet. They are sent as they are, and never
/// sealed again (S-4).
pub(super) struct Sealing {
    sealer: RecordSealer,
    /// None while it is lent.
    records: Option<Box<Records>>,
    /// Of each record that is not wholly written.
    lens: VecDeque<RecordLens>,
}

/// Bytes of a record.
struct RecordLens {
    /// That are not written.
    unwritten: usize,
    /// Of frames.
    plaintext: usize,
}

impl Sealing {
    pub(super) fn new(sealer: RecordSealer) -> Self {
        Self { sealer, records: None, lens: VecDeque::new() }
    }

    /// Whether all that was sealed is written.
    pub(super) fn is_empty(&self) -> bool {
        self.lens.is_empty()
    }

    /// What is to be written.
    pub(super) fn waiting(&self) -> &[u8] {
        self.records.as_ref().map_or(&[], |records| records.waiting())
    }

    /// If all that was sealed before is written, seals what comes first of `frames`, and takes it from there.
    pub(super) fn seal_next(&mut self, frames: &mut SendBatch) -> Result<(), RecordError> {
        if !self.lens.is_empty() {
            return Ok(());
        }
        let records = self.records.get_or_insert_default();
        records.clear();
        while self.lens.len() < RECORDS_MAX {
            let len = next_record_len(frames);
            if len == 0 {
                break; // S-1: no record waits for more
            }
            let unwritten = len + RECORD_OVERHEAD;
            if let Err(error) = self.sealer.seal(frames.first(len), records.add(unwritten)) {
                records.to -= unwritten;
                return Err(error);
            }
            frames.advance(len);
            self.lens.push_back(RecordLens { unwritten, plaintext: len });
        }
        Ok(())
    }

    /// Gives what is to be written away; [`Sealing::take_back`] brings it back.
    pub(super) fn lend(&mut self) -> SendBatch {
        SendBatch { records: self.records.take(), ..SendBatch::default() }
    }

    /// Takes back what was lent. What is written of it is counted by [`Sealing::count_written`].
    pub(super) fn take_back(&mut self, batch: SendBatch) {
        self.records = batch.records;
    }

    /// The first `len` bytes of [`Sealing::waiting`] are written; how many bytes of frames were completed by that.
    pub(super) fn advance(&mut self, len: usize) -> usize {
        if len > 0 {
            self.records.as_mut().expect("more was sent than there was").advance(len);
        }
        self.count_written(len)
    }

    /// So many bytes are written; how many bytes of frames were completed by that.
    pub(super) fn count_written(&mut self, len: usize) -> usize {
        let (mut left, mut completed) = (len, 0);
        while let Some(first) = self.lens.front_mut() {
            if left < first.unwritten {
                first.unwritten -= left;
                break;
            }
            left -= first.unwritten;
            completed += first.plaintext;
            self.lens.pop_front();
        }
        completed
    }

    /// Lets the memory go, if nothing lies in it.
    pub(super) fn relax(&mut self) {
        if self.lens.is_empty() {
            self.records = None;
        }
    }
}

/// How many bytes of `frames` the next record seals: all, up to its limit, but a large body's record has nothing
/// else in it. So the receiver knows its header before, and opens it to where it stays.
fn next_record_len(frames: &SendBatch) -> usize {
    let mut len = 0;
    for piece in frames.iter() {
        if piece.len() >= OWN_RECORD_MIN {
            return if len > 0 { len } else { piece.len().min(RECORD_CIPHERTEXT_MAX) };
        }
        len += piece.len();
        if len >= RECORD_CIPHERTEXT_MAX {
            return RECORD_CIPHERTEXT_MAX;
        }
    }
    len
}

#[cfg(all(feature = "hand-off", target_os = "linux"))]
mod carried {
    use super::{RecordLens, RecordSealer, Records, Sealing};

    impl Sealing {
        /// Bytes of frames in records that are not wholly written.
        pub(in crate::outbound) fn plaintext_len(&self) -> usize {
            self.lens.iter().map(|record| record.plaintext).sum()
        }

        /// What goes on elsewhere: ciphertext as it is.
        pub(in crate::outbound) fn into_parts(self) -> (RecordSealer, Vec<u8>) {
            let ciphertext = self.waiting().to_vec();
            (self.sealer, ciphertext)
        }

        /// Has `ciphertext` be written first. Which frames are in it was known elsewhere: here it counts as it
        /// is.
        pub(in crate::outbound) fn resume_with(&mut self, ciphertext: Vec<u8>) {
            if !ciphertext.is_empty() {
                let unwritten = ciphertext.len();
                self.records = Some(Box::new(Records { bytes: ciphertext, from: 0, to: unwritten }));
                self.lens.push_back(RecordLens { unwritten, plaintext: unwritten });
            }
        }
    }
}
