//! The configuration that a replica runs with, and how often it was read again.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{io, thread};

use replink_transport::config::Config;
use replink_transport::frame::ReplicaId;
use replink_transport::mesh::Role;
use replink_transport::node::Handle;

use super::Printer;
use crate::{check, configuration};

/// What others than the node want to know of the configuration in force.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    /// A hash of all that it says, of secrets their key ids.
    pub(crate) hash: String,
    /// For how long a shard may be busy.
    pub(crate) heartbeat_timeout: Duration,
    /// Whether this replica is one of the voters.
    pub(crate) is_voter: bool,
    /// How often it was read again and put in force, and how often it could not be.
    pub(crate) reloads: (u64, u64),
    /// When it was put in force, since 1970.
    pub(crate) since: Duration,
}

impl InForce {
    pub(crate) fn new(config: &Config, replica: ReplicaId) -> Self {
        let own = config.node(replica);
        Self {
            hash: check::configuration_hash(config),
            heartbeat_timeout: config.link.heartbeat_timeout,
            is_voter: own.is_some_and(|node| node.role == Role::Voter),
            reloads: (0, 0),
            since: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }
}

/// [`InForce`], for those who look and for the one who changes it.
#[derive(Clone)]
pub(crate) struct Running(Arc<Mutex<InForce>>);

impl Running {
    pub(crate) fn new(in_force: InForce) -> Self {
        Self(Arc::new(Mutex::new(in_force)))
    }

    pub(crate) fn get(&self) -> InForce {
        self.lock().clone()
    }

    fn reloaded(&self, mut next: InForce) {
        let mut in_force = self.lock();
        next.reloads = (in_force.reloads.0 + 1, in_force.reloads.1);
        *in_force = next;
    }

    fn not_reloaded(&self) {
        self.lock().reloads.1 += 1;
    }

    fn lock(&self) -> MutexGuard<'_, InForce> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the configuration again on a thread of its own: whatever hangs there, the thread that takes signals does
/// not.
pub(super) struct Reloader(SyncSender<()>);

impl Reloader {
    pub(super) fn start(
        path: PathBuf,
        handle: Handle,
        printer: Printer,
        running: Running,
    ) -> io::Result<Self> {
        let (asks, asked) = sync_channel(1);
        thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || serve(&asked, &path, &handle, &printer, &running))?;
        Ok(Self(asks))
    }

    /// Asks for a reload. One that has not begun reads what this one would.
    pub(super) fn ask(&self) {
        let _ = self.0.try_send(());
    }
}

fn serve(asked: &Receiver<()>, path: &Path, handle: &Handle, printer: &Printer, running: &Running) {
    for () in asked {
        match reload(path, handle) {
            Ok(in_force) => running.reloaded(in_force),
            Err(problem) => {
                running.not_reloaded();
                printer.warn("not_reloaded", &problem);
            }
        }
    }
}

fn reload(path: &Path, handle: &Handle) -> Result<InForce, String> {
    let config = configuration::load(path)
        .map_err(|errors| format!("not reloaded, the old configuration stays in force:\n{errors}"))?;
    let in_force = InForce::new(&config, handle.replica());
    handle.reload(config).map_err(|error| error.to_string())?;
    Ok(in_force)
}
