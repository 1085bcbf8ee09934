use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::allow::allows;

/// What a gate goes by.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Terms {
    /// The networks that may connect; empty for any.
    pub allow: Vec<IpNet>,
    /// Most connections that have not authenticated, in all.
    pub max_pending: u32,
    /// The same, from one address.
    pub max_pending_per_address: u32,
    /// The budget of one whole handshake; at most [`DURATION_MAX`](crate::DURATION_MAX).
    pub handshake_timeout: Duration,
}

impl Terms {
    /// What an empty `[cluster.auth]` means.
    pub fn new() -> Self {
        Self {
            allow: Vec::new(),
            max_pending: 256,
            max_pending_per_address: 16,
            handshake_timeout: Duration::from_secs(5),
        }
    }

    pub(super) fn allows(&self, address: IpAddr) -> bool {
        allows(&self.allow, address)
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self::new()
    }
}
