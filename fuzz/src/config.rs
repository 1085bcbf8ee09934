//! Any text as a `cluster.toml`: a configuration that keeps every promise of its fields, or errors
//! that say where and what; and no secret in either.
//!
//! The first two bytes of input choose the environment and the file's place, the rest is the
//! text. Four bytes that TOML knows no use for stand for secrets in it, so that a mutation
//! moves a secret as a whole.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use replink_frame::{ReplicaId, Version};
use replink_transport::OutboundLimits;
use replink_transport::config::{
    ACCEPTED_SECRETS_MAX, Address, Config, ConfigErrors, Policy, SECRET_VARIABLE, SecretFileError,
    SecretSource, Sources, parse_size, size_text,
};
use zeroize::Zeroizing;

const INLINE: usize = 0;
const BASE64: usize = 1;
const SHORT: usize = 2;
const IN_FILE: usize = 3;
const IN_OLD_FILE: usize = 4;
const IN_ENVIRONMENT: usize = 5;

const SECRETS: [&str; 6] = [
    // Of letters, so that it may stand anywhere.
    "hQzXwVjKpYbGfRtNmDcLsHvTqZkWxJyPgBnFdMrCwSxQ",
    // With characters that end a word, a number, a string or a line.
    "9JzK+w/Xq3vV.Hc=7TmP#bY2:Rk,Wd]8Gs'Nf-Lx=",
    // Too short to be one.
    "uVfJzQpWkXyBhGnTrMdC",
    "tKvGqZrYxWbJnPdMfHcLgSwTzQkRyVjXhBmNpDsFcGzW",
    "yNwXjRbQzTkPvHgMdLfScWqGxZrJnKtYpVhBmDwFsCzX",
    "bXqWzKjVyTgPnRdHfMcLsGvQtZwJxNkYrBpFhDmSwCzK",
];

/// What stands for a secret in the input; the second is the first with an escape in it.
const PLACEHOLDERS: [(char, &str); 4] = [
    ('\u{1}', SECRETS[INLINE]),
    ('\u{2}', "\\u0068QzXwVjKpYbGfRtNmDcLsHvTqZkWxJyPgBnFdMrCwSxQ"),
    ('\u{3}', SECRETS[BASE64]),
    ('\u{4}', SECRETS[SHORT]),
];

/// So much of a secret, in bytes, is told from all other text.
const TELLING_LEN: usize = 8;

/// How far a run came.
#[derive(Clone, Copy, Default, Debug)]
pub struct Reached {
    pub valid: usize,
    pub inline: usize,
    pub files: usize,
    pub environment: usize,
    pub disabled: usize,
    pub mistakes: usize,
    pub secrets_in_mistakes: usize,
}

pub fn run(data: &[u8]) -> Reached {
    let mut reached = Reached::default();
    let &[environment, place, ref raw @ ..] = data else { return reached };
    let sources = Fake { environment: environment % 5 };
    let path =
        Path::new(["/etc/replink/cluster.toml", "cluster.toml", "conf/cluster.toml"][usize::from(place % 3)]);
    let raw = String::from_utf8_lossy(raw);
    let text = PLACEHOLDERS.iter().fold(raw.to_string(), |text, (byte, secret)| text.replace(*byte, secret));

    let result = Config::parse(&text, path, &sources);
    let shown = match &result {
        Ok(config) => {
            reached.valid = 1;
            check_config(config, path, &sources, &mut reached);
            check_strictness(config, &text, path, &sources);
            format!("{config:?}")
        }
        Err(errors) => {
            reached.mistakes = errors.iter().count();
            reached.secrets_in_mistakes = raw.contains(['\u{1}', '\u{2}', '\u{3}', '\u{4}']).into();
            check_errors(errors, path, &text);
            format!("{errors}\n{errors:?}")
        }
    };
    // What the input holds of secrets without those placeholders is its own affair.
    let mut telling = Telling::in_text(&shown);
    telling.remove(Telling::in_text(&raw));
    assert!(!telling.0[IN_FILE] && !telling.0[IN_OLD_FILE] && !telling.0[IN_ENVIRONMENT], "{shown}");
    match &result {
        // The name of a cluster is no secret however much it looks like one.
        Ok(config) if open_texts(config).any(|text| Telling::in_text(&text).0.contains(&true)) => {}
        _ => assert!(!telling.0[INLINE] && !telling.0[BASE64], "a secret in\n{shown}"),
    }
    assert!(!telling.0[SHORT] || !is_in_secret_line(&raw), "a secret in\n{shown}");
    let again = match Config::parse(&text, path, &sources) {
        Ok(config) => format!("{config:?}"),
        Err(errors) => format!("{errors}\n{errors:?}"),
    };
    assert_eq!(shown, again);
    reached
}

/// What a configuration may show of its text.
fn open_texts(config: &Config) -> impl Iterator<Item = String> {
    let addresses = config.nodes.iter().map(|node| &node.address).chain(&config.listen);
    [config.name.clone(), config.auth.app.to_string()].into_iter().chain(addresses.map(Address::to_string))
}

/// Of which secrets there is something in a text.
struct Telling([bool; SECRETS.len()]);

/// The parts of all secrets, and the secret that each is of; sorted.
static PARTS: LazyLock<Vec<([u8; TELLING_LEN], usize)>> = LazyLock::new(|| {
    let mut parts = Vec::new();
    for (index, secret) in SECRETS.iter().enumerate() {
        // Parts of the one with characters that end a word may be words of their own.
        if index != BASE64 {
            let secret = secret.to_ascii_lowercase();
            let windows = secret.as_bytes().windows(TELLING_LEN);
            parts.extend(windows.map(|part| (part.try_into().expect("its length"), index)));
        }
    }
    parts.sort_unstable();
    parts
});

impl Telling {
    fn in_text(text: &str) -> Self {
        let mut found = [false; SECRETS.len()];
        found[BASE64] = text.contains(SECRETS[BASE64]);
        // Host names are shown in lower case.
        for part in text.to_ascii_lowercase().as_bytes().windows(TELLING_LEN) {
            if let Ok(at) = PARTS.binary_search_by(|(known, _)| known[..].cmp(part)) {
                found[PARTS[at].1] = true;
            }
        }
        Self(found)
    }

    fn remove(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(found, other)| *found &= !other);
    }
}

/// Whether the one short secret stands in a line that is for secrets, and nowhere else.
fn is_in_secret_line(raw: &str) -> bool {
    let keys = ["shared_secret", "shared_secret_file", "accept_secrets", "accept_secret_files", "pairwise"];
    let for_secrets = |line: &str| {
        line.split_once('=').is_some_and(|(key, value)| keys.contains(&key.trim()) && value.contains('\u{4}'))
    };
    raw.matches('\u{4}').count() == 1
        && raw.split('\n').any(for_secrets)
        && !raw.contains("\"\"\"")
        && !raw.contains("'''")
}

fn check_errors(errors: &ConfigErrors, path: &Path, text: &str) {
    let lines = u32::try_from(text.split('\n').count()).expect("a small text");
    let mut last = 1;
    assert!(errors.iter().count() > 0);
    for error in errors {
        assert!(!error.problem.is_empty() && !error.cure.is_empty(), "{error}");
        if error.file.as_deref() != Some(path) {
            // In the file of pair secrets, which comes last and has no keys.
            assert!(error.key.is_empty() && text.contains("pairwise"), "{error}");
            last = u32::MAX;
            continue;
        }
        let line = error.line.unwrap_or(u32::MAX);
        assert!(error.line.is_none_or(|line| line <= lines), "{error} of {lines} lines");
        assert!(last <= line, "{errors}");
        last = line;
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    }
    assert_eq!(errors.to_string().split('\n').count(), errors.iter().count(), "one mistake per line");
}

fn check_config(config: &Config, path: &Path, sources: &Fake, reached: &mut Reached) {
    let Config { name, cluster, auth, link, nodes, .. } = config;
    assert_eq!(config.path.as_deref(), Some(path));
    assert!(!name.trim().is_empty());
    assert_eq!(cluster.0, blake3::hash(name.as_bytes()).as_bytes()[..16]);

    assert!(!nodes.is_empty());
    let ids: HashSet<ReplicaId> = nodes.iter().map(|node| node.id).collect();
    let addresses: HashSet<_> = nodes.iter().map(|node| spelled_once(&node.address)).collect();
    assert_eq!(
        (ids.len(), addresses.len()),
        (nodes.len(), nodes.len()),
        "no id and no address is there twice"
    );
    assert!(config.replica_id.is_none_or(|id| ids.contains(&id)));
    for node in nodes {
        assert_eq!(config.node(node.id), Some(node));
        assert_ne!(node.address.port(), 0);
        assert_eq!(config.listen_address(node.id), Some(config.listen.as_ref().unwrap_or(&node.address)));
    }
    for address in nodes.iter().map(|node| &node.address).chain(&config.listen) {
        assert_eq!(address.to_string().parse().as_ref(), Ok(address));
    }

    let required = [link.sealed, link.forward_secrecy].contains(&Policy::Required);
    let v2 = auth.enabled && auth.version == Version::V2 && auth.min_version == Version::V2;
    assert!(v2 || !required, "H-12, H-13");
    assert!(link.lanes > 0 && link.send_queue_frames > 0);
    assert!(link.max_frame_size >= 256);
    assert!(link.send_queue_bytes >= link.max_frame_size.into());
    assert!(link.heartbeat_interval.is_zero() || link.heartbeat_timeout > link.heartbeat_interval);
    assert!(!link.reconnect_min.is_zero() && link.reconnect_min <= link.reconnect_max);
    assert!(!auth.handshake_timeout.is_zero());
    assert!(auth.max_pending_per_address > 0 && auth.max_pending_per_address <= auth.max_pending);
    let durations = [
        link.busy_poll,
        link.heartbeat_interval,
        link.heartbeat_timeout,
        link.reconnect_min,
        link.reconnect_max,
        auth.handshake_timeout,
    ];
    assert!(durations.iter().all(|&duration: &Duration| duration <= replink_transport::DURATION_MAX));
    assert_eq!(config.validate(), Ok(()));
    for size in [link.send_queue_bytes, link.max_frame_size.into()] {
        assert_eq!(parse_size(&size_text(size)), Some(size));
    }
    assert!(auth.allow.iter().all(|network| auth.allows(network.addr())));

    check_keys(config, path, sources, reached);
    for &id in &ids {
        let endpoint = config.endpoint(id, 1, 2).expect("what is valid can be run");
        assert_eq!(endpoint.local().cluster, *cluster);
        let keys = auth.keys.as_ref().map_or(0, |ring| ring.ids().len());
        for &peer in &ids {
            assert_eq!(endpoint.key_count(peer), if auth.enabled { keys } else { 0 });
        }
        let expected = OutboundLimits {
            frame_size: link.max_frame_size,
            queue_frames: link.send_queue_frames,
            queue_bytes: link.send_queue_bytes,
        };
        assert_eq!(endpoint.outbound_limits(), expected);
    }
}

/// The same for all spellings of an address.
fn spelled_once(address: &Address) -> String {
    match address {
        Address::Ip(address) => format!("{}:{}", address.ip().to_canonical(), address.port()),
        name => name.to_string().replace(".:", ":"),
    }
}

fn check_keys(config: &Config, path: &Path, sources: &Fake, reached: &mut Reached) {
    let auth = &config.auth;
    reached.disabled += usize::from(!auth.enabled);
    assert_eq!(auth.keys.is_some(), auth.secret_source.is_some());
    assert!(auth.keys.is_some() || !auth.enabled, "K-1");
    let (Some(ring), Some(source)) = (&auth.keys, &auth.secret_source) else { return };
    let secret = match source {
        SecretSource::Inline => {
            reached.inline += 1;
            None
        }
        SecretSource::File(file) => {
            reached.files += 1;
            assert!(file.is_absolute() || file.starts_with(path.parent().expect("a file")));
            let mut secret = sources.secret_file(file).expect("it was read").to_vec();
            if secret.ends_with(b"\n") {
                secret.pop();
                secret.pop_if(|last| *last == b'\r');
            }
            Some(secret)
        }
        SecretSource::Environment => {
            reached.environment += 1;
            Some(sources.environment(SECRET_VARIABLE).expect("it was read").to_vec())
        }
        _ => unreachable!("none of the files has pair secrets"),
    };
    assert_eq!(sources.environment(SECRET_VARIABLE).is_some(), *source == SecretSource::Environment);
    let ids: HashSet<_> = ring.ids().collect();
    assert_eq!(ids.len(), ring.ids().len());
    assert!(ids.len() <= 1 + 2 * ACCEPTED_SECRETS_MAX);
    if let Some(secret) = secret {
        assert!(secret.len() >= 32, "K-1");
        let context = format!("{} replica-auth v2 psk->key-id", auth.app);
        assert_eq!(ring.offered().id().0, blake3::derive_key(&context, &secret)[..8], "H-5");
    }
}

/// Nothing is skipped over, and there is one source of the secret.
fn check_strictness(config: &Config, text: &str, path: &Path, sources: &Fake) {
    let with_table = format!("{text}\n[surprise]\n");
    let errors = Config::parse(&with_table, path, sources).expect_err("an unknown key is a mistake");
    assert_eq!(errors.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(), ["surprise"]);

    let other = Fake { environment: if sources.environment == 0 { 1 } else { 0 } };
    let parsed = Config::parse(text, path, &other);
    if sources.environment == 0 {
        // A first secret is fine where there was none.
        assert_eq!(parsed.is_ok(), config.auth.keys.is_none(), "a second source of the secret");
    } else {
        assert_eq!(parsed.is_ok(), !config.auth.enabled, "no secret");
    }
}

/// An environment and a file system that exist only here.
struct Fake {
    environment: u8,
}

impl Sources for Fake {
    fn environment(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        // Asked for where a path begins with it, and not set.
        if name == "CREDENTIALS_DIRECTORY" {
            return None;
        }
        assert_eq!(name, SECRET_VARIABLE);
        let value = match self.environment {
            0 => return None,
            1 => SECRETS[IN_ENVIRONMENT].as_bytes().to_vec(),
            2 => [b"\xff\xfe", SECRETS[IN_ENVIRONMENT].as_bytes(), b"\n"].concat(),
            3 => SECRETS[IN_ENVIRONMENT].as_bytes()[..31].to_vec(),
            _ => Vec::new(),
        };
        Some(Zeroizing::new(value))
    }

    fn secret_file(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
        // What is there has no secret for its name.
        if path.to_str().is_some_and(|path| Telling::in_text(path).0.contains(&true)) {
            return Err(io::Error::from(io::ErrorKind::NotFound).into());
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let secret = SECRETS[IN_FILE].as_bytes();
        let bytes = match name {
            "cluster.key" => [secret, b"\n"].concat(),
            "old.key" => [SECRETS[IN_OLD_FILE].as_bytes(), b"\r\n"].concat(),
            "exact.key" => secret[..32].to_vec(),
            "short.key" => [&secret[..31], b"\n"].concat(),
            "blank.key" => vec![b'\n'; 40],
            "empty.key" => Vec::new(),
            "long.key" => return Err(SecretFileError::TooLong),
            name if name.ends_with("open.key") => return Err(SecretFileError::OpenToAll { mode: 0o644 }),
            "denied.key" => return Err(io::Error::from(io::ErrorKind::PermissionDenied).into()),
            _ => return Err(io::Error::from(io::ErrorKind::NotFound).into()),
        };
        Ok(Zeroizing::new(bytes))
    }
}
