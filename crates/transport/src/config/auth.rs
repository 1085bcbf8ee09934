use std::cell::RefCell;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use replink_frame::Version;
use replink_handshake::{App, KeyRing};

use super::allow;
use super::bounds::{check_count, check_positive_duration, whole_number};
use super::findings::Findings;
use super::link::{LinkConfig, Policy};
use super::nodes::Members;
use super::pairwise::{self, Pairwise};
use super::reader::{Entry, Table};
use super::remarks::SecretRemark;
use super::secrets::{self, GivenSecrets, SecretSource, Stands, Surroundings};
use super::sources::Sources;
use super::units;

/// `[cluster.auth]`: how peers prove who they are, and who may try.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuthConfig {
    /// The embedding product, which keeps its keys apart from every other's.
    pub app: App,
    /// Whether peers have to prove who they are. `false` lets in anyone who can connect (H-12).
    pub enabled: bool,
    /// Whether this node is on its way from `enabled = false` to keys: it dials with its key and then without,
    /// and lets both in (H-12).
    pub migrating: bool,
    /// The keys of this node (K-2). `None` only if authentication is disabled and no secret was
    /// given.
    pub keys: Option<Arc<KeyRing>>,
    /// Where the secret of the offered key came from; `None` exactly if `keys` is.
    pub secret_source: Option<SecretSource>,
    /// What was odd about secrets while they were read.
    pub secret_remarks: Vec<SecretRemark>,
    /// What the keys are if they come from a file of pair secrets (K-3); `None` with a shared secret.
    pub pairwise: Option<Pairwise>,
    /// The lowest handshake version that is accepted (H-6).
    pub min_version: Version,
    /// The handshake version that this node dials with (H-6).
    pub version: Version,
    /// The networks that may connect; empty for any. See [`Self::allows`].
    pub allow: Vec<IpNet>,
    /// The budget of one whole handshake; above zero.
    pub handshake_timeout: Duration,
    /// Most connections that have not authenticated yet, in all; above zero.
    pub max_pending: u32,
    /// Most connections that have not authenticated yet, from one address; above zero and at most
    /// `max_pending`.
    pub max_pending_per_address: u32,
}

impl AuthConfig {
    /// Whether `address` may connect. An IPv4 address that arrives on a socket for both families
    /// as `::ffff:10.0.0.1` counts as the IPv4 address that it is.
    pub fn allows(&self, address: IpAddr) -> bool {
        crate::gate::allows(&self.allow, address)
    }
}

/// What somebody said about peers, in a file or in code. What is not there has its default.
#[derive(Default, Debug)]
pub(super) struct GivenAuth {
    pub(super) app: Option<App>,
    pub(super) enabled: Option<bool>,
    pub(super) migrating: Option<bool>,
    pub(super) secrets: GivenSecrets,
    pub(super) min_version: Option<Version>,
    pub(super) version: Option<Version>,
    pub(super) allow: Option<Vec<IpNet>>,
    pub(super) handshake_timeout: Option<Duration>,
    pub(super) max_pending: Option<u32>,
    pub(super) max_pending_per_address: Option<u32>,
}

impl GivenAuth {
    /// With the defaults, and with keys in the place of secrets. Relative paths begin in `directory`.
    pub(super) fn resolve(
        self,
        members: &Members<'_>,
        directory: &Path,
        sources: &dyn Sources,
        findings: &Findings<'_>,
    ) -> AuthConfig {
        let auth = findings.within("cluster.auth");
        let app = self.app.unwrap_or_default();
        let enabled = self.enabled.unwrap_or(true);
        let remarks = RefCell::new(self.secrets.remarks.take());
        let surroundings = Surroundings { app: &app, members, directory, sources, findings: &auth, remarks };
        let (keys, secret_source, pairwise) = match self.secrets.ring(&surroundings, enabled) {
            Some(held) => (Some(held.ring), Some(held.source), held.pairwise),
            None => (None, None, None),
        };
        let secret_remarks = surroundings.remarks.into_inner();
        // Nobody, says the list; anyone, says its length. Neither is guessed.
        if self.allow.as_ref().is_some_and(Vec::is_empty) {
            let cure = "must name who may connect; leave the key out to let any address in";
            auth.about("allow", "is an empty list", cure);
        }
        let max_pending = self.max_pending.unwrap_or(256);
        AuthConfig {
            enabled,
            migrating: self.migrating.unwrap_or(false),
            keys,
            secret_source,
            secret_remarks,
            pairwise,
            min_version: self.min_version.unwrap_or(Version::V2),
            version: self.version.unwrap_or(Version::V2),
            allow: self.allow.unwrap_or_default(),
            handshake_timeout: self.handshake_timeout.unwrap_or(Duration::from_secs(5)),
            max_pending,
            max_pending_per_address: self.max_pending_per_address.unwrap_or(max_pending.clamp(1, 16)),
            app,
        }
    }
}

/// What a file says. What can't be read is reported, and counts as not said.
pub(super) fn read(auth: &Table<'_>, stands: &Stands<'_>, sources: &dyn Sources) -> GivenAuth {
    let version = |key| auth.entry(key).and_then(|entry| read_version(&entry));
    let count = |key| auth.entry(key).and_then(|entry| entry.integer(&whole_number(1, u32::MAX)));
    GivenAuth {
        app: read_app(auth),
        enabled: auth.entry("enabled").and_then(|entry| entry.boolean()),
        migrating: auth.entry("migrating").and_then(|entry| entry.boolean()),
        secrets: secrets::read(auth, stands, sources),
        min_version: version("min_version"),
        version: version("version"),
        allow: auth.entry("allow").and_then(|entry| read_allow(&entry)),
        handshake_timeout: auth
            .entry("handshake_timeout")
            .and_then(|entry| entry.word(units::POSITIVE_DURATION_CURE, units::duration)),
        max_pending: count("max_pending"),
        max_pending_per_address: count("max_pending_per_address"),
    }
}

/// Whether peers can be let in like this.
pub(super) fn check(config: &AuthConfig, link: &LinkConfig, findings: &Findings<'_>) {
    let auth = findings.within("cluster.auth");
    check_migrating(config, link, &auth);
    for (index, &network) in config.allow.iter().enumerate() {
        if allow::canonical(network) != network.trunc() {
            auth.text(&format!("allow[{index}]"), &network.to_string(), allow::CURE);
        }
    }
    check_positive_duration(&auth, "handshake_timeout", config.handshake_timeout);
    check_count(&auth, "max_pending", config.max_pending);
    check_count(&auth, "max_pending_per_address", config.max_pending_per_address);
    if config.max_pending_per_address > config.max_pending {
        let (one, all) = (config.max_pending_per_address, config.max_pending);
        auth.conflict(
            ["max_pending_per_address", "max_pending"],
            format!("max_pending_per_address ({one}) is above max_pending ({all})"),
            format!("set max_pending_per_address to at most {all}, or raise max_pending"),
        );
    }
}

/// H-12: links without authentication come up while a node migrates, and have nothing that is required.
fn check_migrating(config: &AuthConfig, link: &LinkConfig, auth: &Findings<'_>) {
    if !config.migrating {
        return;
    }
    if !config.enabled {
        let problem = "is true beside enabled = false, which has no key to migrate to";
        auth.about("migrating", problem, "set a secret and leave enabled out, or leave migrating out");
    }
    let policies = [("sealed", link.sealed), ("forward_secrecy", link.forward_secrecy)];
    for (key, _) in policies.into_iter().filter(|&(_, policy)| policy == Policy::Required) {
        let problem = format!(
            "is true beside cluster.link.{key} = \"required\", which no link without authentication can have"
        );
        let cure = format!(
            "set cluster.link.{key} to \"optional\" until all replicas have a key, or leave migrating out"
        );
        auth.about("migrating", problem, cure);
    }
}

/// Whether the keys are still those that such a cluster needs: for a configuration that was changed after its
/// secrets had been read.
pub(super) fn check_keys(config: &AuthConfig, members: &Members<'_>, findings: &Findings<'_>) {
    let auth = findings.within("cluster.auth");
    match (&config.keys, &config.pairwise) {
        (None, _) if config.enabled => secrets::report_none(&auth),
        (Some(ring), Some(Pairwise { replica, .. })) => {
            let has = |peer| ring.ids_of_pair(*replica, peer).next().is_some();
            pairwise::check(*replica, has, members, config.secret_source.as_ref(), &auth);
        }
        _ => {}
    }
}

pub(super) fn read_app(auth: &Table<'_>) -> Option<App> {
    let cure = "must be the embedding product's name, of 1 to 64 bytes without control characters";
    auth.entry("app")?.word(cure, |name| App::new(name).ok())
}

fn read_version(entry: &Entry<'_>) -> Option<Version> {
    entry.number("must be 1 or 2", |number| match number {
        1 => Some(Version::V1),
        2 => Some(Version::V2),
        _ => None,
    })
}

fn read_allow(entry: &Entry<'_>) -> Option<Vec<IpNet>> {
    let entries = entry.list("must be an array of addresses and networks, such as [\"10.0.0.0/8\"]")?;
    let networks: Vec<_> =
        entries.iter().filter_map(|entry| entry.word(allow::CURE, allow::network)).collect();
    (networks.len() == entries.len()).then_some(networks)
}
