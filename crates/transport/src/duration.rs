use std::time::Duration;

/// Longest duration that any setting may have. Whatever is added to it, no clock overflows.
pub const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);
