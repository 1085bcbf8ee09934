//! Where a dialer looks for its peer.

use std::net::SocketAddr;
use std::time::Instant;

/// The addresses of one peer, each with its share of the time.
pub(super) struct Route {
    addresses: Vec<SocketAddr>,
    next: usize,
    until: Instant,
    deadline: Instant,
}

impl Route {
    /// Before the first address.
    pub(super) fn new(addresses: Vec<SocketAddr>, deadline: Instant) -> Self {
        Self { addresses, next: 0, until: deadline, deadline }
    }

    /// Goes on to the next address, if there is one. One that swallows everything, or says nothing, leaves
    /// the others their equal share of the time that is left.
    pub(super) fn go_on(&mut self, now: Instant) -> Option<SocketAddr> {
        let address = *self.addresses.get(self.next)?;
        let untried = u32::try_from(self.addresses.len() - self.next).unwrap_or(u32::MAX);
        self.next += 1;
        self.until = now + self.deadline.saturating_duration_since(now) / untried;
        Some(address)
    }

    /// The address that is being tried, or was the last.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.next.checked_sub(1).and_then(|index| self.addresses.get(index)).copied()
    }

    /// Until when the address may take: connection, handshake and further keys together.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// When the time of all addresses is over.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }
}
