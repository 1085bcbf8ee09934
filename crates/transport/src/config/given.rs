//! From what somebody said about a cluster, in a file or in code, to a configuration.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path;

use replink_frame::ReplicaId;
use replink_handshake::cluster_id;

use super::auth::{self, GivenAuth};
use super::findings::Findings;
use super::link::{self, GivenLink};
use super::nodes::{self, GivenNode, Members};
use super::reader::Reader;
use super::releases::{self, releases_text};
use super::{Address, Config, ConfigErrors, Sources};

/// What the cluster's name is to be.
pub(super) const NAME_CURE: &str =
    "must be the name that all replicas of the cluster share, such as \"orders\"";

/// What the address to dial from is to be.
pub(super) const SOURCE_CURE: &str = "must be an IP address of this machine without a port, such as \"10.0.0.1\"; leave the key out to let the \
     system choose";

/// What somebody said. What could not be read was reported, and is not there.
#[derive(Default, Debug)]
pub(super) struct Given {
    pub(super) name: Option<String>,
    pub(super) replica_id: Option<ReplicaId>,
    pub(super) listen: Option<Address>,
    pub(super) source: Option<IpAddr>,
    pub(super) release: Option<u32>,
    pub(super) releases: Option<RangeInclusive<u32>>,
    pub(super) auth: GivenAuth,
    pub(super) link: GivenLink,
    pub(super) nodes: Vec<GivenNode>,
}

impl Given {
    /// The configuration that this is, with its defaults and its keys. Every part is checked whatever is wrong
    /// with the ones before, so that one run shows all mistakes: what comes back counts only if none was
    /// reported.
    pub(super) fn resolve(
        self,
        path: Option<&Path>,
        sources: &dyn Sources,
        findings: &Findings<'_>,
    ) -> Option<Config> {
        let Self { name, replica_id, listen, source, release, releases, auth, link, nodes: given } = self;
        let releases = releases.unwrap_or(releases::ANY);
        let nodes: Vec<_> = given.iter().filter_map(GivenNode::resolve).collect();
        let all_read = nodes.len() == given.len() && !nodes.is_empty();
        let members = Members { nodes: &nodes, all_read, replica: replica_id };
        let directory = path.and_then(Path::parent).unwrap_or(Path::new(""));
        let auth = auth.resolve(&members, directory, sources, findings);
        let link = link.resolve();

        check_name(name.as_deref(), findings);
        check_source(source, findings);
        check_releases(&releases, findings);
        nodes::check(&given, replica_id, findings);
        auth::check(&auth, &link, findings);
        link::check(&link, &auth, findings);

        let (path, name) = (path.map(Path::to_owned), name?);
        let cluster = cluster_id(&name);
        let release = release.unwrap_or(0);
        Some(Config { path, name, cluster, replica_id, listen, source, release, releases, auth, link, nodes })
    }
}

impl Config {
    /// Checks everything that a file is checked for, after fields were changed in code. Who makes an endpoint
    /// or a node need not ask: those are made of a valid configuration only.
    ///
    /// # Errors
    ///
    /// Every mistake that was found; see [`ConfigErrors`].
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let reader = Reader::without_file();
        let findings = Findings::new(&reader, None);
        check_name(Some(&self.name), &findings);
        if self.cluster != cluster_id(&self.name) {
            let cure = "set the id along with it";
            findings.conflict(["name"], "is not the name that its id is derived from", cure);
        }
        check_source(self.source, &findings);
        check_releases(&self.releases, &findings);
        let given: Vec<_> = self.nodes.iter().map(GivenNode::from).collect();
        nodes::check(&given, self.replica_id, &findings);
        let members =
            Members { nodes: &self.nodes, all_read: !self.nodes.is_empty(), replica: self.replica_id };
        auth::check(&self.auth, &self.link, &findings);
        auth::check_keys(&self.auth, &members, &findings);
        link::check(&self.link, &self.auth, &findings);
        reader.finish(Some(()))
    }
}

/// Whether a cluster can have this name.
pub(super) fn check_name(name: Option<&str>, findings: &Findings<'_>) {
    if let Some(blank) = name.filter(|name| name.trim().is_empty()) {
        findings.text("name", blank, NAME_CURE);
    }
}

/// The address that `text` is. One that is there twice over, as IPv4 in the clothes of IPv6, is IPv4.
pub(super) fn source(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// Whether a machine can have this address.
fn check_source(source: Option<IpAddr>, findings: &Findings<'_>) {
    if let Some(source) = source.filter(|source| source.is_unspecified() || source.is_multicast()) {
        findings.text("source", &source.to_string(), SOURCE_CURE);
    }
}

/// Whether any release gets in.
fn check_releases(releases: &RangeInclusive<u32>, findings: &Findings<'_>) {
    if releases.is_empty() {
        findings.text(
            "releases",
            &releases_text(releases),
            "must have the lowest release first, such as \"3..=5\"",
        );
    }
}
