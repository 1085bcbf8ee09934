use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use replink_transport::frame::ReplicaId;

use super::RunningLink;

/// The links that are up: at most one per peer and lane.
#[derive(Default)]
pub(super) struct Links(Mutex<State>);

#[derive(Default)]
struct State {
    up: BTreeMap<(ReplicaId, u16), Arc<RunningLink>>,
    /// Links that another one took over, until they end.
    leaving: Vec<Arc<RunningLink>>,
    dialing: BTreeSet<ReplicaId>,
    stopping: bool,
}

impl Links {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a link that came up, and gives the one that it takes over from.
    pub(super) fn insert(&self, link: &Arc<RunningLink>) -> Option<Arc<RunningLink>> {
        let mut state = self.lock();
        let older = state.up.insert(key(link), Arc::clone(link));
        state.leaving.extend(older.clone());
        older
    }

    pub(super) fn remove(&self, link: &Arc<RunningLink>) {
        let mut state = self.lock();
        if state.up.get(&key(link)).is_some_and(|current| Arc::ptr_eq(current, link)) {
            state.up.remove(&key(link));
        }
        state.leaving.retain(|leaving| !Arc::ptr_eq(leaving, link));
    }

    /// All links, those that are leaving too.
    pub(super) fn all(&self) -> Vec<Arc<RunningLink>> {
        let state = self.lock();
        state.up.values().chain(&state.leaving).cloned().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.up.is_empty() && state.leaving.is_empty()
    }

    /// Notes that a thread dials `peer`; false if one does already.
    pub(super) fn begin_dialing(&self, peer: ReplicaId) -> bool {
        self.lock().dialing.insert(peer)
    }

    pub(super) fn end_dialing(&self, peer: ReplicaId) {
        self.lock().dialing.remove(&peer);
    }

    /// From here on no link is wanted any more.
    pub(super) fn stop(&self) {
        self.lock().stopping = true;
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }
}

fn key(link: &RunningLink) -> (ReplicaId, u16) {
    (link.peer().replica, link.peer().lane)
}
