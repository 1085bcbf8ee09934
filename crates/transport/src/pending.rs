use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

/// How many connections may be under way that have not authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PendingLimits {
    /// In all.
    pub total: u32,
    /// From one address.
    pub per_address: u32,
}

/// Counts the connections that have not authenticated. A clone counts the same ones.
#[derive(Clone, Debug, Default)]
pub struct Pending(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    total: u32,
    per_address: HashMap<IpAddr, u32>,
}

/// There is no room for one more unauthenticated connection; it is closed unread.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// In all: `max_pending`.
    #[error("{0} connections have not authenticated, which is max_pending")]
    Total(u32),
    /// From this address: `max_pending_per_address`.
    #[error("{0} connections from this address have not authenticated, which is max_pending_per_address")]
    Address(u32),
}

/// One unauthenticated connection; dropping it makes room for another.
#[derive(Debug)]
pub struct Slot {
    pending: Pending,
    address: IpAddr,
}

impl Pending {
    /// Takes a slot for a connection from `address`.
    ///
    /// # Errors
    ///
    /// [`Full`] when one of the limits is reached.
    pub fn take(&self, address: IpAddr, limits: PendingLimits) -> Result<Slot, Full> {
        let address = address.to_canonical();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= limits.total {
            return Err(Full::Total(counts.total));
        }
        let from_address = counts.per_address.get(&address).copied().unwrap_or(0);
        if from_address >= limits.per_address {
            return Err(Full::Address(from_address));
        }
        counts.total += 1;
        counts.per_address.insert(address, from_address + 1);
        Ok(Slot { pending: self.clone(), address })
    }

    /// Connections that have not authenticated.
    pub fn total(&self) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.pending.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(count) = counts.per_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.per_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_slots_come_back() {
        let limits = PendingLimits { total: 3, per_address: 2 };
        let pending = Pending::default();
        let (a, b) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();

        let first = pending.take(a, limits).unwrap();
        let _second = pending.take(mapped, limits).unwrap();
        assert_eq!(pending.take(a, limits).unwrap_err(), Full::Address(2));
        let _third = pending.take(b, limits).unwrap();
        assert_eq!(pending.take(b, limits).unwrap_err(), Full::Total(3));
        drop(first);
        assert_eq!(pending.total(), 2);
        pending.take(a, limits).unwrap();
    }
}
