//! Two builds of `replink bench` beside each other: `replink-against REV [--seconds S] [--drivers poll,blocking]`.
//!
//! What REV was is built in a worktree that goes away again, and beside it what the working tree is. Both commands
//! run in turn, round after round, so that a machine that is slower for a while is slower for both. What is compared
//! is what both print: the figures of the link.

mod arguments;
mod builds;
mod figures;
mod runs;
mod usage;

use std::process::ExitCode;

use arguments::Arguments;
use builds::Build;
use figures::Rounds;

/// Why there is no figure.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How often each build runs.
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)).and_then(|arguments| compare(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            progress(&format!("failed: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> Result<(), Failure> {
    let (old, new) = (Build::of_revision(&arguments.revision)?, Build::of_working_tree()?);
    // The ends run in the same way in both: pinned where both can, or else wherever the system puts them.
    let both_pin = old.can_unpin && new.can_unpin;
    show(&format!(
        "old: {}, new: {}; {}; {ROUNDS} rounds of {} s each\n",
        old.name,
        new.name,
        if both_pin { "ends are pinned" } else { "ends are not pinned, which one of the builds can't do" },
        arguments.seconds
    ));
    for driver in &arguments.drivers {
        let mut rounds = Rounds::default();
        let mut failed = None;
        for round in 1..=ROUNDS {
            progress(&format!("driver {driver}: round {round} of {ROUNDS}"));
            let run = |build: &Build| runs::run(build, driver, arguments.seconds, both_pin);
            match run(&old).and_then(|old| Ok((old, run(&new)?))) {
                Ok((old, new)) => rounds.add(old, new),
                Err(failure) => {
                    failed = Some(failure);
                    break;
                }
            }
        }
        match failed {
            None => show(&format!("driver {driver}\n{}", rounds.table())),
            Some(failure) => show(&format!("driver {driver}: not measured, {failure}\n")),
        }
    }
    Ok(())
}

/// For whoever keeps the figures.
#[expect(clippy::print_stdout, reason = "figures are what it is for")]
fn show(text: &str) {
    println!("{text}");
}

/// For whoever waits.
#[expect(clippy::print_stderr, reason = "stdout is for the figures")]
fn progress(text: &str) {
    eprintln!("{text}");
}
