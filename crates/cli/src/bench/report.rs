//! Figures for people and for programs.

use std::fmt::Write as _;

use replink_bench::{Comparison, PAIRS, Plan, ReplicaLink};
use serde_json::{Value, json};

/// One object with all figures; `spread` is the lowest and the highest ratio of the pairs.
pub(super) fn json(link: &ReplicaLink, found: &[Comparison]) -> Value {
    let result = |one: &Comparison| {
        json!({
            "name": one.name,
            "link": one.ratio.figure,
            "raw": one.ratio.base,
            "ratio": one.ratio.median,
            "unit": one.unit,
            "spread": [one.ratio.lowest, one.ratio.highest],
        })
    };
    json!({
        "driver": link.driver.as_str(),
        "sealed": link.sealed,
        "shards": link.shards,
        "busy_poll_us": u64::try_from(link.busy_poll.as_micros()).unwrap_or(u64::MAX),
        "results": found.iter().map(result).collect::<Vec<_>>(),
    })
}

/// A table, and how to read it.
pub(super) fn table(link: &ReplicaLink, plan: Plan, found: &[Comparison]) -> String {
    let sealed = if link.sealed { "sealed" } else { "not sealed" };
    let shards = if link.shards == 1 { "1 shard" } else { &format!("{} shards", link.shards) };
    let mut text = format!("driver {}, {sealed}, {shards}\n\n", link.driver);
    let _ = writeln!(text, "{:<18} {:>15} {:>15} {:>7}   spread", "", "link", "raw TCP", "ratio");
    for one in found {
        let ratio = &one.ratio;
        let figure = |figure: f64| format!("{} {:<4}", rounded(figure), one.unit);
        let _ = writeln!(
            text,
            "{:<18} {:>15} {:>15} {:>7.2}   {:.2} to {:.2}",
            one.name,
            figure(ratio.figure),
            figure(ratio.base),
            ratio.median,
            ratio.lowest,
            ratio.highest
        );
    }
    let _ = writeln!(
        text,
        "\nEach ratio is link / raw TCP: the median of {PAIRS} pairs of windows of {} ms in turn, both ends on \
         this machine.\nOf round trips less is better, of all else more.",
        plan.window.length.as_millis()
    );
    text
}

/// Three digits or more.
fn rounded(figure: f64) -> String {
    match figure {
        figure if figure >= 100.0 => format!("{figure:.0}"),
        figure if figure >= 10.0 => format!("{figure:.1}"),
        figure => format!("{figure:.2}"),
    }
}
