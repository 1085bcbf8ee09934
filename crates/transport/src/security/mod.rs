//! How safe a node is, in an operator's words.

mod roster;
mod warning;

use std::net::{IpAddr, SocketAddr};

use replink_frame::{KeyId, ReplicaId, Version};

use crate::config::{Address, Config, Policy};
pub use warning::SecurityWarning;

/// What an operator should look at, worst first. Empty is good.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SecurityStatus {
    warnings: Vec<SecurityWarning>,
}

impl SecurityStatus {
    /// What `config` says, for replica `replica` if it is known which.
    pub fn of(config: &Config, replica: Option<ReplicaId>) -> Self {
        let mut warnings = Vec::new();
        let auth = &config.auth;
        if auth.migrating {
            warnings.push(SecurityWarning::Migrating);
        }
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
        warnings.extend(auth.secret_remarks.iter().cloned().map(SecurityWarning::Secret));
        warnings.extend(roster::excluded(config, replica, &|_| None));
        warnings.extend(roster::lanes(config));
        warnings.extend(release_warnings(config));
        warnings.extend(replica.into_iter().flat_map(|replica| source_warnings(config, replica)));
        let unused = auth.pairwise.iter().flat_map(|pairwise| &pairwise.unused);
        warnings.extend(unused.map(|&replica| SecurityWarning::UnusedPairSecrets { replica }));
        Self { warnings }
    }

    /// Adds what shows only once names are looked up: `found` says what each of them stands for, if that is known.
    /// `replica` is this one, if it is known which.
    pub fn add_names(
        &mut self,
        config: &Config,
        replica: Option<ReplicaId>,
        found: &dyn Fn(&Address) -> Option<Vec<SocketAddr>>,
    ) {
        let excludes = |warning: &SecurityWarning| {
            matches!(warning, SecurityWarning::AllowExcludes { .. } | SecurityWarning::AllowExcludesAll)
        };
        self.warnings.retain(|warning| !excludes(warning));
        self.warnings.extend(roster::excluded(config, replica, found));
        if let Some(listen) = replica.and_then(|replica| config.listen_address(replica)) {
            self.warnings.extend(Self::of_own_name(config, listen, &found(listen).unwrap_or_default()));
        }
    }

    /// What is wrong with the name that a replica listens at, which was looked up and stands for `found`.
    pub(crate) fn of_own_name(
        config: &Config,
        listen: &Address,
        found: &[SocketAddr],
    ) -> Vec<SecurityWarning> {
        roster::own_name(config, listen, found)
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

/// Whether `cluster.releases` does what it seems to.
fn release_warnings(config: &Config) -> impl Iterator<Item = SecurityWarning> {
    let auth = &config.auth;
    let is_fence = config.releases != (0..=u32::MAX);
    let own = is_fence && !config.releases.contains(&config.release);
    let unchecked = is_fence
        && (!auth.enabled
            || auth.migrating
            || auth.version == Version::V1
            || auth.min_version == Version::V1);
    let own = own.then_some(SecurityWarning::OwnReleaseNotTaken { release: config.release });
    own.into_iter().chain(unchecked.then_some(SecurityWarning::ReleasesUnchecked))
}

/// The peers that `replica` dials (H-1) and can't reach from `cluster.source`.
fn source_warnings(config: &Config, replica: ReplicaId) -> impl Iterator<Item = SecurityWarning> {
    let dialed = config.nodes.iter().filter(move |node| node.id > replica);
    dialed.filter_map(|node| match (config.source, &node.address) {
        (Some(source), Address::Ip(address)) if source.is_ipv4() != address.ip().to_canonical().is_ipv4() => {
            Some(SecurityWarning::SourceOfAnotherFamily { source, replica: node.id })
        }
        _ => None,
    })
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
pub fn is_public(address: IpAddr) -> bool {
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
    use crate::config::ConfigBuilder;

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

    fn config(change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Config {
        let secret = Secret::new(b"a secret for tests, 32 bytes or more".to_vec()).unwrap();
        let builder = Config::builder("orders")
            .node(ReplicaId(0), SocketAddr::from(([10, 0, 0, 1], 7400)))
            .node(ReplicaId(1), SocketAddr::from(([10, 0, 0, 2], 7400)))
            .shared_secret(secret);
        change(builder).build().unwrap()
    }

    /// H-12
    #[test]
    fn migrating_is_warned_of_first() {
        let config = config(|builder| builder.migrating(true).min_version(Version::V1));
        let warnings = SecurityStatus::of(&config, None);
        assert_eq!(warnings.warnings(), [SecurityWarning::Migrating, SecurityWarning::Version1Accepted]);
    }

    #[test]
    fn releases_that_do_not_do_what_they_say_are_warned_of() {
        let warnings = |change: fn(ConfigBuilder) -> ConfigBuilder| {
            let status = SecurityStatus::of(&config(change), None);
            [
                status.warnings().contains(&SecurityWarning::OwnReleaseNotTaken { release: 2 }),
                status.warnings().contains(&SecurityWarning::ReleasesUnchecked),
            ]
        };
        assert_eq!(warnings(|builder| builder), [false, false]);
        assert_eq!(warnings(|builder| builder.release(2).min_version(Version::V1)), [false, false]);
        assert_eq!(warnings(|builder| builder.release(2).releases(2..=3)), [false, false]);
        assert_eq!(warnings(|builder| builder.release(2).releases(3..=4)), [true, false]);
        assert_eq!(warnings(|builder| builder.releases(0..=3).min_version(Version::V1)), [false, true]);
        assert_eq!(warnings(|builder| builder.releases(0..=3).migrating(true)), [false, true]);
        assert_eq!(warnings(|builder| builder.releases(0..=3).enabled(false)), [false, true]);
    }

    #[test]
    fn a_peer_that_can_not_be_dialed_from_the_source_is_warned_of() {
        let config = config(|builder| builder.source("fd00::1".parse().unwrap()));
        let expected = SecurityWarning::SourceOfAnotherFamily {
            source: "fd00::1".parse().unwrap(),
            replica: ReplicaId(1),
        };
        assert_eq!(SecurityStatus::of(&config, Some(ReplicaId(0))).warnings(), [expected]);
        // H-1: it dials nobody.
        assert!(SecurityStatus::of(&config, Some(ReplicaId(1))).warnings().is_empty());
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
