//! What is shown: tables, and charts of them.

pub(crate) mod chart;
pub(crate) mod machine;
pub(crate) mod markdown;

use std::fmt;

use replink_bench::Ratio;

use chart::{Bar, Chart};

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
    /// Whether there is a chart of it.
    pub(crate) charted: bool,
}

/// Entries beside each other.
pub(crate) struct Table {
    /// What its charts' files are called.
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
    /// A chart for each column that wants one.
    pub(crate) fn charts(&self) -> Vec<Chart> {
        let of_column = |(index, column): (usize, &Column)| Chart {
            file: self.file(index),
            title: format!("{}: {}", self.title, column.name),
            less_is_better: column.less_is_better,
            bars: self.rows.iter().filter_map(|row| Bar::of(row, index)).collect(),
        };
        let charted = self.columns.iter().enumerate().filter(|(_, column)| column.charted);
        charted.map(of_column).collect()
    }

    /// The file of a column's chart; the first column's is the table's.
    pub(crate) fn file(&self, column: usize) -> String {
        if column == 0 { format!("{}.svg", self.id) } else { format!("{}-{column}.svg", self.id) }
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
