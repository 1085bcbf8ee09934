use replink_transport::config::Config;
use replink_transport::frame::{GoodbyeReason, ReplicaId, Version};
use replink_transport::gate::Terms;
use replink_transport::handshake::{Authentication, Peer};
use replink_transport::{Endpoint, EndpointError};

use super::ReloadError;

/// A configuration in force, and what is made of it.
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) endpoint: Endpoint,
}

impl Settings {
    pub(super) fn new(
        config: Config,
        replica: ReplicaId,
        release: u32,
        incarnation: u64,
    ) -> Result<Self, EndpointError> {
        let endpoint = Endpoint::new(&config, replica, release, incarnation)?;
        Ok(Self { config, endpoint })
    }

    /// What can't change without a restart.
    pub(super) fn check_reload(&self, new: &Config, replica: ReplicaId) -> Result<(), ReloadError> {
        let old = &self.config;
        if old.cluster != new.cluster {
            return Err(ReloadError::Fixed("cluster.name"));
        }
        if old.auth.app != new.auth.app {
            return Err(ReloadError::Fixed("cluster.auth.app"));
        }
        if old.auth.enabled != new.auth.enabled {
            return Err(ReloadError::Fixed("cluster.auth.enabled"));
        }
        if old.listen_address(replica) != new.listen_address(replica) {
            return Err(ReloadError::Fixed("the address that this replica listens on"));
        }
        Ok(())
    }

    /// Why a link to `peer` can't stay; `None` when it can.
    pub(super) fn retires(&self, peer: &Peer) -> Option<GoodbyeReason> {
        let known = match (peer.authentication, &self.config.auth.keys) {
            (Authentication::PreSharedKey(id), Some(ring)) => ring.accepts(id),
            (Authentication::PreSharedKey(_), None) => false,
            (Authentication::Disabled, _) => !self.config.auth.enabled,
        };
        if !known {
            Some(GoodbyeReason::KEY_RETIRED)
        } else if self.config.node(peer.replica).is_none() {
            Some(GoodbyeReason::OPERATOR)
        } else {
            None
        }
    }

    /// What the gate goes by.
    pub(super) fn terms(&self) -> Terms {
        Terms::from(&self.config.auth)
    }

    /// What an operator should know about this configuration.
    pub(crate) fn warnings(&self) -> Vec<String> {
        warnings(&self.config)
    }
}

/// What an operator should know about a configuration that is valid and yet worth a second look.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let auth = &config.auth;
    if !auth.enabled {
        let warning = "authentication is disabled: whoever reaches the port can speak as any replica; \
                       set cluster.auth.enabled = true";
        return vec![warning.to_owned()];
    }
    if auth.min_version == Version::V1 {
        let warning = "version 1 peers are accepted: only their ids and nonces are authenticated; \
                       set cluster.auth.min_version = 2 when all replicas speak version 2";
        warnings.push(warning.to_owned());
    }
    if auth.version < auth.min_version {
        let warning = "this replica dials with version 1 but accepts version 2 only: \
                       replicas with this same configuration refuse each other";
        warnings.push(warning.to_owned());
    }
    warnings
}
