//! A key is rotated under load: file by file, SIGHUP by SIGHUP.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests fail by panicking; their support is shared")]
#![allow(clippy::float_cmp, reason = "whole numbers")]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use replink_tests::fixtures::OTHER_SECRET;
use replink_transport::config::Config;
use replink_transport::handshake::Authentication;
use support::cluster::Cluster;
use support::load::Load;
use support::process::{PATIENCE, Running, finish, replink};
use support::scrape::{Samples, free_address};

const OLD: &str = "shared_secret_file = \"cluster.key\"";
const BOTH: &str = "shared_secret_file = \"new.key\"\naccept_secret_files = [\"cluster.key\"]";
const NEW: &str = "shared_secret_file = \"new.key\"";

const LINK: &str = "reconnect_min = \"5ms\"\nreconnect_max = \"50ms\"";

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How many links of a replica were made with a key, as an operator sees it.
fn key_links(metrics: SocketAddr, key: &str, offered: bool) -> Option<f64> {
    Samples::scrape(metrics).find(&format!("replink_key_links{{key_id=\"{key}\",offered=\"{offered}\"}}"))
}

fn probe(config: &Path) -> (Option<i32>, serde_json::Value) {
    let mut probe = replink();
    probe.args(["probe", "--json", "--replica-id", "0", "--peer", "1", "--config"]).arg(config);
    let probe = finish(&mut probe);
    (probe.status.code(), serde_json::from_str(&probe.stdout).unwrap())
}

#[test]
fn a_key_is_rotated_under_load_without_losing_a_frame_of_a_link_that_stays() {
    let cluster = Cluster::new("", "");
    cluster.write_secret("new.key", OTHER_SECRET);
    let write = |replica: u8, auth: &str| cluster.write_config_of(replica, auth, LINK);
    let [config_of_0, config_of_1, config_of_2] = [0, 1, 2].map(|replica| write(replica, OLD));
    let metrics = [free_address(), free_address()];
    let [metrics_of_1, metrics_of_2] = metrics.map(|address| address.to_string());
    let mut one = Running::serve(&config_of_1, 1, &["--metrics", &metrics_of_1, "--shards", "2"]);
    let mut two = Running::serve(&config_of_2, 2, &["--metrics", &metrics_of_2]);
    let load = Load::start(Config::load(&config_of_0).unwrap());
    for serve in [&mut one, &mut two] {
        serve.event("up");
        serve.event("up");
    }
    let key_ids = |path: &Path| Config::load(path).unwrap().auth.keys.unwrap().ids().collect::<Vec<_>>();
    let old = key_ids(&config_of_0)[0];
    wait_until("both peers acknowledge", || {
        load.handle.stats().links.iter().filter(|link| link.received.frames > 100).count() == 2
    });

    // Step 1, on each: offer the new key, accept the old one. Every link stays.
    write(0, BOTH);
    load.handle.reload(Config::load(&config_of_0).unwrap()).unwrap();
    for (serve, replica) in [(&mut two, 2), (&mut one, 1)] {
        write(replica, BOTH);
        serve.signal("HUP");
        serve.event("reloaded");
        // What is wrong changes nothing.
        write(replica, "shared_secret_file = \"missing.key\"");
        serve.signal("HUP");
        serve.event_where("warning", |warning| warning["message"].as_str().unwrap().contains("not reloaded"));
        write(replica, BOTH);
    }
    for (serve, metrics) in [(&mut one, metrics[0]), (&mut two, metrics[1])] {
        assert_eq!(serve.count("down", |_| true), 0, "every link stays in step 1");
        assert_eq!(key_links(metrics, &old.to_string(), false), Some(2.0));
    }
    let new = key_ids(&config_of_0)[0];

    // Step 2, one after the other: drop the old key. Its links are made anew, once.
    write(0, NEW);
    load.handle.reload(Config::load(&config_of_0).unwrap()).unwrap();
    wait_until("replica 0 has two links with the new key", || load.handle.key_in_use(new) == 2);
    assert_eq!(load.handle.key_in_use(old), 0);
    wait_until("only one link of replica 2 has the old key", || {
        key_links(metrics[1], &old.to_string(), false) == Some(1.0)
    });
    write(1, NEW);
    one.signal("HUP");
    one.event("reloaded");
    wait_until("the old key is out of use", || {
        key_links(metrics[1], &old.to_string(), false) == Some(0.0)
            && key_links(metrics[1], &new.to_string(), true) == Some(2.0)
    });
    // So nothing happens when the last one drops it.
    write(2, NEW);
    two.signal("HUP");
    two.event("reloaded");
    assert_eq!(key_links(metrics[1], &old.to_string(), false), None);

    // The old key opens nothing any more.
    let with_old = cluster.write_config_of(9, OLD, LINK);
    let (code, report) = probe(&with_old);
    assert_eq!((code, &report["status"]), (Some(2), &"unknown_key".into()), "{report}");
    // The new one does, and a probe in the name of a replica under load disturbs nothing.
    let (code, report) = probe(&config_of_0);
    assert_eq!((code, &report["key_id"]), (Some(0), &new.to_string().into()), "{report}");
    assert!(report["round_trip_ms"].as_f64().unwrap() > 0.0, "{report}");

    // Every link is at work, and was made anew once at most.
    let frames =
        |load: &Load| load.handle.stats().links.iter().map(|link| link.received.frames).collect::<Vec<_>>();
    let before = frames(&load);
    wait_until("both peers acknowledge", || {
        frames(&load).iter().zip(&before).all(|(now, before)| now > &(before + 100))
    });
    let report = load.stop();
    assert_eq!(report.downs, [], "each has another one in its place before it leaves");
    assert_eq!(report.undelivered, 0);
    assert_eq!((report.ups.len(), report.reloads), (4, 2));
    let made_with = |key| {
        move |peer: &&replink_transport::handshake::Peer| {
            peer.authentication == Authentication::PreSharedKey(key)
        }
    };
    assert_eq!(report.ups.iter().filter(made_with(old)).count(), 2);
    assert_eq!(report.ups.iter().filter(made_with(new)).count(), 2);
    assert!(report.acknowledged > 1000, "{}", report.acknowledged);

    // The replica in this test is gone without a goodbye; the link between the others stays.
    for (serve, other) in [(&mut one, 2), (&mut two, 1)] {
        serve.event_where("down", |down| down["reason"] == "ended");
        assert_eq!(serve.count("up", |up| up["peer"] == other), 2);
        assert_eq!(serve.count("down", |down| down["peer"] == other), 0);
        assert_eq!(serve.count("up", |up| up["peer"] == 0), 2);
        assert_eq!(serve.count("down", |down| down["peer"] == 0), 1);
    }
    for serve in [one, two] {
        serve.signal("TERM");
        let finished = serve.finish();
        assert!(finished.status.success());
    }
}
