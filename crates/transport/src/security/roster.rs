//! Whether replicas can reach each other as a configuration has it.

use std::net::{IpAddr, SocketAddr};

use replink_frame::{ReplicaId, Version};

use super::SecurityWarning;
use crate::config::{Address, Config};

/// The addresses that a name stands for, as far as that is known.
pub(super) type Found<'a> = &'a dyn Fn(&Address) -> Option<Vec<SocketAddr>>;

/// Where a replica is: of a name, what is `found`.
fn addresses(address: &Address, found: Found<'_>) -> Option<Vec<SocketAddr>> {
    match address {
        Address::Ip(address) => Some(vec![*address]),
        name @ Address::Name { .. } => found(name).filter(|found| !found.is_empty()),
    }
}

/// The replicas that dial `replica` (H-1), or any of them if it is not known which this is, and that
/// `cluster.auth.allow` keeps out.
pub(super) fn excluded(
    config: &Config,
    replica: Option<ReplicaId>,
    found: Found<'_>,
) -> Vec<SecurityWarning> {
    let dialing = config.nodes.iter().filter(|node| replica.is_none_or(|replica| node.id < replica));
    let known: Vec<_> =
        dialing.map(|node| (node.id, addresses(&node.address, found).unwrap_or_default())).collect();
    let is_kept_out = |addresses: &[SocketAddr]| {
        !addresses.is_empty() && !addresses.iter().any(|address| config.auth.allows(address.ip()))
    };
    let kept_out: Vec<_> = known.iter().filter(|(_, addresses)| is_kept_out(addresses)).collect();
    if !kept_out.is_empty() && kept_out.len() == known.len() {
        return vec![SecurityWarning::AllowExcludesAll];
    }
    let excludes = |(replica, addresses): &&(ReplicaId, Vec<SocketAddr>)| {
        let address = addresses.first()?.ip().to_canonical();
        Some(SecurityWarning::AllowExcludes { replica: *replica, address })
    };
    kept_out.iter().filter_map(excludes).collect()
}

/// What is wrong with the name that a replica listens at, which stands for `found`.
pub(super) fn own_name(config: &Config, listen: &Address, found: &[SocketAddr]) -> Vec<SecurityWarning> {
    let (Address::Name { .. }, Some(bound)) = (listen, found.first()) else { return Vec::new() };
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    let all_here = config.nodes.iter().all(|node| match &node.address {
        Address::Ip(address) => is_loopback(address.ip()),
        Address::Name { host, .. } => node.address == *listen || host == "localhost",
    });
    if is_loopback(bound.ip()) {
        let warning = SecurityWarning::OwnNameIsLoopback { name: listen.clone(), address: bound.ip() };
        // Where all replicas are on one machine, they reach each other there.
        return if all_here && config.nodes.len() > 1 { Vec::new() } else { vec![warning] };
    }
    let other = found.iter().find(|other| other.is_ipv4() != bound.is_ipv4());
    let warning = |other: &SocketAddr| SecurityWarning::OwnNameHasTwoFamilies {
        name: listen.clone(),
        bound: bound.ip(),
        other: other.ip(),
    };
    other.map(warning).into_iter().collect()
}

/// Whether there are more lanes than links can come up (H-13, H-12).
pub(super) fn lanes(config: &Config) -> Option<SecurityWarning> {
    let has_one = !config.auth.enabled || config.auth.version == Version::V1;
    (config.link.lanes > 1 && has_one)
        .then_some(SecurityWarning::LanesWithoutVersion2 { lanes: config.link.lanes })
}

#[cfg(test)]
mod tests {
    use replink_handshake::Secret;

    use super::super::SecurityStatus;
    use super::*;
    use crate::config::ConfigBuilder;

    fn config(addresses: [&str; 3], change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Config {
        let secret = Secret::new(b"a secret for tests, 32 bytes or more".to_vec()).unwrap();
        let mut builder = Config::builder("orders").shared_secret(secret);
        for (id, address) in (0..).zip(addresses) {
            builder = builder.node(ReplicaId(id), address.parse::<Address>().unwrap());
        }
        change(builder).build().unwrap()
    }

    fn allow(networks: &'static [&'static str]) -> impl FnOnce(ConfigBuilder) -> ConfigBuilder {
        |builder| builder.allow(networks.iter().map(|network| network.parse().unwrap()))
    }

    const THREE: [&str; 3] = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"];

    #[test]
    fn an_allow_list_that_keeps_replicas_out_is_warned_of() {
        let all = config(THREE, allow(&["192.168.0.0/16"]));
        let of = |config: &Config, replica| SecurityStatus::of(config, replica).warnings().to_vec();
        for replica in [None, Some(ReplicaId(1)), Some(ReplicaId(2))] {
            assert_eq!(of(&all, replica), [SecurityWarning::AllowExcludesAll]);
        }
        // H-1: nobody dials it.
        assert_eq!(of(&all, Some(ReplicaId(0))), []);
        let some = config(THREE, allow(&["10.0.0.1/32", "10.0.0.3/32"]));
        let expected =
            SecurityWarning::AllowExcludes { replica: ReplicaId(1), address: "10.0.0.2".parse().unwrap() };
        assert_eq!(of(&some, Some(ReplicaId(2))), std::slice::from_ref(&expected));
        assert_eq!(of(&some, None), [expected]);
        assert_eq!(of(&some, Some(ReplicaId(1))), []);
        assert_eq!(of(&config(THREE, allow(&["10.0.0.0/8"])), None), []);
    }

    #[test]
    fn names_are_judged_once_they_are_looked_up() {
        let named = config(["a:1", "10.0.0.2:1", "10.0.0.3:1"], allow(&["10.0.0.2/32"]));
        let replica = Some(ReplicaId(2));
        assert_eq!(SecurityStatus::of(&named, replica).warnings(), []);
        let with = |found: &'static str| {
            let mut status = SecurityStatus::of(&named, replica);
            status.add_names(&named, replica, &|_| Some(vec![found.parse().unwrap()]));
            status.warnings().to_vec()
        };
        let expected =
            SecurityWarning::AllowExcludes { replica: ReplicaId(0), address: "10.0.0.1".parse().unwrap() };
        assert_eq!(with("10.0.0.1:1"), [expected]);
        assert_eq!(with("10.0.0.2:1"), []);
    }

    #[test]
    fn an_own_name_that_peers_can_not_reach_is_warned_of() {
        let own = |addresses: [&str; 3], found: &[&str]| {
            let config = config(addresses, |builder| builder);
            let found: Vec<SocketAddr> = found.iter().map(|address| address.parse().unwrap()).collect();
            let mut status = SecurityStatus::default();
            status.add_names(&config, Some(ReplicaId(0)), &|_| Some(found.clone()));
            status.warnings().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let loopback = own(["host:1", "10.0.0.2:1", "10.0.0.3:1"], &["127.0.1.1:1"]);
        assert!(
            loopback.len() == 1 && loopback[0].starts_with("host:1 stands for 127.0.1.1, "),
            "{loopback:?}"
        );
        let two = own(["host:1", "10.0.0.2:1", "10.0.0.3:1"], &["[fd00::1]:1", "10.0.0.1:1"]);
        assert!(
            two.len() == 1 && two[0].starts_with("host:1 stands for fd00::1 and for 10.0.0.1, "),
            "{two:?}"
        );
        assert!(own(["host:1", "10.0.0.2:1", "10.0.0.3:1"], &["10.0.0.1:1"]).is_empty());
        assert!(own(["10.0.0.1:1", "host:1", "10.0.0.3:1"], &["127.0.0.1:1"]).is_empty(), "not its own");
        // All of them on one machine.
        let here = own(["localhost:1", "127.0.0.1:2", "localhost:3"], &["127.0.0.1:1", "[::1]:1"]);
        assert!(here.is_empty(), "{here:?}");
    }

    /// H-13, H-12
    #[test]
    fn lanes_that_never_come_up_are_warned_of() {
        for (lanes, version, enabled, warned) in [
            (2, Version::V1, true, true),
            (2, Version::V2, false, true),
            (2, Version::V2, true, false),
            (1, Version::V1, true, false),
        ] {
            let change = |builder: ConfigBuilder| {
                builder.lanes(lanes).version(version).min_version(version).enabled(enabled)
            };
            let status = SecurityStatus::of(&config(THREE, change), None);
            let warning = SecurityWarning::LanesWithoutVersion2 { lanes };
            assert_eq!(status.warnings().contains(&warning), warned);
        }
    }
}
