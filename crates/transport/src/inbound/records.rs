//! From what has come on a sealed link to the stream of frames (section 5).

use replink_frame::HEADER_SIZE;
use replink_handshake::{
    RECORD_CIPHERTEXT_MAX, RECORD_HEAD_LEN, RECORD_OVERHEAD, RECORD_TAG_LEN, RecordError, RecordOpener,
};

use super::DirectBody;
use super::read_ahead::ReadAhead;
use crate::memory::BLOCK_SIZE;

// A record that has come in part always has room for its rest.
const _: () = assert!(RECORD_CIPHERTEXT_MAX + RECORD_OVERHEAD <= BLOCK_SIZE);

/// Records that have come, and what opens them: one after the other, when nothing of those before is left to
/// be looked at.
pub(super) struct ArrivedRecords {
    opener: RecordOpener,
    /// From the first byte on that is not opened.
    pub(super) ciphertext: ReadAhead,
}

/// What the next bytes are.
pub(super) enum Next {
    /// A record that was opened.
    Opened,
    /// Not here as a whole.
    Incomplete,
    /// What no record begins with, in the place of the first one: 256 bytes or more, of a late reject (H-9).
    Clear,
}

impl ArrivedRecords {
    pub(super) fn new(opener: RecordOpener) -> Self {
        Self { opener, ciphertext: ReadAhead::default() }
    }

    #[cfg(all(feature = "hand-off", target_os = "linux"))]
    pub(super) fn into_parts(self) -> (RecordOpener, Vec<u8>) {
        (self.opener, self.ciphertext.unread().to_vec())
    }

    /// Opens the next record, if it is here as a whole (S-2): into the body under way where it lies wholly in
    /// that, else into `plaintext`, from which the body gets its part. `may_be_clear` says whether a late
    /// reject may come in the place of the first record.
    pub(super) fn open_next(
        &mut self,
        direct: &mut Option<DirectBody>,
        plaintext: &mut ReadAhead,
        may_be_clear: bool,
    ) -> Result<Next, RecordError> {
        let unread = self.ciphertext.unread();
        let Some((head, behind)) = unread.split_first_chunk::<RECORD_HEAD_LEN>() else {
            return Ok(Next::Incomplete);
        };
        if *head == [0; RECORD_HEAD_LEN] && may_be_clear && self.opener.number() == 0 {
            return Ok(if unread.len() < HEADER_SIZE { Next::Incomplete } else { Next::Clear });
        }
        let len = self.opener.ciphertext_len(*head)?; // S-3
        let Some((ciphertext, behind)) = behind.split_at_checked(len) else { return Ok(Next::Incomplete) };
        let Some(tag) = behind.first_chunk::<RECORD_TAG_LEN>() else { return Ok(Next::Incomplete) };
        match direct {
            Some(direct) if direct.missing() >= len => {
                self.opener.open(ciphertext, tag, &mut direct.body[direct.filled..][..len])?;
                direct.filled += len;
            }
            _ => {
                self.opener.open(ciphertext, tag, plaintext.room_for(len))?;
                plaintext.received(len);
                if let Some(direct) = direct {
                    let rest = direct.missing();
                    direct.body[direct.filled..].copy_from_slice(&plaintext.unread()[..rest]);
                    direct.filled += rest;
                    plaintext.consume(rest);
                }
            }
        }
        self.ciphertext.consume(len + RECORD_OVERHEAD);
        Ok(Next::Opened)
    }
}
