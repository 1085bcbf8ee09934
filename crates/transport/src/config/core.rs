//! What a configuration means to the parts that know nothing of files.

use std::collections::HashMap;

use replink_frame::{Flags, KeyId, ReplicaId, Version};
use replink_handshake::{FlagPolicy, Local};

use thiserror::Error;

use super::{AuthConfig, Config, ConfigErrors, LinkConfig, Policy};
use crate::gate::Terms;
use crate::mesh::{CommandPolicy, MeshSettings};
use crate::{Endpoint, EndpointError, EndpointSettings, OutboundLimits};

/// Why a configuration makes no endpoint.
#[derive(Error, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum UnusableConfig {
    /// It has mistakes. One that was read from a file, or built, and was not changed never has.
    #[error("the configuration has mistakes:\n{0}")]
    Invalid(#[from] ConfigErrors),
    /// Its pair secrets are another replica's (K-3): this one can't speak with them.
    #[error(
        "the file of cluster.auth.pairwise has the pair secrets of replica {holder}, not those of replica \
         {replica}; each replica has a file of its own"
    )]
    NotOurPairSecrets {
        /// Whose they are.
        holder: ReplicaId,
        /// This one.
        replica: ReplicaId,
    },
    /// It describes no such replica.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

impl Config {
    /// Replica `replica` as this configuration describes it, ready to shake hands in both roles. `release`
    /// is the embedder's software release, in the place of [`Config::release`] if there is one; `incarnation`
    /// is the random number of this process.
    ///
    /// # Errors
    ///
    /// [`UnusableConfig`].
    pub fn endpoint(
        &self,
        replica: ReplicaId,
        release: impl Into<Option<u32>>,
        incarnation: u64,
    ) -> Result<Endpoint, UnusableConfig> {
        self.validate()?;
        let auth = &self.auth;
        if let Some(pairwise) = auth.pairwise.as_ref().filter(|pairwise| pairwise.replica != replica) {
            return Err(UnusableConfig::NotOurPairSecrets { holder: pairwise.replica, replica });
        }
        let keys = auth.keys.clone().filter(|_| auth.enabled);
        let release = release.into().unwrap_or(self.release);
        let local =
            Local::new(auth.app.clone(), self.cluster, replica).release(release).incarnation(incarnation);
        let mut settings = EndpointSettings::new(local, keys, self.roster());
        settings.version = auth.version;
        settings.min_version = auth.min_version;
        settings.migrating = auth.migrating;
        settings.flags = self.link.flag_policy();
        settings.releases = self.releases.clone();
        settings.source = self.source;
        settings.limits = self.link.outbound_limits();
        Ok(Endpoint::new(settings)?)
    }

    /// What a mesh of this configuration goes by. `commands` is the embedder's.
    pub fn mesh_settings(&self, commands: CommandPolicy) -> MeshSettings {
        let (auth, link) = (&self.auth, &self.link);
        let members = self.nodes.iter().map(|node| (node.id, node.role)).collect();
        let ids = || auth.keys.iter().flat_map(|ring| ring.ids()).collect();
        let mut settings = MeshSettings::new(members, auth.enabled.then(ids));
        // H-13: version 1 has no lanes; without authentication there is nothing else (H-12).
        settings.lanes = if auth.enabled && auth.version == Version::V2 { link.lanes } else { 1 };
        settings.migrating = auth.migrating;
        settings.pairs = self.pairs();
        // What the peers have room for, if they are configured alike, and half of that to spare.
        settings.dials_at_once = usize::try_from(auth.max_pending_per_address / 2).unwrap_or(1).clamp(1, 32);
        settings.flags = link.flag_policy().offered();
        settings.heartbeat_interval = link.heartbeat_interval;
        settings.heartbeat_timeout = link.heartbeat_timeout;
        settings.reconnect_min = link.reconnect_min;
        settings.reconnect_max = link.reconnect_max;
        settings.link_max_age = link.link_max_age;
        settings.commands = commands;
        settings
    }

    /// Whether this end ever seals a link: never where authentication is disabled (H-12).
    pub fn can_seal(&self) -> bool {
        self.auth.enabled && self.link.sealed != Policy::Off
    }

    fn pairs(&self) -> HashMap<KeyId, ReplicaId> {
        let (Some(ring), Some(pairwise)) = (&self.auth.keys, &self.auth.pairwise) else {
            return HashMap::new();
        };
        let of = |peer| ring.ids_of_pair(pairwise.replica, peer).map(move |id| (id, peer));
        self.nodes.iter().flat_map(|node| of(node.id)).collect()
    }
}

impl From<&AuthConfig> for Terms {
    fn from(auth: &AuthConfig) -> Self {
        let mut terms = Self::new();
        terms.allow.clone_from(&auth.allow);
        terms.max_pending = auth.max_pending;
        terms.max_pending_per_address = auth.max_pending_per_address;
        terms.handshake_timeout = auth.handshake_timeout;
        terms
    }
}

impl LinkConfig {
    /// How much may wait to be written on one link.
    pub fn outbound_limits(&self) -> OutboundLimits {
        OutboundLimits {
            frame_size: self.max_frame_size,
            queue_frames: self.send_queue_frames,
            queue_bytes: self.send_queue_bytes,
        }
    }

    /// What links are to have, and must have.
    fn flag_policy(&self) -> FlagPolicy {
        let policies = [(self.sealed, Flags::SEALED), (self.forward_secrecy, Flags::EPHEMERAL)];
        let with = |wanted| {
            let flags = policies.into_iter().filter(|&(policy, _)| policy == wanted).map(|(_, flag)| flag);
            flags.fold(Flags::NONE, |all, flag| all | flag)
        };
        FlagPolicy::new(with(Policy::Optional), with(Policy::Required))
    }
}
