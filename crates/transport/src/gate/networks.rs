use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use super::Source;

/// IPv6 networks that one customer may own, by the length of their prefix, and how often `max_pending_per_address` all
/// strangers of one may have. A /64 counts as one address.
pub const NETWORKS: [(u8, u32); 2] = [(56, 4), (48, 8)];

/// The slots that strangers in such networks have. No more entries than two for each slot.
#[derive(Default, Debug)]
pub(super) struct Networks(BTreeMap<(u8, Ipv6Addr), u32>);

impl Networks {
    pub(super) fn add(&mut self, source: Source) {
        for (network, _) in around(source) {
            *self.0.entry(network).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, source: Source) {
        for (network, _) in around(source) {
            if let Some(count) = self.0.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(&network);
                }
            }
        }
    }

    /// How many slots a network around `source` has, if those are as many as it may have.
    pub(super) fn full(&self, source: Source, max_pending_per_address: u32) -> Option<u32> {
        around(source).find_map(|(network, times)| {
            let count = self.0.get(&network).copied().unwrap_or(0);
            (count >= max_pending_per_address.saturating_mul(times)).then_some(count)
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The networks around a stranger, and how often as many slots as an address they may have.
fn around(source: Source) -> impl Iterator<Item = ((u8, Ipv6Addr), u32)> {
    let first = match source {
        Source::Network(first) => Some(first),
        Source::Address(_) => None,
    };
    first.into_iter().flat_map(|first| {
        NETWORKS.into_iter().map(move |(prefix, times)| {
            let host_bits = 128 - u32::from(prefix);
            ((prefix, Ipv6Addr::from_bits(first.to_bits() >> host_bits << host_bits)), times)
        })
    })
}
