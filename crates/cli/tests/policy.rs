//! What `serve` and `check` say of sealed links, and of replicas that do not want the same.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests fail by panicking; their support is shared")]

mod support;

use std::net::Ipv4Addr;

use serde_json::Value;
use support::cluster::Cluster;
use support::process::{Finished, Running, finish, replink};

const AUTH: &str = "shared_secret_file = \"cluster.key\"";

fn sealed(policy: &str) -> String {
    format!("sealed = \"{policy}\"\nreconnect_min = \"5ms\"\nreconnect_max = \"20ms\"")
}

/// Replica 0, which dials, and replica 1: what both said, from their start until `wait` was over.
fn run(dialer: &str, acceptor: &str, wait: impl FnOnce(&mut [Running; 2])) -> [Finished; 2] {
    let cluster = Cluster::at(Ipv4Addr::new(127, 0, 0, 3), "", "");
    let one = Running::serve(&cluster.write_config_of(1, AUTH, &sealed(acceptor)), 1, &[]);
    let zero = Running::serve(&cluster.write_config_of(0, AUTH, &sealed(dialer)), 0, &[]);
    let mut both = [zero, one];
    wait(&mut both);
    both.map(|serve| {
        serve.signal("TERM");
        let finished = serve.finish();
        assert!(finished.status.success(), "{}", finished.stderr);
        finished
    })
}

fn logged(serve: &Finished, parts: &[&str]) -> bool {
    serve.stderr.lines().any(|line| line.contains("WARN") && parts.iter().all(|part| line.contains(part)))
}

#[test]
fn an_acceptor_that_requires_seals_refuses_and_both_log_it() {
    let [zero, one] = run("off", "required", |both| {
        for (serve, by) in both.iter_mut().zip(["peer", "us"]) {
            let event = serve.event_where("rejected", |event| event["status"] == "policy_mismatch");
            assert_eq!((&event["by"], &event["authenticated"]), (&by.into(), &true.into()));
        }
    });
    for serve in [&zero, &one] {
        assert!(logged(serve, &["policy_mismatch"]), "{}", serve.stderr);
        assert!(!serve.stdout.contains("\"up\""), "no link without a seal");
    }
}

#[test]
fn a_dialer_that_requires_seals_refuses_and_both_log_it() {
    let [zero, one] = run("required", "off", |both| {
        for ((serve, by), peer) in both.iter_mut().zip(["us", "peer"]).zip([1, 0]) {
            let event = serve.event_where("rejected", |event| event["status"] == "policy_mismatch");
            assert_eq!((&event["by"], &event["peer"]), (&by.into(), &peer.into()));
            assert_eq!(event["authenticated"], true, "D-12");
        }
    });
    let log = ["policy_mismatch", "authenticated=true"];
    assert!(logged(&zero, &[&log[..], &["by=\"us\"", "we require sealed"]].concat()), "{}", zero.stderr);
    assert!(logged(&one, &[&log[..], &["by=\"peer\"", "replica 0 rejected us"]].concat()), "{}", one.stderr);
    assert!(!logged(&one, &["most likely"]), "it knows: {}", one.stderr);
    for serve in [&zero, &one] {
        assert!(!serve.stdout.contains("\"up\""), "no link without a seal");
    }
}

#[test]
fn where_one_has_it_off_and_none_requires_it_the_link_goes_without() {
    for (dialer, acceptor, expected) in
        [("off", "optional", false), ("optional", "off", false), ("optional", "required", true)]
    {
        let both = run(dialer, acceptor, |both| {
            for serve in both {
                let up = serve.event("up");
                assert_eq!((&up["sealed"], &up["forward_secret"]), (&expected.into(), &true.into()));
            }
        });
        for (serve, policy) in both.iter().zip([dialer, acceptor]) {
            let told = logged(serve, &["is weaker than", "not sealed, so whoever is on the path"]);
            // Whoever would have had it sealed is told.
            assert_eq!(told, policy == "optional" && !expected, "{}", serve.stderr);
            let events = serve.stdout.lines().filter(|line| line.contains("\"warning\""));
            assert_eq!(events.filter(|line| line.contains("is weaker than")).count(), usize::from(told));
        }
    }
}

#[test]
fn check_says_which_links_are_sealed_and_forward_secret() {
    let cluster = Cluster::new("", "");
    for (auth, link, sealed, forward_secret) in [
        (
            AUTH,
            "",
            "version 2 links to peers whose sealed is not off: there encrypted and proved; on others",
            "version 2 links to peers whose forward_secrecy is not off; on others every holder of the secret",
        ),
        (
            AUTH,
            "sealed = \"required\"\nforward_secrecy = \"required\"",
            "every link: encrypted and proved",
            "every link",
        ),
        (
            AUTH,
            "sealed = \"off\"\nforward_secrecy = \"off\"",
            "no: whoever is on the path can read and change frames",
            "no: every holder of the secret can read a sealed link",
        ),
        ("enabled = false", "", "no: authentication is disabled", "no: authentication is disabled"),
    ] {
        cluster.write_config(auth, link);
        let shown = finish(replink().args(["check", "--json", "--config"]).arg(cluster.config()));
        let report: Value = serde_json::from_str(&shown.stdout).unwrap();
        for (key, expected) in [("sealed", sealed), ("forward_secret", forward_secret)] {
            let shown = report["security"][key].as_str().unwrap();
            assert!(shown.starts_with(expected), "{shown}");
        }
        for (section, key) in [("security", "encrypted"), ("link", "encryption"), ("link", "renew_after")] {
            assert_eq!(report[section][key], Value::Null, "{section}.{key}");
        }
    }
}

/// S-5: by `check`, and by `serve` when it starts.
#[test]
fn seals_without_forward_secrecy_are_warned_of() {
    const WARNING: &str =
        "sealed links have no forward secrecy, which is off: every holder of the secret can read them";
    let cluster = Cluster::new("", "");
    let has = |policy| {
        cluster.write_config(AUTH, &format!("forward_secrecy = \"{policy}\""));
        let check = finish(replink().args(["check", "--config"]).arg(cluster.config()));
        check.stdout.contains(&format!("warning: {WARNING}"))
    };
    assert!(!has("optional") && has("off"));
    let mut serve = Running::serve(&cluster.config(), 0, &[]);
    serve.event_where("warning", |event| event["message"].as_str().unwrap().contains(WARNING));
    serve.signal("TERM");
    let finished = serve.finish();
    assert!(logged(&finished, &[WARNING]), "{}", finished.stderr);
}

/// What the processor and the build make of the cipher stands in no file.
#[test]
fn check_and_serve_say_what_the_cipher_was_measured_to_do() {
    let cluster = Cluster::new("", "");
    let check =
        |cluster: &Cluster| finish(replink().args(["check", "--json", "--config"]).arg(cluster.config()));
    let report: Value = serde_json::from_str(&check(&cluster).stdout).unwrap();
    assert_eq!(report["cipher"]["name"], "AEGIS-128X2");
    let measured = report["cipher"]["measured"].as_str().unwrap();
    assert!(measured.strip_suffix(" GB/s").unwrap().parse::<f64>().unwrap() > 0.0, "{measured}");
    let log_of = |cluster: &Cluster| {
        let serve = Running::serve(&cluster.config(), 0, &[]);
        serve.signal("TERM");
        serve.finish().stderr
    };
    let log = log_of(&cluster);
    assert!(log.lines().any(|line| line.contains("AEGIS-128X2") && line.contains("GB/s")), "{log}");
    cluster.write_config(AUTH, "sealed = \"off\"");
    assert!(!log_of(&cluster).contains("GB/s"), "nothing is sealed");
}
