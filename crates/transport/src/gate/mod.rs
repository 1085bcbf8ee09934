//! What happens to a connection before it is authenticated.
//!
//! A [`Gate`] knows no socket, no clock and no thread: addresses and times come in, decisions go
//! out. An accepted connection asks it for a [`Slot`] before its first byte is read, and gives the
//! slot back when its handshake is over, one way or the other.
//!
//! **Who gets a slot.** There are `max_pending` slots. Some of them are kept back for each address
//! of the roster ([`KEPT_BACK_PER_ADDRESS`]); all connections share the others. A connection from
//! a roster address takes one that is kept back for this very address while there is one. Besides,
//! no address has more than `max_pending_per_address` slots for each replica that is there, unless a handshake from it
//! has succeeded lately ([`PROVEN_FOR`]). So no flood takes the slots that are kept back for a replica,
//! wherever it comes from: elsewhere, many places, or another replica's address.
//!
//! **Which address counts.** An IPv4 address that arrives as `::ffff:…` is the IPv4 address. An
//! IPv6 address counts together with its /64, which one host may own, and with the /56 and the /48 around it, which one
//! customer may own: all of these have at most 4 and 8 times as many slots ([`NETWORKS`]). An address that is on the
//! roster, or that has proved itself, counts alone.
//!
//! **Who is told `busy`.** Only a peer that has a slot is read, and only a peer that was read can
//! be told anything. Beyond the limits connections are closed unread. A stranger, with an address
//! that is not on the roster and has not proved itself lately, is told `busy` while more than
//! three quarters of the shared slots are taken.

mod allow;
mod networks;
mod proven;
mod refused;
mod shares;
mod slot;
mod source;
mod terms;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use replink_handshake::{Authenticated, Authentication, Availability};

pub use self::allow::allows;
pub use self::networks::NETWORKS;
pub use self::proven::{PROVEN_FOR, PROVEN_MAX};
pub use self::refused::Refused;
pub use self::shares::KEPT_BACK_PER_ADDRESS;
pub use self::slot::{Slot, SlotId};
pub use self::terms::Terms;

use self::networks::Networks;
use self::proven::Proven;
use self::shares::Shares;
pub(crate) use self::source::Source;
use crate::DURATION_MAX;

/// Roster addresses that are looked at. There are 256 replicas, and a name may stand for a few
/// addresses; what is beyond, in the order of addresses, counts as any other address.
pub const ROSTER_ADDRESSES_MAX: usize = 1024;

/// The shortest time after which a peer is told to come back, in milliseconds.
pub const RETRY_AFTER_MS_MIN: u32 = 250;

/// The longest time after which a peer is told to come back, in milliseconds.
pub const RETRY_AFTER_MS_MAX: u32 = 5_000;

/// Decides what happens to connections that are not authenticated, and counts them.
///
/// It remembers at most `max_pending` connections (the largest `max_pending` that it had, until
/// those are over), [`PROVEN_MAX`] addresses and [`ROSTER_ADDRESSES_MAX`].
#[derive(Debug)]
pub struct Gate {
    terms: Terms,
    /// How many replicas are at each address.
    roster: BTreeMap<IpAddr, u32>,
    shares: Shares,
    pending: BTreeMap<SlotId, Pending>,
    deadlines: BTreeSet<(Instant, SlotId)>,
    counts: BTreeMap<Source, u32>,
    networks: Networks,
    /// Taken slots out of those that are kept back.
    kept_in_use: u32,
    proven: Proven,
    next_id: u64,
    draining: bool,
}

#[derive(Debug)]
struct Pending {
    address: IpAddr,
    source: Source,
    deadline: Instant,
}

impl Gate {
    /// A gate without connections. `roster` has the addresses of the replicas, looked up: one that several share as
    /// often as there are.
    pub fn new(terms: Terms, roster: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut gate = Self {
            terms,
            roster: BTreeMap::new(),
            shares: Shares::default(),
            pending: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            counts: BTreeMap::new(),
            networks: Networks::default(),
            kept_in_use: 0,
            proven: Proven::default(),
            next_id: 0,
            draining: false,
        };
        gate.replace_roster(roster);
        gate
    }

    /// Decides whether a connection from `address`, accepted at `now`, may be read.
    ///
    /// # Errors
    ///
    /// [`Refused`]: the connection is to be closed unread.
    pub fn admit(&mut self, address: IpAddr, now: Instant) -> Result<Slot, Refused> {
        let address = address.to_canonical();
        if !self.terms.allows(address) {
            return Err(Refused::NotAllowed);
        }
        let total = self.pending();
        if total >= self.terms.max_pending {
            return Err(Refused::Full { pending: total, kept_back: 0 });
        }
        let source = self.source(address, now);
        let from_source = self.count(source);
        let proven = self.proven.contains(address, now);
        let replicas = self.roster.get(&address).copied().unwrap_or(1);
        if !proven && from_source >= self.terms.max_pending_per_address.saturating_mul(replicas) {
            return Err(Refused::Address { pending: from_source });
        }
        if let Some(pending) = self.networks.full(source, self.terms.max_pending_per_address) {
            return Err(Refused::Address { pending });
        }
        if !self.has_kept_back(source) && self.shared_in_use() >= self.shares.shared {
            return Err(Refused::Full { pending: total, kept_back: self.terms.max_pending - total });
        }
        let id = SlotId(self.next_id);
        self.next_id += 1;
        let deadline = now + self.terms.handshake_timeout.min(DURATION_MAX);
        self.pending.insert(id, Pending { address, source, deadline });
        self.deadlines.insert((deadline, id));
        self.add(source);
        Ok(Slot { id, address, deadline })
    }

    /// What the Hello of the connection in `slot` is to be answered with, at `now`.
    pub fn availability(&self, slot: &Slot, now: Instant) -> Availability {
        if self.draining {
            return Availability::Draining { retry_after_ms: self.retry_after_ms() };
        }
        let stranger = !self.roster.contains_key(&slot.address) && !self.proven.contains(slot.address, now);
        if stranger && self.shared_in_use() > self.shares.high_water() {
            return Availability::Busy { retry_after_ms: self.retry_after_ms() };
        }
        Availability::Open
    }

    /// The handshake in `slot` has succeeded at `now`. Its address is not throttled for some time,
    /// unless authentication is disabled (H-12): then nothing was proved.
    pub fn authenticated<L>(&mut self, slot: Slot, link: &Authenticated<L>, now: Instant) {
        let proved = link.peer().authentication != Authentication::Disabled;
        if let Some(slot) = self.take_back(slot).filter(|_| proved) {
            self.proven.insert(slot.address, now);
        }
    }

    /// The connection in `slot` is over without a proof.
    pub fn release(&mut self, slot: Slot) {
        let _taken_back = self.take_back(slot);
    }

    /// When to call [`Self::expired`]; not before `now`, so that a timer takes it as it is. `None`
    /// while no connection is pending.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline.max(now))
    }

    /// The connections whose time is up at `now`, earliest first. Each of them is named until its
    /// slot is given back.
    pub fn expired(&self, now: Instant) -> impl Iterator<Item = SlotId> {
        self.deadlines.iter().take_while(move |&&(deadline, _)| deadline <= now).map(|&(_, id)| id)
    }

    /// Puts other limits and another allow list in force. Pending connections stay, with the
    /// deadlines that they have; above a lowered limit no other one is admitted until they are
    /// over. Addresses have to prove themselves anew: their key may be the one that was dropped.
    pub fn replace_terms(&mut self, terms: Terms) {
        self.terms = terms;
        self.proven = Proven::default();
        self.recount();
    }

    /// Puts another roster in force. Pending connections stay. Where they hold slots that a new
    /// address is to have, it has them when those are over.
    pub fn replace_roster(&mut self, roster: impl IntoIterator<Item = IpAddr>) {
        self.roster.clear();
        for address in roster {
            *self.roster.entry(address.to_canonical()).or_default() += 1;
        }
        while self.roster.len() > ROSTER_ADDRESSES_MAX {
            self.roster.pop_last();
        }
        self.recount();
    }

    /// From here on every peer is told to come back later.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether `address` is a replica's.
    #[cfg(feature = "node")]
    pub(crate) fn knows(&self, address: IpAddr) -> bool {
        self.roster.contains_key(&address.to_canonical())
    }

    /// Connections that have not authenticated.
    pub fn pending(&self) -> u32 {
        u32::try_from(self.pending.len()).unwrap_or(u32::MAX)
    }

    fn source(&self, address: IpAddr, now: Instant) -> Source {
        if self.roster.contains_key(&address) || self.proven.contains(address, now) {
            Source::Address(address)
        } else {
            Source::of_stranger(address)
        }
    }

    fn count(&self, source: Source) -> u32 {
        self.counts.get(&source).copied().unwrap_or(0)
    }

    fn is_on_roster(&self, source: Source) -> bool {
        matches!(source, Source::Address(address) if self.roster.contains_key(&address))
    }

    /// Whether one more connection from `source` takes a slot that is kept back for it.
    fn has_kept_back(&self, source: Source) -> bool {
        self.is_on_roster(source) && self.count(source) < self.shares.kept_back
    }

    fn shared_in_use(&self) -> u32 {
        self.pending() - self.kept_in_use
    }

    fn add(&mut self, source: Source) {
        self.kept_in_use += u32::from(self.has_kept_back(source));
        *self.counts.entry(source).or_default() += 1;
        self.networks.add(source);
    }

    /// The slot, which is free now; `None` if it is another gate's.
    fn take_back(&mut self, slot: Slot) -> Option<Slot> {
        let (id, deadline) = (slot.id, slot.deadline);
        let ours = |pending: &&Pending| (pending.address, pending.deadline) == (slot.address, deadline);
        let source = self.pending.get(&id).filter(ours)?.source;
        self.pending.remove(&id);
        self.deadlines.remove(&(deadline, id));
        if let Some(count) = self.counts.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&source);
            }
        }
        self.networks.remove(source);
        self.kept_in_use -= u32::from(self.has_kept_back(source));
        Some(slot)
    }

    /// Sorts the pending connections anew, under other terms or another roster.
    fn recount(&mut self) {
        self.shares = Shares::new(&self.terms, self.roster.len());
        self.counts.clear();
        self.networks = Networks::default();
        self.kept_in_use = 0;
        let mut pending = std::mem::take(&mut self.pending);
        for connection in pending.values_mut() {
            let source = match connection.address {
                address if self.roster.contains_key(&address) => Source::Address(address),
                address => Source::of_stranger(address),
            };
            connection.source = source;
            self.add(source);
        }
        self.pending = pending;
    }

    /// Grows with the load on the shared slots above the high-water mark.
    fn retry_after_ms(&self) -> u32 {
        let (mark, shared) = (self.shares.high_water(), self.shares.shared);
        let above = u64::from(self.shared_in_use().saturating_sub(mark));
        let room = u64::from((shared - mark).max(1));
        let spread = u64::from(RETRY_AFTER_MS_MAX - RETRY_AFTER_MS_MIN);
        let extra = u32::try_from(spread * above.min(room) / room).unwrap_or(u32::MAX);
        RETRY_AFTER_MS_MIN.saturating_add(extra).min(RETRY_AFTER_MS_MAX)
    }
}
