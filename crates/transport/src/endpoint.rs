use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use replink_frame::{Flags, ReplicaId, Version};
use replink_handshake::{Acceptor, AcceptorConfig, Dialer, DialerConfig, FlagPolicy, KeyRing, Local, Roster};
use thiserror::Error;

use crate::OutboundLimits;

/// What one replica is, and what its links are to be: all that a handshake in either role goes by.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointSettings {
    /// Who this node is.
    pub local: Local,
    /// The keys to prove oneself with; `None` where authentication is disabled (H-12).
    pub keys: Option<Arc<KeyRing>>,
    /// Whether this node is on its way to keys: it dials with its key and then without, and lets both in
    /// (H-12).
    pub migrating: bool,
    /// The replicas of the cluster, this one among them.
    pub roster: Roster,
    /// The version to dial with.
    pub version: Version,
    /// The lowest version of a peer that dials (H-6).
    pub min_version: Version,
    /// What links can have, and must have.
    pub flags: FlagPolicy,
    /// The releases of peers that get in (`release_mismatch`).
    pub releases: RangeInclusive<u32>,
    /// How much may wait on a link, and how large a frame may be.
    pub limits: OutboundLimits,
    /// The address of this machine to dial from; `None` lets the system choose.
    pub source: Option<IpAddr>,
}

impl EndpointSettings {
    /// Version 2 in both directions, peers of any release, links without further protection, and the limits
    /// of an empty `[cluster.link]`.
    pub fn new(local: Local, keys: Option<Arc<KeyRing>>, roster: Roster) -> Self {
        Self {
            local,
            keys,
            migrating: false,
            roster,
            version: Version::V2,
            min_version: Version::V2,
            flags: FlagPolicy::default(),
            releases: 0..=u32::MAX,
            limits: OutboundLimits::default(),
            source: None,
        }
    }
}

/// One replica, ready to shake hands in both roles: over a stream of any kind, by whatever drives it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    dialing: Dialing,
    answering: Answering,
    outbound_limits: OutboundLimits,
    migrating: bool,
    source: Option<IpAddr>,
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

/// Settings that describe no endpoint.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EndpointError {
    /// The replica is not one of `cluster.nodes`.
    #[error("replica {0} is not in cluster.nodes; add it, or use another replica id")]
    UnknownReplica(ReplicaId),
    /// Something is required that no link of this endpoint can have: it dials with version 1 (H-13), or
    /// without authentication (H-12).
    #[error("{flags} is required, which no link of version 1 or without authentication can have")]
    Unavailable {
        /// What.
        flags: Flags,
    },
    /// Links without a key come up while a node migrates (H-12): there has to be a key to migrate to, and
    /// nothing can be required that such a link can't have.
    #[error("a migrating node needs a key, and can't require sealed links or forward secrecy")]
    CannotMigrate,
}

impl Endpoint {
    /// An endpoint of these settings.
    ///
    /// # Errors
    ///
    /// [`EndpointError`].
    pub fn new(settings: EndpointSettings) -> Result<Self, EndpointError> {
        let EndpointSettings {
            local,
            keys,
            migrating,
            roster,
            version,
            min_version,
            flags,
            releases,
            limits,
            source,
        } = settings;
        if !roster.contains(local.replica) {
            return Err(EndpointError::UnknownReplica(local.replica));
        }
        // H-12, H-13: a link without authentication or of version 1 has no flags at all.
        let has_flags = keys.is_some() && version == Version::V2;
        if flags.required != Flags::NONE && !has_flags {
            return Err(EndpointError::Unavailable { flags: flags.required });
        }
        if migrating && (keys.is_none() || flags.required != Flags::NONE) {
            return Err(EndpointError::CannotMigrate);
        }
        let (dialing, answering) = match keys {
            Some(ring) => (
                Dialing::Authenticated(Dialer::new(
                    DialerConfig::new(local.clone(), ring.clone())
                        .version(version)
                        .flags(if version == Version::V1 { FlagPolicy::default() } else { flags })
                        .releases(releases.clone()),
                )),
                Answering::Authenticated(Acceptor::new(
                    AcceptorConfig::new(local, ring, roster)
                        .min_version(min_version)
                        .flags(flags)
                        .releases(releases),
                )),
            ),
            None => (Dialing::Disabled { local: local.clone() }, Answering::Disabled { local, roster }),
        };
        Ok(Self { dialing, answering, outbound_limits: limits, migrating, source })
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

    /// Whether this node is on its way to keys (H-12).
    pub fn is_migrating(&self) -> bool {
        self.migrating
    }

    /// The address of this machine to dial from; `None` lets the system choose.
    pub fn source(&self) -> Option<IpAddr> {
        self.source
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
