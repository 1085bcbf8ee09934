//! `replink serve`: one replica that acknowledges every Prepare.

mod event;
mod printer;
mod serving;
pub(crate) mod signals;

use std::process::ExitCode;

use replink_transport::frame::ReplicaId;
use replink_transport::node::{Handle, Node, NodeOptions, Shard};

use crate::arguments::ServeOptions;
use crate::command_policy::command_policy;
use crate::metrics::MetricsServer;
use crate::shard_threads::ShardThreads;
use crate::{configuration, fail, process_memory};
use event::Line;
pub(crate) use event::status_name;
use printer::Printer;
pub(crate) use printer::print_line;
use serving::Serving;

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
    // Before anything else runs, so that no signal is missed.
    let signals = match signals::Signals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(format_args!("can't listen for signals: {error}")),
    };
    let metrics = match options.metrics.map(|address| (address, MetricsServer::bind(address))) {
        Some((_, Ok(server))) => Some(server),
        Some((address, Err(error))) => {
            return fail(format_args!("can't serve metrics on {address}: {error}"));
        }
        None => None,
    };
    let node = NodeOptions::new(replica).commands(command_policy());
    let node = match Node::bind(config, node) {
        Ok(node) => node,
        Err(error) => return fail(error),
    };
    let printer = Printer::new(options.events);
    let address = node.local_address();
    let shards = match node.into_shards(options.shards.into()) {
        Ok(shards) => shards,
        Err(error) => return fail(format_args!("can't start: {error}")),
    };
    let Some(handle) = shards.first().map(Shard::handle) else {
        return fail("a replica needs a shard");
    };
    printer.print(&Line::Listening { address });
    printer.warn_of_security(&handle);
    let started = ShardThreads::start(handle, shards, |shard| {
        Serving::new(shard.index(), shard.handle(), printer, options.print_frames)
    });
    let threads = match started {
        Ok(threads) => threads,
        Err(error) => return fail(format_args!("can't start a thread: {error}")),
    };
    if let Some(metrics) = metrics
        && let Err(error) = metrics.start(threads.handle().clone())
    {
        return fail(format_args!("can't start a thread: {error}"));
    }
    signals.until_stopped(|| {
        if let Err(problem) = reload(threads.handle(), options) {
            printer.warn(&problem);
        }
    });
    threads.stop();
    ExitCode::SUCCESS
}

/// Reads the configuration file again.
fn reload(handle: &Handle, options: &ServeOptions) -> Result<(), String> {
    let config = configuration::load(&options.config)
        .map_err(|errors| format!("not reloaded, the old configuration stays in force:\n{errors}"))?;
    handle.reload(config).map_err(|error| error.to_string())
}
