//! The state of one direction: which secret, and which number comes next (S-4).

use super::{Cipher, RecordError};
use crate::key_bytes::{KeyBytes, wiping};
use crate::mac::{keyed_in_place, keyed_secret};

/// Records that are sealed with keys of one secret.
const STEP_RECORDS: u64 = 1 << 10;

/// The number that is never used.
const NUMBERS_END: u64 = 1 << 63;

/// What a secret's keys are derived with.
const RECORD_KEY: &[u8] = b"record key";

/// Secret, step and number in one value, which nobody can clone: who has it is the only one that uses its
/// numbers.
pub(super) struct Direction {
    secret: KeyBytes,
    /// `key_k || base_k`.
    key: KeyBytes,
    number: u64,
}

impl Direction {
    pub(super) fn new(secret: KeyBytes, number: u64) -> Self {
        let key = wiping(|| keyed_secret(&secret, &[RECORD_KEY]));
        Self { secret, key, number }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn into_state(self) -> (KeyBytes, u64) {
        (self.secret, self.number)
    }

    /// What the record of the next number is sealed and opened with. It is on the stack, and has no Drop: whoever
    /// calls wipes that.
    pub(super) fn cipher(&self) -> Result<Cipher, RecordError> {
        if self.number >= NUMBERS_END {
            return Err(RecordError::Numbers); // S-4
        }
        let (key, base) = self.key.split_first_chunk().expect("32 bytes have 16");
        let mut nonce: [u8; 16] = base.try_into().expect("32 bytes have 16 behind 16");
        for (byte, number) in nonce.iter_mut().zip(self.number.to_le_bytes()) {
            *byte ^= number;
        }
        Ok(Cipher::new(key, &nonce))
    }

    /// This number is used. The step to the next secret is made at once: what was sealed before can't be read
    /// with what is here (S-4, S-5).
    pub(super) fn advance(&mut self) {
        self.number += 1;
        if self.number.is_multiple_of(STEP_RECORDS) {
            wiping(|| {
                // In this order: the first needs a place beside the secret that it takes the place of.
                keyed_in_place(&self.secret, b"record next", &mut self.key);
                self.secret.replace(&self.key);
                keyed_in_place(&self.secret, RECORD_KEY, &mut self.key);
            });
        }
    }
}
