//! What this process takes of its machine, by the names that Prometheus' own clients have for it.

use super::exposition::{Page, single};

/// What it takes now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    cpu_seconds: f64,
    open_files: u64,
    open_files_max: Option<u64>,
    resident_bytes: u64,
    virtual_bytes: u64,
    threads: i64,
    /// Since 1970.
    started_seconds: f64,
}

impl Usage {
    /// `None` where the system does not say.
    #[cfg(target_os = "linux")]
    #[expect(clippy::cast_precision_loss, reason = "seconds are shown as floating-point numbers")]
    pub(super) fn now() -> Option<Self> {
        use procfs::process::{LimitValue, Process};

        let process = Process::myself().ok()?;
        let stat = process.stat().ok()?;
        let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
        let open_files_max = match process.limits().ok()?.max_open_files.soft_limit {
            LimitValue::Value(count) => Some(count),
            LimitValue::Unlimited => None,
        };
        Some(Self {
            cpu_seconds: seconds(stat.utime + stat.stime),
            open_files: process.fd_count().ok()? as u64,
            open_files_max,
            resident_bytes: stat.rss * procfs::page_size(),
            virtual_bytes: stat.vsize,
            threads: stat.num_threads,
            started_seconds: procfs::boot_time_secs().ok()? as f64 + seconds(stat.starttime),
        })
    }

    /// Nothing here says it.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn now() -> Option<Self> {
        None
    }

    /// One whose numbers are known: to try out what is made of them.
    #[cfg(test)]
    pub(super) fn example() -> Self {
        Self {
            cpu_seconds: 1.5,
            open_files: 9,
            open_files_max: Some(1024),
            resident_bytes: 4096,
            virtual_bytes: 8192,
            threads: 4,
            started_seconds: 1e9,
        }
    }

    pub(super) fn show(&self, page: &mut Page<'_>) -> std::fmt::Result {
        page.counter(
            "process_cpu_seconds_total",
            "Processor time that was taken.",
            single(self.cpu_seconds),
        )?;
        page.gauge("process_open_fds", "Files and sockets that are open.", single(self.open_files))?;
        let max = self.open_files_max.map(|max| (Vec::new(), max));
        page.gauge("process_max_fds", "How many may be open.", max)?;
        page.gauge("process_resident_memory_bytes", "Memory that is in use.", single(self.resident_bytes))?;
        page.gauge(
            "process_virtual_memory_bytes",
            "Memory that has an address.",
            single(self.virtual_bytes),
        )?;
        page.gauge("process_threads", "Threads.", single(self.threads))?;
        page.gauge("process_start_time_seconds", "When it was started.", single(self.started_seconds))
    }
}
