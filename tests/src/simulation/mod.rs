//! Whole clusters on a virtual network and clock: the production code, with nothing real below it.
//!
//! One seed is one run. It decides the shape of the cluster, the order in which shards are polled,
//! what the network does to every byte, what fails and when, and what an attacker tries. The same
//! seed gives the same run, to the last byte. `docs/testing.md` says what is checked.

mod attacker;
mod cluster;
mod driver;
mod faults;
mod ledger;
mod network;
mod on_the_way;
mod plan;
mod process;
mod rotation;
mod trace;
mod traffic;

use std::panic::{AssertUnwindSafe, catch_unwind};

use self::cluster::Cluster;
use self::network::Network;
pub use self::trace::Coverage;
use self::trace::Trace;

/// A run that kept all rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// A hash of everything that happened, in order.
    pub hash: u64,
    /// How often what the run is meant to meet was met.
    pub coverage: Coverage,
    /// How long it took, in nanoseconds of virtual time.
    pub nanos: u64,
}

/// A run that broke a rule.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed that repeats it.
    pub seed: u64,
    /// Which rule, and how.
    pub broken: String,
    /// The end of the log.
    pub tail: Vec<String>,
}

/// What is chosen for a run besides its seed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Choice {
    /// Prints the log as it is written.
    pub aloud: bool,
}

/// Runs one seed.
///
/// # Errors
///
/// [`Failure`], also where something panicked.
pub fn run(seed: u64, choice: Choice) -> Result<Report, Box<Failure>> {
    let network = Network::new(seed, Trace::new(choice.aloud));
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut cluster = Cluster::new(&network, seed);
        let result = cluster.run();
        if result.is_err() {
            // What would be torn down now could hide what was wrong.
            std::mem::forget(cluster);
        }
        result
    }));
    let state = network.lock();
    let broken = match result {
        Ok(Ok(())) => {
            let (hash, coverage) = (state.trace.hash(), state.trace.coverage().clone());
            return Ok(Report { hash, coverage, nanos: state.now() });
        }
        Ok(Err(broken)) => broken,
        Err(panic) => match panic.downcast_ref::<String>() {
            Some(text) => format!("panic: {text}"),
            None => format!("panic: {:?}", panic.downcast_ref::<&str>()),
        },
    };
    Err(Box::new(Failure { seed, broken, tail: state.trace.tail() }))
}
