//! `replink check`: is a cluster.toml right, what does it mean, and how safe is it?

mod names;
mod report;

use std::process::ExitCode;
use std::time::Instant;

use replink_transport::CipherSpeed;
use replink_transport::config::{Config, ConfigError, ConfigErrors};
use replink_transport::frame::ReplicaId;
use serde_json::{Value, json};

use self::names::Names;
use crate::arguments::CheckOptions;
use crate::{configuration, fail, hex, output};

pub(crate) fn run(options: &CheckOptions) -> ExitCode {
    let config = match configuration::load(&options.config) {
        Ok(config) => config,
        Err(errors) if options.json => {
            let report = json!({"valid": false, "errors": json_errors(&errors)});
            return output::report(&report.to_string(), ExitCode::FAILURE);
        }
        Err(errors) => return fail(errors),
    };
    // Whose pair secrets there are is who this node can be.
    let holder = config.auth.pairwise.as_ref().map(|pairwise| pairwise.replica);
    let replica = options.replica_id.map(ReplicaId).or(config.replica_id).or(holder);
    if let Some(replica) = replica {
        // As for a replica that starts, whatever its incarnation is.
        if let Err(error) = config.endpoint(replica, None, 0) {
            return fail(error);
        }
    }
    let names = options.resolve.then(|| Names::look_up(&config, replica));
    let report = report::report(&config, replica, names.as_ref(), CipherSpeed::measure(Instant::now));
    let text = if options.json { report.to_string() } else { report::text(&report) };
    output::report(&text, ExitCode::SUCCESS)
}

/// A hash of a configuration as `check` shows it, with secrets as their key ids: the same for all replicas that have
/// the same file, and no help to whoever guesses at a secret beyond what a key id is.
pub(crate) fn configuration_hash(config: &Config) -> String {
    let shown = report::configuration(config, None).to_string();
    hex::encode(&blake3::hash(shown.as_bytes()).as_bytes()[..8])
}

fn json_errors(errors: &ConfigErrors) -> Vec<Value> {
    let json = |error: &ConfigError| {
        json!({
            "file": error.file.as_ref().map(|file| file.display().to_string()),
            "line": error.line,
            "key": error.key,
            "problem": error.problem,
            "cure": error.cure,
        })
    };
    errors.iter().map(json).collect()
}
