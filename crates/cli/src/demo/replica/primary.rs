//! The replica that sends the file.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use replink_transport::SendCause;
use replink_transport::config::{Config, open_file};
use replink_transport::frame::{Command, GenericHeader, HEADER_SIZE, ReplicaId};
use replink_transport::node::{Event, Handle};
use serde_json::json;

use super::{start, tell};
use crate::arguments::DemoReplicaOptions;
use crate::demo::place::Place;
use crate::demo::replication::{PROGRESS_INTERVAL, Replication};
use crate::shard_threads::{Handler, ShardThreads};

/// Sends the file to all backups, and returns when each has acknowledged all of it.
pub(super) fn send(
    options: &DemoReplicaOptions,
    config: Config,
    input: &Path,
) -> Result<ShardThreads, String> {
    let failed = |error: io::Error| format!("{}: {error}", input.display());
    let mut file = open_file(input).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let cluster = config.cluster;
    let backups = config.nodes.len() - 1;
    let replication = Arc::new(Replication::default());
    let threads = start(options, config, |_| Primary(Arc::clone(&replication)))?;
    let backups = replication.wait_for(backups)?;

    let began = Instant::now();
    let body_size = options.frame_size as usize - HEADER_SIZE;
    let mut offset = 0;
    let mut told = began;
    while offset < size {
        let len = usize::try_from(size - offset).map_or(body_size, |left| left.min(body_size));
        let mut body = vec![0; len];
        file.read_exact(&mut body).map_err(failed)?;
        let body = Bytes::from(body);
        let next = offset + len as u64;
        let header = Place { offset, last: next == size }.prepare(cluster, &body);
        replication.expect(blake3::hash(&body).into(), len as u64);
        for &backup in &backups {
            send_to(threads.handle(), &replication, backup, &header, &body)?;
        }
        offset = next;
        replication.check()?;
        if told.elapsed() >= PROGRESS_INTERVAL {
            told = Instant::now();
            replication.tell_progress();
        }
    }
    replication.wait_until_acknowledged(size)?;
    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    tell(&json!({"event": "replicated", "bytes": size, "micros": micros}));
    Ok(threads)
}

/// Sends one frame, and waits while the link's queue is full.
fn send_to(
    handle: &Handle,
    replication: &Replication,
    backup: ReplicaId,
    header: &GenericHeader,
    body: &Bytes,
) -> Result<(), String> {
    loop {
        let drained = replication.drained(backup);
        match handle.send_on(backup, 0, header, body.clone()) {
            Ok(_) => return Ok(()),
            Err(error) if matches!(error.cause(), SendCause::Backpressure { .. }) => {
                replication.wait_until_drained(backup, drained)?;
            }
            // Why the link is down is in the replication's state, or will be at once.
            Err(error) => return replication.wait_for_failure(&error.to_string()),
        }
    }
}

/// Follows what happens on one shard.
struct Primary(Arc<Replication>);

impl Handler for Primary {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Up(up) => self.0.up(up.peer.replica),
            Event::Frame { peer, frame, .. } if frame.header().command == Command::PREPARE_OK => {
                self.0.acknowledge(peer, &frame.header().reserved_command[..32]);
            }
            Event::Drained { peer, .. } => self.0.has_drained(peer),
            Event::Down(down) => {
                let peer = down.peer.replica;
                self.0.fail(format!("the link to replica {peer} is down: {}", down.reason));
            }
            _ => {}
        }
    }
}
