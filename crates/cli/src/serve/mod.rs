//! `replink serve`: one replica that acknowledges every Prepare.

mod event;
mod printer;
mod running;
mod serving;
pub(crate) mod signals;

use std::process::ExitCode;

use replink_transport::config::Config;
use replink_transport::frame::ReplicaId;
use replink_transport::node::{BindError, Node, NodeOptions, Shard};

use crate::arguments::ServeOptions;
use crate::command_policy::command_policy;
use crate::metrics::MetricsServer;
use crate::output::FLUSH_MAX;
use crate::shard_threads::ShardThreads;
use crate::{configuration, fail, process_memory};
use event::Line;
pub(crate) use event::{incarnation_text, status_name};
use printer::Printer;
use running::Reloader;
pub(crate) use running::{InForce, Running};
use serving::Serving;

/// The exit code of one that can't listen.
const CANNOT_LISTEN: u8 = 3;

pub(crate) fn run(options: &ServeOptions) -> ExitCode {
    if process_memory::lock() {
        tracing::info!("memory is locked: nothing of it is swapped out");
    }
    let config = match configuration::load(&options.config) {
        Ok(config) => config,
        Err(errors) => return fail(errors),
    };
    let Some(replica) = options.replica_id.map(ReplicaId).or(config.replica_id) else {
        return fail("which replica to be? give --replica-id, or set cluster.replica_id");
    };
    let printer = match Printer::new(options.events, replica) {
        Ok(printer) => printer,
        Err(error) => return fail(format_args!("can't write events: {error}")),
    };
    let code = serve(options, config, replica, &printer);
    printer.output().flush(FLUSH_MAX);
    code
}

fn serve(options: &ServeOptions, config: Config, replica: ReplicaId, printer: &Printer) -> ExitCode {
    // Before anything else runs, so that no signal is missed.
    let signals = match signals::Signals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(format_args!("can't listen for signals: {error}")),
    };
    let metrics = match options.metrics.map(|address| (address, MetricsServer::bind(address))) {
        Some((_, Ok(server))) => Some(server),
        Some((address, Err(error))) => {
            fail(format_args!("can't serve metrics on {address}: {error}"));
            return ExitCode::from(CANNOT_LISTEN);
        }
        None => None,
    };
    let running = Running::new(InForce::new(&config, replica));
    let node = match Node::bind(config, NodeOptions::new(replica).commands(command_policy())) {
        Ok(node) => node,
        Err(error @ BindError::Listen { .. }) => {
            fail(error);
            return ExitCode::from(CANNOT_LISTEN);
        }
        Err(error) => return fail(error),
    };
    let address = node.local_address();
    let shards = match node.into_shards(options.shards.into()) {
        Ok(shards) => shards,
        Err(error) => return fail(format_args!("can't start: {error}")),
    };
    let Some(handle) = shards.first().map(Shard::handle) else {
        return fail("a replica needs a shard");
    };
    signals.started();
    printer.print(&Line::Listening { address });
    printer.warn_of_security(&handle);
    let started = ShardThreads::start(handle, shards, |shard| {
        Serving::new(shard.index(), shard.handle(), printer.clone(), options.print_frames)
    });
    let threads = match started {
        Ok(threads) => threads,
        Err(error) => return fail(format_args!("can't start a thread: {error}")),
    };
    let handle = threads.handle();
    if let Some(metrics) = metrics {
        if let Some(warning) = metrics.warning() {
            printer.warn("metrics_address", &warning);
        }
        if let Err(error) = metrics.start(handle.clone(), running.clone(), printer.output().clone()) {
            return fail(format_args!("can't start a thread: {error}"));
        }
    }
    let reloader = Reloader::start(options.config.clone(), handle.clone(), printer.clone(), running);
    let reloader = match reloader {
        Ok(reloader) => reloader,
        Err(error) => return fail(format_args!("can't start a thread: {error}")),
    };
    signals.until_stopped(|| reloader.ask());
    threads.stop();
    ExitCode::SUCCESS
}
