//! Checks that several settings share.

use std::time::Duration;

use super::findings::Findings;
use super::units;
use crate::DURATION_MAX;

/// What a whole number from `least` to `most` is to be.
pub(super) fn whole_number(least: impl std::fmt::Display, most: impl std::fmt::Display) -> String {
    format!("must be a whole number from {least} to {most}")
}

/// At least 1.
pub(super) fn check_count(findings: &Findings<'_>, key: &str, count: u32) {
    if count == 0 {
        findings.number(key, count, whole_number(1, u32::MAX));
    }
}

/// At most [`DURATION_MAX`].
pub(super) fn check_duration(findings: &Findings<'_>, key: &str, duration: Duration) {
    if duration > DURATION_MAX {
        findings.text(key, &units::duration_text(duration), units::DURATION_CURE);
    }
}

/// Above zero, and at most [`DURATION_MAX`].
pub(super) fn check_positive_duration(findings: &Findings<'_>, key: &str, duration: Duration) {
    if duration.is_zero() || duration > DURATION_MAX {
        findings.text(key, &units::duration_text(duration), units::POSITIVE_DURATION_CURE);
    }
}
