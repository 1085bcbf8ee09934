//! Outputs that nobody reads, that are full or gone: a replica goes on, counts what is lost, and ends when asked to.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests fail by panicking; their support is shared")]
#![allow(clippy::float_cmp, clippy::print_stderr, reason = "whole numbers; what is left out is told")]
#![cfg(target_os = "linux")]

mod support;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::cluster::Cluster;
use support::peer;
use support::process::{PATIENCE, Running, finish, replink, serve_command};
use support::scrape::{Samples, free_address};

/// A replica 1 whose outputs are the test's affair; killed at the end.
struct Serve {
    child: Child,
    metrics: SocketAddr,
}

impl Serve {
    fn start(cluster: &Cluster, stdout: Stdio, stderr: Stdio) -> Self {
        let metrics = free_address();
        let child = serve(cluster)
            .args(["--metrics", &metrics.to_string(), "--print-frames"])
            .env("REPLINK_LOG", "trace")
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(metrics).is_err() {
            assert!(Instant::now() < deadline, "no metrics");
            thread::sleep(Duration::from_millis(5));
        }
        // The port is open before anything answers there, and that is after the replica's own.
        Samples::scrape(metrics);
        Self { child, metrics }
    }

    /// Waits until so many events or lines were dropped.
    fn wait_for_dropped(&self, name: &str, count: f64) {
        let deadline = Instant::now() + PATIENCE;
        while Samples::scrape(self.metrics).get(name) < count {
            assert!(Instant::now() < deadline, "{name} stays below {count}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn terminate(&mut self) -> (ExitStatus, Duration) {
        let asked = Instant::now();
        let kill = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, asked.elapsed());
            }
            assert!(asked.elapsed() < PATIENCE, "SIGTERM does not end it");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(cluster: &Cluster) -> Command {
    serve_command(&cluster.config(), 1)
}

fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

fn gone() -> Stdio {
    let (_, writer) = std::io::pipe().unwrap();
    OwnedFd::from(writer).into()
}

#[test]
fn an_output_that_is_full_or_gone_ends_nothing_and_is_counted() {
    let cluster = Cluster::new("", "");
    for (which, output, metric) in [
        ("stdout", full(), "replink_events_dropped_total"),
        ("stdout", gone(), "replink_events_dropped_total"),
        ("stderr", full(), "replink_log_lines_dropped_total"),
        ("stderr", gone(), "replink_log_lines_dropped_total"),
    ] {
        let (stdout, stderr) =
            if which == "stdout" { (output, Stdio::null()) } else { (Stdio::null(), output) };
        let mut serve = Serve::start(&cluster, stdout, stderr);
        let mut peer = peer::dial(cluster.addresses[1], 0, 2);
        for view in 0..20 {
            peer.exchange_prepare(view, b"nobody sees it");
        }
        serve.wait_for_dropped(metric, 1.0);
        peer.exchange_prepare(20, b"still up");
        assert!(serve.terminate().0.success(), "{which}");
    }
}

#[test]
fn an_output_that_nobody_reads_stops_neither_links_nor_signals() {
    let cluster = Cluster::new("", "");
    let mut serve = Serve::start(&cluster, Stdio::piped(), Stdio::piped());
    let mut peer = peer::dial(cluster.addresses[1], 0, 2);
    // Each is an event of about 100 bytes: more than the pipe takes, and then more than waits for it.
    let mut view = 0;
    while Samples::scrape(serve.metrics).get("replink_events_dropped_total") < 100.0 {
        for _ in 0..500 {
            peer.exchange_prepare(view, b"");
            view += 1;
        }
        assert!(view < 100_000, "nothing is dropped");
    }
    peer.exchange_prepare(view, b"still up");

    // Once somebody reads, one event says how many there are not.
    let stdout = BufReader::new(serve.child.stdout.take().unwrap());
    let (events, read) = channel();
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let _ = events.send(serde_json::from_str::<Value>(&line).unwrap());
        }
    });
    let warning = loop {
        let event = read.recv_timeout(PATIENCE).unwrap();
        if event["kind"] == "events_dropped" {
            break event;
        }
    };
    let told: f64 = warning["message"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert_eq!(told, Samples::scrape(serve.metrics).get("replink_events_dropped_total"));

    // Nobody has read the log up to now.
    let (status, took) = serve.terminate();
    assert!(status.success() && took < Duration::from_secs(7), "{status} after {took:?}");
}

#[test]
fn logs_are_json_where_asked_for_and_a_bad_level_is_an_error() {
    let cluster = Cluster::new("", "");
    let child = serve(&cluster)
        .args(["--log", "json"])
        .env("RUST_LOG", "off")
        .env("REPLINK_LOG", "debug")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut running = Running::new(child);
    running.event("listening");
    running.signal("TERM");
    let finished = running.finish();
    assert!(finished.status.success() && !finished.stderr.is_empty());
    for line in finished.stderr.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
    }

    for variable in ["REPLINK_LOG", "RUST_LOG"] {
        let finished = finish(serve(&cluster).env(variable, "loud"));
        assert_eq!(finished.status.code(), Some(1));
        assert!(
            finished.stderr.contains(variable) && finished.stderr.contains("loud"),
            "{}",
            finished.stderr
        );
    }
}

#[test]
fn a_report_that_can_not_be_written_is_a_failure() {
    let cluster = Cluster::new("", "");
    let config = cluster.config();
    let config = config.to_str().unwrap();
    let pairs = cluster.path("pairs");
    let commands: [&[&str]; 6] = [
        &["check", "--config", config],
        &["check", "--json", "--config", config],
        &["keygen"],
        &["keygen", "--pairwise", "--config", config, "--out", pairs.to_str().unwrap()],
        &["probe", "--config", config, "--replica-id", "0", "--peer", "1"],
        &["bench", "--seconds", "0.01", "--driver", "poll", "--unpinned"],
    ];
    for arguments in commands {
        for output in [full(), gone()] {
            let child = replink().args(arguments).stdout(output).stderr(Stdio::piped()).spawn().unwrap();
            let ended = child.wait_with_output().unwrap();
            let stderr = String::from_utf8_lossy(&ended.stderr);
            assert_eq!(ended.status.code(), Some(1), "{arguments:?}: {stderr}");
            let said = ["can't write", "can't tell their key ids", "is there already"];
            assert!(said.iter().any(|said| stderr.contains(said)), "{arguments:?}: {stderr}");
        }
    }
    // Nor does it matter that the reason can't be said.
    let status = replink().arg("check").args(["--config", "nowhere"]).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

/// A file that hangs whoever reads it: what takes signals is not that thread.
#[test]
fn a_reload_that_hangs_stops_no_signal() {
    let cluster = Cluster::new("", "");
    let serve = Running::serve(&cluster.config(), 1, &[]);
    let mut peer = peer::dial(cluster.addresses[1], 0, 2);
    std::fs::remove_file(cluster.config()).unwrap();
    assert!(Command::new("mkfifo").arg(cluster.config()).status().unwrap().success());
    serve.signal("HUP");
    thread::sleep(Duration::from_millis(300));
    peer.exchange_prepare(1, b"still up");
    serve.signal("TERM");
    peer.receive_goodbye();
    drop(peer);
    assert!(serve.finish().status.success());
}

/// Where a name server swallows what it is asked, the start waits for the replica's own name, and can be ended. Runs in
/// namespaces of its own.
#[test]
fn a_start_that_waits_for_a_name_can_be_ended() {
    let cluster = Cluster::new("", "");
    let toml = std::fs::read_to_string(cluster.config()).unwrap();
    let named = toml.replace(&cluster.addresses[1].to_string(), "replica-1.invalid:7400");
    assert_ne!(named, toml);
    std::fs::write(cluster.config(), named).unwrap();
    let resolver = cluster.path("resolv.conf");
    std::fs::write(&resolver, "nameserver 192.0.2.1\n").unwrap();
    // Packets to the name server go to nobody, and no error comes back.
    let script = "ip link set lo up && ip link add swallow type veth peer name nobody && \
                  ip addr add 192.0.2.2/24 dev swallow && ip link set nobody up && ip link set swallow up && \
                  ip neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev swallow && \
                  mount --bind \"$1\" /etc/resolv.conf || exit 99; shift; echo prepared; exec \"$@\"";
    let mut child = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-c", script, "sh"])
        .arg(&resolver)
        .args([env!("CARGO_BIN_EXE_replink"), "serve", "--replica-id", "1", "--config"])
        .arg(cluster.config())
        .env_remove("REPLINK_LOG")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    if lines.next().and_then(Result::ok).as_deref() != Some("prepared") {
        eprintln!("no namespaces can be made here; left out");
        let _ = child.wait();
        return;
    }
    let mut serve = Serve { child, metrics: cluster.addresses[0] };
    thread::sleep(Duration::from_secs(1));
    assert_eq!(serve.child.try_wait().unwrap(), None, "the name server has answered");
    let (status, took) = serve.terminate();
    assert!(status.success() && took < Duration::from_secs(2), "{status} after {took:?}");
}
