//! Instructions per operation, counted by callgrind and held against a committed budget
//! (`docs/performance.md`, "Instructions, counted").
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers")]

mod budget;
mod callgrind;
mod machine;
mod operations;
mod report;

use std::fs;
use std::process::ExitCode;

use budget::{Budget, Budgets};
use operations::OPERATIONS;

/// Of this package, wherever it is run from.
const BUDGET_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.toml");

const USAGE: &str = "usage: instructions check | update | run <operation> <times>";

const NO_VALGRIND: &str = "valgrind is not here; instructions are not counted";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["check"] => check(),
        ["update"] => update(),
        ["run", name, times] => run(name, times),
        [callgrind::MACHINE] => {
            println!("{}", machine::name());
            Ok(())
        }
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Fails where an operation takes more instructions than its budget allows.
fn check() -> Result<(), String> {
    let Some(found) = count()? else {
        println!("{NO_VALGRIND}");
        return Ok(());
    };
    let budgets = read()?;
    let report = report::of(budgets.get(&found.machine), &found);
    print!("{report}");
    if report.fails() { Err("the budget does not hold: see above".to_owned()) } else { Ok(()) }
}

/// Writes what is found as the budget of this kind of machine.
fn update() -> Result<(), String> {
    let found = count()?.ok_or(NO_VALGRIND)?;
    let mut budgets = read()?;
    print!("{}", report::of(budgets.get(&found.machine), &found));
    budgets.set(found);
    fs::write(BUDGET_FILE, budgets.to_string()).map_err(|error| format!("{BUDGET_FILE}: {error}"))
}

/// `None` where there is no valgrind.
fn count() -> Result<Option<Budget>, String> {
    let Some(machine) = callgrind::machine()? else { return Ok(None) };
    let counts = OPERATIONS.iter().map(|operation| {
        let name = operation.name;
        callgrind::count(name).map(|count| (name.to_owned(), count))
    });
    let rustc = env!("REPLINK_RUSTC").to_owned();
    Ok(Some(Budget { machine, rustc, counts: counts.collect::<Result<_, _>>()? }))
}

fn read() -> Result<Budgets, String> {
    let text = fs::read_to_string(BUDGET_FILE).map_err(|error| format!("{BUDGET_FILE}: {error}"))?;
    Budgets::parse(&text).map_err(|error| format!("{BUDGET_FILE}: {error}"))
}

/// What is counted.
fn run(name: &str, times: &str) -> Result<(), String> {
    let operation = OPERATIONS.iter().find(|operation| operation.name == name);
    let operation = operation.ok_or_else(|| format!("there is no operation {name}"))?;
    (operation.run)(times.parse().map_err(|_| USAGE.to_owned())?);
    Ok(())
}
