//! What happened in one run: its last lines for whoever reads a failure, and a hash of all of it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// Lines that a failure shows.
const TAIL: usize = 250;

/// What the runs met, by name.
pub type Coverage = BTreeMap<&'static str, u64>;

/// The log of one run.
#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: u64,
    tail: VecDeque<String>,
    coverage: Coverage,
    aloud: bool,
}

impl Trace {
    /// A log that is also printed as it is written, if `aloud`.
    pub(super) fn new(aloud: bool) -> Self {
        Self { aloud, ..Self::default() }
    }

    /// Takes a number into the hash: for what happens too often for a line.
    pub(super) fn mix(&mut self, value: u64) {
        self.hash = (self.hash.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// Adds a line.
    #[expect(clippy::print_stderr, reason = "a replay is watched")]
    pub(super) fn note(&mut self, nanos: u64, what: fmt::Arguments<'_>) {
        let line = format!("{:>10}us {what}", nanos / 1_000);
        line.bytes().for_each(|byte| self.mix(byte.into()));
        if self.aloud {
            eprintln!("{line}");
        }
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    /// Counts something that a run is meant to meet.
    pub(super) fn count(&mut self, what: &'static str) {
        *self.coverage.entry(what).or_default() += 1;
    }

    /// The hash of everything so far.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines.
    pub(super) fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }

    /// What was met so far.
    pub(super) fn coverage(&self) -> &Coverage {
        &self.coverage
    }
}
