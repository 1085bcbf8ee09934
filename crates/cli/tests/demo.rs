//! `replink demo`: real processes, a real file, real failures.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests fail by panicking; their support is shared")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::process::{PATIENCE, Running, finish, replink};

#[test]
fn replicates_its_own_executable_and_turns_impostors_away() {
    let demo = finish(replink().arg("demo"));
    assert!(demo.status.success(), "{}\n{}", demo.stdout, demo.stderr);
    for expected in [
        "MB/s",
        "replica 1 holds an identical copy",
        "replica 2 holds an identical copy",
        "an impostor without the key was turned away: unknown_key (7)",
        "a replica of another cluster was turned away: cluster_mismatch (2)",
        "a Prepare without a handshake was turned away: unknown_command (1)",
        "whoever records the links of replica 0 reads nothing: in ",
        "all of it held",
    ] {
        assert!(demo.stdout.contains(expected), "{expected} not in {}", demo.stdout);
    }
}

#[test]
fn replicates_any_file_in_frames_of_any_size() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("input");
    for (size, frame_size, shards) in
        [(0, "64KiB", "1"), (1, "257B", "2"), (100_001, "4KiB", "3"), (3 << 20, "1MiB", "2")]
    {
        fs::write(&input, vec![0x5a; size]).unwrap();
        let demo = replink()
            .args([
                "demo",
                "--replicas",
                "2",
                "--frame-size",
                frame_size,
                "--shards",
                shards,
                "--driver",
                "poll",
                "--input",
            ])
            .arg(&input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let demo = Running::new(demo.unwrap()).finish();
        assert!(demo.status.success(), "{size} in {frame_size}: {}", demo.stderr);
        assert!(demo.stdout.contains(&format!("acknowledged {size} bytes")), "{}", demo.stdout);
    }
}

/// What the demo says of the recording is not said of any: without seals it finds what is carried, and fails.
#[test]
fn a_recording_of_links_that_are_not_sealed_fails_it() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("input");
    for (size, seen) in [(100_001, "content of the file and frame headers"), (7, "frame headers")] {
        fs::write(&input, (0..=250u8).cycle().take(size).collect::<Vec<_>>()).unwrap();
        let demo = |sealed| {
            let arguments = ["demo", "--replicas", "2", "--sealed", sealed, "--input"];
            finish(replink().args(arguments).arg(&input))
        };
        let not_sealed = demo("off");
        assert_eq!(not_sealed.status.code(), Some(1), "{}", not_sealed.stdout);
        let said = format!("demo failed: whoever records the links of replica 0 reads {seen}");
        assert!(not_sealed.stderr.contains(&said), "{}", not_sealed.stderr);
        assert!(!not_sealed.stdout.contains("all of it held"), "{}", not_sealed.stdout);
        assert!(demo("required").stdout.contains("reads nothing: in "));
    }
}

#[test]
fn refuses_what_it_can_not_do() {
    for arguments in [["--driver", "tcp"], ["--shards", "0"], ["--replicas", "1"], ["--frame-size", "256B"]] {
        let demo = finish(replink().arg("demo").args(arguments));
        assert_eq!(demo.status.code(), Some(1), "{arguments:?}");
        assert!(demo.stderr.contains(arguments[0]), "{}", demo.stderr);
    }
}

/// A driver that is not there is an error that says so, before any replica is started.
#[test]
fn a_driver_moves_the_bytes_or_is_said_to_be_unavailable() {
    let demo = finish(replink().args(["demo", "--replicas", "2", "--driver", "io_uring"]));
    if !demo.status.success() {
        assert!(demo.stderr.contains("demo failed: with --driver io_uring: "), "{}", demo.stderr);
        assert!(!demo.stdout.contains("replicating"), "{}", demo.stdout);
    }
}

/// The processes that `parent` started: their ids and command lines.
fn children(parent: u32) -> Vec<(u32, Vec<String>)> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let read = |id: u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name, in parentheses, may hold anything; state and parent follow it.
        let is_child = stat.rsplit(") ").next()?.split(' ').nth(1)?.parse() == Ok(parent);
        let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let words = line.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        is_child.then(|| (id, words.collect()))
    };
    entries.filter_map(|entry| read(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// Waits until the backup has begun to write, and gives its process id.
fn backup_under_way(demo: u32, replica: &str) -> u32 {
    let deadline = Instant::now() + PATIENCE;
    let after = |words: &[String], option: &str| {
        words.iter().position(|word| word == option).map(|at| words[at + 1].clone())
    };
    while Instant::now() < deadline {
        for (id, words) in children(demo) {
            let output = after(&words, "--output").map(PathBuf::from);
            let written = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
            if after(&words, "--replica-id").as_deref() == Some(replica)
                && output.is_some_and(|output| written(&output) > 0)
            {
                return id;
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("replica {replica} did not begin to write");
}

#[test]
fn a_killed_backup_fails_it_with_a_clear_message() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("input");
    // Holes cost no disk, and take long enough to replicate.
    fs::File::create(&input).unwrap().set_len(1 << 30).unwrap();
    let demo = replink()
        .args(["demo", "--frame-size", "4KiB", "--input"])
        .arg(&input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let demo = Running::new(demo.unwrap());
    let id = demo.id();
    let backup = backup_under_way(id, "2");
    assert!(Command::new("kill").args(["-KILL", &backup.to_string()]).status().unwrap().success());
    let killed = Instant::now();
    let demo = demo.finish();
    assert_eq!(demo.status.code(), Some(1));
    assert!(killed.elapsed() < PATIENCE, "it must not hang");
    assert!(demo.stderr.contains("replica 2 ended unexpectedly"), "{}", demo.stderr);
    assert!(demo.stderr.contains("signal: 9"), "{}", demo.stderr);
    assert_eq!(children(id), [], "no process is left behind");
}
