//! The bench `side_by_side` works: no figure is looked at.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[allow(dead_code, reason = "what reads the environment is the bench's")]
#[path = "../src/side_by_side.rs"]
mod side_by_side;

use std::fs;
use std::path::Path;
use std::time::Duration;

use replink_bench::Window;
use side_by_side::{Arguments, Plan, run};

/// Every contender, peers too, in a section that is quick; then what is written.
#[test]
fn a_section_is_measured_and_written() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("side_by_side");
    let _ = fs::remove_dir_all(&out);
    let words = ["--bench", "roundtrip", "--out", out.to_str().unwrap()].map(str::to_owned);
    let arguments = Arguments::parse(words.into_iter()).unwrap();
    let window = Window { warm_up: Duration::from_millis(1), length: Duration::from_millis(5) };
    run(&arguments, Plan { rounds: 1, window }).unwrap();

    let results = fs::read_to_string(out.join("results.md")).unwrap();
    for name in ["raw TCP", "replink blocking", "replink poll, sealed", "tokio", "rustls", "snow", "tarpc"] {
        assert!(results.contains(&format!("\n| {name}")), "{name} is missing in {results}");
    }
    let chart = fs::read_to_string(out.join("round-trip-256.svg")).unwrap();
    assert!(chart.starts_with("<svg") && chart.contains("prefers-color-scheme: dark"), "{chart}");
    assert!(results.contains("(round-trip-256.svg)"), "{results}");
}

#[test]
fn sections_have_names() {
    let parsed = |word: &str| Arguments::parse([word.to_owned()].into_iter());
    assert!(parsed("strangers").is_ok());
    assert!(parsed("throughputs").unwrap_err().to_string().contains("throughput, roundtrip"));
    assert!(parsed("--out").is_err());
}
