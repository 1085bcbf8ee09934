//! What the person sees while the file is replicated, and what ends it.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::cluster::{Cluster, Report};
use super::{DemoError, say};

/// The longest time without any progress. The last frame is acknowledged when all is on the disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// Follows the replication until the last backup has acknowledged the last byte.
pub(super) fn watch(cluster: &mut Cluster, size: u64) -> Result<(), DemoError> {
    let bar = ProgressBar::new(size);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec}") {
        bar.set_style(style);
    }
    let mut last_news = Instant::now();
    loop {
        let left = PATIENCE.saturating_sub(last_news.elapsed());
        let Some((replica, report)) = cluster.next_report(left) else {
            return Err(DemoError::Stalled { seconds: PATIENCE.as_secs() });
        };
        let event = match report {
            Report::Ended => {
                return Err(DemoError::Died { replica, status: cluster.exit_status(replica) });
            }
            Report::Event(event) => event,
        };
        let number = |key: &str| event.get(key).and_then(Value::as_u64).unwrap_or(0);
        match event.get("event").and_then(Value::as_str) {
            // Backups print no progress, so that only the sender's news count as such.
            Some("progress") => {
                let acknowledged = number("acknowledged");
                if acknowledged > bar.position() {
                    bar.set_position(acknowledged);
                    last_news = Instant::now();
                }
            }
            Some("replicated") => {
                bar.finish_and_clear();
                let (bytes, micros) = (number("bytes"), number("micros").max(1));
                return say(&format!(
                    "every backup wrote and acknowledged {bytes} bytes in {:.3} s: {:.1} MB/s to each",
                    as_f64(micros) / 1e6,
                    as_f64(bytes) / as_f64(micros)
                ));
            }
            Some("failed") => {
                // If a backup died, say so rather than that its link is gone.
                while let Some((other, report)) = cluster.next_report(Duration::from_millis(500)) {
                    if other != replica && matches!(report, Report::Ended) {
                        return Err(DemoError::Died { replica: other, status: cluster.exit_status(other) });
                    }
                }
                let message = event.get("message").and_then(Value::as_str).unwrap_or("failed").to_owned();
                return Err(DemoError::Replica { replica, message });
            }
            _ => {}
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "for showing")]
fn as_f64(value: u64) -> f64 {
    value as f64
}
