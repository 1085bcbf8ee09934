//! A replica that receives the file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use replink_transport::config::Config;
use replink_transport::frame::{Command, GenericHeader};
use replink_transport::node::Event;

use super::{failed, start, tell};
use crate::acknowledgements::Acknowledgements;
use crate::arguments::DemoReplicaOptions;
use crate::demo::place::Place;
use crate::shard_threads::{Handler, ShardThreads};

/// Receives the file into `output`, until the process is asked to stop.
pub(super) fn receive(
    options: &DemoReplicaOptions,
    config: Config,
    output: &Path,
) -> Result<ShardThreads, String> {
    let file = File::create(output).map_err(|error| format!("{}: {error}", output.display()))?;
    let file = Arc::new(file);
    start(options, config, |shard| Backup {
        file: Arc::clone(&file),
        acknowledgements: Acknowledgements::new(shard.handle()),
    })
}

/// Writes what it gets to disk, and only then acknowledges it.
struct Backup {
    file: Arc<File>,
    acknowledgements: Acknowledgements,
}

impl Backup {
    fn store(&self, header: &GenericHeader, body: &[u8]) -> io::Result<()> {
        let place = Place::of(header);
        self.file.write_all_at(body, place.offset)?;
        if place.last { self.file.sync_all() } else { Ok(()) }
    }
}

impl Handler for Backup {
    fn event(&mut self, event: Event<'_>) {
        let problem = match event {
            Event::Frame { link, peer, lane, frame } if frame.header().command == Command::PREPARE => {
                match self.store(frame.header(), frame.body()) {
                    Ok(()) => {
                        self.acknowledgements.acknowledge(link, (peer, lane), frame.header(), frame.body())
                    }
                    Err(error) => Some(format!("can't write its copy: {error}")),
                }
            }
            Event::Drained { link, peer, lane } => self.acknowledgements.drained(link, (peer, lane)),
            Event::Down(down) => {
                self.acknowledgements.forget(down.link);
                None
            }
            _ => None,
        };
        if let Some(problem) = problem {
            tell(&failed(&problem));
        }
    }
}
