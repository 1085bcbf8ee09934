//! What a `cluster.toml` says about a cluster before there are any secrets.

use std::path::Path;

use replink_handshake::App;

use super::error::ConfigErrors;
use super::nodes::{GivenNode, NodeConfig};
use super::reader::Table;
use super::{auth, given, keys, nodes, read_cluster, read_name, sources, walk};

/// A cluster as a `cluster.toml` describes it, without its secrets: their files need not be there
/// yet. What the file says besides is not checked; [`super::Config::load`] does that.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outline {
    /// The cluster's name; never empty.
    pub name: String,
    /// The embedding product, which keeps its keys apart from every other's.
    pub app: App,
    /// Every replica of the cluster; at least one, and no id and no address is there twice.
    pub nodes: Vec<NodeConfig>,
}

impl Outline {
    /// Reads `path`, and no other file and no variable of the environment.
    ///
    /// # Errors
    ///
    /// Every mistake that was found; see [`ConfigErrors`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigErrors> {
        let path = path.as_ref();
        let (text, _) = sources::read_config_file(path)?;
        walk(sources::as_text(path, &text)?, path, read)
    }
}

fn read(root: &Table<'_>) -> Option<Outline> {
    let cluster = read_cluster(root)?;
    let (name, given) = (read_name(&cluster), nodes::read(&cluster));
    let app = auth::read_app(&cluster.table("auth", &keys::AUTH)).unwrap_or_default();
    let findings = root.findings();
    given::check_name(name.as_deref(), &findings);
    nodes::check(&given, None, &findings);
    let nodes = given.iter().filter_map(GivenNode::resolve).collect();
    Some(Outline { name: name?, app, nodes })
}
