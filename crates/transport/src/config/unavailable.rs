//! Settings that this version can read but not carry out. Each is refused unless it has its
//! default, so that nobody runs without what they asked for.

use super::link::{LinkConfig, Policy};
use super::reader::Table;

const PROBLEM: &str = "is not available in this version";

pub(super) fn check_link(link: &Table<'_>, config: &LinkConfig) {
    let refused = [
        ("encryption", config.encryption != Policy::Off, "\"off\""),
        ("renew_after", config.renew_after != 0, "\"0B\""),
    ];
    for (key, refused, available) in refused {
        if let Some(entry) = link.entry(key).filter(|_| refused) {
            entry.report(PROBLEM, format!("must be {available}, or be left out"));
        }
    }
}
