//! Links between two owners: out of their shards' hands, or not yet in them.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::link::{OpenLink, SharedLink};
use crate::driver::Socket;
use crate::{Inbound, Link, Outbound};

/// A link out of its shard's hands.
pub(super) struct Surrendered<S> {
    pub(super) shared: Arc<SharedLink<S>>,
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
}

/// Links that came from another process. Those that nobody takes out end.
#[derive(Default)]
pub(super) struct TakenLinks(pub(super) Vec<OpenLink<Link>>);

/// Where shards put the links that they surrender, until all are there.
pub(super) struct Collector<S> {
    state: Mutex<Collected<S>>,
    changed: Condvar,
}

struct Collected<S> {
    links: Vec<Surrendered<S>>,
    /// Links that are still to come; `None` until shard 0 has said how many there are.
    missing: Option<usize>,
    /// Whether they were fetched: what comes after that is too late.
    fetched: bool,
}

impl<S: Socket> Collector<S> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(Collected { links: Vec::new(), missing: None, fetched: false }),
            changed: Condvar::new(),
        }
    }

    /// So many links are to come.
    pub(super) fn expect(&self, links: usize) {
        self.lock().missing = Some(links);
        self.changed.notify_all();
    }

    /// Here is one, or it has ended meanwhile. Whether it was the last.
    pub(super) fn put(&self, link: Option<Surrendered<S>>) -> bool {
        let mut state = self.lock();
        match link {
            Some(late) if state.fetched => late.shared.socket().shutdown(),
            link => state.links.extend(link),
        }
        let missing = state.missing.map_or(0, |missing| missing.saturating_sub(1));
        state.missing = Some(missing);
        self.changed.notify_all();
        missing == 0
    }

    /// Whether all are there.
    pub(super) fn is_complete(&self) -> bool {
        self.lock().missing == Some(0)
    }

    /// All, once they are there; those that are there, when the time is up.
    pub(super) fn wait(&self, deadline: Instant) -> Vec<Surrendered<S>> {
        let mut state = self.lock();
        while state.missing != Some(0) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        state.fetched = true;
        std::mem::take(&mut state.links)
    }

    fn lock(&self) -> MutexGuard<'_, Collected<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> fmt::Debug for Surrendered<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surrendered").field("peer", self.inbound.peer()).finish_non_exhaustive()
    }
}

impl Drop for TakenLinks {
    fn drop(&mut self) {
        for link in &self.0 {
            link.socket.shutdown();
        }
    }
}
