use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use replink_transport::gate::{Gate, Refused, Slot, Terms};
use replink_transport::handshake::{Authenticated, Availability};

/// The gate of a node, for all of its threads. Clones are the same one.
#[derive(Clone)]
pub(super) struct Entrance(Arc<Mutex<Gate>>);

/// A slot that goes back by itself.
pub(super) struct HeldSlot {
    entrance: Entrance,
    /// `None` once it went back.
    slot: Option<Slot>,
    pub(super) deadline: Instant,
    pub(super) availability: Availability,
}

impl Entrance {
    pub(super) fn new(terms: Terms, roster: BTreeSet<IpAddr>) -> Self {
        Self(Arc::new(Mutex::new(Gate::new(terms, roster))))
    }

    /// Decides about a connection that was just accepted.
    pub(super) fn admit(&self, address: IpAddr) -> Result<HeldSlot, Refused> {
        let now = Instant::now();
        let mut gate = self.gate();
        let slot = gate.admit(address, now)?;
        let (deadline, availability) = (slot.deadline(), gate.availability(&slot, now));
        drop(gate);
        Ok(HeldSlot { entrance: self.clone(), slot: Some(slot), deadline, availability })
    }

    pub(super) fn replace_terms(&self, terms: Terms) {
        self.gate().replace_terms(terms);
    }

    pub(super) fn replace_roster(&self, roster: BTreeSet<IpAddr>) {
        self.gate().replace_roster(roster);
    }

    pub(super) fn drain(&self) {
        self.gate().drain();
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeldSlot {
    /// The handshake succeeded.
    pub(super) fn authenticated<L>(mut self, link: &Authenticated<L>) {
        if let Some(slot) = self.slot.take() {
            self.entrance.gate().authenticated(slot, link, Instant::now());
        }
    }
}

impl Drop for HeldSlot {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.entrance.gate().release(slot);
        }
    }
}
