//! Host names of replicas, looked up anew now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use replink_transport::config::{Address, Config};
use replink_transport::node::Handle;

/// How often.
const LOOK_UP_EVERY: Duration = Duration::from_secs(10);

/// Whether `config` has names to look up.
pub(super) fn has_names(config: &Config) -> bool {
    config.nodes.iter().any(|node| matches!(node.address, Address::Name { .. }))
}

/// Looks names up on a thread of its own, as a resolver may take as long as it likes; where there
/// are none, there is no such thread.
pub(super) struct Names {
    handle: Handle,
    /// Whether there are names now.
    wanted: Arc<AtomicBool>,
    runs: bool,
}

impl Names {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, wanted: Arc::default(), runs: false }
    }

    /// Another configuration is in force, which has names or not.
    pub(super) fn keep_up(&mut self, has_names: bool) {
        self.wanted.store(has_names, Ordering::Relaxed);
        if !has_names || self.runs {
            return;
        }
        let (handle, wanted) = (self.handle.clone(), Arc::clone(&self.wanted));
        let started = thread::Builder::new().name("names".to_owned()).spawn(move || {
            while !handle.is_stopped() {
                thread::sleep(LOOK_UP_EVERY);
                if wanted.load(Ordering::Relaxed) {
                    handle.refresh_addresses();
                }
            }
        });
        match started {
            Ok(_) => self.runs = true,
            Err(error) => tracing::warn!("names of replicas stand for what they stand for now: {error}"),
        }
    }
}
