//! `serve --metrics`, scraped as Prometheus does it.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests fail by panicking; their support is shared")]
#![allow(clippy::float_cmp, reason = "whole numbers")]

mod support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use replink_tests::fixtures::OTHER_SECRET;
use replink_tests::raw_peer::{RawPeer, command};
use support::cluster::Cluster;
use support::peer::{self, connect, read_frame};
use support::process::Running;
use support::scrape::{Samples, free_address, http};

#[test]
fn a_running_serve_shows_its_links_keys_and_handshakes() {
    let cluster = Cluster::new("", "heartbeat_interval = \"20ms\"");
    let address = free_address();
    let mut serve =
        Running::serve(&cluster.config(), 1, &["--metrics", &address.to_string(), "--shards", "3"]);
    let before = Samples::scrape(address);
    // What was not seen yet is there, and nothing is linked but this voter.
    for zero in [
        "replink_handshakes_total{status=\"mac_mismatch\",by=\"us\"}",
        "replink_dial_failures_total{peer=\"2\",reason=\"silent\"}",
        "replink_links_ended_total{peer=\"0\",reason=\"reset\"}",
        "replink_broken_records_total{peer=\"2\"}",
        "replink_reloads_total{result=\"failed\"}",
        "replink_peer_up{peer=\"0\",lane=\"0\"}",
        "replink_ready",
    ] {
        assert_eq!(before.get(zero), 0.0, "{zero}");
    }
    assert_eq!(before.get("replink_healthy"), 1.0);
    let hash = |samples: &Samples| samples.name_of("replink_config_info");
    let first_hash = hash(&before);
    let page = |path: &str| http(address, &format!("GET {path} HTTP/1.1\r\n\r\n"));
    assert!(page("/healthz").starts_with("HTTP/1.1 200") && page("/readyz").starts_with("HTTP/1.1 503"));
    assert_eq!((before.get("replink_links"), before.get("replink_accepted_total")), (0.0, 0.0));

    let mut peer = peer::dial(cluster.addresses[1], 0, 2);
    let up = serve.event("up");
    let key = up["key_id"].as_str().unwrap();
    for view in 0..3 {
        peer.exchange_prepare(view, b"counted");
    }
    // Its ping is answered, which shows how long it took.
    let samples = loop {
        peer.exchange_prepare(9, b"");
        let samples = Samples::scrape(address);
        if samples.find("replink_link_round_trip_seconds{peer=\"0\",lane=\"0\"}").is_some() {
            break samples;
        }
    };
    let of_link = |name: &str| samples.get(&format!("replink_link_{name}{{peer=\"0\",lane=\"0\"}}"));
    assert_eq!(samples.get("replink_links"), 1.0);
    assert_eq!(samples.get(&format!("replink_key_links{{key_id=\"{key}\",offered=\"true\"}}")), 1.0);
    assert_eq!(samples.get("replink_handshakes_total{status=\"ok\",by=\"us\"}"), 1.0);
    assert_eq!(samples.get("replink_accepted_total"), 1.0);
    assert_eq!(samples.get("replink_pending"), 0.0);
    assert!(of_link("received_frames_total") >= 4.0 && of_link("sent_frames_total") >= 4.0);
    assert!(of_link("received_bytes_total") >= 4.0 * 256.0 + 3.0 * 7.0);
    assert!(of_link("reads_total") >= 1.0 && of_link("writes_total") >= 1.0);
    // The last answer may be here before its writer has counted it as written.
    assert!(of_link("queue_frames") <= 1.0 && of_link("queue_bytes") <= 256.0);
    assert_eq!(of_link("shard"), up["shard"].as_f64().unwrap());
    assert!(of_link("up_seconds") > 0.0 && of_link("round_trip_smoothed_seconds") > 0.0);

    assert_eq!(samples.get("replink_peer_up{peer=\"0\",lane=\"0\"}"), 1.0);
    assert!(samples.get("replink_peer_last_life_seconds{peer=\"0\",lane=\"0\"}") < 20.0);
    assert!(samples.get("replink_round_trip_seconds_count") >= 1.0);
    assert_eq!(samples.get("replink_handshake_seconds_count"), 1.0);
    assert!(page("/readyz").starts_with("HTTP/1.1 200"), "two voters of three");

    // A configuration that is taken, and one that is not.
    cluster.write_config("shared_secret_file = \"cluster.key\"", "heartbeat_interval = \"30ms\"");
    serve.signal("HUP");
    assert_eq!(serve.event("reloaded")["changed"][0], "cluster.link.heartbeat_interval");
    cluster.write_config("shared_secret = \"short\"", "");
    serve.signal("HUP");
    assert_eq!(serve.event_where("warning", |warning| warning["kind"] == "not_reloaded")["replica"], 1);
    let samples = Samples::scrape(address);
    for result in ["ok", "failed"] {
        assert_eq!(samples.get(&format!("replink_reloads_total{{result=\"{result}\"}}")), 1.0, "{result}");
    }
    assert_ne!(hash(&samples), first_hash);

    // Somebody with another key.
    let impostor = RawPeer::new(0, OTHER_SECRET);
    let mut stream = connect(cluster.addresses[1]);
    stream.write_all(&impostor.hello()).unwrap();
    assert_eq!(read_frame(&mut stream)[replink_tests::raw_peer::at::COMMAND], command::CHALLENGE);
    serve.event("rejected");
    let samples = Samples::scrape(address);
    assert_eq!(samples.get("replink_handshakes_total{status=\"unknown_key\",by=\"us\"}"), 1.0);

    // The link ends: its series are gone, what it did is not.
    let frames = samples.get("replink_received_frames_total");
    drop(peer);
    serve.event("down");
    let samples = Samples::scrape(address);
    assert_eq!((samples.get("replink_links"), samples.sum("replink_links_ended_total")), (0.0, 1.0));
    assert_eq!(samples.find("replink_link_shard{peer=\"0\",lane=\"0\"}"), None);
    assert!(samples.get("replink_received_frames_total") >= frames);

    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "404"),
        ("GET /metrics/x HTTP/1.1\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
        ("what\r\n\r\n", "400"),
    ] {
        assert_eq!(http(address, request).split(' ').nth(1), Some(status), "{request}");
    }
    // Those that say nothing, or stay after their answer, keep nobody out.
    let mut idle: Vec<_> = (0..40).map(|_| connect(address)).collect();
    for asks in &mut idle[..20] {
        asks.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    }
    let asked = Instant::now();
    assert_eq!(Samples::scrape(address).get("replink_links"), 0.0);
    assert!(asked.elapsed() < Duration::from_secs(3));
    serve.signal("TERM");
    assert!(serve.finish().status.success());
}

#[test]
fn counters_never_go_backwards_while_links_come_and_go() {
    let cluster = Cluster::new("", "");
    let address = free_address();
    let mut serve = Running::serve(&cluster.config(), 1, &["--metrics", &address.to_string()]);
    let done = Arc::new(AtomicBool::new(false));
    let scraping = Arc::clone(&done);
    let scraper = thread::spawn(move || {
        let mut before = Samples::scrape(address);
        loop {
            let last = scraping.load(Ordering::Acquire);
            let now = Samples::scrape(address);
            for (name, value) in before.totals() {
                assert!(now.get(name) >= value, "{name}: {} after {value}", now.get(name));
            }
            before = now;
            if last {
                return before;
            }
        }
    });
    for round in 0..40u32 {
        let mut peer = peer::dial(cluster.addresses[1], 0, 2);
        peer.exchange_prepare(round, &[1; 1000]);
        if round % 2 == 0 {
            peer.send_control(command::GOODBYE, 0);
            peer.receive_goodbye(); // C-3
            peer.assert_closed();
        }
        drop(peer);
        serve.event("down");
    }
    done.store(true, Ordering::Release);
    let last = scraper.join().unwrap();
    assert_eq!((last.get("replink_links"), last.sum("replink_links_ended_total")), (0.0, 40.0));
    assert_eq!(last.get("replink_received_frames_total"), 40.0);
    assert!(last.get("replink_received_bytes_total") >= 40.0 * 1256.0);

    // A link that another one took over counts all the while that it is leaving.
    let mut older = peer::dial(cluster.addresses[1], 0, 2);
    older.exchange_prepare(1, b"");
    let mut newer = peer::dial(cluster.addresses[1], 0, 2);
    newer.exchange_prepare(2, b"");
    assert_eq!(serve.event("down")["reason"], "superseded");
    let leaving = Samples::scrape(address);
    assert_eq!(leaving.get("replink_received_frames_total"), 42.0);
    assert_eq!((leaving.get("replink_links"), leaving.sum("replink_links_ended_total")), (1.0, 41.0));
    drop(older);
    newer.exchange_prepare(3, b"");
    assert_eq!(Samples::scrape(address).get("replink_received_frames_total"), 43.0);
}
