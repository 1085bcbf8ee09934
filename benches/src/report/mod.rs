//! What is shown: tables, and charts of them.

pub(crate) mod chart;
pub(crate) mod machine;
pub(crate) mod markdown;

use std::fmt;

use replink_bench::Ratio;

use chart::{Bar, Chart};

/// The tables that have a chart: those that docs/performance.md shows. All else is in the tables alone.
const CHARTED: [&str; 6] = [
    "throughput-256",
    "throughput-65536",
    "round-trip-256",
    "handshakes",
    "sealed-throughput-65536",
    "sealed-and-tls-65536",
];

/// What a contender is, for colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Raw,
    Link,
    Peer,
}

/// A figure that all entries of a table have.
pub(crate) struct Measure<T> {
    pub(crate) column: Column,
    pub(crate) figure: fn(&T) -> f64,
}

/// How a figure is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) less_is_better: bool,
}

/// Entries beside each other.
pub(crate) struct Table {
    /// What its chart's file is called.
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) columns: Vec<Column>,
    /// Columns that have no ratio.
    pub(crate) further: Vec<&'static str>,
    pub(crate) rows: Vec<Row>,
}

/// One entry.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// What its ratios are to.
    pub(crate) base: String,
    pub(crate) ratios: Vec<Ratio>,
    pub(crate) further: Vec<String>,
}

impl Table {
    /// The ends were not pinned: it is another table than that of pinned ends.
    pub(crate) fn say_unpinned(&mut self) {
        self.id += "-unpinned";
        self.title += ", not pinned";
    }

    /// The chart of its first column, where it is one of [`CHARTED`].
    pub(crate) fn chart(&self) -> Option<Chart> {
        let column = self.columns.first().filter(|_| CHARTED.contains(&self.id.as_str()))?;
        Some(Chart {
            file: format!("{}.svg", self.id),
            title: format!("{}: {}", self.title, column.name),
            less_is_better: column.less_is_better,
            bars: self.rows.iter().filter_map(|row| Bar::of(row, 0)).collect(),
        })
    }
}

/// Three digits or more.
pub(crate) fn rounded(figure: f64) -> String {
    match figure {
        figure if figure >= 100.0 => format!("{figure:.0}"),
        figure if figure >= 10.0 => format!("{figure:.1}"),
        figure if figure >= 0.1 => format!("{figure:.2}"),
        figure => format!("{figure:.3}"),
    }
}

/// For whoever keeps the figures.
#[expect(clippy::print_stdout, reason = "figures are what it is for")]
pub(crate) fn show(text: &str) {
    print!("{text}");
}

/// For whoever waits.
#[expect(clippy::print_stderr, reason = "stdout is for the figures")]
pub(crate) fn progress(text: fmt::Arguments<'_>) {
    eprintln!("{text}");
}
