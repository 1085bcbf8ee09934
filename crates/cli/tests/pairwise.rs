//! Pair secrets from `keygen` to links, to rotation, to a thief (K-3).
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests fail by panicking; their support is shared")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::cluster::Cluster;
use support::process::{Finished, Running, finish, replink};

const LINK: &str = "reconnect_min = \"5ms\"\nreconnect_max = \"50ms\"";

/// A cluster of three with pair secrets in `keys`, and what `keygen` said of them.
struct Pairs {
    cluster: Cluster,
    configs: [PathBuf; 3],
    said: Finished,
}

impl Pairs {
    fn new() -> Self {
        let cluster = Cluster::new("", "");
        // Nothing of what it names is there yet.
        let auth = |replica| format!("pairwise = \"keys/replica-{replica}.keys\"");
        let configs = [0, 1, 2].map(|replica| cluster.write_config_of(replica, &auth(replica), LINK));
        let said = keygen(&configs[0], &cluster.path("keys"));
        assert!(said.status.success(), "{}", said.stderr);
        Self { cluster, configs, said }
    }

    fn file(&self, replica: u8) -> PathBuf {
        self.cluster.path(&format!("keys/replica-{replica}.keys"))
    }

    fn lines(&self, replica: u8) -> Vec<String> {
        fs::read_to_string(self.file(replica)).unwrap().lines().map(str::to_owned).collect()
    }

    /// The secret that comes first for `peer` in the file of `replica`.
    fn secret(&self, replica: u8, peer: u8) -> String {
        let line = self.lines(replica).into_iter().find(|line| line.starts_with(&format!("{peer} ")));
        line.unwrap().split_once(' ').unwrap().1.to_owned()
    }

    /// Gives `replica` these secrets with `peer`, and leaves its others.
    fn set(&self, replica: u8, peer: u8, secrets: &[&str]) {
        let mut lines = self.lines(replica);
        lines.retain(|line| !line.starts_with(&format!("{peer} ")));
        lines.extend(secrets.iter().map(|secret| format!("{peer} {secret}")));
        self.cluster.write_secret(&format!("keys/replica-{replica}.keys"), lines.join("\n").as_bytes());
    }

    fn secrets(&self) -> Vec<String> {
        [(0, 1), (0, 2), (1, 2)].map(|(a, b)| self.secret(a, b)).into()
    }
}

fn keygen(config: &Path, out: &Path) -> Finished {
    finish(replink().args(["keygen", "--pairwise", "--config"]).arg(config).arg("--out").arg(out))
}

fn check(config: &Path, arguments: &[&str]) -> Finished {
    finish(replink().args(["check", "--config"]).arg(config).args(arguments))
}

fn report(config: &Path, arguments: &[&str]) -> Value {
    let shown = check(config, &[&["--json"], arguments].concat());
    assert!(shown.status.success(), "{}", shown.stderr);
    serde_json::from_str(&shown.stdout).unwrap()
}

/// The keys of a replica's configuration with a peer, as `check` shows them.
fn key_ids(config: &Path, peer: usize) -> Vec<String> {
    let ids = &report(config, &[])["nodes"][peer]["key_ids"];
    ids.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

fn probe(config: &Path, replica: u8, peer: u8) -> (Option<i32>, Value) {
    let (replica, peer) = (replica.to_string(), peer.to_string());
    let mut probe = replink();
    probe.args(["probe", "--json", "--replica-id", &replica, "--peer", &peer, "--config"]).arg(config);
    let probe = finish(&mut probe);
    (probe.status.code(), serde_json::from_str(&probe.stdout).unwrap_or(Value::String(probe.stderr)))
}

#[track_caller]
fn assert_silent(secrets: &[String], texts: &[&str]) {
    for text in texts {
        assert!(secrets.iter().all(|secret| !text.contains(&secret[..8])), "a secret in\n{text}");
    }
}

#[test]
fn keygen_writes_one_private_file_for_each_replica() {
    let pairs = Pairs::new();
    for replica in [0, 1, 2] {
        let mode = fs::metadata(pairs.file(replica)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let lines = pairs.lines(replica);
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], format!("pair secrets of replica {replica}, app replink"));
        for peer in (0..3).filter(|&peer| peer != replica) {
            assert_eq!(pairs.secret(replica, peer), pairs.secret(peer, replica));
            assert_eq!(pairs.secret(replica, peer).len(), 64);
        }
    }
    let mode = fs::metadata(pairs.cluster.path("keys")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    assert_eq!(fs::read_dir(pairs.cluster.path("keys")).unwrap().count(), 3, "the root is in no file");
    let mut secrets = pairs.secrets();
    assert_silent(&secrets, &[&pairs.said.stdout, &pairs.said.stderr]);
    secrets.sort_unstable();
    secrets.dedup();
    assert_eq!(secrets.len(), 3);
    // What it says is what check says.
    for (config, peer) in [(0, 1), (0, 2), (1, 2)] {
        let [id] = key_ids(&pairs.configs[config], peer).try_into().unwrap();
        assert_eq!(pairs.said.stdout.matches(&format!("with replica {peer}: key {id}")).count(), 1);
        assert_eq!(pairs.said.stdout.matches(&format!("with replica {config}: key {id}")).count(), 1);
    }
}

#[test]
fn keygen_overwrites_nothing() {
    let pairs = Pairs::new();
    let before = [0, 1, 2].map(|replica| pairs.lines(replica));
    let again = keygen(&pairs.configs[0], &pairs.cluster.path("keys"));
    assert_eq!(again.status.code(), Some(1));
    assert!(again.stderr.contains("replica-0.keys is there already"), "{}", again.stderr);
    // Not even where some are missing: nobody has the root any more.
    fs::remove_file(pairs.file(0)).unwrap();
    assert_eq!(keygen(&pairs.configs[0], &pairs.cluster.path("keys")).status.code(), Some(1));
    assert!(!pairs.file(0).exists());
    assert_eq!([1, 2].map(|replica| pairs.lines(replica)), before[1..]);
    // What can't be written in full is not there at all.
    let half = pairs.cluster.path("half");
    fs::create_dir(&half).unwrap();
    std::os::unix::fs::symlink("nowhere/at-all", half.join("replica-2.keys")).unwrap();
    let failed = keygen(&pairs.configs[0], &half);
    assert_eq!(failed.status.code(), Some(1));
    assert!(failed.stderr.contains("can't write"), "{}", failed.stderr);
    assert!(!half.join("replica-0.keys").exists() && !half.join("replica-1.keys").exists());

    for arguments in [&["--pairwise"][..], &["--pairwise", "--out", "x"], &["--config", "x"]] {
        assert_eq!(finish(replink().arg("keygen").args(arguments)).status.code(), Some(1));
    }
    let missing = keygen(&pairs.cluster.path("no.toml"), &pairs.cluster.path("out"));
    assert!(missing.stderr.contains("can't be read"), "{}", missing.stderr);
    let alone = pairs.cluster.path("alone.toml");
    fs::write(&alone, "[cluster]\nname = \"orders\"\n[[cluster.nodes]]\nid = 0\naddress = \"[::1]:7400\"\n")
        .unwrap();
    let alone = keygen(&alone, &pairs.cluster.path("out"));
    assert!(alone.stderr.contains("has no pairs"), "{}", alone.stderr);
    assert!(!pairs.cluster.path("out").exists());
}

#[test]
fn check_says_who_speaks() {
    let pairs = Pairs::new();
    let config = &pairs.configs[1];
    for arguments in [&[][..], &["--replica-id", "1"]] {
        let report = report(config, arguments);
        assert_eq!(report["cluster"]["replica_id"], 1);
        assert_eq!(report["auth"]["pair_secrets_of"], 1);
        assert!(report["auth"]["offered_key_id"].is_null());
        assert_eq!(report["auth"]["accepted_key_ids"].as_array().unwrap().len(), 2);
        assert!(report["auth"]["offered_key_from"].as_str().unwrap().starts_with("pair secrets in file "));
        assert!(report["nodes"][1]["key_ids"].is_null());
        let connection = report["security"]["authenticated_at_connection"].as_str().unwrap();
        assert!(connection.starts_with("which replica speaks"), "{connection}");
        assert_eq!(report["warnings"].as_array().unwrap().len(), 0);
    }
    let text = check(config, &[]);
    assert!(text.stdout.contains(&format!("key_ids = {}", key_ids(config, 0)[0])), "{}", text.stdout);
    assert_silent(&pairs.secrets(), &[&text.stdout, &text.stderr, &report(config, &[]).to_string()]);

    // Another replica's file, and one that is not private.
    let other = check(config, &["--replica-id", "2"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(
        other.stderr.contains("the pair secrets of replica 1, not those of replica 2"),
        "{}",
        other.stderr
    );
    pairs.set(1, 0, &[]);
    let missing = check(config, &[]);
    assert!(missing.stderr.contains("without a secret for replica 0"), "{}", missing.stderr);
    fs::set_permissions(pairs.file(1), fs::Permissions::from_mode(0o604)).unwrap();
    let open = check(config, &[]);
    assert!(open.stderr.contains("chmod 600"), "{}", open.stderr);
}

#[test]
fn a_pair_is_rotated_and_no_other_link_goes_down() {
    let pairs = Pairs::new();
    let mut serves =
        [0, 1, 2].map(|replica| Running::serve(&pairs.configs[usize::from(replica)], replica, &[]));
    for serve in &mut serves {
        serve.event("up");
        serve.event("up");
    }
    let mut secrets = pairs.secrets();
    // Both orders of both steps.
    for (first, second) in [(0, 1), (1, 0)] {
        let old = pairs.secret(0, 1);
        let old_id = key_ids(&pairs.configs[0], 1)[0].clone();
        let new = finish(replink().arg("keygen")).stdout.trim_end().to_owned();
        let set = |serves: &mut [Running; 3], replica: u8, with: &[&str]| {
            pairs.set(replica, 1 - replica, with);
            let serve = &mut serves[usize::from(replica)];
            serve.signal("HUP");
            serve.event("reloaded");
        };
        // Step 1. In between, the two have keys in another order, and one has only the old one.
        set(&mut serves, first, &[&new, &old]);
        let (code, report) = probe(&pairs.configs[0], 0, 1);
        assert_eq!((code, &report["key_id"]), (Some(0), &old_id.clone().into()), "{report}");
        set(&mut serves, second, &[&new, &old]);
        let [new_id, accepted] = key_ids(&pairs.configs[0], 1).try_into().unwrap();
        assert_eq!(accepted, old_id);
        let (code, report) = probe(&pairs.configs[0], 0, 1);
        assert_eq!((code, &report["key_id"]), (Some(0), &new_id.clone().into()), "{report}");
        for serve in &mut serves {
            assert_eq!(serve.count("down", |_| true), 0);
        }
        // Step 2.
        set(&mut serves, second, &[&new]);
        for (replica, peer) in [(0, 1), (1, 0)] {
            let serve: &mut Running = &mut serves[replica];
            serve.event_where("up", |up| up["peer"] == peer && up["key_id"] == new_id.as_str());
        }
        set(&mut serves, first, &[&new]);
        secrets.push(new);
    }
    for (replica, serve) in serves.iter_mut().enumerate() {
        for peer in (0..3_usize).filter(|&peer| peer != replica) {
            let rotated = replica < 2 && peer < 2;
            // One that is made anew is up before the old one leaves, and nobody is told of that.
            assert_eq!(serve.count("down", |down| down["peer"] == peer), 0);
            assert_eq!(serve.count("up", |up| up["peer"] == peer), if rotated { 3 } else { 1 });
        }
    }
    for serve in serves {
        serve.signal("TERM");
        let finished = serve.finish();
        assert!(finished.status.success());
        assert_silent(&secrets, &[&finished.stdout, &finished.stderr]);
    }
}

/// As the documentation says it is done: without the root, with one fresh secret for each pair.
#[test]
fn a_replica_is_added_and_removed() {
    let cluster = Cluster::new("", "");
    let write = |replica: u8, nodes: usize| {
        let auth = format!("pairwise = \"keys/replica-{replica}.keys\"");
        let path = cluster.write_config_of(replica, &auth, LINK);
        let toml = fs::read_to_string(&path).unwrap();
        let tables: Vec<_> = toml.split("[[cluster.nodes]]").take(1 + nodes).collect();
        fs::write(&path, tables.join("[[cluster.nodes]]")).unwrap();
        path
    };
    let configs = [0, 1].map(|replica| write(replica, 2));
    assert!(keygen(&configs[0], &cluster.path("keys")).status.success());
    let mut serves = [0, 1].map(|replica| Running::serve(&configs[usize::from(replica)], replica, &[]));
    for serve in &mut serves {
        serve.event("up");
    }
    let hang_up = |serve: &mut Running| {
        serve.signal("HUP");
        serve.event("reloaded");
    };

    let mut own = vec!["pair secrets of replica 2, app replink".to_owned()];
    let mut before = Vec::new();
    for (peer, serve) in serves.iter_mut().enumerate() {
        let name = format!("keys/replica-{peer}.keys");
        let keys = fs::read_to_string(cluster.path(&name)).unwrap();
        // The replica before its line.
        write(u8::try_from(peer).unwrap(), 3);
        serve.signal("HUP");
        serve.event_where("warning", |warning| {
            warning["message"].as_str().unwrap().contains("without a secret for replica 2")
        });
        // The line before its replica.
        write(u8::try_from(peer).unwrap(), 2);
        let secret = finish(replink().arg("keygen")).stdout.trim_end().to_owned();
        own.push(format!("{peer} {secret}"));
        cluster.write_secret(&name, format!("{keys}2 {secret}\n").as_bytes());
        before.push((name, keys));
        hang_up(serve);
        serve.event_where("warning", |warning| {
            warning["message"].as_str().unwrap().contains("has a secret for replica 2, which is not in")
        });
        write(u8::try_from(peer).unwrap(), 3);
        hang_up(serve);
    }
    cluster.write_secret("keys/replica-2.keys", own.join("\n").as_bytes());
    let mut added = Running::serve(&write(2, 3), 2, &[]);
    for serve in &mut serves {
        added.event("up");
        serve.event_where("up", |up| up["peer"] == 2);
    }
    for (peer, serve) in serves.iter_mut().enumerate() {
        write(u8::try_from(peer).unwrap(), 2);
        hang_up(serve);
        serve.event_where("down", |down| down["peer"] == 2);
        let (name, keys) = &before[peer];
        cluster.write_secret(name, keys.as_bytes());
        hang_up(serve);
    }
    for serve in &mut serves {
        assert_eq!(serve.count("down", |down| down["peer"] != 2), 0);
    }
    for serve in serves.into_iter().chain([added]) {
        serve.signal("TERM");
        assert!(serve.finish().status.success());
    }
}

/// Whoever has replica 2's file is replica 2, and nobody else to anybody else.
#[test]
fn a_stolen_file() {
    let pairs = Pairs::new();
    let mut serve = Running::serve(&pairs.configs[1], 1, &[]);
    let (code, report) = probe(&pairs.configs[0], 0, 1);
    assert_eq!((code, &report["result"]), (Some(0), &"up".into()), "{report}");

    // As it is, no other replica starts with it.
    for command in [&["serve"][..], &["probe", "--peer", "1"]] {
        let config = &pairs.configs[2];
        let refused = finish(replink().args(command).args(["--replica-id", "0", "--config"]).arg(config));
        assert_eq!(refused.status.code(), Some(1));
        assert!(refused.stderr.contains("of replica 2, not those of replica 0"), "{}", refused.stderr);
    }

    // Made to look like replica 0's: each of its secrets, for each peer.
    for stolen in [pairs.secret(2, 0), pairs.secret(2, 1)] {
        let other = "00".repeat(32);
        let forged = format!("pair secrets of replica 0, app replink\n1 {stolen}\n2 {other}\n");
        pairs.cluster.write_secret("forged.keys", forged.as_bytes());
        let forged = pairs.cluster.write_config_of(9, "pairwise = \"forged.keys\"", LINK);
        let (code, report) = probe(&forged, 0, 1);
        assert_eq!((code, &report["status"]), (Some(2), &"unknown_key".into()), "{report}");
        let rejected = serve.event_where("rejected", |event| event["status"] == "unknown_key");
        assert_eq!((&rejected["peer"], &rejected["by"]), (&0.into(), &"us".into()));
        // Nor as a secret that all share.
        pairs.cluster.write_secret("forged.key", stolen.as_bytes());
        let forged = pairs.cluster.write_config_of(9, "shared_secret_file = \"forged.key\"", LINK);
        let (code, report) = probe(&forged, 0, 1);
        assert_eq!((code, &report["status"]), (Some(2), &"unknown_key".into()), "{report}");
    }
    serve.signal("TERM");
    let finished = serve.finish();
    assert_silent(&pairs.secrets(), &[&finished.stdout, &finished.stderr]);
}
