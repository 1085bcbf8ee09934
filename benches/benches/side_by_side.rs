//! Links, raw TCP and what else one could take, in one run: `cargo bench -p replink-benches --bench side_by_side`.
//!
//! Sections are chosen by name (`-- throughput handshakes`), all of them run by default; `--out DIR` also
//! writes `results.md` and charts there. `REPLINK_SECONDS` is how long each window lasts.

#[path = "../src/side_by_side.rs"]
mod side_by_side;

use std::process::ExitCode;

fn main() -> ExitCode {
    side_by_side::main(std::env::args().skip(1))
}
