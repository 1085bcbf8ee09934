//! Which link a frame goes out on.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use replink_frame::ReplicaId;

use super::link::SharedLink;
use crate::driver::Socket;
use crate::mesh::LinkId;

/// The links that are up.
pub(super) struct Routes<S>(RwLock<Table<S>>);

/// By peer and lane.
type Table<S> = BTreeMap<(ReplicaId, u16), Arc<SharedLink<S>>>;

impl<S: Socket> Routes<S> {
    pub(super) fn new() -> Self {
        Self(RwLock::new(BTreeMap::new()))
    }

    pub(super) fn find(&self, peer: ReplicaId, lane: u16) -> Option<Arc<SharedLink<S>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&(peer, lane)).cloned()
    }

    pub(super) fn with_id(&self, link: LinkId) -> Option<Arc<SharedLink<S>>> {
        self.all().into_iter().find(|shared| shared.id() == link)
    }

    pub(super) fn contains(&self, link: &SharedLink<S>) -> bool {
        self.find(link.peer().replica, link.peer().lane).is_some_and(|found| found.id() == link.id())
    }

    pub(super) fn all(&self) -> Vec<Arc<SharedLink<S>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn insert(&self, link: &Arc<SharedLink<S>>) {
        let key = (link.peer().replica, link.peer().lane);
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(link));
    }

    /// Takes `link` out, unless another one has its place already.
    pub(super) fn remove(&self, link: &SharedLink<S>) {
        let key = (link.peer().replica, link.peer().lane);
        let mut routes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if routes.get(&key).is_some_and(|current| current.id() == link.id()) {
            routes.remove(&key);
        }
    }
}
