//! Section 5 once more: the keys of a direction, and what a stream of records holds. Not a line of it is the
//! library's.

use crate::aegis;
use crate::mac;

/// S-3.
pub const CIPHERTEXT_MAX: usize = 65_536;
/// Bytes in front of the ciphertext and behind it.
const HEAD_LEN: usize = 4;
const TAG_LEN: usize = 16;
pub const OVERHEAD: usize = HEAD_LEN + TAG_LEN;
/// S-4.
const STEP: u64 = 1024;

/// Labels of K-5.
pub const FROM_DIALER: &str = "record dialer->acceptor";
pub const FROM_ACCEPTOR: &str = "record acceptor->dialer";

/// The state of one direction (S-4).
#[derive(Clone)]
pub struct Direction {
    secret: [u8; 32],
    number: u64,
}

impl Direction {
    /// `secret` is that of the step which the record of this number is in.
    pub fn new(secret: [u8; 32], number: u64) -> Self {
        Self { secret, number }
    }

    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next record; its number is used by that.
    pub fn seal(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let (key, nonce) = self.key_and_nonce();
        let (ciphertext, tag) = aegis::encrypt(&key, &nonce, plaintext);
        self.advance();
        let head = u32::try_from(plaintext.len()).expect("a short record").to_le_bytes();
        [&head[..], &ciphertext, &tag].concat()
    }

    /// What the next record holds, if it is that.
    pub fn open(&mut self, ciphertext: &[u8], tag: &[u8]) -> Option<Vec<u8>> {
        let (key, nonce) = self.key_and_nonce();
        let (plaintext, expected) = aegis::decrypt(&key, &nonce, ciphertext);
        mac::same_tag(tag, expected).then(|| {
            self.advance();
            plaintext
        })
    }

    /// Goes on to this number, which is not below the next one.
    pub fn skip_to(&mut self, number: u64) {
        while self.number < number {
            self.advance();
        }
    }

    fn advance(&mut self) {
        self.number += 1;
        if self.number.is_multiple_of(STEP) {
            self.secret = mac::subkey(&self.secret, "record next");
        }
    }

    fn key_and_nonce(&self) -> ([u8; 16], [u8; 16]) {
        let both = mac::subkey(&self.secret, "record key");
        let (key, base) = both.split_at(16);
        let number = (u128::from(self.number)).to_le_bytes();
        let key = key.try_into().expect("sixteen bytes");
        (key, std::array::from_fn(|at| base[at] ^ number[at]))
    }
}

/// A record that verified: where it ends in the stream of records and what it holds in that of frames.
#[derive(Clone, Copy)]
pub struct Record {
    pub end: usize,
    pub plaintext_end: usize,
}

/// What is wrong with a stream of records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordFault {
    Length(u32),
    Tag,
}

/// What opening one record after the other gives.
#[derive(Default)]
pub struct Opened {
    pub records: Vec<Record>,
    pub plaintext: Vec<u8>,
    /// What ends the link, and how much of the stream has to be there to see it.
    pub fault: Option<(RecordFault, usize)>,
    /// Whether a first record is missing, and four zeros are in its place (H-9).
    pub begins_clear: bool,
}

impl Opened {
    pub fn of(stream: &[u8], mut direction: Direction) -> Self {
        let mut opened = Self::default();
        let mut at = 0;
        while let Some((head, behind)) = stream[at..].split_first_chunk::<HEAD_LEN>() {
            let announced = u32::from_le_bytes(*head);
            let len = announced as usize;
            if !(1..=CIPHERTEXT_MAX).contains(&len) {
                opened.begins_clear = announced == 0 && at == 0;
                opened.fault = Some((RecordFault::Length(announced), at + HEAD_LEN));
                break;
            }
            let Some(record) = behind.get(..len + TAG_LEN) else { break };
            let (ciphertext, tag) = record.split_at(len);
            at += len + OVERHEAD;
            let Some(plaintext) = direction.open(ciphertext, tag) else {
                opened.fault = Some((RecordFault::Tag, at));
                break;
            };
            opened.plaintext.extend_from_slice(&plaintext);
            opened.records.push(Record { end: at, plaintext_end: opened.plaintext.len() });
        }
        opened
    }

    /// Where what verified ends in the stream.
    pub fn end(&self) -> usize {
        self.records.last().map_or(0, |record| record.end)
    }

    /// How much of the stream has to be there for so many bytes of frames.
    pub fn needed_for(&self, plaintext_end: usize) -> usize {
        let whole = self.records.partition_point(|record| record.plaintext_end < plaintext_end);
        if plaintext_end == 0 { 0 } else { self.records[whole].end }
    }

    /// How many records are whole in the first `taken` bytes.
    pub fn whole_in(&self, taken: usize) -> usize {
        self.records.partition_point(|record| record.end <= taken)
    }
}
