//! `just soak`: 10,000 links and failed handshakes after a warm-up of 1,000, and what the process
//! holds before and after.
#![allow(clippy::print_stdout, reason = "figures are what it is for")]

use replink_tests::soak::Soak;

const WARM_UP: u64 = 1000;

fn main() {
    let cycles = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(10_000);
    let mut soak = Soak::new();
    soak.run(WARM_UP);
    let before = soak.held();
    println!("after {WARM_UP} cycles: {before:?}");
    soak.run(cycles);
    let after = soak.held();
    let (all, links) = soak.counts();
    println!("after {all} cycles, {links} of them links: {after:?}");
    let files = |held: Option<replink_tests::soak::Held>| held.map(|held| held.files);
    assert_eq!(files(before), files(after), "file descriptors are left open");
}
