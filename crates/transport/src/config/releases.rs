//! Which software releases of peers a node takes, as text.

use std::ops::RangeInclusive;

pub(super) const CURE: &str = "must be \"any\", or a lowest and a highest release such as \"3..=5\"";

/// Every release that there can be.
pub(super) const ANY: RangeInclusive<u32> = 0..=u32::MAX;

/// Releases as a `cluster.toml` has them: `any`, or such as `3..=5`.
pub fn releases_text(releases: &RangeInclusive<u32>) -> String {
    if *releases == ANY {
        return "any".to_owned();
    }
    format!("{}..={}", releases.start(), releases.end())
}

/// The releases that `text` names, also where they are none because the lowest is above the highest.
pub(super) fn releases(text: &str) -> Option<RangeInclusive<u32>> {
    if text == "any" {
        return Some(ANY);
    }
    let (lowest, highest) = text.split_once("..=")?;
    Some(release(lowest)?..=release(highest)?)
}

/// Decimal digits only.
fn release(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_shows() {
        for (text, expected) in [("any", ANY), ("3..=5", 3..=5), ("0..=4294967294", 0..=u32::MAX - 1)] {
            assert_eq!(releases(text), Some(expected.clone()), "{text}");
            assert_eq!(releases_text(&expected), text);
        }
        assert_eq!(releases("0..=4294967295"), Some(ANY));
        for text in [
            "",
            "all",
            "Any",
            "3",
            "3..5",
            "3..",
            "..=5",
            "3..=",
            "3 ..= 5",
            "3..=+5",
            "-3..=5",
            "3..=5..=7",
            "0..=4294967296",
            " any",
        ] {
            assert_eq!(releases(text), None, "{text}");
        }
    }
}
