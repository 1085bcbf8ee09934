//! From secrets to the keys that a node holds (K-1, K-2).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use replink_handshake::{App, Key, KeyRing, SECRET_LEN_MIN, Secret};
use zeroize::Zeroizing;

use super::nodes::Members;
use super::pairwise::Pairwise;
use super::reader::{Entry, Table};
use super::sources::{SECRET_FILE_BYTES_MAX, SecretFileError, Sources};

/// The environment variable that may hold the secret.
pub const SECRET_VARIABLE: &str = "REPLINK_CLUSTER_AUTH_SHARED_SECRET";

/// Most entries of `accept_secrets`, and of `accept_secret_files`.
pub const ACCEPTED_SECRETS_MAX: usize = 64;

/// Where the secret of the offered key came from, or those of the pairs. Never a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretSource {
    /// `shared_secret`, in the configuration itself.
    Inline,
    /// `shared_secret_file`, with the directory of the configuration put before a relative path.
    File(PathBuf),
    /// The environment variable [`SECRET_VARIABLE`].
    Environment,
    /// `pairwise`, a file with one secret for each pair; with the directory put before it as well.
    Pairwise(PathBuf),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline => f.write_str("shared_secret"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment => write!(f, "environment variable {SECRET_VARIABLE}"),
            Self::Pairwise(path) => write!(f, "pair secrets in file {}", path.display()),
        }
    }
}

/// What secrets are read with.
pub(super) struct SecretReader<'a> {
    pub(super) auth: &'a Table<'a>,
    pub(super) app: &'a App,
    pub(super) members: &'a Members<'a>,
    /// Where the configuration is: relative paths begin there.
    pub(super) directory: &'a Path,
    pub(super) sources: &'a dyn Sources,
}

/// The keys of a node, and where they are from.
pub(super) struct Held {
    pub(super) ring: Arc<KeyRing>,
    pub(super) source: SecretSource,
    pub(super) pairwise: Option<Pairwise>,
}

const SECRET_CURE: &str = "must be a string with the secret, of at least 32 bytes";
const FILE_CURE: &str = "must be a string with the path of a file that holds the secret";
const PATH_CURE: &str = "must be a path without control characters";

impl SecretReader<'_> {
    /// The ring (K-2) and where it came from; nothing if there is no secret, which is a mistake if
    /// one is `required`.
    pub(super) fn ring(&self, required: bool) -> Option<Held> {
        let variable = self.sources.environment(SECRET_VARIABLE);
        self.check_one_source(variable.is_some(), required);
        if let Some(entry) = self.auth.entry("pairwise") {
            return self.pair_ring(&entry); // K-3
        }

        let from_variable = variable.and_then(|secret| self.variable(secret));
        let from_variable = from_variable.map(|key| (key, SecretSource::Environment));
        let inline = self.auth.entry("shared_secret").and_then(|entry| self.inline(&entry));
        let inline = inline.map(|key| (key, SecretSource::Inline));
        let file = self.auth.entry("shared_secret_file").and_then(|entry| self.file(&entry));
        let file = file.map(|(key, path)| (key, SecretSource::File(path)));

        let accepted = self.accepted();
        let (offered, source) = inline.or(file).or(from_variable)?;
        Some(Held { ring: Arc::new(KeyRing::new(offered, accepted)), source, pairwise: None })
    }

    /// Which of two secrets is in force must not be a question of precedence.
    fn check_one_source(&self, variable: bool, required: bool) {
        let keys = ["shared_secret", "shared_secret_file", "pairwise"];
        let mut given: Vec<_> =
            keys.into_iter().filter_map(|key| Some((key, self.auth.entry(key)?))).collect();
        given.sort_by_key(|(_, entry)| entry.line());
        let mut first = variable.then(|| format!("the environment variable {SECRET_VARIABLE}"));
        for (key, entry) in given {
            match &first {
                Some(first) => {
                    let problem = format!("is a second source of the secret, beside {first}");
                    entry.report(problem, "must be the only one: remove one of the two");
                }
                None => first = Some(format!("{key} in line {}", entry.line())),
            }
        }
        if first.is_none() && required {
            let cure = format!(
                "set shared_secret_file, or shared_secret, or pairwise, or the environment variable \
                 {SECRET_VARIABLE}; enabled = false would let anyone in"
            );
            self.auth.report("has no secret", cure);
        }
    }

    /// Further keys that are accepted. One that is there twice, or is also offered, does no harm
    /// and counts once.
    fn accepted(&self) -> Vec<Key> {
        let secrets = self.accepted_entries("accept_secrets", "must be an array of secrets");
        let files = self.accepted_entries("accept_secret_files", "must be an array of paths");
        let secrets = secrets.iter().filter_map(|entry| self.inline(entry));
        secrets.chain(files.iter().filter_map(|entry| Some(self.file(entry)?.0))).collect()
    }

    fn accepted_entries(&self, key: &str, cure: &str) -> Vec<Entry<'_>> {
        let Some(entry) = self.auth.entry(key) else { return Vec::new() };
        let entries = entry.list(cure).unwrap_or_default();
        if entries.len() > ACCEPTED_SECRETS_MAX {
            let problem = format!("has {} entries", entries.len());
            entry.report(problem, format!("must have at most {ACCEPTED_SECRETS_MAX}"));
            return Vec::new();
        }
        entries
    }

    fn variable(&self, secret: Zeroizing<Vec<u8>>) -> Option<Key> {
        match Secret::new(secret) {
            Ok(secret) => Some(Key::derive(self.app, &secret)),
            Err(short) => {
                let cure = format!("must have at least {SECRET_LEN_MIN}, or be unset");
                self.auth.report_variable(SECRET_VARIABLE, format!("has {} bytes", short.len), cure);
                None
            }
        }
    }

    fn inline(&self, entry: &Entry<'_>) -> Option<Key> {
        let text = entry.string(SECRET_CURE)?;
        self.key(entry, Zeroizing::new(text.as_bytes().to_vec()), "has")
    }

    fn file(&self, entry: &Entry<'_>) -> Option<(Key, PathBuf)> {
        let (mut secret, path) = self.read_file(entry, FILE_CURE)?;
        // One newline at the end is the editor's, not the secret's.
        if secret.last() == Some(&b'\n') {
            secret.pop();
            if secret.last() == Some(&b'\r') {
                secret.pop();
            }
        }
        let key = self.key(entry, secret, "names a file with")?;
        Some((key, path))
    }

    /// The bytes of the file that the value names, and its path.
    pub(super) fn read_file(&self, entry: &Entry<'_>, cure: &str) -> Option<(Zeroizing<Vec<u8>>, PathBuf)> {
        entry.word(cure, |path| (!path.is_empty()).then_some(()))?;
        // The path is shown, in errors and as the secret's source: it must not reach into the
        // lines around it, nor into the terminal.
        let join = |path: &str| (!path.contains(char::is_control)).then(|| self.directory.join(path));
        let path = entry.word(PATH_CURE, join)?;
        let read = self.sources.secret_file(&path).map_err(|error| self.report_file(entry, &path, &error));
        Some((read.ok()?, path))
    }

    fn key(&self, entry: &Entry<'_>, secret: Zeroizing<Vec<u8>>, holder: &str) -> Option<Key> {
        match Secret::new(secret) {
            Ok(secret) => Some(Key::derive(self.app, &secret)),
            Err(short) => {
                let problem = format!("{holder} a secret of {} bytes", short.len);
                entry.report(problem, format!("must have at least {SECRET_LEN_MIN}")); // K-1
                None
            }
        }
    }

    fn report_file(&self, entry: &Entry<'_>, path: &Path, error: &SecretFileError) {
        let cure = match error {
            // The path is not repeated: what can't be opened may be the secret itself, given
            // where its file's name should be.
            SecretFileError::Unreadable(_) => {
                let directory =
                    if self.directory.as_os_str().is_empty() { ".".as_ref() } else { self.directory };
                format!(
                    "must be the path, from {}, of a file that this process can read",
                    directory.display()
                )
            }
            SecretFileError::TooLong => {
                format!("must name a file of secrets, of at most {SECRET_FILE_BYTES_MAX} bytes")
            }
            SecretFileError::OpenToAll { .. } => {
                format!("must be its owner's alone: chmod 600 {}", path.display())
            }
        };
        entry.report(format!("names a file that {error}"), cure);
    }
}
