//! TCP without anything on it.

mod calibration;
mod handshakes;
mod pieces;
mod round_trip;
mod throughput;

use crate::{Contender, Failure, Flow, Handshakes, RoundTrips, Window};

pub(crate) use calibration::WINDOWS as CALIBRATION_WINDOWS;
pub use calibration::{Trial, calibrate};
pub use pieces::Pieces;

/// Raw TCP: the receiver takes bytes and looks at none. It may write many frames with one call, or one with many.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Raw {
    /// What each call moves, for each size of frames that it was tried with.
    best: Vec<(usize, Pieces)>,
    connections: Connections,
    /// Whether the ends of a round trip look for bytes all the time instead of sleeping until some come.
    spins: bool,
}

/// Connections beside each other, and who serves them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connections {
    /// So many, each with a thread at both ends.
    Threads(u16),
    /// So many, with one thread at each end for all of them: both ends take them in the same turn, so that nobody
    /// has to ask which one is ready.
    InTurn(u16),
}

impl Connections {
    /// One connection.
    pub const ONE: Self = Self::Threads(1);

    const fn count(self) -> u16 {
        match self {
            Self::Threads(count) | Self::InTurn(count) => count,
        }
    }
}

impl Raw {
    /// One connection whose throughput is of no interest: no pieces are tried.
    pub const fn untried(spins: bool) -> Self {
        Self { best: Vec::new(), connections: Connections::ONE, spins }
    }

    /// With the pieces that are the best on this machine for frames of each of these sizes, found out in windows
    /// like `trial`.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub fn at_its_best(sizes: &[usize], connections: Connections, trial: Window) -> Result<Self, Failure> {
        let mut best = Vec::new();
        for &size in sizes {
            best.push((size, calibrate(size, connections, trial)?.swap_remove(0).pieces));
        }
        Ok(Self { best, connections, spins: false })
    }

    /// With these pieces, whatever the size of frames.
    pub fn with_pieces(pieces: Pieces, connections: Connections) -> Self {
        Self { best: vec![(0, pieces)], connections, spins: false }
    }

    /// What each call moves where frames have this size; that of another size where this one was not tried.
    pub fn pieces(&self, size: usize) -> Pieces {
        let tried = self.best.iter().find(|(tried, _)| *tried == size).or(self.best.first());
        tried.map_or(Pieces::DEFAULT, |(_, pieces)| *pieces)
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
        if self.connections.count() > 1 {
            words.push(format!("{} connections", self.connections.count()));
        }
        if self.spins {
            words.push("spinning".to_owned());
        }
        words.join(", ")
    }

    fn throughput(&self, size: usize, window: Window) -> Result<Flow, Failure> {
        throughput::measure(self.pieces(size).of_frames(size), self.connections, window)
    }

    fn round_trip(&self, size: usize, window: Window) -> Result<RoundTrips, Failure> {
        round_trip::measure(size, self.spins, window)
    }

    /// Connections on which three messages of 256 bytes go: what any handshake of three messages takes.
    fn handshakes(&self, window: Window) -> Result<Handshakes, Failure> {
        handshakes::measure(window)
    }
}
