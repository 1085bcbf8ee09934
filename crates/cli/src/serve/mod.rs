//! `replink serve`: one replica that acknowledges every Prepare.

pub(crate) mod signals;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use replink_transport::Admitted;
use replink_transport::config::Config;
use replink_transport::frame::{Command, GenericHeader, ReplicaId};

use crate::arguments::{EventFormat, ServeOptions};
use crate::fail;
use crate::node::{Event, Handler, Node, RunningLink};

/// How long peers get to read our goodbye.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);

/// The software release of this embedder, as the handshake tells it.
pub(crate) const RELEASE: u32 = 1;

pub(crate) fn run(options: &ServeOptions) -> ExitCode {
    if options.metrics.is_some() {
        return fail("--metrics is not available in this version");
    }
    let config = match Config::load(&options.config) {
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
    let server = Server { replica, format: options.events, print_frames: options.print_frames };
    let node = match Node::start(config, replica, RELEASE, Arc::new(server)) {
        Ok(node) => node,
        Err(error) => return fail(error),
    };
    signals.until_stopped(|| {
        if let Err(error) = node.reload() {
            node.warn(error.to_string());
        }
    });
    node.drain(DRAIN_PATIENCE);
    ExitCode::SUCCESS
}

struct Server {
    replica: ReplicaId,
    format: EventFormat,
    print_frames: bool,
}

impl Handler for Server {
    fn event(&self, event: &Event) {
        let line = match self.format {
            EventFormat::Json => event.json().to_string(),
            EventFormat::Text => event.text(),
        };
        print_line(&line);
    }

    fn frame(&self, link: &Arc<RunningLink>, frame: Admitted<'_>) {
        let header = frame.header();
        if self.print_frames {
            self.event(&Event::Frame {
                peer: link.peer().replica,
                command: header.command,
                size: header.size.get(),
            });
        }
        if header.command == Command::PREPARE {
            let ok = prepare_ok(header, frame.body(), self.replica);
            // A link that is over has no one to answer to.
            let _ = link.send(ok, Bytes::new());
        }
    }
}

/// The acknowledgement of a Prepare: same view, no body, and the hash of the Prepare's body.
pub(crate) fn prepare_ok(prepare: &GenericHeader, body: &[u8], replica: ReplicaId) -> GenericHeader {
    let mut ok = GenericHeader::new(prepare.cluster, Command::PREPARE_OK, 0);
    ok.view = prepare.view;
    ok.release = RELEASE.into();
    ok.replica = replica;
    ok.reserved_command[..32].copy_from_slice(blake3::hash(body).as_bytes());
    ok
}

/// Writes one whole line, so that those who read the pipe see each event at once. A reader that
/// went away does not stop a replica.
pub(crate) fn print_line(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
