//! A configuration in force.

use replink_frame::ReplicaId;
use thiserror::Error;

use crate::Endpoint;
use crate::config::{Config, UnusableConfig};
use crate::mesh::{CommandPolicy, MeshSettings};

/// A configuration, and what is made of it.
pub(super) struct Settings {
    pub(super) config: Config,
    pub(super) endpoint: Endpoint,
    pub(super) mesh: MeshSettings,
    pub(super) commands: CommandPolicy,
    /// The embedder's release, where it is not the configuration's.
    release: Option<u32>,
}

/// Why a reload changed nothing.
#[derive(Error, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ReloadError {
    /// The new configuration has mistakes, or describes no such replica.
    #[error("not reloaded, the old configuration stays in force: {0}")]
    Config(#[from] UnusableConfig),
    /// It changes something that can't change while running.
    #[error("not reloaded, the old configuration stays in force: {0} can't change while running; restart")]
    Fixed(&'static str),
    /// The node is being shut down or handed over.
    #[error("not reloaded: the node is stopping")]
    Stopping,
}

impl Settings {
    pub(super) fn new(
        config: Config,
        replica: ReplicaId,
        release: Option<u32>,
        incarnation: u64,
        commands: CommandPolicy,
    ) -> Result<Self, UnusableConfig> {
        let endpoint = config.endpoint(replica, release, incarnation)?;
        let mesh = config.mesh_settings(commands);
        Ok(Self { config, endpoint, mesh, commands, release })
    }

    /// The same node under another configuration.
    pub(super) fn reloaded(&self, config: Config) -> Result<Self, ReloadError> {
        let local = self.endpoint.local();
        let old = &self.config;
        let fixed = [
            ("cluster.name", old.cluster != config.cluster),
            ("cluster.release", self.release.is_none() && old.release != config.release),
            ("cluster.auth.app", old.auth.app != config.auth.app),
            ("cluster.auth.enabled", old.auth.enabled != config.auth.enabled),
            ("cluster.link.lanes", old.link.lanes != config.link.lanes),
            ("cluster.link.driver", old.link.driver != config.link.driver),
            (
                "the address that this replica listens on",
                old.listen_address(local.replica) != config.listen_address(local.replica),
            ),
        ];
        if let Some((what, _)) = fixed.into_iter().find(|&(_, changes)| changes) {
            return Err(ReloadError::Fixed(what));
        }
        Ok(Self::new(config, local.replica, self.release, local.incarnation, self.commands)?)
    }
}
