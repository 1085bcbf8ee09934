//! Where the events go.

use std::io;
use std::time::SystemTime;

use replink_transport::frame::ReplicaId;
use replink_transport::node::Handle;

use super::event::Line;
use crate::arguments::EventFormat;
use crate::output::Output;

/// Writes events to stdout, from any thread, and never waits.
#[derive(Clone)]
pub(crate) struct Printer {
    output: Output,
    format: EventFormat,
    replica: ReplicaId,
}

impl Printer {
    pub(super) fn new(format: EventFormat, replica: ReplicaId) -> io::Result<Self> {
        let output = Output::stdout(move |count| {
            let message = format!(
                "{count} events were dropped: nobody took them in time, or they could not be written; the metrics \
                 count all"
            );
            let warning = Line::Warning { kind: "events_dropped", message: &message };
            text_of(&warning, format, replica) + "\n"
        })?;
        Ok(Self { output, format, replica })
    }

    pub(super) fn print(&self, line: &Line<'_>) {
        self.output.line(&text_of(line, self.format, self.replica));
    }

    /// A warning that the node has not logged itself.
    pub(super) fn warn(&self, kind: &str, message: &str) {
        tracing::warn!("{message}");
        self.print(&Line::Warning { kind, message });
    }

    /// What an operator should look at in the configuration in force.
    pub(super) fn warn_of_security(&self, handle: &Handle) {
        for warning in handle.security_status().warnings() {
            self.warn("configuration", &warning.to_string());
        }
    }

    /// Where the events go.
    pub(super) fn output(&self) -> &Output {
        &self.output
    }
}

fn text_of(line: &Line<'_>, format: EventFormat, replica: ReplicaId) -> String {
    let time = humantime::format_rfc3339_micros(SystemTime::now());
    match format {
        EventFormat::Json => line.json(&time, replica).to_string(),
        EventFormat::Text => line.text(&time, replica),
    }
}
