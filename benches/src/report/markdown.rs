//! Tables in Markdown.

use std::fmt::Write as _;

use replink_bench::{Failure, Placement};

use super::{Row, Table, rounded};
use crate::side_by_side::Plan;

/// What comes before all tables.
pub(crate) fn head(machine: &str, plan: Plan, not_pinned: Option<&Failure>) -> String {
    let pinning = match not_pinned {
        None => "Pinned ends have a core of their own: the sending or dialing one the first that this process may \
                 use, the other one the second; further connections go on with further pairs, and begin anew."
            .to_owned(),
        Some(reason) => format!("Nothing is pinned: {reason}."),
    };
    format!(
        "# Side by side\n\nWritten by `just bench-side-by-side`; [how it is measured](../performance.md).\n\n\
         Machine: {machine}. {} rounds of windows of {} ms. Each ratio is the median of the rounds', with the \
         lowest and the highest; the figure is of the round with that ratio. {pinning}\n\n",
        plan.rounds,
        plan.window.length.as_millis()
    )
}

/// What this machine does not have.
pub(crate) fn missing(missing: &[String]) -> String {
    list(missing, "Not measured, ", ".\n\n")
}

/// A section with its tables and their charts.
pub(crate) fn section(title: &str, placement: Placement, note: &str, tables: &[Table]) -> String {
    let mut text = format!("## {}\n\n{note}\n\n", placed(title, placement));
    for table in tables {
        let _ = writeln!(text, "### {}\n", table.title);
        if let Some(chart) = table.chart() {
            let _ = writeln!(text, "![{}]({})\n", chart.title, chart.file);
        }
        text += &self::table(table);
        text.push('\n');
    }
    text
}

/// What raw TCP wrote and read at once; empty where it had no throughput to find out.
pub(crate) fn pieces(placement: Placement, found: &[String]) -> String {
    if found.is_empty() {
        return String::new();
    }
    let lines = list(found, "- ", "\n");
    let title = placed("What raw TCP wrote and read at once", placement);
    format!("## {title}\n\nThe fastest pair of those that were tried before.\n\n{lines}\n")
}

fn list(all: &[String], before: &str, behind: &str) -> String {
    all.iter().fold(String::new(), |text, one| text + before + one + behind)
}

fn placed(title: &str, placement: Placement) -> String {
    match placement {
        Placement::Pinned => title.to_owned(),
        Placement::Floating => format!("{title}, not pinned"),
    }
}

fn table(table: &Table) -> String {
    let mut head = vec![String::new(), "beside".to_owned()];
    for column in &table.columns {
        head.push(column.name.to_owned());
        head.push("ratio".to_owned());
    }
    head.extend(table.further.iter().map(|&name| name.to_owned()));
    let rule = "|---|---|".to_owned() + &"---:|".repeat(head.len() - 2) + "\n";
    let rows = table.rows.iter().map(|row| line(&cells(row)));
    line(&head) + &rule + &rows.collect::<String>()
}

fn cells(row: &Row) -> Vec<String> {
    let is_base = row.name == row.base;
    let mut cells = vec![row.name.clone(), if is_base { String::new() } else { row.base.clone() }];
    for ratio in &row.ratios {
        let [median, lowest, highest] = [ratio.median, ratio.lowest, ratio.highest].map(rounded);
        cells.push(rounded(ratio.figure));
        cells.push(if is_base { "1".to_owned() } else { format!("{median} ({lowest} to {highest})") });
    }
    cells.extend(row.further.iter().cloned());
    cells
}

fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}
