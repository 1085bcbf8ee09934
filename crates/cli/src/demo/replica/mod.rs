//! One process of the demo: the replica that sends the file, or one that receives it.

mod backup;
mod primary;

use std::process::ExitCode;

use replink_transport::config::Config;
use replink_transport::frame::ReplicaId;
use replink_transport::node::{Node, NodeOptions, Shard};
use serde_json::{Value, json};

use super::RELEASE;
use crate::arguments::DemoReplicaOptions;
use crate::command_policy::command_policy;
use crate::output::print_line;
use crate::serve::signals::Signals;
use crate::shard_threads::{Handler, ShardThreads};
use crate::{configuration, fail};

pub(crate) fn run(options: &DemoReplicaOptions) -> ExitCode {
    let config = match configuration::load(&options.config) {
        Ok(config) => config,
        Err(errors) => return fail(errors),
    };
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(format_args!("can't listen for signals: {error}")),
    };
    signals.started();
    let started = match (&options.input, &options.output) {
        (Some(input), None) => primary::send(options, config, input),
        (None, Some(output)) => backup::receive(options, config, output),
        _ => return fail("give either --input or --output"),
    };
    match started {
        Ok(threads) => {
            signals.until_stopped(|| ());
            threads.stop();
            ExitCode::SUCCESS
        }
        Err(message) => {
            tell(&failed(&message));
            ExitCode::FAILURE
        }
    }
}

/// Starts a replica whose shards have the handlers that `handler` makes.
fn start<H: Handler>(
    options: &DemoReplicaOptions,
    config: Config,
    handler: impl FnMut(&Shard) -> H,
) -> Result<ShardThreads, String> {
    let node = NodeOptions::new(ReplicaId(options.replica_id)).release(RELEASE).commands(command_policy());
    let node = Node::bind(config, node).map_err(|error| error.to_string())?;
    let shards = node.into_shards(options.shards.into()).map_err(|error| error.to_string())?;
    let handle = shards.first().map(Shard::handle).ok_or("a replica needs a shard")?;
    ShardThreads::start(handle, shards, handler).map_err(|error| error.to_string())
}

/// Tells the demo's own process, which reads as long as it lives and ends this one when it does not.
pub(super) fn tell(event: &Value) {
    let _ = print_line(&event.to_string());
}

fn failed(message: &str) -> Value {
    json!({"event": "failed", "message": message})
}
