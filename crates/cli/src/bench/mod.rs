//! `replink bench`: the link, sealed and not, against raw TCP doing the same work, on this machine and in one run.

mod report;

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use replink_bench::{Comparison, Driver, Failure, Placement, Plan, ReplicaLink, compare};
use replink_transport::config;

use crate::arguments::{BenchOptions, MeasuredDriver};
use crate::fail;
use crate::serve::print_line;

pub(crate) fn run(options: &BenchOptions) -> ExitCode {
    let link = measured_link(options);
    let (placement, reason) =
        if options.unpinned { (Placement::Floating, None) } else { Placement::available() };
    let plan = Plan::within(options.seconds, placement);
    match measure(link, plan) {
        Ok(found) if options.json => print_line(&report::json(&link, plan, &found).to_string()),
        Ok(found) => print_line(report::table(&link, plan, reason.as_ref(), &found).trim_end()),
        Err(failure) => return fail(format_args!("bench with driver {}: {failure}", link.driver)),
    }
    ExitCode::SUCCESS
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
#[expect(clippy::print_stderr, reason = "stdout is for the figures")]
fn progress(begins: &str) {
    if stderr().is_terminal() {
        eprintln!("measuring {begins} ...");
    }
}
