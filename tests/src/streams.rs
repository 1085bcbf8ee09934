//! Numbered streams of frames from several threads over one link: whatever is lost, doubled,
//! altered or out of order shows.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use replink_frame::GenericHeader;

use crate::nodes::prepare;
use crate::random::Random;

/// The sending end of stream `stream`.
#[derive(Debug)]
pub struct Source {
    stream: u32,
    next: u64,
    random: Random,
    hash: blake3::Hasher,
}

/// What arrived of each stream.
#[derive(Debug, Default)]
pub struct Sink(Mutex<BTreeMap<u32, (u64, blake3::Hasher)>>);

/// How many frames a stream had, and the hash of all their bodies.
pub type Sum = (u64, blake3::Hash);

impl Source {
    /// A stream of its own for each thread.
    pub fn new(stream: u32, seed: u64) -> Self {
        Self { stream, next: 0, random: Random::new(seed), hash: blake3::Hasher::new() }
    }

    /// The next frame, with a body of at most `body_max` bytes. It counts as sent.
    pub fn next(&mut self, body_max: usize) -> (GenericHeader, Bytes) {
        let len = self.random.between(0, body_max);
        let body = Bytes::from(self.random.bytes(len));
        self.hash.update(&body);
        let mut header = prepare(self.stream, body.len());
        header.reserved_command[..8].copy_from_slice(&self.next.to_le_bytes());
        self.next += 1;
        (header, body)
    }

    /// What was sent.
    pub fn sum(&self) -> Sum {
        (self.next, self.hash.finalize())
    }
}

impl Sink {
    /// Takes a frame.
    ///
    /// # Panics
    ///
    /// If it is not the next one of its stream.
    pub fn take(&self, header: &GenericHeader, body: &[u8]) {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, hash) = streams.entry(header.view.get()).or_default();
        let number = u64::from_le_bytes(header.reserved_command[..8].try_into().unwrap());
        assert_eq!(number, *next, "stream {}", header.view);
        *next += 1;
        hash.update(body);
    }

    /// What arrived of a stream so far.
    pub fn sum(&self, stream: u32) -> Sum {
        let streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        streams.get(&stream).map_or((0, blake3::hash(b"")), |(count, hash)| (*count, hash.finalize()))
    }

    /// How many frames arrived in all.
    pub fn frames(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().map(|stream| stream.0).sum()
    }
}
