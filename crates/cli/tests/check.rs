//! `check`, `keygen` and `probe` as an operator uses them.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests fail by panicking; their support is shared")]

mod support;

use std::os::unix::fs::PermissionsExt;

use replink_tests::fixtures::OTHER_SECRET;
use serde_json::Value;
use support::cluster::Cluster;
use support::peer;
use support::process::{Finished, Running, finish, replink};

const MARKER: &str = "do-not-show-this-secret-anywhere-at-all";

fn check(cluster: &Cluster, arguments: &[&str]) -> Finished {
    finish(replink().args(["check", "--config"]).arg(cluster.config()).args(arguments))
}

#[test]
fn keygen_prints_a_fresh_secret_of_256_bits() {
    let [one, other] = [0; 2].map(|_| finish(replink().arg("keygen")));
    assert!(one.status.success());
    assert_eq!(one.stdout.trim_end().len(), 64);
    assert!(one.stdout.trim_end().bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_ne!(one.stdout, other.stdout);
}

#[test]
fn check_shows_the_effective_configuration_and_never_a_secret() {
    let cluster = Cluster::new("", "");
    cluster.write_secret("marked.key", MARKER.as_bytes());
    let auth = format!("shared_secret = \"{MARKER}\"\naccept_secrets = [\"{MARKER}-too\"]\nmin_version = 1");
    for auth in ["shared_secret_file = \"marked.key\"", &auth] {
        cluster.write_config(
            auth,
            "forward_secrecy = \"required\"".trim_start_matches(|_| auth.contains("min")),
        );
        for arguments in
            [vec![], vec!["--json"], vec!["--replica-id", "1"], vec!["--json", "--replica-id", "1"]]
        {
            let shown = check(&cluster, &arguments);
            assert!(shown.status.success(), "{}", shown.stderr);
            for text in [&shown.stdout, &shown.stderr] {
                assert!(!text.contains(MARKER), "{text}");
            }
            if arguments.contains(&"--json") {
                let report: Value = serde_json::from_str(&shown.stdout).unwrap();
                assert_eq!(report["valid"], true);
                assert_eq!(report["auth"]["offered_key_id"].as_str().unwrap().len(), 16);
                assert_eq!(report["link"]["max_frame_size"], "64MiB");
                assert_eq!(!report["warnings"].as_array().unwrap().is_empty(), auth.contains("min_version"));
            }
        }
    }
}

#[test]
fn check_names_file_line_key_and_cure_of_every_mistake() {
    let cluster = Cluster::new("", "");
    let auth = format!("shared_secret = \"{MARKER}\"\nmin_version = 3\nsared = 1");
    cluster.write_config(&auth, "lanes = 0\nencryption = \"required\"");
    let text = check(&cluster, &[]);
    assert_eq!(text.status.code(), Some(1));
    for expected in [
        "cluster.toml:5: cluster.auth.min_version: is 3; must be 1 or 2",
        "cluster.toml:6: cluster.auth.sared",
        "cluster.toml:8: cluster.link.lanes",
        "cluster.toml:9: cluster.link.encryption: is not a key any more; remove it: cluster.link.sealed encrypts",
    ] {
        assert!(text.stderr.contains(expected), "{expected} not in {}", text.stderr);
    }
    let json = check(&cluster, &["--json"]);
    assert_eq!(json.status.code(), Some(1));
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report["errors"].as_array().unwrap().len(), 4);
    assert_eq!(report["errors"][0]["key"], "cluster.auth.min_version");
    for text in [&text.stderr, &json.stdout, &json.stderr] {
        assert!(!text.contains(MARKER));
    }

    cluster.write_config("shared_secret_file = \"cluster.key\"", "");
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(cluster.path("cluster.key"), open).unwrap();
    let shown = check(&cluster, &[]);
    assert!(shown.stderr.contains("chmod 600"), "{}", shown.stderr);
}

#[test]
fn check_lists_what_is_worth_a_second_look() {
    let cluster = Cluster::new("", "");
    let mut toml = std::fs::read_to_string(cluster.config()).unwrap();
    toml = toml
        .replace(&cluster.addresses[1].to_string(), "8.8.8.8:7400")
        .replace("[cluster.auth]", "[cluster.auth]\nmin_version = 1");
    std::fs::write(cluster.config(), toml).unwrap();
    for (replica, expected) in
        [("1", vec!["version 1 peers", "8.8.8.8:7400 is a public address"]), ("0", vec!["version 1 peers"])]
    {
        let shown = check(&cluster, &["--json", "--replica-id", replica]);
        let report: Value = serde_json::from_str(&shown.stdout).unwrap();
        let warnings: Vec<_> =
            report["warnings"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
        assert!(
            warnings.iter().zip(&expected).all(|(warning, expected)| warning.contains(expected)),
            "{warnings:?}"
        );
        let text = check(&cluster, &["--replica-id", replica]).stdout;
        assert!(expected.iter().all(|expected| text.contains(expected)), "{text}");
    }
}

#[test]
fn check_shows_where_it_dials_from_which_releases_get_in_and_that_it_migrates() {
    let cluster = Cluster::new("migrating = true", "link_max_age = \"6h\"");
    let toml = std::fs::read_to_string(cluster.config()).unwrap();
    let own = "source = \"127.0.0.2\"\nrelease = 6\nreleases = \"3..=5\"\n[cluster.auth]";
    std::fs::write(cluster.config(), toml.replace("[cluster.auth]", own)).unwrap();
    let report: Value = serde_json::from_str(&check(&cluster, &["--json"]).stdout).unwrap();
    let shown = &report["cluster"];
    assert_eq!((&shown["source"], &shown["release"]), (&"127.0.0.2".into(), &6.into()));
    assert_eq!((&shown["releases"], &report["link"]["link_max_age"]), (&"3..=5".into(), &"6h".into()));
    assert_eq!(report["auth"]["migrating"], true);
    let connection = report["security"]["authenticated_at_connection"].as_str().unwrap();
    assert!(connection.contains("of those that have none yet nothing"), "{connection}");
    let warnings = report["warnings"].to_string();
    for expected in ["this replica is migrating", "cluster.release is 6", "does not keep every peer out"] {
        assert!(warnings.contains(expected), "{warnings}");
    }
}

/// `--resolve` looks names up, and without it nobody is asked.
#[test]
fn check_looks_names_up_where_it_is_told_to() {
    let cluster = Cluster::new("allow = [\"10.0.0.0/8\"]", "");
    let toml = std::fs::read_to_string(cluster.config()).unwrap();
    let port = cluster.addresses[0].port();
    let toml = toml
        .replace(&cluster.addresses[0].to_string(), &format!("localhost:{port}"))
        .replace(&cluster.addresses[1].to_string(), "no-such-name.invalid:7400")
        .replace(&cluster.addresses[2].to_string(), "10.0.0.3:7400");
    std::fs::write(cluster.config(), toml).unwrap();
    let report = |arguments: &[&str]| {
        let finished = check(&cluster, arguments);
        assert!(finished.status.success(), "{}", finished.stderr);
        serde_json::from_str::<Value>(&finished.stdout).unwrap()
    };
    let unasked = report(&["--json", "--replica-id", "0"]);
    assert_eq!(
        (&unasked["nodes"][0]["resolved"], &unasked["warnings"]),
        (&Value::Null, &Value::Array(vec![]))
    );
    let resolved = report(&["--json", "--replica-id", "0", "--resolve"]);
    let found = resolved["nodes"][0]["resolved"].as_array().unwrap();
    assert!(found.contains(&"127.0.0.1".into()) || found.contains(&"::1".into()), "{found:?}");
    assert_eq!(resolved["nodes"][2]["resolved"], Value::Null, "it is no name");
    let warnings = resolved["warnings"].to_string();
    for expected in
        [format!("localhost:{port} stands for "), "no-such-name.invalid:7400 can't be looked up: ".to_owned()]
    {
        assert!(warnings.contains(&expected), "{warnings}");
    }
    let warnings = report(&["--json", "--replica-id", "2", "--resolve"])["warnings"].to_string();
    assert!(warnings.contains(", where replica 0 is: it does not get in"), "{warnings}");
}

fn probe(cluster: &Cluster, arguments: &[&str]) -> (Option<i32>, Value) {
    let probe = finish(replink().args(["probe", "--json", "--config"]).arg(cluster.config()).args(arguments));
    (probe.status.code(), serde_json::from_str(&probe.stdout).unwrap_or(Value::String(probe.stderr)))
}

#[test]
fn probe_tells_up_rejected_unreachable_and_misconfigured_apart() {
    let cluster = Cluster::new("", "");
    let toml = std::fs::read_to_string(cluster.config()).unwrap();
    let own = toml.replace("[cluster.auth]", "release = 3\n[cluster.auth]");
    std::fs::write(cluster.config(), own).unwrap();
    let as_zero = ["--replica-id", "0", "--peer", "1"];
    let (code, report) = probe(&cluster, &as_zero);
    assert_eq!((code, &report["result"]), (Some(3), &"unreachable".into()));

    let mut serve = Running::serve(&cluster.config(), 1, &[]);
    let (code, report) = probe(&cluster, &as_zero);
    assert_eq!((code, &report["status"]), (Some(0), &"ok".into()), "{report}");
    assert_eq!((&report["authenticated"], &report["flags"]), (&true.into(), &"sealed+ephemeral".into()));
    assert_eq!((&report["sealed"], &report["forward_secret"]), (&true.into(), &true.into()));
    assert_eq!((&report["release"], &report["version"]), (&3.into(), &2.into()));
    assert!(
        report["round_trip_ms"].as_f64().unwrap() > 0.0 && report["handshake_ms"].as_f64().unwrap() > 0.0
    );
    assert_eq!(report["incarnation"].as_str().unwrap().len(), 16);

    // A probe in the name of a replica that is connected leaves its link alone.
    let mut peer = peer::dial(cluster.addresses[1], 0, 2);
    serve.event("up");
    let (code, report) = probe(&cluster, &as_zero);
    assert_eq!((code, &report["result"]), (Some(0), &"up".into()));
    assert!(report["round_trip_ms"].as_f64().unwrap() > 0.0, "{report}");
    peer.exchange_prepare(5, b"undisturbed");

    cluster.write_secret("cluster.key", OTHER_SECRET);
    let (code, report) = probe(&cluster, &as_zero);
    assert_eq!((code, &report["status"]), (Some(2), &"unknown_key".into()));
    assert_eq!((&report["authenticated"], &report["by"]), (&false.into(), &"peer".into()));

    // Of all these probes none was a link.
    drop(peer);
    serve.event("down");
    serve.signal("TERM");
    let finished = serve.finish();
    assert_eq!(finished.stdout.matches("\"up\"").count(), 1, "{}", finished.stdout);
    assert_eq!(finished.stdout.matches("\"down\"").count(), 1, "{}", finished.stdout);

    for arguments in [["--replica-id", "1", "--peer", "0"], ["--replica-id", "0", "--peer", "7"]] {
        assert_eq!(probe(&cluster, &arguments).0, Some(1));
    }
    assert_eq!(finish(replink().args(["probe", "--nonsense"])).status.code(), Some(1));
}
