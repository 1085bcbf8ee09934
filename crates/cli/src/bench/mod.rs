//! `replink bench`: the link, sealed and not, against raw TCP doing the same work, on this machine and in one run.

mod report;

use std::io::{IsTerminal, Write, stderr};
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use replink_bench::{Comparison, Driver, Failure, Placement, Plan, ReplicaLink, compare};
use replink_transport::config;

use crate::arguments::{BenchOptions, MeasuredDriver};
use crate::fail;
use crate::output;

pub(crate) fn run(options: &BenchOptions) -> ExitCode {
    let link = measured_link(options);
    let (placement, reason) =
        if options.unpinned { (Placement::Floating, None) } else { Placement::available() };
    let plan = Plan::within(options.seconds, placement);
    match measure(link, plan) {
        Ok(found) => {
            let text = if options.json {
                report::json(&link, plan, &found).to_string()
            } else {
                report::table(&link, plan, reason.as_ref(), &found)
            };
            output::report(text.trim_end(), ExitCode::SUCCESS)
        }
        Err(failure) => fail(format_args!("bench with driver {}: {failure}", link.driver)),
    }
}

fn measured_link(options: &BenchOptions) -> ReplicaLink {
    let driver = match options.driver {
        MeasuredDriver::Auto => Driver::Node(config::DriverChoice::Auto),
        MeasuredDriver::IoUring => Driver::Node(config::DriverChoice::IoUring),
        MeasuredDriver::Poll => Driver::Node(config::DriverChoice::Poll),
        MeasuredDriver::Blocking => Driver::Blocking,
    };
    let BenchOptions { shards, busy_poll, .. } = *options;
    ReplicaLink { shards, busy_poll, ..ReplicaLink::new(driver, false) }
}

/// Measures on a thread of its own: whatever hangs there, the command ends.
fn measure(link: ReplicaLink, plan: Plan) -> Result<Vec<Comparison>, Failure> {
    let (sender, found) = channel();
    thread::Builder::new().spawn(move || {
        let _ = sender.send(compare(&link, plan, progress));
    })?;
    match found.recv_timeout(plan.deadline()) {
        Ok(found) => found,
        Err(RecvTimeoutError::Timeout) => Err(format!("no figures within {:?}", plan.deadline()).into()),
        Err(RecvTimeoutError::Disconnected) => Err("the measuring thread panicked".into()),
    }
}

/// A line for whoever waits and looks.
fn progress(begins: &str) {
    if stderr().is_terminal() {
        let _ = writeln!(stderr(), "measuring {begins} ...");
    }
}
