use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use replink_frame::Version;
use replink_handshake::{App, KeyRing};

use super::allow;
use super::nodes::Members;
use super::pairwise::Pairwise;
use super::reader::{Entry, Table};
use super::secrets::{SecretReader, SecretSource};
use super::sources::Sources;
use super::units;

/// `[cluster.auth]`: how peers prove who they are, and who may try.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// The embedding product, which keeps its keys apart from every other's.
    pub app: App,
    /// Whether peers have to prove who they are. `false` lets in anyone who can connect (H-12).
    pub enabled: bool,
    /// The keys of this node (K-2). `None` only if authentication is disabled and no secret was
    /// given.
    pub keys: Option<Arc<KeyRing>>,
    /// Where the secret of the offered key came from; `None` exactly if `keys` is.
    pub secret_source: Option<SecretSource>,
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

/// Always gives something: it counts only if no mistake was reported.
pub(super) fn read(
    auth: &Table<'_>,
    members: &Members<'_>,
    directory: &Path,
    sources: &dyn Sources,
) -> AuthConfig {
    let app = read_app(auth).unwrap_or_default();
    let enabled = auth.entry("enabled").and_then(|entry| entry.boolean()).unwrap_or(true);
    let secrets = SecretReader { auth, app: &app, members, directory, sources };
    let (keys, secret_source, pairwise) = match secrets.ring(enabled) {
        Some(held) => (Some(held.ring), Some(held.source), held.pairwise),
        None => (None, None, None),
    };

    let version = |key| auth.entry(key).and_then(|entry| read_version(&entry)).unwrap_or(Version::V2);
    let count = |key| auth.entry(key).and_then(|entry| entry.integer(1, u32::MAX));
    let max_pending = count("max_pending").unwrap_or(256);
    let config = AuthConfig {
        enabled,
        keys,
        secret_source,
        pairwise,
        min_version: version("min_version"),
        version: version("version"),
        allow: auth.entry("allow").and_then(|entry| read_allow(&entry)).unwrap_or_default(),
        handshake_timeout: auth
            .entry("handshake_timeout")
            .and_then(|entry| entry.word(units::POSITIVE_DURATION_CURE, units::positive_duration))
            .unwrap_or(Duration::from_secs(5)),
        max_pending,
        max_pending_per_address: count("max_pending_per_address").unwrap_or(max_pending.min(16)),
        app,
    };
    check_conflicts(auth, &config);
    config
}

fn check_conflicts(auth: &Table<'_>, config: &AuthConfig) {
    if config.max_pending_per_address > config.max_pending {
        let (one, all) = (config.max_pending_per_address, config.max_pending);
        auth.report_conflict(
            ["max_pending_per_address", "max_pending"],
            format!("max_pending_per_address ({one}) is above max_pending ({all})"),
            format!("set max_pending_per_address to at most {all}, or raise max_pending"),
        );
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
    // Nobody, says the list; anyone, says its length. Neither is guessed.
    if entries.is_empty() {
        entry
            .report("is an empty list", "must name who may connect; leave the key out to let any address in");
    }
    Some(entries.iter().filter_map(|entry| entry.word(allow::CURE, allow::network)).collect())
}
