//! How safe a node is, in an operator's words.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use replink_frame::{KeyId, ReplicaId, Version};

use crate::config::{Address, Config, Policy};

/// What an operator should look at, worst first. Empty is good.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SecurityStatus {
    warnings: Vec<SecurityWarning>,
}

/// Something that is allowed, and yet worth a second look; its text says what to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SecurityWarning {
    /// H-12.
    AuthenticationDisabled,
    /// H-6.
    Version1Accepted,
    /// This replica could not talk to another one with the same configuration.
    DialsBelowMinimum,
    /// Sealed links can be read by every holder of the secret, also from a recording (S-5).
    SealedNotForwardSecret,
    /// Whoever is on the path can read and change the frames of a link that is not sealed, and the path may
    /// be the internet.
    PublicUnsealed {
        /// Where it listens, or is dialed.
        address: SocketAddr,
    },
    /// The file of pair secrets has one that is of no use.
    UnusedPairSecrets {
        /// Whose: a replica that is not in `cluster.nodes`.
        replica: ReplicaId,
    },
    /// A key that is on its way out still has links.
    RetiredKeyInUse {
        /// Which.
        key: KeyId,
        /// How many.
        links: usize,
    },
}

impl SecurityStatus {
    /// What `config` says, for replica `replica` if it is known which.
    pub fn of(config: &Config, replica: Option<ReplicaId>) -> Self {
        let mut warnings = Vec::new();
        let auth = &config.auth;
        if !auth.enabled {
            warnings.push(SecurityWarning::AuthenticationDisabled);
        } else if auth.min_version == Version::V1 {
            warnings.push(SecurityWarning::Version1Accepted);
        } else if auth.version < auth.min_version {
            warnings.push(SecurityWarning::DialsBelowMinimum);
        }
        let link = &config.link;
        if let Some(address) = replica.and_then(|replica| public_address(config, replica))
            && link.sealed != Policy::Required
        {
            warnings.push(SecurityWarning::PublicUnsealed { address });
        }
        // S-5
        if config.can_seal() && link.forward_secrecy == Policy::Off {
            warnings.push(SecurityWarning::SealedNotForwardSecret);
        }
        let unused = auth.pairwise.iter().flat_map(|pairwise| &pairwise.unused);
        warnings.extend(unused.map(|&replica| SecurityWarning::UnusedPairSecrets { replica }));
        Self { warnings }
    }

    /// Adds what shows only while a node runs.
    pub fn add_keys(&mut self, keys: &[KeyStats]) {
        let retired = keys.iter().filter(|key| !key.offered && key.links > 0);
        self.warnings
            .extend(retired.map(|key| SecurityWarning::RetiredKeyInUse { key: key.key, links: key.links }));
    }

    /// The warnings, worst first.
    pub fn warnings(&self) -> &[SecurityWarning] {
        &self.warnings
    }
}

/// The public address that a replica is reached at, if it is one. Where it listens on all of a
/// machine's addresses, the one that its peers dial counts.
fn public_address(config: &Config, replica: ReplicaId) -> Option<SocketAddr> {
    let listens = match config.listen_address(replica)? {
        Address::Ip(address) if !address.ip().is_unspecified() => *address,
        Address::Ip(_) => match &config.node(replica)?.address {
            Address::Ip(address) => *address,
            Address::Name { .. } => return None,
        },
        Address::Name { .. } => return None,
    };
    is_public(listens.ip().to_canonical()).then_some(listens)
}

/// Whether an address is one of the internet's.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            let shared = first == 100 && (64..128).contains(&second); // RFC 6598
            !(address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
                || address.is_documentation()
                || shared)
        }
        IpAddr::V6(address) => {
            let documentation = address.segments()[..2] == [0x2001, 0x0db8];
            !(address.is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.is_unspecified()
                || documentation)
        }
    }
}

impl fmt::Display for SecurityWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AuthenticationDisabled => f.write_str(
                "authentication is disabled: whoever reaches the port can speak as any replica; set \
                 cluster.auth.enabled = true",
            ),
            Self::Version1Accepted => f.write_str(
                "version 1 peers are accepted: only their ids and nonces are authenticated; set \
                 cluster.auth.min_version = 2 when all replicas speak version 2",
            ),
            Self::DialsBelowMinimum => f.write_str(
                "this replica dials with version 1 but accepts version 2 only: replicas with this same \
                 configuration refuse each other",
            ),
            Self::PublicUnsealed { address } => write!(
                f,
                "{address} is a public address, and a link need not be sealed: where one is not, whoever is on the \
                 path can read and change its frames after the handshake; set cluster.link.sealed = \"required\", or \
                 put the links inside a tunnel"
            ),
            Self::SealedNotForwardSecret => f.write_str(
                "sealed links have no forward secrecy, which is off: every holder of the secret can read them, also \
                 from a recording, and whoever gets the secret later can as well; set \
                 cluster.link.forward_secrecy = \"optional\"",
            ),
            Self::UnusedPairSecrets { replica } => write!(
                f,
                "the file of cluster.auth.pairwise has a secret for replica {replica}, which is not in \
                 cluster.nodes: add the replica, or remove the line"
            ),
            Self::RetiredKeyInUse { key, links } => {
                let were = if *links == 1 { "link was" } else { "links were" };
                write!(
                    f,
                    "{links} {were} made with key {key}, which is accepted but not offered: dropping it makes \
                     what is up with it anew"
                )
            }
        }
    }
}

/// How much a key is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct KeyStats {
    /// Which.
    pub key: KeyId,
    /// Whether it is the one that this node offers, or with pair secrets offers to one peer. One that is not is retired: it can go when no
    /// link uses it any more.
    pub offered: bool,
    /// The links that were made with it.
    pub links: usize,
}

impl KeyStats {
    /// A key that `links` links were made with.
    pub fn new(key: KeyId, offered: bool, links: usize) -> Self {
        Self { key, offered, links }
    }
}

#[cfg(test)]
mod tests {
    use replink_handshake::Secret;

    use super::*;

    /// S-5
    #[test]
    fn sealed_without_forward_secrecy_is_warned_of() {
        use Policy::{Off, Optional, Required};
        let secret = || Secret::new(b"a secret for tests, 32 bytes or more".to_vec()).unwrap();
        for (enabled, sealed, forward_secrecy, warned) in [
            (true, Optional, Optional, false),
            (true, Required, Optional, false),
            (true, Required, Required, false),
            (true, Optional, Off, true),
            (true, Required, Off, true),
            (true, Off, Off, false),
            (false, Optional, Off, false),
        ] {
            let config = Config::builder("orders")
                .node(ReplicaId(0), SocketAddr::from(([127, 0, 0, 1], 7400)))
                .shared_secret(secret())
                .enabled(enabled)
                .sealed(sealed)
                .forward_secrecy(forward_secrecy)
                .build()
                .unwrap();
            let status = SecurityStatus::of(&config, Some(ReplicaId(0)));
            let found = status.warnings().contains(&SecurityWarning::SealedNotForwardSecret);
            assert_eq!(found, warned, "{enabled} {sealed:?} {forward_secrecy:?}");
        }
        let text = SecurityWarning::SealedNotForwardSecret.to_string();
        assert!(text.contains("every holder of the secret can read them, also from a recording"), "{text}");
    }

    #[test]
    fn which_addresses_are_public() {
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2a00:1450::1"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.9.9",
            "169.254.1.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }
}
