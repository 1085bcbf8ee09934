//! Where the lines go.

use std::io::{self, Write};

use replink_transport::node::Handle;

use super::event::Line;
use crate::arguments::EventFormat;

/// Writes events to stdout, from any thread.
#[derive(Clone, Copy)]
pub(super) struct Printer(EventFormat);

impl Printer {
    pub(super) fn new(format: EventFormat) -> Self {
        Self(format)
    }

    pub(super) fn print(self, line: &Line<'_>) {
        print_line(&match self.0 {
            EventFormat::Json => line.json().to_string(),
            EventFormat::Text => line.text(),
        });
    }

    /// A warning that the node has not logged itself.
    pub(super) fn warn(self, message: &str) {
        tracing::warn!("{message}");
        self.print(&Line::Warning { message });
    }

    /// What an operator should look at in the configuration in force.
    pub(super) fn warn_of_security(self, handle: &Handle) {
        for warning in handle.security_status().warnings() {
            self.warn(&warning.to_string());
        }
    }
}

/// Writes one whole line, so that those who read the pipe see each event at once. A reader that
/// went away does not stop a replica.
pub(crate) fn print_line(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
