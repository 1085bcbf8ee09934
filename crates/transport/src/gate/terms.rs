use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::{AuthConfig, allow};

/// What a gate goes by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// The networks that may connect; empty for any.
    pub allow: Vec<IpNet>,
    /// Most connections that have not authenticated, in all.
    pub max_pending: u32,
    /// The same, from one address.
    pub max_pending_per_address: u32,
    /// The budget of one whole handshake; at most [`MAX_DURATION`](crate::config::MAX_DURATION).
    pub handshake_timeout: Duration,
}

impl Terms {
    pub(super) fn allows(&self, address: IpAddr) -> bool {
        allow::allows(&self.allow, address)
    }
}

impl From<&AuthConfig> for Terms {
    fn from(auth: &AuthConfig) -> Self {
        Self {
            allow: auth.allow.clone(),
            max_pending: auth.max_pending,
            max_pending_per_address: auth.max_pending_per_address,
            handshake_timeout: auth.handshake_timeout,
        }
    }
}
