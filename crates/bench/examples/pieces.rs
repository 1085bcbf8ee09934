//! How fast raw TCP is with which writes and reads, pinned and not: `pieces SECONDS [CONNECTIONS [turn]]`, for each
//! window. With `turn` one thread at each end serves all connections.
#![allow(clippy::print_stdout, reason = "figures are what it is for")]

use std::time::Duration;

use replink_bench::{Connections, Failure, Placement, Window, calibrate};

const FRAME: usize = 4 << 10;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().ok_or("pieces SECONDS [CONNECTIONS [turn]]")?.parse()?;
    let count = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let connections = match arguments.next().as_deref() {
        Some("turn") => Connections::InTurn(count),
        _ => Connections::Threads(count),
    };
    let mut placements = vec![Placement::Floating];
    match Placement::available() {
        (Placement::Pinned, _) => placements.insert(0, Placement::Pinned),
        (Placement::Floating, reason) => println!("pinned: not available, {reason:?}"),
    }
    for placement in placements {
        let window = Window::new(Duration::from_secs_f64(seconds), placement);
        for trial in calibrate(FRAME, connections, window)? {
            let rate = trial.gigabytes_per_second;
            println!(
                "{}: {rate:.2} GB/s with {}, {} windows",
                placement.as_str(),
                trial.pieces,
                trial.windows
            );
        }
    }
    Ok(())
}
