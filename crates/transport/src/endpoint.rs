use replink_frame::{Flags, ReplicaId, Version};
use replink_handshake::{Acceptor, AcceptorConfig, Dialer, DialerConfig, FlagPolicy, Local, Roster};
use thiserror::Error;

use crate::OutboundLimits;
use crate::config::{Config, LinkConfig, Policy};

/// One replica as a `cluster.toml` describes it, ready to shake hands in both roles.
///
/// Cheap to rebuild when the configuration changes; the incarnation stays the process's.
#[derive(Clone, Debug)]
pub struct Endpoint {
    dialing: Dialing,
    answering: Answering,
    outbound_limits: OutboundLimits,
}

/// How this node dials.
#[derive(Clone, Debug)]
pub(crate) enum Dialing {
    Authenticated(Dialer),
    /// H-12.
    Disabled {
        local: Local,
    },
}

/// How this node answers.
#[derive(Clone, Debug)]
pub(crate) enum Answering {
    Authenticated(Acceptor),
    /// H-12.
    Disabled {
        local: Local,
        roster: Roster,
    },
}

/// A configuration that describes no such endpoint.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EndpointError {
    /// The replica is not one of `cluster.nodes`.
    #[error("replica {0} is not in cluster.nodes; add it, or use another replica id")]
    UnknownReplica(ReplicaId),
    /// Authentication is enabled without a key. A configuration that was read from a file never
    /// is so.
    #[error(
        "authentication is enabled, but there is no key; set cluster.auth.shared_secret_file or pairwise"
    )]
    NoKey,
    /// The pair secrets are another replica's (K-3): this one can't speak with them.
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
    /// A setting is required that no link of this endpoint can have. A configuration that was
    /// read from a file never asks for one.
    #[error("{setting} is \"required\", which no link of this configuration can have")]
    Unavailable {
        /// The setting.
        setting: &'static str,
    },
}

impl Endpoint {
    /// Replica `replica` of the cluster in `config`. `release` is the embedder's software
    /// release, `incarnation` the random number of this process (see [`crate::incarnation`]).
    ///
    /// # Errors
    ///
    /// [`EndpointError`].
    pub fn new(
        config: &Config,
        replica: ReplicaId,
        release: u32,
        incarnation: u64,
    ) -> Result<Self, EndpointError> {
        config.node(replica).ok_or(EndpointError::UnknownReplica(replica))?;
        check_required(config)?;
        let (auth, link) = (&config.auth, &config.link);
        if let Some(pairwise) = auth.pairwise.as_ref().filter(|pairwise| pairwise.replica != replica) {
            return Err(EndpointError::NotOurPairSecrets { holder: pairwise.replica, replica });
        }
        let roster = config.roster();
        let local = Local { app: auth.app.clone(), cluster: config.cluster, replica, release, incarnation };
        let flags = flag_policy(link);
        let releases = 0..=u32::MAX;
        let (dialing, answering) = match (auth.enabled, &auth.keys) {
            (true, None) => return Err(EndpointError::NoKey),
            (true, Some(ring)) => (
                Dialing::Authenticated(Dialer::new(DialerConfig {
                    local: local.clone(),
                    ring: ring.clone(),
                    version: auth.version,
                    // H-13: version 1 has no flags to offer.
                    flags: if auth.version == Version::V1 { FlagPolicy::default() } else { flags },
                    releases: releases.clone(),
                })),
                Answering::Authenticated(Acceptor::new(AcceptorConfig {
                    local,
                    ring: ring.clone(),
                    roster,
                    min_version: auth.min_version,
                    flags,
                    releases,
                })),
            ),
            (false, _) => (Dialing::Disabled { local: local.clone() }, Answering::Disabled { local, roster }),
        };
        let outbound_limits = OutboundLimits {
            frame_size: link.max_frame_size,
            queue_frames: link.send_queue_frames,
            queue_bytes: link.send_queue_bytes,
        };
        Ok(Self { dialing, answering, outbound_limits })
    }

    /// Who this node is.
    pub fn local(&self) -> &Local {
        match &self.dialing {
            Dialing::Authenticated(dialer) => &dialer.config().local,
            Dialing::Disabled { local } => local,
        }
    }

    /// The handshake version that this node dials with.
    pub fn version(&self) -> Version {
        match &self.dialing {
            Dialing::Authenticated(dialer) => dialer.config().version,
            Dialing::Disabled { .. } => Version::V1, // H-12
        }
    }

    /// How many keys there are to dial `peer` with (K-2, K-3); 0 without authentication.
    pub fn key_count(&self, peer: ReplicaId) -> usize {
        match &self.dialing {
            Dialing::Authenticated(dialer) => {
                let config = dialer.config();
                config.ring.ids_between(config.local.replica, peer).count()
            }
            Dialing::Disabled { .. } => 0,
        }
    }

    /// The limits of `[cluster.link]` for frames and send queues.
    pub fn outbound_limits(&self) -> OutboundLimits {
        self.outbound_limits
    }

    pub(crate) fn dialing(&self) -> &Dialing {
        &self.dialing
    }

    pub(crate) fn answering(&self) -> &Answering {
        &self.answering
    }
}

/// What links are to have, and must have.
fn flag_policy(link: &LinkConfig) -> FlagPolicy {
    let policies = [(link.sealed, Flags::SEALED), (link.forward_secrecy, Flags::EPHEMERAL)];
    let with = |wanted| {
        let flags = policies.into_iter().filter(|&(policy, _)| policy == wanted).map(|(_, flag)| flag);
        flags.fold(Flags::NONE, |all, flag| all | flag)
    };
    FlagPolicy { supported: with(Policy::Optional), required: with(Policy::Required) }
}

/// Nobody goes without the protection that they require, wherever the configuration came from.
fn check_required(config: &Config) -> Result<(), EndpointError> {
    let (auth, link) = (&config.auth, &config.link);
    let has_flags = auth.enabled && auth.version == Version::V2; // H-12, H-13
    let settings = [
        ("cluster.link.sealed", link.sealed, has_flags),
        ("cluster.link.encryption", link.encryption, false), // not in this version
        ("cluster.link.forward_secrecy", link.forward_secrecy, has_flags),
    ];
    match settings.into_iter().find(|&(_, policy, possible)| policy == Policy::Required && !possible) {
        Some((setting, _, _)) => Err(EndpointError::Unavailable { setting }),
        None => Ok(()),
    }
}
