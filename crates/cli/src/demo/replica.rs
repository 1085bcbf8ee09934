//! One process of the demo: the replica that sends the file, or one that receives it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use replink_transport::Admitted;
use replink_transport::config::Config;
use replink_transport::frame::{ClusterId, Command, GenericHeader, HEADER_SIZE, ReplicaId};
use serde_json::{Value, json};

use crate::arguments::DemoReplicaOptions;
use crate::fail;
use crate::node::{Event, Handler, Node, RunningLink};
use crate::serve::signals::Signals;
use crate::serve::{RELEASE, prepare_ok, print_line};

/// How long all backups may take to come up.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// How often to tell how far the replication is.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);

const DRAIN_PATIENCE: Duration = Duration::from_secs(1);

pub(crate) fn run(options: &DemoReplicaOptions) -> ExitCode {
    let config = match Config::load(&options.config) {
        Ok(config) => config,
        Err(errors) => return fail(errors),
    };
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(format_args!("can't listen for signals: {error}")),
    };
    let started = match (&options.input, &options.output) {
        (Some(input), None) => send(options, config, input),
        (None, Some(output)) => receive(options, config, output),
        _ => return fail("give either --input or --output"),
    };
    match started {
        Ok(node) => {
            signals.until_stopped(|| ());
            node.drain(DRAIN_PATIENCE);
            ExitCode::SUCCESS
        }
        Err(message) => {
            print_line(&json!({"event": "failed", "message": message}).to_string());
            ExitCode::FAILURE
        }
    }
}

/// How a Prepare of the demo says where its body belongs: the offset, and whether it is the last.
fn prepare(cluster: ClusterId, offset: u64, last: bool, body: &[u8]) -> GenericHeader {
    let mut header = GenericHeader::new(cluster, Command::PREPARE, body.len());
    header.release = RELEASE.into();
    header.reserved_command[..8].copy_from_slice(&offset.to_le_bytes());
    header.reserved_command[8] = last.into();
    header
}

fn offset_and_last(prepare: &GenericHeader) -> (u64, bool) {
    let mut offset = [0; 8];
    offset.copy_from_slice(&prepare.reserved_command[..8]);
    (u64::from_le_bytes(offset), prepare.reserved_command[8] != 0)
}

fn receive(options: &DemoReplicaOptions, config: Config, output: &Path) -> Result<Node, String> {
    let file = File::create(output).map_err(|error| format!("{}: {error}", output.display()))?;
    let replica = ReplicaId(options.replica_id);
    let backup = Backup { replica, file };
    Node::start(config, replica, RELEASE, Arc::new(backup)).map_err(|error| error.to_string())
}

/// Writes what it gets to disk, and only then acknowledges it.
struct Backup {
    replica: ReplicaId,
    file: File,
}

impl Backup {
    fn store(&self, header: &GenericHeader, body: &[u8]) -> io::Result<()> {
        let (offset, last) = offset_and_last(header);
        self.file.write_all_at(body, offset)?;
        if last { self.file.sync_all() } else { Ok(()) }
    }
}

impl Handler for Backup {
    fn event(&self, _: &Event) {}

    fn frame(&self, link: &Arc<RunningLink>, frame: Admitted<'_>) {
        if frame.header().command != Command::PREPARE {
            return;
        }
        match self.store(frame.header(), frame.body()) {
            Ok(()) => {
                let ok = prepare_ok(frame.header(), frame.body(), self.replica);
                let _ = link.send(ok, Bytes::new());
            }
            Err(error) => {
                let message = format!("can't write its copy: {error}");
                print_line(&json!({"event": "failed", "message": message}).to_string());
            }
        }
    }
}

fn send(options: &DemoReplicaOptions, config: Config, input: &Path) -> Result<Node, String> {
    let failed = |error: io::Error| format!("{}: {error}", input.display());
    let mut file = File::open(input).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let cluster = config.cluster;
    let backups = config.nodes.len() - 1;
    let primary = Arc::new(Primary::default());
    let node = Node::start(config, ReplicaId(options.replica_id), RELEASE, primary.clone())
        .map_err(|error| error.to_string())?;
    let links = primary.wait_for(backups)?;

    let began = Instant::now();
    let body_size = options.frame_size as usize - HEADER_SIZE;
    let mut offset = 0;
    while offset < size {
        let len = usize::try_from(size - offset).map_or(body_size, |left| left.min(body_size));
        let mut body = vec![0; len];
        file.read_exact(&mut body).map_err(failed)?;
        let body = Bytes::from(body);
        let next = offset + len as u64;
        let header = prepare(cluster, offset, next == size, &body);
        primary.expect(blake3::hash(&body).into(), len as u64);
        for link in &links {
            // What the link's end was is in the state by then, or will be.
            let _ = link.send(header, body.clone());
        }
        offset = next;
        primary.check()?;
    }
    primary.wait_until_acknowledged(size)?;
    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    print_line(&json!({"event": "replicated", "bytes": size, "micros": micros}).to_string());
    Ok(node)
}

/// Sends, and checks each acknowledgement.
#[derive(Default)]
struct Primary {
    state: Mutex<Replication>,
    changed: Condvar,
}

#[derive(Default)]
struct Replication {
    backups: BTreeMap<ReplicaId, Acknowledged>,
    failure: Option<String>,
}

/// How far one backup is.
struct Acknowledged {
    link: Arc<RunningLink>,
    /// Hash and length of what was sent and is not acknowledged.
    awaited: VecDeque<([u8; 32], u64)>,
    bytes: u64,
}

impl Primary {
    fn lock(&self) -> MutexGuard<'_, Replication> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, message: String) {
        self.lock().failure.get_or_insert(message);
        self.changed.notify_all();
    }

    fn check(&self) -> Result<(), String> {
        self.lock().failure.clone().map_or(Ok(()), Err)
    }

    /// The links to all backups, once they are up.
    fn wait_for(&self, backups: usize) -> Result<Vec<Arc<RunningLink>>, String> {
        let (state, timeout) = self
            .changed
            .wait_timeout_while(self.lock(), CONNECT_PATIENCE, |state| {
                state.failure.is_none() && state.backups.len() < backups
            })
            .unwrap_or_else(PoisonError::into_inner);
        match &state.failure {
            Some(failure) => Err(failure.clone()),
            None if timeout.timed_out() => {
                Err(format!("only {} of {backups} backups came up in time", state.backups.len()))
            }
            None => Ok(state.backups.values().map(|backup| Arc::clone(&backup.link)).collect()),
        }
    }

    /// Notes what every backup is about to be sent.
    fn expect(&self, hash: [u8; 32], len: u64) {
        for backup in self.lock().backups.values_mut() {
            backup.awaited.push_back((hash, len));
        }
    }

    /// Tells how far the slowest backup is, until it has all of `size` bytes.
    fn wait_until_acknowledged(&self, size: u64) -> Result<(), String> {
        let mut state = self.lock();
        loop {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            let acknowledged = state.backups.values().map(|backup| backup.bytes).min().unwrap_or(0);
            print_line(&progress(acknowledged).to_string());
            if acknowledged == size {
                return Ok(());
            }
            (state, _) =
                self.changed.wait_timeout(state, PROGRESS_INTERVAL).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn acknowledge(&self, peer: ReplicaId, hash: &[u8]) {
        let mut state = self.lock();
        let Some(backup) = state.backups.get_mut(&peer) else { return };
        match backup.awaited.pop_front() {
            Some((expected, len)) if expected == hash => backup.bytes += len,
            _ => {
                state
                    .failure
                    .get_or_insert(format!("replica {peer} acknowledged something that was not sent"));
                self.changed.notify_all();
            }
        }
    }
}

fn progress(acknowledged: u64) -> Value {
    json!({"event": "progress", "acknowledged": acknowledged})
}

impl Handler for Primary {
    fn event(&self, event: &Event) {
        if let Event::Warning { message } = event {
            tracing::warn!("{message}");
        }
    }

    fn up(&self, link: &Arc<RunningLink>) {
        let backup = Acknowledged { link: Arc::clone(link), awaited: VecDeque::new(), bytes: 0 };
        self.lock().backups.insert(link.peer().replica, backup);
        self.changed.notify_all();
    }

    fn frame(&self, link: &Arc<RunningLink>, frame: Admitted<'_>) {
        if frame.header().command == Command::PREPARE_OK {
            self.acknowledge(link.peer().replica, &frame.header().reserved_command[..32]);
        }
    }

    fn down(&self, link: &Arc<RunningLink>, reason: &str) {
        self.fail(format!("the link to replica {} is down: {reason}", link.peer().replica));
    }
}
