//! Which driver the nodes of scenarios run on: all that they show has to hold on each.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use replink_transport::config::DriverChoice as Choice;
use replink_transport::driver::SystemDriver;
#[cfg(target_os = "linux")]
use replink_transport::driver::io_uring::IoUringDriver;
use replink_transport::node::{Node, Shard};

/// Names one of [`shards`]' drivers; without it nodes run on what `cluster.link.driver` says.
const VARIABLE: &str = "REPLINK_TEST_DRIVER";

/// Where the faults begin, unless `REPLINK_TEST_SEED` says so.
const SEED: u64 = 7;

/// The shards of a node, on the driver that the environment variable `REPLINK_TEST_DRIVER` names:
///
/// - `poll`, `io_uring`;
/// - `oldest`: `io_uring` without what Linux 5.19 does not have;
/// - `faults`: `io_uring` whose operations fail, and do less than they could.
///
/// # Panics
///
/// When there is no such driver, or the machine has none.
pub fn shards(node: Node, count: usize) -> Vec<Shard> {
    let Ok(name) = env::var(VARIABLE) else { return node.into_shards(count).unwrap() };
    let drivers = match name.as_str() {
        "poll" => SystemDriver::choose(Choice::Poll, Duration::ZERO, count).unwrap(),
        "io_uring" => SystemDriver::choose(Choice::IoUring, Duration::ZERO, count).unwrap(),
        "oldest" => on_rings(count, IoUringDriver::as_on_the_oldest_kernel),
        "faults" => on_rings(count, || IoUringDriver::with_faults(seed())),
        name => panic!("{VARIABLE} is {name:?}"),
    };
    node.into_shards_on(drivers).unwrap()
}

fn on_rings(count: usize, driver: impl Fn() -> std::io::Result<IoUringDriver>) -> Vec<SystemDriver> {
    (0..count).map(|_| SystemDriver::IoUring(Box::new(driver().unwrap()))).collect()
}

/// Another one for each ring. A test that fails shows it.
#[allow(clippy::print_stderr, reason = "whoever repeats a failure needs the seed")]
fn seed() -> u64 {
    static RINGS: AtomicU64 = AtomicU64::new(1);
    let first = env::var("REPLINK_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED);
    let seed = first.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ RINGS.fetch_add(1, Ordering::Relaxed) << 20;
    eprintln!("faults of this ring: {seed} (REPLINK_TEST_SEED={first})");
    seed
}
