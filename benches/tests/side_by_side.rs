//! The bench `side_by_side` works: no figure is looked at.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[allow(dead_code, reason = "what reads the environment is the bench's")]
#[path = "../src/side_by_side.rs"]
mod side_by_side;

use std::fs;
use std::path::Path;
use std::time::Duration;

use replink_bench::{Placement, Window};
use side_by_side::{Arguments, Plan, run};

/// What comes out of these words, and the folder that it is in.
fn written(folder: &str, words: &[&str]) -> (String, std::path::PathBuf) {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    let _ = fs::remove_dir_all(&out);
    let words = [words, &["--bench", "--out", out.to_str().unwrap()]].concat();
    let arguments = Arguments::parse(words.into_iter().map(str::to_owned)).unwrap();
    let window = Window {
        warm_up: Duration::from_millis(1),
        length: Duration::from_millis(5),
        placement: Placement::Floating,
    };
    run(&arguments, Plan { rounds: 1, window }).unwrap();
    (fs::read_to_string(out.join("results.md")).unwrap(), out)
}

fn assert_has(results: &str, names: &[&str]) {
    for name in names {
        assert!(results.contains(&format!("\n| {name}")), "{name} is missing in {results}");
    }
}

/// Every contender, peers too, in a section that is quick; then what is written.
#[test]
fn a_section_is_measured_and_written() {
    let (results, out) = written("side_by_side", &["roundtrip"]);
    assert_has(&results, &["raw TCP", "replink blocking", "replink poll, sealed", "tarpc", "snow"]);
    assert_has(
        &results,
        &["tokio, length-delimited", "tokio, 128 KiB", "rustls, TLS 1.3", "rustls, aws-lc-rs"],
    );
    assert!(results.contains("\n| compio, io_uring") || results.contains("Not measured, the plain loop"));
    assert!(results.contains("## Round trips, not pinned\n"), "{results}");
    if Placement::available().0 == Placement::Pinned {
        assert!(
            results.contains("## Round trips\n") && results.contains("(round-trip-256.svg)"),
            "{results}"
        );
        let chart = fs::read_to_string(out.join("round-trip-256.svg")).unwrap();
        assert!(chart.starts_with("<svg") && chart.contains("prefers-color-scheme: dark"), "{chart}");
    } else {
        assert!(results.contains("Nothing is pinned: "), "{results}");
    }
    // What has no chart in docs/performance.md has none at all.
    assert!(!results.contains("round-trip-4096.svg") && !out.join("round-trip-4096.svg").exists());
}

/// What bytes are moved with is tried before, for each size, and told.
#[test]
fn raw_tcp_says_what_it_wrote_and_read_at_once() {
    let (results, _) = written("shards", &["shards", "unpinned"]);
    assert_has(&results, &["raw TCP, 2 connections | raw TCP |", "replink poll, 2 shards | replink poll |"]);
    for pieces in
        ["- raw TCP, frames of 256 bytes: writes of ", "- raw TCP, 2 connections, frames of 256 bytes"]
    {
        assert!(results.contains(pieces), "{results}");
    }
}

/// So many links are held against so many connections.
#[test]
fn links_are_beside_as_many_connections() {
    let (results, _) = written("links", &["links", "unpinned"]);
    for links in [16, 128] {
        let row = format!("replink poll, {links} links | raw TCP, {links} connections |");
        assert_has(&results, &[&row]);
    }
}

#[test]
fn nodes_that_look_are_beside_raw_tcp_that_spins() {
    let (results, _) = written("busy", &["busypoll"]);
    assert_has(&results, &["raw TCP, spinning |", "replink poll, busy poll | raw TCP, spinning |"]);
}

/// Links that are sealed are beside those that are not, and beside TLS of either provider.
#[test]
fn sealed_links_are_beside_unsealed_ones_and_tls() {
    let (results, _) = written("sealed", &["sealed", "unpinned"]);
    for size in ["256 B", "4 KiB", "64 KiB", "1 MiB"] {
        for title in ["Seals, throughput", "Seals and TLS, throughput"] {
            assert!(results.contains(&format!("### {title}, frames of {size}, not pinned\n")), "{results}");
        }
    }
    for title in ["Seals, round trips, frames of 256 B", "Seals, round trips, frames of 4 KiB"] {
        assert!(results.contains(&format!("### {title}, not pinned\n")), "{results}");
    }
    assert!(results.contains(" | sealing, CPU s/GB |\n"), "{results}");
    let names = [
        "replink blocking, sealed | replink blocking |",
        "replink blocking, sealed | rustls, aws-lc-rs, AES-128 |",
        "replink blocking, sealed, forward secrecy | rustls, aws-lc-rs, AES-128 |",
        "rustls, TLS 1.3 | rustls, aws-lc-rs, AES-128 |",
    ];
    assert_has(&results, &names);
}

/// Each peer of a sealed broadcast costs a cipher, so it is held against the one without.
#[test]
fn a_sealed_broadcast_is_beside_the_unsealed_one() {
    let (results, _) = written("broadcast", &["broadcast", "unpinned"]);
    for peers in [2, 4, 8] {
        assert!(results.contains(&format!("### Broadcast to {peers} peers, frames of 64 KiB")), "{results}");
    }
    assert_has(&results, &["replink poll | raw TCP |", "replink poll, sealed | replink poll |"]);
}

#[test]
fn handshakes_of_sealed_links_are_beside_raw_tcp() {
    let (results, _) = written("handshakes", &["handshakes", "unpinned"]);
    assert_has(&results, &["replink poll | raw TCP |", "replink poll, sealed, forward secrecy | raw TCP |"]);
}

#[test]
fn sections_have_names() {
    let parsed = |word: &str| Arguments::parse([word.to_owned()].into_iter());
    assert!(parsed("strangers").is_ok());
    assert_eq!(parsed("pinned").unwrap().placements, [Placement::Pinned]);
    assert_eq!(parsed("busypoll").unwrap().placements.len(), 2);
    assert!(parsed("throughputs").unwrap_err().to_string().contains("throughput, roundtrip"));
    assert!(parsed("--out").is_err());
}
