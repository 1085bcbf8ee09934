//! Links of nodes: shards that are polled, one thread for each.

mod handshakes;
mod round_trip;
mod sending;
mod throughput;

pub(super) use handshakes::measure as handshakes;
pub use round_trip::between as round_trip_between;
pub(super) use round_trip::measure as round_trip;
pub(super) use sending::BURST_BYTES;
pub use sending::{connect, fill, next_frame};
pub use throughput::between as throughput_between;
pub(super) use throughput::measure as throughput;

use std::time::Duration;

/// How long a shard is polled at most before its thread looks whether the window is over.
pub const PATIENCE: Duration = Duration::from_millis(5);
