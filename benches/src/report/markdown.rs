//! Tables in Markdown.

use std::fmt::Write as _;

use super::{Row, Table, rounded};
use crate::side_by_side::Plan;

/// What comes before all tables.
pub(crate) fn head(machine: &str, plan: Plan, missing: &[String]) -> String {
    let mut text = format!(
        "# Side by side\n\nWritten by `just bench-side-by-side`; [how it is measured](../performance.md).\n\n\
         Machine: {machine}. {} rounds of windows of {} ms. Each ratio is the median of the rounds', with the \
         lowest and the highest; the figure is of the round with that ratio.\n\n",
        plan.rounds,
        plan.window.length.as_millis()
    );
    for one in missing {
        let _ = writeln!(text, "Not measured, {one}.\n");
    }
    text
}

/// A section with its tables and their charts.
pub(crate) fn section(title: &str, note: &str, tables: &[Table]) -> String {
    let mut text = format!("## {title}\n\n{note}\n\n");
    for table in tables {
        let _ = writeln!(text, "### {}\n", table.title);
        for (index, column) in table.columns.iter().enumerate().filter(|(_, column)| column.charted) {
            let _ = writeln!(text, "![{}: {}]({})\n", table.title, column.name, table.file(index));
        }
        text += &self::table(table);
        text.push('\n');
    }
    text
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
