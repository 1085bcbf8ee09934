use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Addresses that are remembered for a valid handshake; beyond, the oldest one is forgotten.
pub const PROVEN_MAX: usize = 1024;

/// How long an address is remembered after its last valid handshake.
pub const PROVEN_FOR: Duration = Duration::from_secs(60 * 60);

/// The addresses that a valid handshake came from, and when. Only who holds the key gets in.
#[derive(Default, Debug)]
pub(super) struct Proven(BTreeMap<IpAddr, Instant>);

impl Proven {
    pub(super) fn contains(&self, address: IpAddr, now: Instant) -> bool {
        self.0.get(&address).is_some_and(|&at| is_fresh(at, now))
    }

    pub(super) fn insert(&mut self, address: IpAddr, now: Instant) {
        self.0.retain(|_, at| is_fresh(*at, now));
        self.0.insert(address, now);
        if self.0.len() > PROVEN_MAX {
            let oldest = self.0.iter().min_by_key(|&(_, at)| at).map(|(address, _)| *address);
            oldest.map(|address| self.0.remove(&address));
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

fn is_fresh(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < PROVEN_FOR
}
