//! Whole clusters on a virtual network and clock, seed after seed. `docs/testing.md` says what is
//! checked and how a failure is repeated.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use replink_tests::simulation::{Choice, Coverage, Failure, run};

/// Set to a seed to repeat its run and see all of its log.
const SEED: &str = "REPLINK_SEED";

/// Set to the number of seeds to run, or to `from..to`.
const SEEDS: &str = "REPLINK_SEEDS";

/// Seeds of a plain test run.
const COUNT: u64 = 500;

/// Failures after which the rest is left.
const FAILURES_MAX: usize = 5;

/// What the plain run must have met: a fault that does not happen proves nothing.
const TO_MEET: &[&str] = &[
    "accept fails",
    "accept: aborted",
    "accept: out of files",
    "a window that is shut",
    "accepted and not taken",
    "attack: a Hello and garbage",
    "attack: a Hello with another key",
    "attack: a frame without a handshake",
    "attack: garbage",
    "attack: half a Hello",
    "attack: poses as a replica",
    "attack: silence",
    "attack: what a dialer said",
    "attack: what an acceptor said",
    "backlog is full",
    "backpressure",
    "batch taken in part",
    "block given back",
    "block provided",
    "completion comes late",
    "completion out of order",
    "connect fails at once",
    "connect is never answered",
    "connection refused",
    "connects fail",
    "delays",
    "down: closed",
    "down: ended",
    "down: left",
    "down: rejected",
    "down: reset",
    "down: silent",
    "down: superseded",
    "down: timed out",
    "down: violation",
    "drained",
    "dropped with operations under way",
    "embedder is busy",
    "embedder is slow",
    "events left untaken",
    "frame beyond the read-ahead",
    "keepalive: no answer",
    "limits change",
    "link is asked to move",
    "link moved",
    "machine vanishes",
    "new key offered",
    "old key dropped",
    "one direction is gone",
    "one pair is apart",
    "one replica is apart",
    "operation carried out late",
    "operations are late",
    "path: a bit is flipped",
    "path: a few bytes at a time",
    "path: a forged refusal",
    "path: bytes are dropped",
    "path: bytes are repeated",
    "path: bytes of another link",
    "process dies",
    "received less than there was room for",
    "received when asked",
    "registration fails",
    "registrations fail",
    "rejected",
    "renewed",
    "released with bytes that had come",
    "released with operations under way",
    "reset",
    "roster changes",
    "rotation begins",
    "sealed link moved",
    "sent on a link at its end",
    "short read",
    "short write",
    "shut down",
    "told of an unreachable peer",
    "warned of accept",
    "woken for nothing",
    "write is interrupted",
    "write would block",
];

#[test]
fn every_seed_keeps_all_rules() {
    let (from, to) = seeds();
    let met = run_all(from, to);
    if (from, to) == (0, COUNT) {
        let missed: Vec<_> = TO_MEET.iter().filter(|what| !met.contains_key(*what)).collect();
        assert!(missed.is_empty(), "no run met {missed:?}; met: {met:#?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [3, 1_000, u64::MAX] {
        let first = run(seed, Choice::default()).unwrap_or_else(|failure| panic!("{}", describe(&failure)));
        let second = run(seed, Choice::default()).unwrap_or_else(|failure| panic!("{}", describe(&failure)));
        assert_eq!(first, second, "seed {seed}");
        assert!(first.nanos > 0 && first.hash != 0);
    }
}

/// Does nothing unless it is asked to.
#[test]
#[expect(clippy::print_stderr, reason = "this is for whoever repeats a failure")]
fn replay() {
    let Ok(seed) = std::env::var(SEED) else { return };
    match run(seed.parse().unwrap(), Choice { aloud: true }) {
        Ok(report) => eprintln!("{report:#?}"),
        Err(failure) => panic!("{}", failure.broken),
    }
}

fn run_all(from: u64, to: u64) -> Coverage {
    let (next, met, failures) =
        (AtomicU64::new(from), Mutex::new(Coverage::new()), Mutex::new(Vec::<Box<Failure>>::new()));
    let one = || {
        while failures.lock().unwrap().len() < FAILURES_MAX {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= to {
                break;
            }
            match run(seed, Choice::default()) {
                Ok(report) => {
                    let mut met = met.lock().unwrap();
                    report.coverage.iter().for_each(|(what, count)| *met.entry(what).or_default() += count);
                }
                Err(failure) => failures.lock().unwrap().push(failure),
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(one))));
    let failures = failures.into_inner().unwrap();
    if let Some(first) = failures.first() {
        let all: Vec<_> = failures.iter().map(|failure| (failure.seed, &failure.broken)).collect();
        panic!("{}\nall that failed: {all:#?}", describe(first));
    }
    met.into_inner().unwrap()
}

fn seeds() -> (u64, u64) {
    let Ok(given) = std::env::var(SEEDS) else { return (0, COUNT) };
    match given.split_once("..") {
        Some((from, to)) => (from.parse().unwrap(), to.parse().unwrap()),
        None => (0, given.parse().unwrap()),
    }
}

fn describe(failure: &Failure) -> String {
    let Failure { seed, broken, tail } = failure;
    let log = tail.join("\n");
    format!(
        "{log}\n\nseed {seed}: {broken}\nrepeat with: {SEED}={seed} cargo test -p replink-tests --test simulation -- \
         replay --nocapture"
    )
}
