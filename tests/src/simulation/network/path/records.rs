//! Records as they pass, by their lengths alone (section 5).

const HEAD_LEN: usize = 4;
const TAG_LEN: usize = 16;
const CIPHERTEXT_MAX: usize = 65_536;

/// Where in its records a direction is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Records {
    /// The head under way, and the tag behind it.
    head_and_tag: [u8; HEAD_LEN + TAG_LEN],
    /// Bytes of this record that have passed.
    at: usize,
    count: u64,
    /// Whether a refusal is in the place of the first record (H-9).
    is_refused: bool,
    /// Where the last write began.
    before: Position,
}

/// A place within a record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    at: usize,
    /// Bytes of the record, once its head is known.
    len: usize,
}

impl Records {
    /// Goes on with `bytes`; `record` is told head and tag of each record that ends in them.
    pub(super) fn pass(&mut self, bytes: &[u8], mut record: impl FnMut([u8; HEAD_LEN + TAG_LEN])) {
        self.before = Position { at: self.at, len: self.len() };
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_refused {
            let wanted = if self.at < HEAD_LEN { HEAD_LEN - self.at } else { self.len() - self.at };
            let (part, behind) = rest.split_at(rest.len().min(wanted));
            rest = behind;
            self.keep(part);
            self.at += part.len();
            if self.at == HEAD_LEN {
                let len = self.ciphertext_len();
                self.is_refused = self.count == 0 && len == 0;
                assert!(
                    self.is_refused || (1..=CIPHERTEXT_MAX).contains(&len),
                    "no record has {len} bytes: {self:?} (S-3)"
                );
            }
            if self.at > HEAD_LEN && self.at == self.len() {
                record(self.head_and_tag);
                self.at = 0;
                self.count += 1;
            }
        }
    }

    /// Where the bytes that passed last began.
    pub(super) fn before(&self) -> Position {
        self.before
    }

    /// Keeps what of `part` is head or tag.
    fn keep(&mut self, part: &[u8]) {
        if self.at < HEAD_LEN {
            self.head_and_tag[self.at..][..part.len()].copy_from_slice(part);
            return;
        }
        let tag_from = self.len() - TAG_LEN;
        let skipped = tag_from.saturating_sub(self.at).min(part.len());
        let tag = &part[skipped..];
        if !tag.is_empty() {
            let place = HEAD_LEN + (self.at + skipped) - tag_from;
            self.head_and_tag[place..][..tag.len()].copy_from_slice(tag);
        }
    }

    fn ciphertext_len(&self) -> usize {
        let head = self.head_and_tag.first_chunk().copied().unwrap_or_default();
        u32::from_le_bytes(head) as usize
    }

    fn len(&self) -> usize {
        self.ciphertext_len().saturating_add(HEAD_LEN + TAG_LEN)
    }
}

impl Position {
    /// Whether no byte of a record has passed.
    pub(super) fn is_between(self) -> bool {
        self.at == 0
    }

    /// Where the next record begins in `bytes`, which go on from here.
    pub(super) fn next_record(self, bytes: &[u8]) -> usize {
        match self.at {
            0 => 0,
            at if at < HEAD_LEN => bytes.len(), // nobody can know
            at => (self.len - at).min(bytes.len()),
        }
    }
}
