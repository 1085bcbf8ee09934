//! Whole clusters on a virtual network and clock, seed after seed. `docs/testing.md` says what is
//! checked and how a failure is repeated.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use replink_tests::simulation::{Coverage, Failure, run};

/// Set to a seed to repeat its run and see all of its log.
const SEED: &str = "REPLINK_SEED";

/// Set to the number of seeds to run, or to `from..to`.
const SEEDS: &str = "REPLINK_SEEDS";

/// Seeds of a plain test run.
const COUNT: u64 = 500;

/// Seeds are independent of each other; more threads than processors gain nothing.
const THREADS_MAX: usize = 8;

#[test]
fn every_seed_keeps_all_rules() {
    let (from, to) = seeds();
    let (next, met) = (AtomicU64::new(from), Mutex::new(Coverage::new()));
    let failures = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(2, usize::from).min(THREADS_MAX);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= to || failures.lock().unwrap().len() > 5 {
                        return;
                    }
                    match run(seed, false) {
                        Ok(report) => {
                            let mut met = met.lock().unwrap();
                            report.coverage.iter().for_each(|(what, count)| *met.entry(what).or_default() += count);
                        }
                        Err(failure) => failures.lock().unwrap().push(failure),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    if let Some(first) = failures.first() {
        let others: Vec<_> = failures.iter().map(|failure| (failure.seed, &failure.broken)).collect();
        panic!("{}\n{others:#?}", describe(first));
    }
    let met = met.into_inner().unwrap();
    if std::env::var_os("REPLINK_COVERAGE").is_some() { eprintln!("{met:#?}"); }
}

#[test]
fn replay() {
    let Ok(seed) = std::env::var(SEED) else { return };
    match run(seed.parse().unwrap(), true) {
        Ok(report) => eprintln!("{report:#?}"),
        Err(failure) => panic!("{}", failure.broken),
    }
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
