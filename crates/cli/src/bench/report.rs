//! Figures for people and for programs.

use std::fmt::Write as _;

use replink_bench::{Comparison, Failure, Placement, Plan, ROUNDS, ReplicaLink};
use serde_json::{Value, json};

/// One object with all figures; `spread` is the lowest and the highest ratio of the rounds. What moves bytes also has
/// the processor time of both ends, and what is of a sealed link is also held against the same link without seals.
pub(super) fn json(link: &ReplicaLink, plan: Plan, found: &[Comparison]) -> Value {
    let result = |one: &Comparison| {
        let mut result = json!({
            "name": one.name,
            "link": one.ratio.figure,
            "raw": one.ratio.base,
            "ratio": one.ratio.median,
            "unit": one.unit,
            "spread": [one.ratio.lowest, one.ratio.highest],
        });
        if let Some(ratio) = &one.to_unsealed {
            result["to_unsealed"] = json!({
                "unsealed": ratio.base,
                "ratio": ratio.median,
                "spread": [ratio.lowest, ratio.highest],
            });
        }
        if let Some(cpu) = &one.cpu_seconds_per_gigabyte {
            result["cpu_seconds_per_gb"] = json!({"link": cpu.figure, "raw": cpu.base, "ratio": cpu.median});
        }
        result
    };
    json!({
        "driver": link.driver.as_str(),
        "shards": link.shards,
        "busy_poll_us": u64::try_from(link.busy_poll.as_micros()).unwrap_or(u64::MAX),
        "pinned": plan.window.placement == Placement::Pinned,
        "results": found.iter().map(result).collect::<Vec<_>>(),
    })
}

/// A table, and how to read it.
pub(super) fn table(
    link: &ReplicaLink,
    plan: Plan,
    not_pinned: Option<&Failure>,
    found: &[Comparison],
) -> String {
    let shards = if link.shards == 1 { "1 shard" } else { &format!("{} shards", link.shards) };
    let placement = plan.window.placement.as_str();
    let mut text = format!("driver {}, {shards}, {placement}", link.driver);
    if let Some(reason) = not_pinned {
        let _ = write!(text, " ({reason})");
    }
    text += "\n\n";
    let _ = writeln!(
        text,
        "{:<24} {:>15} {:>15} {:>7}   {:<13}  {:>11}",
        "", "link", "raw TCP", "ratio", "spread", "to unsealed"
    );
    for one in found {
        let ratio = &one.ratio;
        let figure = |figure: f64| format!("{} {:<4}", rounded(figure), one.unit);
        let spread = format!("{:.2} to {:.2}", ratio.lowest, ratio.highest);
        let to_unsealed =
            one.to_unsealed.map(|ratio| format!("  {:>11.2}", ratio.median)).unwrap_or_default();
        let row = format!(
            "{:<24} {:>15} {:>15} {:>7.2}   {spread:<13}{to_unsealed}",
            one.name,
            figure(ratio.figure),
            figure(ratio.base),
            ratio.median,
        );
        let _ = writeln!(text, "{}", row.trim_end());
    }
    let _ = writeln!(
        text,
        "\nEach ratio is link / raw TCP: the median of {ROUNDS} rounds of windows of {} ms in turn, both ends on this \
         machine.\nBehind what is of a sealed link is its ratio to the same link without seals. Sealed links are \
         forward-secret,\nas by default. Of round trips less is better, of all else more.",
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
