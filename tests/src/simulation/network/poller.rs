//! Readiness, as one shard's driver is told of it.

use std::collections::BTreeMap;

use replink_transport::driver::seam::Token;
use replink_transport::driver::{Readiness, Token as OldToken};

/// What one shard watches, and what has become ready of it.
#[derive(Debug, Default)]
pub(in crate::simulation) struct Poller {
    ready: BTreeMap<Token, (bool, bool)>,
    pub(super) woken: bool,
}

impl Poller {
    /// Something has become ready.
    pub(super) fn report(&mut self, token: Token, readable: bool, writable: bool) {
        let ready = self.ready.entry(token).or_default();
        ready.0 |= readable;
        ready.1 |= writable;
    }

    /// Nothing more is said about `token`.
    pub(super) fn forget(&mut self, token: Token) {
        self.ready.remove(&token);
    }

    /// Whether a wait would end at once.
    pub(super) fn is_due(&self) -> bool {
        self.woken || !self.ready.is_empty()
    }

    /// Everything that has become ready since the last time.
    pub(super) fn take(&mut self) -> Vec<Readiness> {
        self.woken = false;
        let ready = std::mem::take(&mut self.ready).into_iter();
        // The end is found as WouldBlock is: every read is tried again.
        let readiness = |(token, (readable, writable)): (Token, _)| Readiness {
            token: OldToken(token.0),
            readable,
            writable,
            ended: false,
        };
        ready.map(readiness).collect()
    }
}
