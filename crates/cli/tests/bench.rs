//! `replink bench`: the shape of what it shows. How fast anything is, no test says.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests fail by panicking; their support is shared")]

mod support;

use serde_json::Value;
use support::process::{finish, replink};

const NAMES: [&str; 14] = [
    "throughput_256B",
    "throughput_4KiB",
    "throughput_64KiB",
    "throughput_1MiB",
    "roundtrip_p50",
    "roundtrip_p99",
    "handshakes",
    "throughput_256B_sealed",
    "throughput_4KiB_sealed",
    "throughput_64KiB_sealed",
    "throughput_1MiB_sealed",
    "roundtrip_p50_sealed",
    "roundtrip_p99_sealed",
    "handshakes_sealed",
];

#[test]
fn json_has_every_figure_of_link_and_raw() {
    for (driver, more) in [("blocking", &[][..]), ("poll", &[]), ("auto", &["--shards", "2", "--unpinned"])] {
        let bench =
            finish(replink().args(["bench", "--driver", driver, "--json", "--seconds", "0.1"]).args(more));
        assert!(bench.status.success(), "{driver}: {}", bench.stderr);
        let found: Value = serde_json::from_str(&bench.stdout).unwrap();
        assert_eq!(found["driver"], driver);
        // A machine with one core pins nothing.
        assert!(
            found["pinned"].is_boolean() && !(more.contains(&"--unpinned") && found["pinned"] == true),
            "{found}"
        );
        let results = found["results"].as_array().unwrap();
        let names: Vec<_> = results.iter().map(|result| result["name"].as_str().unwrap()).collect();
        assert_eq!(names, NAMES);
        for result in results {
            let [link, raw, ratio] = ["link", "raw", "ratio"].map(|key| result[key].as_f64().unwrap());
            assert!(link > 0.0 && raw > 0.0, "{result}");
            assert!((ratio - link / raw).abs() < 1e-9 * ratio, "{result}");
            let [lowest, highest] = [0, 1].map(|end| result["spread"][end].as_f64().unwrap());
            assert!(lowest <= ratio && ratio <= highest, "{result}");
            let name = result["name"].as_str().unwrap();
            let to_unsealed = result["to_unsealed"]["ratio"].as_f64();
            assert_eq!(to_unsealed.is_some_and(|ratio| ratio > 0.0), name.ends_with("_sealed"), "{result}");
            let unit = match name {
                name if name.starts_with("handshakes") => "/s",
                name if name.starts_with("roundtrip") => "us",
                _ => "GB/s",
            };
            assert_eq!(result["unit"], unit);
            // A window may be shorter than the steps of the processor's clock.
            let cpu = &result["cpu_seconds_per_gb"];
            assert_eq!(unit == "GB/s", cpu.get("link").is_some() && cpu.get("raw").is_some(), "{result}");
        }
    }
}

#[test]
fn the_table_has_every_figure_and_says_how_to_read_it() {
    let bench = finish(replink().args(["bench", "--driver", "blocking", "--seconds", "0.1"]));
    assert!(bench.status.success(), "{}", bench.stderr);
    for expected in NAMES.iter().chain(&[
        "driver blocking",
        "raw TCP",
        "ratio",
        "spread",
        "median of 5 rounds",
        "to unsealed",
    ]) {
        assert!(bench.stdout.contains(expected), "{expected} not in {}", bench.stdout);
    }
}

#[test]
fn refuses_what_it_can_not_measure() {
    for (arguments, said) in [
        (["--driver", "tcp"], "--driver"),
        (["--seconds", "0"], "--seconds"),
        (["--seconds", "NaN"], "--seconds"),
        (["--busy-poll", "1h"], "--busy-poll"),
        (["--shards", "0"], "--shards"),
    ] {
        let bench = finish(replink().arg("bench").args(arguments));
        assert_eq!(bench.status.code(), Some(1), "{arguments:?}");
        assert!(bench.stderr.contains(said), "{}", bench.stderr);
    }
    let bench = finish(replink().args(["bench", "--driver", "blocking", "--busy-poll", "50us"]));
    assert_eq!(bench.status.code(), Some(1));
    assert!(bench.stderr.contains("busy_poll"), "{}", bench.stderr);
}

/// A driver that is not there is an error that says so; one that is there is measured.
#[test]
fn a_driver_is_measured_or_said_to_be_unavailable() {
    let bench = finish(replink().args(["bench", "--driver", "io_uring", "--json", "--seconds", "0.1"]));
    if bench.status.success() {
        assert_eq!(serde_json::from_str::<Value>(&bench.stdout).unwrap()["driver"], "io_uring");
    } else {
        assert!(bench.stderr.contains("bench with driver io_uring: "), "{}", bench.stderr);
    }
}
