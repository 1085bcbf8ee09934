use std::sync::Arc;
use std::thread;
use std::time::Duration;

use replink_transport::frame::Version;

use super::Shared;

/// How often to look at the configuration while heartbeats are off.
const IDLE: Duration = Duration::from_secs(1);

/// Pings every link, and ends those that have been silent for too long.
pub(super) fn run(shared: &Arc<Shared>) {
    loop {
        let link_settings = shared.settings().config.link.clone();
        let (interval, timeout) = (link_settings.heartbeat_interval, link_settings.heartbeat_timeout);
        thread::sleep(if interval.is_zero() { IDLE } else { interval });
        if interval.is_zero() {
            continue;
        }
        for link in shared.links.all() {
            if link.peer().version == Version::V1 {
                continue; // H-13: it has no pings, and may rightly be silent
            }
            if link.silence() > timeout {
                tracing::warn!(
                    peer = %link.peer().replica,
                    "silent for {:?}, longer than heartbeat_timeout; ending the link",
                    link.silence()
                );
                link.abort();
            } else {
                link.ping();
            }
        }
    }
}
