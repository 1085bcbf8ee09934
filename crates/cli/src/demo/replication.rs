//! How far the replication is, between the thread that sends and those that hear of the backups.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use replink_transport::frame::ReplicaId;
use serde_json::json;

use super::replica::tell;

/// How long all backups may take to come up.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// How often to tell how far the replication is.
pub(super) const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);

/// How long the news of a link that is down may take.
const FAILURE_PATIENCE: Duration = Duration::from_secs(1);

/// What is sent, and checked against each acknowledgement.
#[derive(Default)]
pub(super) struct Replication {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    backups: BTreeMap<ReplicaId, Backup>,
    failure: Option<String>,
}

/// How far one backup is.
#[derive(Default)]
struct Backup {
    /// Hash and length of what was sent and is not acknowledged.
    awaited: VecDeque<([u8; 32], u64)>,
    bytes: u64,
    /// How often its link's queue had room again.
    drained: u64,
}

impl Replication {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done`, or until something failed; at most for `patience`. Whether it is done.
    fn wait(&self, patience: Duration, done: impl Fn(&State) -> bool) -> Result<bool, String> {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), patience, |state| state.failure.is_none() && !done(state))
            .unwrap_or_else(PoisonError::into_inner);
        match &state.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(done(&state)),
        }
    }

    /// Ends the replication. Only the first failure counts: the others follow from it.
    pub(super) fn fail(&self, message: String) {
        self.lock().failure.get_or_insert(message);
        self.changed.notify_all();
    }

    /// Whether all is well so far.
    pub(super) fn check(&self) -> Result<(), String> {
        self.lock().failure.clone().map_or(Ok(()), Err)
    }

    /// Waits for the news of what failed; `message` if there is none.
    pub(super) fn wait_for_failure(&self, message: &str) -> Result<(), String> {
        self.wait(FAILURE_PATIENCE, |_| false)?;
        Err(message.to_owned())
    }

    /// A backup is there.
    pub(super) fn up(&self, backup: ReplicaId) {
        self.lock().backups.entry(backup).or_default();
        self.changed.notify_all();
    }

    /// All backups, once they are there.
    pub(super) fn wait_for(&self, backups: usize) -> Result<Vec<ReplicaId>, String> {
        let all = self.wait(CONNECT_PATIENCE, |state| state.backups.len() == backups)?;
        let up: Vec<_> = self.lock().backups.keys().copied().collect();
        if all { Ok(up) } else { Err(format!("only {} of {backups} backups came up in time", up.len())) }
    }

    /// Notes what every backup is about to be sent.
    pub(super) fn expect(&self, hash: [u8; 32], len: u64) {
        for backup in self.lock().backups.values_mut() {
            backup.awaited.push_back((hash, len));
        }
    }

    /// How often the queue of a backup's link had room again.
    pub(super) fn drained(&self, backup: ReplicaId) -> u64 {
        self.lock().backups.get(&backup).map_or(0, |backup| backup.drained)
    }

    /// Waits until it has room once more than `before`.
    pub(super) fn wait_until_drained(&self, backup: ReplicaId, before: u64) -> Result<(), String> {
        let drained = |state: &State| state.backups.get(&backup).is_none_or(|it| it.drained > before);
        // Without news of the link it waits on: who started this process has the last word.
        while !self.wait(PROGRESS_INTERVAL, drained)? {
            self.tell_progress();
        }
        Ok(())
    }

    /// The queue of a backup's link has room again.
    pub(super) fn has_drained(&self, backup: ReplicaId) {
        if let Some(backup) = self.lock().backups.get_mut(&backup) {
            backup.drained += 1;
        }
        self.changed.notify_all();
    }

    /// A backup acknowledges what has this hash.
    pub(super) fn acknowledge(&self, peer: ReplicaId, hash: &[u8]) {
        let mut state = self.lock();
        let Some(backup) = state.backups.get_mut(&peer) else { return };
        match backup.awaited.pop_front() {
            Some((expected, len)) if expected == hash => backup.bytes += len,
            _ => {
                drop(state);
                self.fail(format!("replica {peer} acknowledged something that was not sent"));
            }
        }
    }

    /// Tells how far the slowest backup is, until it has all of `size` bytes.
    pub(super) fn wait_until_acknowledged(&self, size: u64) -> Result<(), String> {
        while self.tell_progress() < size {
            self.wait(PROGRESS_INTERVAL, |state| slowest(state) == size)?;
        }
        self.check()
    }

    /// Tells how far the slowest backup is, and returns it.
    pub(super) fn tell_progress(&self) -> u64 {
        let acknowledged = slowest(&self.lock());
        tell(&json!({"event": "progress", "acknowledged": acknowledged}));
        acknowledged
    }
}

fn slowest(state: &State) -> u64 {
    state.backups.values().map(|backup| backup.bytes).min().unwrap_or(0)
}
