//! Links, raw TCP and what else one could take, in one run: `cargo bench -p replink-benches --bench side_by_side`.
//!
//! Sections are chosen by name (`-- throughput handshakes`), all of them run by default, with ends that are pinned
//! and then with ends that are not (`-- pinned`, `-- unpinned`); `--out DIR` also writes `results.md` and charts
//! there. `REPLINK_SECONDS` is how long each window lasts. With `--features mimalloc` all of it allocates with that.

#[path = "../src/side_by_side.rs"]
mod side_by_side;

use std::process::ExitCode;

/// For everyone, as the system's is without it: an allocator is chosen for a process.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    side_by_side::main(std::env::args().skip(1))
}
