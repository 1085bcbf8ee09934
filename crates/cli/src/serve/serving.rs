//! What `serve` does with what happens on a shard.

use replink_transport::frame::Command;
use replink_transport::node::{Event, Handle};

use super::event::Line;
use super::printer::Printer;
use crate::acknowledgements::Acknowledgements;
use crate::shard_threads::Handler;

/// Tells the operator of everything, and acknowledges Prepares.
pub(super) struct Serving {
    shard: usize,
    handle: Handle,
    printer: Printer,
    print_frames: bool,
    acknowledgements: Acknowledgements,
}

impl Serving {
    pub(super) fn new(shard: usize, handle: Handle, printer: Printer, print_frames: bool) -> Self {
        let acknowledgements = Acknowledgements::new(handle.clone());
        Self { shard, handle, printer, print_frames, acknowledgements }
    }
}

impl Handler for Serving {
    fn event(&mut self, event: Event<'_>) {
        let printer = &self.printer;
        match event {
            Event::Up(up) => printer.print(&Line::Up { up: &up, shard: self.shard }),
            Event::Frame { link, peer, lane, frame } => {
                let header = frame.header();
                if self.print_frames {
                    let (command, size) = (header.command, header.size.get());
                    printer.print(&Line::Frame { peer, command, size });
                }
                if header.command == Command::PREPARE {
                    let body = frame.body();
                    let problem = self.acknowledgements.acknowledge(link, (peer, lane), header, body);
                    if let Some(problem) = problem {
                        printer.warn("acknowledgements", &problem);
                    }
                }
            }
            Event::Drained { link, peer, lane } => {
                let problem = self.acknowledgements.drained(link, (peer, lane));
                if let Some(problem) = problem {
                    printer.warn("acknowledgements", &problem);
                }
            }
            Event::Renewed { link, peer, lane, by } => {
                let problem = self.acknowledgements.renewed(link, by, (peer, lane));
                if let Some(problem) = problem {
                    printer.warn("acknowledgements", &problem);
                }
            }
            Event::Down(down) => {
                self.acknowledgements.forget(down.link);
                printer.print(&Line::Down(&down));
            }
            Event::Rejected(refusal) => printer.print(&Line::Rejected(&refusal)),
            // The node has logged it.
            Event::Warning(warning) => {
                printer.print(&Line::Warning { kind: warning.kind(), message: &warning.to_string() });
            }
            Event::Unreachable(unreachable) => printer.print(&Line::Unreachable(&unreachable)),
            Event::Reloaded(reloaded) => {
                printer.print(&Line::Reloaded(&reloaded));
                printer.warn_of_security(&self.handle);
            }
            // Nothing here moves a link, and who ends the shard sees that it has ended.
            _ => {}
        }
    }
}
