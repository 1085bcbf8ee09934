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

use replink_bench::{Failure, Placement, Window};

pub(crate) use arguments::Arguments;
pub(crate) use rounds::Plan;

use field::Field;
use report::chart::Chart;
use report::{Table, machine, markdown};
use sections::Section;

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
    Ok(Plan {
        rounds: ROUNDS,
        window: Window::new(Duration::try_from_secs_f64(seconds)?, Placement::Floating),
    })
}

/// Measures the sections that are asked for, one after the other, and shows each as soon as it is there.
pub(crate) fn run(arguments: &Arguments, plan: Plan) -> Result<(), Failure> {
    let (available, reason) = Placement::available();
    let mut text = markdown::head(&machine::describe(), plan, reason.as_ref());
    report::show(&text);
    let mut charts = Vec::new();
    for &placement in &arguments.placements {
        if placement == Placement::Pinned && available != placement {
            continue;
        }
        let of_placement = measure(&arguments.sections, plan.placed(placement), &mut charts)?;
        text += &of_placement;
    }
    match &arguments.out {
        Some(directory) => write(directory, &text, &charts),
        None => Ok(()),
    }
}

/// Everything with ends that run where the plan says.
fn measure(sections: &[Section], plan: Plan, charts: &mut Vec<Chart>) -> Result<String, Failure> {
    let placement = plan.window.placement;
    report::progress(format_args!("{}: which drivers there are", placement.as_str()));
    let field = Field::new(plan);
    let mut text = markdown::missing(&field.missing);
    report::show(&text);
    for section in sections {
        report::progress(format_args!("section {}, {}", section.name(), placement.as_str()));
        let mut tables = section.measure(&field, plan)?;
        if placement == Placement::Floating {
            tables.iter_mut().for_each(Table::say_unpinned);
        }
        let of_section = markdown::section(section.title(), placement, section.note(), &tables);
        report::show(&of_section);
        text += &of_section;
        charts.extend(tables.iter().filter_map(Table::chart));
    }
    let found = markdown::pieces(placement, &field.found());
    report::show(&found);
    Ok(text + &found)
}

fn write(directory: &Path, text: &str, charts: &[Chart]) -> Result<(), Failure> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("results.md"), text)?;
    for chart in charts {
        fs::write(directory.join(&chart.file), chart.svg())?;
    }
    Ok(())
}
