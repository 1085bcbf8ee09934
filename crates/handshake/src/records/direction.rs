//! The state of one direction: which secret, and which number comes next (S-4).

use core::hint::black_box;

use super::{Cipher, RecordError};
use crate::key_bytes::{KeyBytes, wiping};
use crate::mac::keyed_secret;

/// Records that are sealed with keys of one secret.
const STEP_RECORDS: u64 = 1 << 10;

/// The number that is never used.
const NUMBERS_END: u64 = 1 << 63;

/// More than the cipher takes: its states of 448 bytes, with what it saves of registers.
const STACK_WIPED: usize = 4 * 1024;

/// Secret, step and number in one value, which nobody can clone: who has it is the only one that uses its
/// numbers.
pub(super) struct Direction {
    secret: KeyBytes,
    /// `key_k || base_k`.
    key: KeyBytes,
    number: u64,
    /// Of who drops this.
    _stack: WipedStack,
}

/// Wipes the stack when dropped: what records have left there, of a thread that ends the link as well.
struct WipedStack;

impl Direction {
    pub(super) fn new(secret: KeyBytes, number: u64) -> Self {
        let key = wiping(|| record_key(&secret));
        Self { secret, key, number, _stack: WipedStack }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn into_state(self) -> (KeyBytes, u64) {
        (self.secret, self.number)
    }

    /// What the record of the next number is sealed and opened with. It is on the stack.
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
        if self.number % STEP_RECORDS == 0 {
            wipe_stack();
            self.secret = wiping(|| keyed_secret(&self.secret, &[b"record next"]));
            self.key = wiping(|| record_key(&self.secret));
        }
    }
}

impl Drop for WipedStack {
    fn drop(&mut self) {
        wipe_stack();
    }
}

fn record_key(secret: &[u8; 32]) -> KeyBytes {
    keyed_secret(secret, &[b"record key"])
}

/// As [`crate::key_bytes::wipe_stack`], as far as records go.
#[inline(never)]
pub(super) fn wipe_stack() {
    let mut left = [0_u8; STACK_WIPED];
    black_box(&mut left);
}
