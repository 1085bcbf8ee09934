use std::fmt;
use std::net::{IpAddr, SocketAddr};

use replink_frame::{KeyId, ReplicaId};

use crate::config::{Address, SecretRemark};

/// Something that is allowed, and yet worth a second look; its text says what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SecurityWarning {
    /// H-12.
    AuthenticationDisabled,
    /// H-12: this node is on its way to keys, and lets in whoever has none.
    Migrating,
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
    /// A replica with this same configuration would not get in here.
    OwnReleaseNotTaken {
        /// This node's release.
        release: u32,
    },
    /// Some peers tell no release: those of version 1, and those without authentication. They get in whatever
    /// theirs is.
    ReleasesUnchecked,
    /// A peer that this replica dials can't be reached from the address that it dials from: the one is IPv4,
    /// the other IPv6.
    SourceOfAnotherFamily {
        /// `cluster.source`.
        source: IpAddr,
        /// The peer.
        replica: ReplicaId,
    },
    /// None of the replicas that dial this one may connect from its address in `cluster.nodes`.
    AllowExcludesAll,
    /// A replica that dials this one may not connect from its address in `cluster.nodes`.
    AllowExcludes {
        /// Which.
        replica: ReplicaId,
        /// Its address, or the first of them.
        address: IpAddr,
    },
    /// The name that this replica listens at stands for a loopback address here, and others are not on this
    /// machine.
    OwnNameIsLoopback {
        /// The name.
        name: Address,
        /// What it stands for.
        address: IpAddr,
    },
    /// The name that this replica listens at stands for an IPv4 and an IPv6 address, of which it listens at one.
    OwnNameHasTwoFamilies {
        /// The name.
        name: Address,
        /// Where it listens.
        bound: IpAddr,
        /// Where it does not, and peers may try.
        other: IpAddr,
    },
    /// Links of version 1 (H-13), and those without authentication (H-12), have one lane.
    LanesWithoutVersion2 {
        /// How many were asked for.
        lanes: u16,
    },
    /// There is something odd about a secret, or about where it comes from.
    Secret(SecretRemark),
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

impl fmt::Display for SecurityWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AuthenticationDisabled => f.write_str(
                "authentication is disabled: whoever reaches the port can speak as any replica; set \
                 cluster.auth.enabled = true",
            ),
            Self::Migrating => f.write_str(
                "this replica is migrating: peers without a key get in, and whoever reaches the port can speak as any \
                 replica that has no authenticated link; leave cluster.auth.migrating out when all replicas have a \
                 key",
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
            Self::OwnReleaseNotTaken { release } => write!(
                f,
                "cluster.release is {release}, which is not within cluster.releases: replicas with this same \
                 configuration refuse each other"
            ),
            Self::ReleasesUnchecked => f.write_str(
                "cluster.releases does not keep every peer out that it names no release of: those of version 1, and \
                 those without authentication, tell none",
            ),
            Self::SourceOfAnotherFamily { source, replica } => write!(
                f,
                "replica {replica} can't be dialed from cluster.source = \"{source}\": of the two addresses one is \
                 IPv4 and one is IPv6; set it to an address of the same family, or leave it out"
            ),
            Self::AllowExcludesAll => f.write_str(
                "cluster.auth.allow has the address of no replica that dials this one: none of them gets in, unless it \
                 connects from another address; add the networks of cluster.nodes",
            ),
            Self::AllowExcludes { replica, address } => write!(
                f,
                "cluster.auth.allow keeps out {address}, where replica {replica} is: it does not get in, unless it \
                 connects from another address; add its network"
            ),
            Self::OwnNameIsLoopback { name, address } => write!(
                f,
                "{name} stands for {address}, where no other machine reaches this replica; set cluster.listen to an \
                 address, such as \"0.0.0.0:{}\", or correct /etc/hosts",
                name.port()
            ),
            Self::OwnNameHasTwoFamilies { name, bound, other } => write!(
                f,
                "{name} stands for {bound} and for {other}, and this replica listens at the first alone; set \
                 cluster.listen to \"[::]:{}\" for both, or let the name stand for one",
                name.port()
            ),
            Self::LanesWithoutVersion2 { lanes } => write!(
                f,
                "cluster.link.lanes is {lanes}, and links of version 1, or without authentication, have one lane: set \
                 cluster.auth.version = 2 and enable authentication, or leave lanes out"
            ),
            Self::Secret(remark) => remark.fmt(f),
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
