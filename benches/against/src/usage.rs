//! What children used.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use crate::Failure;

/// Processor time of all children that have ended, and bytes that loopback has carried: of the whole system, so
/// nothing else should use it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    cpu: Duration,
    bytes: Option<u64>,
}

impl Usage {
    pub(crate) fn now() -> Result<Self, Failure> {
        let children = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let cpu = duration(children.user_time()) + duration(children.system_time());
        Ok(Self { cpu, bytes: fs::read_to_string("/proc/net/dev").ok().and_then(|text| loopback(&text)) })
    }

    /// Seconds of processor time since then for 10⁹ bytes on loopback.
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    pub(crate) fn cpu_seconds_per_gigabyte_since(&self, before: &Self) -> Option<f64> {
        let bytes = self.bytes?.checked_sub(before.bytes?).filter(|bytes| *bytes > 0)?;
        Some(self.cpu.saturating_sub(before.cpu).as_secs_f64() / (bytes as f64 / 1e9))
    }
}

fn duration(time: TimeVal) -> Duration {
    let (seconds, micros) = (u64::try_from(time.tv_sec()), u64::try_from(time.tv_usec()));
    Duration::from_secs(seconds.unwrap_or_default()) + Duration::from_micros(micros.unwrap_or_default())
}

/// Received bytes of the interface `lo`.
fn loopback(interfaces: &str) -> Option<u64> {
    let counters = interfaces.lines().find_map(|line| line.trim_start().strip_prefix("lo:"))?;
    counters.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_counter_of_loopback_is_what_it_received() {
        let text = "Inter-| Receive\n face |bytes packets\n  eth0: 7 1\n    lo: 1500 3 0\n";
        assert_eq!(loopback(text), Some(1500));
        assert_eq!(loopback("eth0: 7 1\n"), None);
    }

    #[test]
    fn time_is_of_the_bytes_between() {
        let at = |seconds, bytes| Usage { cpu: Duration::from_secs(seconds), bytes: Some(bytes) };
        let found = at(9, 5_000_000_000).cpu_seconds_per_gigabyte_since(&at(3, 2_000_000_000));
        assert_eq!(found, Some(2.0));
        assert_eq!(at(9, 5).cpu_seconds_per_gigabyte_since(&at(3, 5)), None);
    }
}
