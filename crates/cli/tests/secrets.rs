//! Where the command gets secrets from, and what it lets out of them.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests fail by panicking; their support is shared")]
#![allow(clippy::print_stderr, reason = "what a system does not let be tested is said")]
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use replink_tests::fixtures::SECRET;
use serde_json::Value;
use support::cluster::Cluster;
use support::process::{Finished, Running, finish, replink, serve_command};

const VARIABLE: &str = "REPLINK_CLUSTER_AUTH_SHARED_SECRET";

fn check(cluster: &Cluster, arguments: &[&str]) -> Command {
    let mut check = replink();
    check.args(["check", "--config"]).arg(cluster.config()).args(arguments);
    check
}

fn make_pipe(cluster: &Cluster, name: &str) {
    let _ = fs::remove_file(cluster.path(name));
    assert!(Command::new("mkfifo").arg("-m").arg("600").arg(cluster.path(name)).status().unwrap().success());
}

/// A secrets agent that is a pipe holds up neither `check` nor a reload, nor the signal behind it.
#[test]
fn a_pipe_holds_nothing_up() {
    let cluster = Cluster::new("", "");
    let mut serve = Running::serve(&cluster.config(), 1, &[]);
    make_pipe(&cluster, "cluster.key");
    let checked = finish(&mut check(&cluster, &[]));
    assert_eq!(checked.status.code(), Some(1));
    assert!(checked.stderr.contains("it is a pipe, and no regular file"), "{}", checked.stderr);
    serve.signal("HUP");
    serve.event_where("warning", |event| event["message"].as_str().unwrap().contains("it is a pipe"));
    serve.signal("TERM");
    assert!(serve.finish().status.success());
    // Neither does the configuration itself, nor what the demo is to replicate.
    make_pipe(&cluster, "cluster.toml");
    assert_eq!(finish(&mut check(&cluster, &[])).status.code(), Some(1));
    let demo = finish(replink().args(["demo", "--input"]).arg(cluster.path("cluster.key")));
    assert_eq!(demo.status.code(), Some(1));
    assert!(demo.stderr.contains("it is a pipe"), "{}", demo.stderr);
}

#[test]
fn a_secret_in_a_configuration_that_everybody_may_read_is_an_error() {
    let cluster = Cluster::new("", "");
    let secret = std::str::from_utf8(SECRET).unwrap();
    cluster.write_config(&format!("shared_secret = \"{secret}\""), "");
    assert!(finish(&mut check(&cluster, &[])).status.success());
    fs::set_permissions(cluster.config(), fs::Permissions::from_mode(0o644)).unwrap();
    let checked = finish(&mut check(&cluster, &["--json"]));
    assert_eq!(checked.status.code(), Some(1));
    let report: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(report["errors"][0]["key"], "cluster.auth.shared_secret");
}

/// Once it runs, its environment has the variable's name and no value; a reload has the secret all the same.
#[test]
fn the_secret_is_taken_out_of_the_environment_and_kept_for_a_reload() {
    let cluster = Cluster::new("", "");
    cluster.write_config("", "");
    let mut command = serve_command(&cluster.config(), 1);
    let mut serve = Running::listening(command.env(VARIABLE, std::str::from_utf8(SECRET).unwrap()));
    match fs::read(format!("/proc/{}/environ", serve.id())) {
        Ok(block) => {
            let found = block.windows(SECRET.len()).any(|window| window == SECRET);
            assert!(!found && !block.is_empty(), "{}", String::from_utf8_lossy(&block));
        }
        // It can't be read by the same user at all.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }
    serve.signal("HUP");
    serve.event("reloaded");
    serve.signal("TERM");
    assert!(serve.finish().status.success());
}

/// What is odd about a secret is said by name, and the key id is the same as that of the bytes as they are.
#[test]
fn an_odd_byte_of_a_secret_is_warned_of() {
    let cluster = Cluster::new("", "");
    let secret = std::str::from_utf8(SECRET).unwrap();
    let warnings = |finished: Finished| {
        let report: Value = serde_json::from_str(&finished.stdout).unwrap();
        report["warnings"].to_string()
    };
    cluster.write_secret("cluster.key", format!("{secret} \n").as_bytes());
    let found = warnings(finish(&mut check(&cluster, &["--json"])));
    assert!(found.contains("cluster.key ends with a space (byte 0x20)"), "{found}");
    cluster.write_config("", "");
    let found = warnings(finish(check(&cluster, &["--json"]).env(VARIABLE, format!("{secret}\n"))));
    assert!(found.contains("ends with a newline (byte 0x0A)"), "{found}");
}

/// How `serve` ends that is told to make a core dump: what the status says of one.
fn dumps_core(cluster: &Cluster, allow: Option<&str>) -> bool {
    let command = "ulimit -c unlimited 2> /dev/null; exec \"$@\"";
    let mut serve = Command::new("/bin/sh");
    serve.args(["-c", command, "sh", env!("CARGO_BIN_EXE_replink"), "serve", "--events", "json"]);
    serve.args(["--replica-id", "1", "--config"]).arg(cluster.config());
    serve.current_dir(cluster.path("")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    serve.env_remove("REPLINK_CORE_DUMPS");
    serve.envs(allow.map(|value| ("REPLINK_CORE_DUMPS", value)));
    let mut serve = Running::new(serve.spawn().unwrap());
    serve.event("listening");
    serve.signal("ABRT");
    let status = serve.finish().status;
    assert_eq!(status.signal(), Some(6));
    status.core_dumped()
}

#[test]
fn there_are_no_core_dumps_unless_they_are_asked_for() {
    let cluster = Cluster::new("", "");
    assert!(!dumps_core(&cluster, None), "it has keys in it");
    if !dumps_core(&cluster, Some("allow")) {
        eprintln!("this system makes no core dumps, so that it is not known who keeps them away");
    }
    let wrong = finish(check(&cluster, &[]).env("REPLINK_CORE_DUMPS", "yes"));
    assert_eq!(wrong.status.code(), Some(1));
    assert!(wrong.stderr.contains("REPLINK_CORE_DUMPS must be \"allow\", or unset"), "{}", wrong.stderr);
}
