//! What records are sealed and opened with (section 5): one secret and one number for each direction.

mod direction;

use core::fmt;

use aegis::aegis128x2::Aegis128X2;
use thiserror::Error;

use crate::key_bytes::{KeyBytes, wiping_record};
use direction::Direction;

/// Most bytes of ciphertext in one record (S-3), and so of what is sealed in it.
pub const RECORD_CIPHERTEXT_MAX: usize = 65_536;

/// Bytes of a record in front of its ciphertext: the length.
pub const RECORD_HEAD_LEN: usize = 4;

/// Bytes of a record behind its ciphertext.
pub const RECORD_TAG_LEN: usize = 16;

/// Bytes that a record has beside its ciphertext.
pub const RECORD_OVERHEAD: usize = RECORD_HEAD_LEN + RECORD_TAG_LEN;

type Cipher = Aegis128X2<RECORD_TAG_LEN>;

/// Why a record was not sealed or opened. The direction is over.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RecordError {
    /// The length is 0 or above 65,536 (S-3).
    #[error("broken record: a length of {found} bytes, which no record has")]
    Length {
        /// As it was read.
        found: u32,
    },
    /// The tag does not verify: the record was changed, repeated, left out or put in by someone on the way,
    /// or it is another direction's or link's.
    #[error("broken record: it was changed, repeated, left out or put in by someone on the way")]
    Tag,
    /// A record before it was broken, or could not be opened: that direction is never opened again (S-3).
    #[error("a record after one that was broken")]
    Over,
    /// The numbers of this direction are used up (S-4).
    #[error("the record numbers of this direction are used up")]
    Numbers,
}

/// Seals the records of one direction. It has exactly one owner and goes with the link; what is sealed with it
/// elsewhere uses no number twice (S-4). Wiped when dropped, silent in `Debug`.
pub struct RecordSealer(Direction);

/// Opens the records of one direction. Wiped when dropped, silent in `Debug`.
pub struct RecordOpener {
    direction: Direction,
    broken: bool,
}

impl RecordSealer {
    pub(crate) fn new(secret: KeyBytes) -> Self {
        Self::resume(secret, 0)
    }

    /// Goes on with the record of this number, whose step `secret` is of.
    pub(crate) fn resume(secret: KeyBytes, number: u64) -> Self {
        Self(Direction::new(secret, number))
    }

    pub(crate) fn into_state(self) -> (KeyBytes, u64) {
        self.0.into_state()
    }

    /// The number of the next record: how many were sealed so far.
    pub fn number(&self) -> u64 {
        self.0.number()
    }

    /// Seals `pieces`, one behind the other, as the next record. It fills `record`, which is longer by
    /// [`RECORD_OVERHEAD`].
    ///
    /// # Errors
    ///
    /// [`RecordError::Numbers`]; nothing is to be sent on this link any more.
    ///
    /// # Panics
    ///
    /// If the pieces have no byte or more than [`RECORD_CIPHERTEXT_MAX`], or `record` has another length.
    pub fn seal<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
        record: &mut [u8],
    ) -> Result<(), RecordError> {
        let len = record.len().saturating_sub(RECORD_OVERHEAD);
        assert!((1..=RECORD_CIPHERTEXT_MAX).contains(&len), "no record has so many bytes");
        let head = u32::try_from(len).expect("a record's length has 32 bits").to_le_bytes();
        let (into_head, behind) = record.split_at_mut(RECORD_HEAD_LEN);
        let (mut ciphertext, tag) = behind.split_at_mut(len);
        into_head.copy_from_slice(&head);
        wiping_record(|| {
            let mut encryptor = self.0.cipher()?.encryptor(&[]);
            for piece in pieces {
                let (into, behind) = ciphertext.split_at_mut(piece.len());
                encryptor.update(piece, into);
                ciphertext = behind;
            }
            assert!(ciphertext.is_empty(), "the pieces do not fill the record");
            tag.copy_from_slice(&encryptor.finalize());
            Ok(())
        })?;
        self.0.advance(); // S-4
        Ok(())
    }
}

impl RecordOpener {
    pub(crate) fn new(secret: KeyBytes) -> Self {
        Self::resume(secret, 0)
    }

    /// Goes on with the record of this number, whose step `secret` is of.
    pub(crate) fn resume(secret: KeyBytes, number: u64) -> Self {
        Self { direction: Direction::new(secret, number), broken: false }
    }

    /// `None` where a record was broken: nobody goes on with that (S-3).
    pub(crate) fn into_state(self) -> Option<(KeyBytes, u64)> {
        (!self.broken).then(|| self.direction.into_state())
    }

    /// The number of the next record: how many were opened so far.
    pub fn number(&self) -> u64 {
        self.direction.number()
    }

    /// The length of the ciphertext that a record with this head has.
    ///
    /// # Errors
    ///
    /// [`RecordError::Length`], before anything is read or allocated for it (S-3).
    pub fn ciphertext_len(&self, head: [u8; RECORD_HEAD_LEN]) -> Result<usize, RecordError> {
        let found = u32::from_le_bytes(head);
        match found as usize {
            len @ 1..=RECORD_CIPHERTEXT_MAX => Ok(len),
            _ => Err(RecordError::Length { found }),
        }
    }

    /// Opens the next record into `plaintext`, which is as long as its ciphertext, and holds nothing but zeros
    /// where the tag does not verify (S-2).
    ///
    /// # Errors
    ///
    /// [`RecordError`]; from then on nothing is opened any more (S-3).
    ///
    /// # Panics
    ///
    /// If the two have not the same length.
    pub fn open(
        &mut self,
        ciphertext: &[u8],
        tag: &[u8; RECORD_TAG_LEN],
        plaintext: &mut [u8],
    ) -> Result<(), RecordError> {
        assert_eq!(ciphertext.len(), plaintext.len(), "what is opened is as long as what was sealed");
        if self.broken {
            return Err(RecordError::Over);
        }
        self.broken = true; // until it went well
        wiping_record(|| {
            let mut decryptor = self.direction.cipher()?.decryptor(&[], plaintext);
            // It fits: the lengths are the same. Where it does not verify the plaintext is overwritten.
            let opened = decryptor.update(ciphertext).and_then(|()| decryptor.finalize(tag).map(|_| ()));
            opened.map_err(|_| RecordError::Tag)
        })?;
        self.direction.advance();
        self.broken = false;
        Ok(())
    }
}

impl fmt::Debug for RecordSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordSealer").field("number", &self.number()).finish_non_exhaustive()
    }
}

impl fmt::Debug for RecordOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordOpener").field("number", &self.number()).finish_non_exhaustive()
    }
}
