//! The `replink` command: see what authenticated replica links do, and operate them.

mod acknowledgements;
mod arguments;
mod bench;
mod check;
mod command_policy;
mod configuration;
mod demo;
mod hex;
mod keygen;
mod logging;
mod look_up;
mod metrics;
mod output;
mod probe;
mod process_memory;
mod serve;
mod shard_threads;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;
use replink_transport::config::SECRET_VARIABLE;

use arguments::{Arguments, Command, LogFormat};
use logging::LevelFilter;

/// How long a command that is done waits for its log to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    // Before there is another thread, and before anything copies it.
    let taken = configuration::take_environment();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            // Not clap's own 2: for `probe` that means "rejected".
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    };
    // Links come and go in a measurement, a hundred times.
    let is_bench = matches!(arguments.command, Command::Bench(_));
    let level = if is_bench { LevelFilter::ERROR } else { LevelFilter::INFO };
    let (format, patience) = match &arguments.command {
        Command::Serve(options) => (options.log, output::FLUSH_MAX),
        // Whoever waits for a command wants to know why it failed.
        _ => (LogFormat::Text, PATIENCE),
    };
    if let Err(error) = logging::start(format, level) {
        return fail(error);
    }
    if let Err(error) = taken
        && std::env::var_os(SECRET_VARIABLE).is_some()
    {
        tracing::warn!("the secret stays in the environment, where others may read it: {error}");
    }
    let code = run(arguments.command);
    if let Some(output) = logging::output() {
        output.flush(patience);
    }
    code
}

fn run(command: Command) -> ExitCode {
    // What has a key of its own, for the time that it runs, has nothing to hide.
    let has_secrets = !matches!(command, Command::Demo(_) | Command::DemoReplica(_) | Command::Bench(_));
    if has_secrets && let Err(problem) = process_memory::keep_in() {
        return fail(problem);
    }
    match command {
        Command::Demo(options) => demo::run(&options),
        Command::DemoReplica(options) => demo::replica::run(&options),
        Command::Serve(options) => serve::run(&options),
        Command::Keygen(options) => keygen::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Probe(options) => probe::run(&options),
        Command::Bench(options) => bench::run(&options),
    }
}

/// Says on stderr why the command fails. That it can't be said changes nothing.
fn fail(problem: impl std::fmt::Display) -> ExitCode {
    let line = format!("replink: {problem}");
    match logging::output() {
        Some(output) => output.line(&line),
        None => drop(writeln!(io::stderr(), "{line}")),
    }
    ExitCode::FAILURE
}
