//! Which pieces are the fastest on this machine.

use super::{Connections, Pieces, Raw};
use crate::{Contender, Failure, Window};

/// Bytes of a write. Small ones are many system calls; large ones leave the cache before they are read.
const WRITES: [usize; 4] = [64 << 10, 128 << 10, 256 << 10, 1 << 20];

/// Bytes of a read, each tried with each write: what is best for one end is not best for the other.
const READS: [usize; 3] = [64 << 10, 128 << 10, 256 << 10];

/// How many pairs are tried more than once, and how often.
const FINALISTS: usize = 4;
const FINALS: usize = 2;

/// How many windows it takes.
#[allow(clippy::cast_possible_truncation, reason = "there are few")]
pub(crate) const WINDOWS: u32 = (WRITES.len() * READS.len() + FINALISTS * FINALS) as u32;

/// One pair, and how fast it was.
#[derive(Clone, PartialEq, Debug)]
pub struct Trial {
    /// What was written and read at once.
    pub pieces: Pieces,
    /// The median of its windows, in 10⁹ bytes a second.
    pub gigabytes_per_second: f64,
    /// In how many windows.
    pub windows: usize,
}

/// Tries every pair in a window, and then the fastest of them again, in turn. What comes first is the fastest of
/// those.
///
/// # Errors
///
/// [`Failure`].
pub fn calibrate(size: usize, connections: Connections, window: Window) -> Result<Vec<Trial>, Failure> {
    let rate = |pieces| -> Result<f64, Failure> {
        let raw = Raw::with_pieces(pieces, connections);
        Ok(raw.throughput(size, window)?.gigabytes_per_second())
    };
    let mut tried = Vec::new();
    for write_bytes in WRITES {
        for read_bytes in READS {
            let pieces = Pieces { write_bytes, read_bytes };
            tried.push((pieces, vec![rate(pieces)?]));
        }
    }
    tried.sort_by(|(_, one), (_, other)| median(other).total_cmp(&median(one)));
    for _ in 0..FINALS {
        for (pieces, rates) in tried.iter_mut().take(FINALISTS) {
            rates.push(rate(*pieces)?);
        }
    }
    // A pair that had one window had no chance to be unlucky: it stays behind.
    tried[..FINALISTS].sort_by(|(_, one), (_, other)| median(other).total_cmp(&median(one)));
    let trial = |(pieces, rates): (Pieces, Vec<f64>)| Trial {
        pieces,
        gigabytes_per_second: median(&rates),
        windows: rates.len(),
    };
    Ok(tried.into_iter().map(trial).collect())
}

fn median(rates: &[f64]) -> f64 {
    let mut sorted = rates.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Placement;

    #[test]
    fn every_pair_is_tried_and_the_finalists_come_first() {
        let window = Window::new(Duration::from_millis(1), Placement::Floating);
        for connections in [Connections::Threads(2), Connections::InTurn(3)] {
            let trials = calibrate(256, connections, window).unwrap();
            let windows: Vec<_> = trials.iter().map(|trial| trial.windows).collect();
            assert_eq!(windows, [[1 + FINALS; FINALISTS].as_slice(), &[1; 8]].concat());
            assert!(trials[0].gigabytes_per_second >= trials[FINALISTS - 1].gigabytes_per_second);
        }
    }
}
