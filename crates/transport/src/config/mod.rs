//! `cluster.toml`: what an operator may say about a cluster, read and checked in full. A
//! [`ConfigBuilder`] makes the same in code.
//!
//! [`Config::load`] gives either a configuration that can be run as it is, or every mistake of
//! the file at once, each with its line, its key, what is wrong and what would be right. An
//! unknown key is a mistake too: a setting that protects a link is never skipped over because of
//! a typing error.
//!
//! Secrets become keys while the file is read and are wiped right after. Nothing here can print
//! one: not the configuration, not an error, not even an error about the line that it stands on.

mod address;
mod allow;
mod auth;
mod bounds;
mod builder;
mod changed;
mod core;
mod document;
mod error;
mod files;
mod findings;
mod given;
mod keys;
mod link;
mod nodes;
mod outline;
mod pair_file;
mod pairwise;
mod reader;
mod releases;
mod remarks;
mod secrets;
mod sources;
mod syntax;
mod taken_variable;
mod units;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use replink_frame::{ClusterId, ReplicaId};
use replink_handshake::Roster;

pub use self::address::{Address, InvalidAddress};
pub use self::auth::AuthConfig;
pub use self::builder::ConfigBuilder;
pub use self::core::UnusableConfig;
pub use self::error::{ConfigError, ConfigErrors};
pub use self::files::open_file;
pub use self::link::{DriverChoice, LinkConfig, Policy};
pub use self::nodes::NodeConfig;
pub use self::outline::Outline;
pub use self::pair_file::{PAIR_SECRETS_MAX, pair_file};
pub use self::pairwise::Pairwise;
pub use self::releases::releases_text;
pub use self::remarks::{OddPlace, SecretRemark};
pub use self::secrets::{ACCEPTED_SECRETS_MAX, SECRET_VARIABLE, SecretSource};
pub use self::sources::{
    CONFIG_FILE_BYTES_MAX, SECRET_FILE_BYTES_MAX, SecretFileError, Sources, SystemSources,
};
pub use self::taken_variable::TakenVariable;
pub use self::units::{duration_text, parse_size, size_text};

use self::bounds::whole_number;
use self::document::{Document, take_apart};
use self::files::Access;
use self::given::Given;
use self::reader::{Reader, Table};
use self::secrets::Stands;

/// A checked `cluster.toml`, or the same made in code. Its fields may be changed: [`Self::validate`] checks them
/// again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The file that this was read from, if it was.
    pub path: Option<PathBuf>,
    /// The cluster's name; never empty.
    pub name: String,
    /// The cluster's id on the wire, derived from its name.
    pub cluster: ClusterId,
    /// Which replica this node is, if the file says so; it is then one of `nodes`.
    pub replica_id: Option<ReplicaId>,
    /// Where to listen, if the file says so. Port 0 lets the system choose one.
    /// See [`Self::listen_address`].
    pub listen: Option<Address>,
    /// The address of this machine to dial peers from; `None` lets the system choose.
    pub source: Option<IpAddr>,
    /// This node's software release, as the handshake tells it.
    pub release: u32,
    /// The releases of peers that get in (`release_mismatch`); [`releases_text`] shows them. Version 1 tells
    /// none.
    pub releases: RangeInclusive<u32>,
    /// `[cluster.auth]`: how peers prove who they are, and who may try.
    pub auth: AuthConfig,
    /// `[cluster.link]`: what a link carries, and how.
    pub link: LinkConfig,
    /// `[[cluster.nodes]]`: every replica of the cluster, in the order of the file. There is at
    /// least one, and no id and no address is there twice.
    pub nodes: Vec<NodeConfig>,
}

impl Config {
    /// Reads `path`, the secret files that it names, and the environment variable
    /// [`SECRET_VARIABLE`].
    ///
    /// # Errors
    ///
    /// Every mistake that was found; see [`ConfigErrors`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigErrors> {
        Self::load_with(path, &SystemSources)
    }

    /// Reads `path`, and gets everything else from `sources`.
    ///
    /// # Errors
    ///
    /// Every mistake that was found; see [`ConfigErrors`].
    pub fn load_with(path: impl AsRef<Path>, sources: &dyn Sources) -> Result<Self, ConfigErrors> {
        let path = path.as_ref();
        let (text, access) = sources::read_config_file(path)?;
        walk(sources::as_text(path, &text)?, path, |root| read(root, path, sources, Some(access)))
    }

    /// Reads `text` as if it stood in `path`. Touches neither the file system nor the
    /// environment itself: it asks `sources` for both.
    ///
    /// # Errors
    ///
    /// Every mistake that was found; see [`ConfigErrors`].
    pub fn parse(text: &str, path: &Path, sources: &dyn Sources) -> Result<Self, ConfigErrors> {
        walk(text, path, |root| read(root, path, sources, None))
    }

    /// What the file says about the replica `id`.
    pub fn node(&self, id: ReplicaId) -> Option<&NodeConfig> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The ids of all replicas.
    pub fn roster(&self) -> Roster {
        self.nodes.iter().map(|node| node.id).collect()
    }

    /// Where replica `id` listens on this machine: at `listen`, or else at its own address.
    /// `None` if there is no such replica.
    pub fn listen_address(&self, id: ReplicaId) -> Option<&Address> {
        let node = self.node(id)?;
        Some(self.listen.as_ref().unwrap_or(&node.address))
    }
}

/// What `read` makes of `text`, unless there was a mistake.
fn walk<T>(text: &str, path: &Path, read: impl FnOnce(&Table<'_>) -> Option<T>) -> Result<T, ConfigErrors> {
    let reader = Reader::new(path, text);
    let masked = take_apart(text, &reader);
    let document = masked.as_ref().and_then(|masked| Document::of(masked, &reader));
    let read = document.and_then(|document| read(&Table::root(&reader, document.root())));
    reader.finish(read)
}

/// What the file at `path` says, to which there is this `access` if it is one.
fn read(root: &Table<'_>, path: &Path, sources: &dyn Sources, access: Option<Access>) -> Option<Config> {
    let cluster = read_cluster(root)?;
    let id = |entry: reader::Entry<'_>| entry.integer(&whole_number(0, u8::MAX));
    let given = Given {
        name: read_name(&cluster),
        replica_id: cluster.entry("replica_id").and_then(id).map(ReplicaId),
        listen: cluster.entry("listen").and_then(|entry| address::read(&entry)),
        source: cluster.entry("source").and_then(|entry| entry.word(given::SOURCE_CURE, given::source)),
        release: cluster.entry("release").and_then(|entry| entry.integer(&whole_number(0, u32::MAX))),
        releases: cluster.entry("releases").and_then(|entry| entry.word(releases::CURE, releases::releases)),
        auth: auth::read(&cluster.table("auth", &keys::AUTH), &Stands { path, access }, sources),
        link: link::read(&cluster.table("link", &keys::LINK)),
        nodes: nodes::read(&cluster),
    };
    given.resolve(Some(path), sources, &root.findings())
}

/// The one table at the top, which has to be there.
fn read_cluster<'a>(root: &Table<'a>) -> Option<Table<'a>> {
    let Some(cluster) = root.entry("cluster") else {
        root.report_missing("cluster", "start with [cluster] and its name");
        return None;
    };
    cluster.table(&keys::CLUSTER)
}

fn read_name(cluster: &Table<'_>) -> Option<String> {
    let Some(entry) = cluster.entry("name") else {
        cluster.report_missing("name", given::NAME_CURE);
        return None;
    };
    entry.string(given::NAME_CURE).map(ToOwned::to_owned)
}
