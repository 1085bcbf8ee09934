//! Durations and sizes, which are strings of a whole number and a unit.

use std::time::Duration;

pub(super) const DURATION_CURE: &str =
    "must be a whole number with a unit (us, ms, s, m or h), such as \"5s\", up to \"24h\"";
pub(super) const POSITIVE_DURATION_CURE: &str =
    "must be above zero: a whole number with a unit (us, ms, s, m or h), such as \"5s\", up to \"24h\"";
pub(super) const SIZE_CURE: &str =
    "must be a whole number with a unit (B, KiB, MiB, GiB or TiB), such as \"64MiB\"";

const DURATION_UNITS: [(&str, u64); 5] =
    [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];

const SIZE_UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A duration as a `cluster.toml` has it, such as `5s`; what is below a microsecond is left out.
pub fn duration_text(duration: Duration) -> String {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    if micros == 0 { "0s".to_owned() } else { text(micros, &DURATION_UNITS) }
}

/// A number of bytes as a `cluster.toml` has it, such as `64MiB`.
pub fn size_text(bytes: u64) -> String {
    if bytes == 0 { "0B".to_owned() } else { text(bytes, &SIZE_UNITS) }
}

/// A duration, however long.
pub(super) fn duration(text: &str) -> Option<Duration> {
    number(text, &DURATION_UNITS).map(Duration::from_micros)
}

/// A number of bytes.
pub fn parse_size(text: &str) -> Option<u64> {
    number(text, &SIZE_UNITS)
}

fn number(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|char: char| !char.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let &(_, factor) = units.iter().find(|&&(name, _)| name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn text(number: u64, units: &[(&str, u64)]) -> String {
    let exact = units.iter().find(|&&(_, factor)| number.is_multiple_of(factor));
    exact.map_or_else(|| number.to_string(), |(name, factor)| format!("{}{name}", number / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations() {
        for (text, micros) in [
            ("0s", 0),
            ("0us", 0),
            ("7us", 7),
            ("50ms", 50_000),
            ("5s", 5_000_000),
            ("2m", 120_000_000),
            ("24h", 86_400_000_000),
            ("007s", 7_000_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_micros(micros)), "{text}");
        }
        for text in
            ["", "0", "5", "s", "5 s", " 5s", "5s ", "-5s", "+5s", "1.5s", "5S", "5sec", "5d", "5ns", "５s"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
        for text in ["18446744073709551615s", "18446744073709551616us"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn reads_sizes() {
        for (text, bytes) in [
            ("0B", 0),
            ("256B", 256),
            ("64KiB", 65_536),
            ("64MiB", 67_108_864),
            ("3GiB", 3_221_225_472),
            ("1TiB", 1_099_511_627_776),
            ("18446744073709551615B", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "64", "MiB", "64 MiB", "64MB", "64mib", "-1B", "1.5MiB", "16777216TiB", "64MiBs"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn shows_what_it_reads() {
        for text in ["0s", "1us", "1500us", "50ms", "5s", "90s", "2m", "24h"] {
            assert_eq!(duration(text).map(duration_text).as_deref(), Some(text));
        }
        for text in ["0B", "1B", "1025B", "64KiB", "64MiB", "3GiB", "5TiB"] {
            assert_eq!(parse_size(text).map(size_text).as_deref(), Some(text));
        }
        assert_eq!(duration_text(Duration::MAX), "18446744073709551615us");
    }
}
