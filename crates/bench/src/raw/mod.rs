//! TCP without anything on it.

mod handshakes;
mod round_trip;
mod throughput;

use std::time::Duration;

use crate::{Contender, Failure, Flow, Handshakes, RoundTrips, Window};

/// The sizes of writes and reads of which the best is taken.
const CHUNKS: [usize; 3] = [64 << 10, 256 << 10, 1 << 20];

/// Raw TCP at its best: the receiver takes bytes and looks at none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Raw {
    /// Bytes of each write and read, whatever the size of a frame.
    pub chunk: usize,
    /// Connections beside each other, each with a thread at both ends.
    pub connections: u16,
    /// Whether the ends of a round trip look for bytes all the time instead of sleeping until some come.
    pub spins: bool,
}

impl Raw {
    /// With the size of writes and reads that is best on this machine, found out in windows of `trial`.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub fn at_its_best(connections: u16, spins: bool, trial: Duration) -> Result<Self, Failure> {
        let mut best = (0.0, Self { chunk: 0, connections, spins });
        // Twice, in turn: the first may be slow for other reasons.
        for chunk in CHUNKS.into_iter().cycle().take(2 * CHUNKS.len()) {
            let raw = Self { chunk, connections, spins };
            let rate = raw.throughput(chunk, Window::new(trial))?.bytes_per_second;
            if rate > best.0 {
                best = (rate, raw);
            }
        }
        Ok(best.1)
    }

    /// From one thread to `peers` others, `size` bytes to each in turn.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub fn broadcast(peers: u8, size: usize, window: Window) -> Result<Flow, Failure> {
        throughput::broadcast(peers, size, window)
    }
}

impl Contender for Raw {
    fn name(&self) -> String {
        let mut words = vec!["raw TCP".to_owned()];
        if self.connections > 1 {
            words.push(format!("{} connections", self.connections));
        }
        if self.spins {
            words.push("spinning".to_owned());
        }
        words.join(", ")
    }

    fn throughput(&self, _size: usize, window: Window) -> Result<Flow, Failure> {
        throughput::measure(self, window)
    }

    fn round_trip(&self, size: usize, window: Window) -> Result<RoundTrips, Failure> {
        round_trip::measure(size, self.spins, window)
    }

    /// Connections on which three messages of 256 bytes go: what any handshake of three messages takes.
    fn handshakes(&self, window: Window) -> Result<Handshakes, Failure> {
        handshakes::measure(window)
    }
}
