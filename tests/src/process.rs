//! What the system says of a process; nothing where it has no `/proc`.

use std::fs;

/// File descriptors that this process has open.
pub fn open_files() -> Option<usize> {
    // One of them is what counts.
    Some(fs::read_dir("/proc/self/fd").ok()?.count() - 1)
}

/// Memory of a process, in bytes: what it has now, and the most that it ever had.
pub fn memory(process: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let value = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
    };
    Some((value("VmRSS:")?, value("VmHWM:")?))
}

/// Time on a processor that a process has used, in hundredths of a second.
pub fn processor_time(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may contain anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

/// Memory of all TCP sockets of the machine, in bytes.
pub fn socket_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/net/sockstat").ok()?;
    let line = text.lines().find(|line| line.starts_with("TCP:"))?;
    Some(line.split_whitespace().last()?.parse::<u64>().ok()? * 4096)
}
