//! Meshes under random faults. A failure names the seed that repeats it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use replink_transport::mesh::{MeshSettings, RETIRE_SPREAD};

use crate::network::Network;
use crate::one::{KEY, OTHER_KEY, changed, settings};

const RUNS: u64 = 80;

/// Most attempts on one peer and lane in ten seconds. Each time a link has stayed up, for two
/// seconds or more, half a dozen short waits follow one another.
const DIALS_IN_TEN_SECONDS_MAX: usize = 20;

/// All pairs are connected this long after the last fault: silence must be noticed, then comes
/// the longest wait that a peer asked for, and a refusal because the silence has not been
/// noticed at the other end.
fn recovery(settings: &MeshSettings) -> Duration {
    let asked_for = Duration::from_secs(3);
    settings.heartbeat_timeout + asked_for + RETIRE_SPREAD + 3 * settings.reconnect_max
}

#[test]
fn the_invariants_hold_whatever_happens() {
    for seed in 0..RUNS {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            eprintln!("seed {seed}");
            resume_unwind(panic);
        }
    }
}

fn run(seed: u64) {
    let replicas = 2 + u8::try_from(seed % 4).unwrap();
    let lanes = 1 + u16::try_from(seed / 4 % 2).unwrap();
    let settings = changed(settings(replicas), |settings| settings.lanes = lanes);
    let mut network = Network::new(&settings, seed);
    let mut keys = [KEY, OTHER_KEY];
    for _ in 0..60 {
        let pause = network.random.below(1500);
        network.run(Duration::from_millis(pause as u64));
        match network.random.below(8) {
            0..=4 => network.break_one(),
            5..=6 => network.restart_one(),
            _ => {
                keys.reverse();
                network.rotate(keys[0]);
            }
        }
    }
    network.faults = false;
    network.run(recovery(&settings));
    assert!(network.is_connected(), "not connected in time");
    network.run(Duration::from_secs(30));
    assert!(network.is_connected(), "did not stay connected");
    let dials = network.most_dials_within(Duration::from_secs(10));
    assert!(dials <= DIALS_IN_TEN_SECONDS_MAX, "{dials} dials in ten seconds");
    network.shut_down();
}
