//! A configuration that is made in code.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use replink_frame::{ReplicaId, Version};
use replink_handshake::{App, Secret};

use super::allow;
use super::findings::Findings;
use super::given::Given;
use super::nodes::GivenNode;
use super::reader::Reader;
use super::{Address, Config, ConfigErrors, DriverChoice, Policy, Sources, SystemSources};
use crate::mesh::Role;

/// Makes a [`Config`] in code. What is not said has the default of a `cluster.toml`, and [`Self::build`] checks
/// what that file is checked for.
///
/// ```
/// use replink_transport::config::{Config, Policy};
/// use replink_transport::frame::ReplicaId;
/// use replink_transport::handshake::Secret;
///
/// let config = Config::builder("orders")
///     .node(ReplicaId(0), "10.0.0.1:7400".parse::<std::net::SocketAddr>()?)
///     .node(ReplicaId(1), "10.0.0.2:7400".parse::<std::net::SocketAddr>()?)
///     .shared_secret(Secret::new(b"use a file, and 32 bytes or more".to_vec())?)
///     .sealed(Policy::Required)
///     .build()?;
/// assert_eq!(config.nodes.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The secret has one source, as in a file: [`shared_secret`](Self::shared_secret),
/// [`shared_secret_file`](Self::shared_secret_file) or [`pairwise`](Self::pairwise). The environment is not
/// asked for one.
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct ConfigBuilder(Given);

impl Config {
    /// Begins a configuration of the cluster `name`.
    pub fn builder(name: impl Into<String>) -> ConfigBuilder {
        ConfigBuilder(Given { name: Some(name.into()), ..Given::default() })
    }
}

/// A method for each setting that needs no more than to be kept.
macro_rules! settings {
    ($section:ident, $config:literal: $($name:ident: $type:ty,)+) => {$(
        #[doc = concat!("Sets [`", $config, "::", stringify!($name), "`](super::", $config, "::", stringify!($name), ").")]
        pub fn $name(mut self, $name: $type) -> Self {
            self.0.$section.$name = Some($name);
            self
        }
    )+};
}

impl ConfigBuilder {
    /// Adds a voter that its peers reach at `address`.
    pub fn node(self, id: ReplicaId, address: impl Into<Address>) -> Self {
        self.member(id, address, Role::Voter)
    }

    /// Adds a standby that its peers reach at `address`.
    pub fn standby(self, id: ReplicaId, address: impl Into<Address>) -> Self {
        self.member(id, address, Role::Standby)
    }

    /// Adds a replica with this role, which its peers reach at `address`.
    pub fn member(mut self, id: ReplicaId, address: impl Into<Address>, role: Role) -> Self {
        self.0.nodes.push(GivenNode { id: Some(id), address: Some(address.into()), role });
        self
    }

    /// Sets which replica this node is: [`Config::replica_id`].
    pub fn replica_id(mut self, id: ReplicaId) -> Self {
        self.0.replica_id = Some(id);
        self
    }

    /// Sets where to listen: [`Config::listen`].
    pub fn listen(mut self, address: impl Into<Address>) -> Self {
        self.0.listen = Some(address.into());
        self
    }

    /// Sets the address of this machine to dial peers from: [`Config::source`].
    pub fn source(mut self, address: IpAddr) -> Self {
        self.0.source = Some(address.to_canonical());
        self
    }

    /// Sets this node's software release: [`Config::release`].
    pub fn release(mut self, release: u32) -> Self {
        self.0.release = Some(release);
        self
    }

    /// Sets the releases of peers that get in: [`Config::releases`].
    pub fn releases(mut self, releases: RangeInclusive<u32>) -> Self {
        self.0.releases = Some(releases);
        self
    }

    /// Sets the secret of the key that this node offers (K-2).
    pub fn shared_secret(mut self, secret: Secret) -> Self {
        self.0.auth.secrets.shared_secret = Some(secret);
        self
    }

    /// Sets the file that holds the secret of the key that this node offers (K-2). Like all paths it is
    /// relative to the current directory, and is read by [`Self::build`].
    pub fn shared_secret_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.auth.secrets.shared_secret_file = Some(path.into());
        self
    }

    /// Adds the secret of a further key that is accepted, never offered first (K-2).
    pub fn accept_secret(mut self, secret: Secret) -> Self {
        self.0.auth.secrets.accept_secrets.push(Some(secret));
        self
    }

    /// Adds a file with the secret of a further key that is accepted, never offered first (K-2).
    pub fn accept_secret_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.auth.secrets.accept_secret_files.push(Some(path.into()));
        self
    }

    /// Sets this replica's own file of pair secrets (K-3), in the place of a shared secret.
    pub fn pairwise(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.auth.secrets.pairwise = Some(path.into());
        self
    }

    /// Sets the networks that may connect: [`AuthConfig::allow`](super::AuthConfig::allow). There has to be
    /// one at least; unless this is called, any address may connect.
    pub fn allow(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.0.auth.allow = Some(networks.into_iter().map(allow::canonical).collect());
        self
    }

    settings! { auth, "AuthConfig":
        app: App,
        enabled: bool,
        migrating: bool,
        min_version: Version,
        version: Version,
        handshake_timeout: Duration,
        max_pending: u32,
        max_pending_per_address: u32,
    }

    settings! { link, "LinkConfig":
        sealed: Policy,
        forward_secrecy: Policy,
        lanes: u16,
        busy_poll: Duration,
        driver: DriverChoice,
        max_frame_size: u32,
        send_queue_frames: u32,
        send_queue_bytes: u64,
        heartbeat_interval: Duration,
        heartbeat_timeout: Duration,
        reconnect_min: Duration,
        reconnect_max: Duration,
        link_max_age: Duration,
    }

    /// The configuration, with keys in the place of its secrets.
    ///
    /// # Errors
    ///
    /// Every mistake that was found; see [`ConfigErrors`].
    pub fn build(self) -> Result<Config, ConfigErrors> {
        self.build_with(&SystemSources)
    }

    /// The same with secret files from `sources`, which is asked for nothing else.
    ///
    /// # Errors
    ///
    /// Every mistake that was found; see [`ConfigErrors`].
    pub fn build_with(self, sources: &dyn Sources) -> Result<Config, ConfigErrors> {
        let reader = Reader::without_file();
        let config = self.0.resolve(None, sources, &Findings::new(&reader, None));
        reader.finish(config)
    }
}
