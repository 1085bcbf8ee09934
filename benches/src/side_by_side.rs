//! The bench `side_by_side`: which sections run, and where their tables go.
//!
//! It is part of no library, since what it compares with are dependencies of benches alone; the bench and
//! the test of it name this file.

mod arguments;
mod field;
mod peers;
mod report;
mod rounds;
mod sections;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use replink_bench::{Failure, Window};

pub(crate) use arguments::Arguments;
pub(crate) use rounds::Plan;

use field::Field;
use report::{Table, chart, machine, markdown};

/// How often every contender has a window of each kind.
const ROUNDS: usize = 5;

pub(crate) fn main(words: impl Iterator<Item = String>) -> ExitCode {
    let measured = plan().and_then(|plan| run(&Arguments::parse(words)?, plan));
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report::progress(format_args!("failed: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn plan() -> Result<Plan, Failure> {
    let seconds: f64 = match env::var("REPLINK_SECONDS") {
        Ok(text) => text.parse().map_err(|_| format!("REPLINK_SECONDS is {text:?}, which is no number"))?,
        Err(_) => 0.5,
    };
    Ok(Plan { rounds: ROUNDS, window: Window::new(Duration::try_from_secs_f64(seconds)?) })
}

/// Measures the sections that are asked for, one after the other, and shows each as soon as it is there.
pub(crate) fn run(arguments: &Arguments, plan: Plan) -> Result<(), Failure> {
    report::progress(format_args!("raw TCP at its best, and which drivers there are"));
    let field = Field::new(plan)?;
    let mut text = markdown::head(&machine::describe(), plan, &field.missing);
    report::show(&text);
    let mut charts = Vec::new();
    for section in &arguments.sections {
        report::progress(format_args!("section {}", section.name()));
        let tables = section.measure(&field, plan)?;
        let of_section = markdown::section(section.title(), section.note(), &tables);
        report::show(&of_section);
        text += &of_section;
        charts.extend(tables.iter().flat_map(Table::charts));
    }
    match &arguments.out {
        Some(directory) => write(directory, &text, &charts),
        None => Ok(()),
    }
}

fn write(directory: &Path, text: &str, charts: &[chart::Chart]) -> Result<(), Failure> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("results.md"), text)?;
    for chart in charts {
        fs::write(directory.join(&chart.file), chart.svg())?;
    }
    Ok(())
}
