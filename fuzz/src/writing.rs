//! How bytes get out of a sending codec: all ways that there are.

use std::io::IoSlice;

use replink_frame::Flags;
use replink_transport::Outbound;
use replink_transport::memory::{SEND_MAX, SendBatch};

use crate::records::{CIPHERTEXT_MAX, OVERHEAD};

/// Most bytes of records that wait to be written: four of the longest.
const SEALED_MAX: usize = 4 * (CIPHERTEXT_MAX + OVERHEAD);

/// Others than these are [`Outbound::slices`].
const LEND: u8 = 1;
const LEND_FOR_LONG: u8 = 2;
const RELAX: u8 = 3;

/// Whoever writes what a codec has.
#[derive(Default)]
pub struct Writing {
    /// What it has not given back yet.
    lent: Option<SendBatch>,
}

impl Writing {
    /// Whether something is lent.
    pub fn has_some(&self) -> bool {
        self.lent.is_some()
    }

    /// One write of at most `most` bytes in at most `slots` pieces; returns what was written. With 0 at once,
    /// others lend it, for as long as it takes to write, or until the next call.
    pub fn write(&mut self, outbound: &mut Outbound, way: u8, slots: usize, most: usize) -> Vec<u8> {
        if way == RELAX {
            outbound.relax();
        }
        if let Some(batch) = self.lent.take() {
            return give_back(outbound, batch, slots, most);
        }
        if !matches!(way, LEND | LEND_FOR_LONG) {
            return write_at_once(outbound, slots, most);
        }
        let waiting = outbound.queued_bytes();
        let Some(batch) = outbound.lend() else {
            assert_eq!(waiting, 0, "what waits is lent");
            return Vec::new();
        };
        if is_sealed(outbound) {
            assert!((1..=SEALED_MAX).contains(&batch.len()), "some of what waits is sealed, and lent");
        } else {
            assert_eq!(batch.len() as u64, waiting, "all that waits is lent");
        }
        if way == LEND {
            return give_back(outbound, batch, slots, most);
        }
        self.lent = Some(batch);
        Vec::new()
    }
}

fn write_at_once(outbound: &mut Outbound, slots: usize, most: usize) -> Vec<u8> {
    let (waiting, is_sealed) = (outbound.queued_bytes(), is_sealed(outbound));
    let mut slices = vec![IoSlice::new(&[]); slots];
    let count = outbound.slices(&mut slices);
    let mut bytes = joined(&slices[..count]);
    if is_sealed {
        assert!(count == usize::from(waiting > 0) && bytes.len() <= SEALED_MAX, "records lie together");
    } else {
        let whole = [waiting, SEND_MAX as u64].contains(&(bytes.len() as u64));
        assert!((count == slots || whole) && bytes.len() <= SEND_MAX, "nothing is forgotten");
    }
    bytes.truncate(most);
    outbound.advance(bytes.len());
    bytes
}

/// Writes of it what there are slots for, and gives it back.
fn give_back(outbound: &mut Outbound, mut batch: SendBatch, slots: usize, most: usize) -> Vec<u8> {
    assert!(outbound.lend().is_none() && outbound.slices(&mut [IoSlice::new(&[])]) == 0, "it is lent once");
    outbound.relax();
    assert_eq!(outbound.queued_bytes() == 0, batch.is_empty());
    let all: Vec<u8> = batch.iter().flatten().copied().collect();
    assert!(batch.only().is_none_or(|only| only == all));
    let mut slices = vec![IoSlice::new(&[]); slots];
    let count = batch.slices(&mut slices, most);
    let bytes = joined(&slices[..count]);
    assert!(bytes.len() <= most && all.starts_with(&bytes));
    assert!(count == slots || bytes.len() == most.min(all.len()), "nothing is forgotten");
    assert_eq!(batch.can_be_shared(), !is_sealed(outbound), "S-4");
    if slots % 2 == 1 && batch.can_be_shared() {
        let shared = batch.share(slots);
        assert_eq!(shared.iter().flatten().copied().take(bytes.len()).collect::<Vec<u8>>(), bytes);
        outbound.take_back(batch, bytes.len());
        assert!(all.starts_with(&shared.concat()), "what is shared stays as it is");
    } else {
        outbound.take_back(batch, bytes.len());
    }
    bytes
}

/// Where what is lent and written is records.
fn is_sealed(outbound: &Outbound) -> bool {
    outbound.peer().flags.contains(Flags::SEALED)
}

fn joined(slices: &[IoSlice<'_>]) -> Vec<u8> {
    assert!(slices.iter().all(|slice| !slice.is_empty()));
    slices.iter().flat_map(|slice| slice.iter().copied()).collect()
}
