//! From secrets to the keys that a node holds (K-1, K-2).

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use replink_handshake::{App, Key, KeyRing, SECRET_LEN_MIN, Secret, SecretTooShort};
use zeroize::Zeroizing;

use super::files::Access;
use super::findings::Findings;
use super::nodes::Members;
use super::pairwise::{self, Pairwise};
use super::reader::{Entry, Table};
use super::remarks::{self, SecretRemark};
use super::sources::{SECRET_FILE_BYTES_MAX, SecretFileError, Sources};

/// The environment variable that may hold the secret.
pub const SECRET_VARIABLE: &str = "REPLINK_CLUSTER_AUTH_SHARED_SECRET";

/// The same, as the system takes it.
#[cfg(target_os = "linux")]
pub(super) const SECRET_VARIABLE_C: &std::ffi::CStr = c"REPLINK_CLUSTER_AUTH_SHARED_SECRET";

/// The environment variable with the directory that systemd puts a service's credentials in.
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// How the path of a file of a secret begins that is one of them.
const CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY/";

/// Most entries of `accept_secrets`, and of `accept_secret_files`.
pub const ACCEPTED_SECRETS_MAX: usize = 64;

/// Where the secret of the offered key came from, or those of the pairs. Never a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
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

/// What somebody said about secrets, in a file or in code.
#[derive(Default, Debug)]
pub(super) struct GivenSecrets {
    pub(super) shared_secret: Option<Secret>,
    pub(super) shared_secret_file: Option<PathBuf>,
    /// Of the environment; only where a file is read.
    pub(super) variable: Option<Secret>,
    pub(super) pairwise: Option<PathBuf>,
    /// Nothing in the place of one that could not be read.
    pub(super) accept_secrets: Vec<Option<Secret>>,
    /// Nothing in the place of one that could not be read.
    pub(super) accept_secret_files: Vec<Option<PathBuf>>,
    /// What was odd about those that are no files.
    pub(super) remarks: RefCell<Vec<SecretRemark>>,
}

/// Where secrets stand that are in the configuration itself.
pub(super) struct Stands<'a> {
    pub(super) path: &'a Path,
    /// Nothing where the text comes from no file.
    pub(super) access: Option<Access>,
}

/// What secrets become keys with.
pub(super) struct Surroundings<'a> {
    pub(super) app: &'a App,
    pub(super) members: &'a Members<'a>,
    /// Where the configuration is: relative paths begin there.
    pub(super) directory: &'a Path,
    pub(super) sources: &'a dyn Sources,
    /// Of `[cluster.auth]`.
    pub(super) findings: &'a Findings<'a>,
    pub(super) remarks: RefCell<Vec<SecretRemark>>,
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

/// What a file and the environment say. What can't be read is reported, and counts as not said.
pub(super) fn read(auth: &Table<'_>, stands: &Stands<'_>, sources: &dyn Sources) -> GivenSecrets {
    let remarks = RefCell::default();
    check_stands(auth, stands, sources, &remarks);
    let path = |key, cure| Some(PathBuf::from(auth.entry(key)?.string(cure)?));
    let list = |key, cure: &str| auth.entry(key).and_then(|entry| entry.list(cure)).unwrap_or_default();
    let secrets = list("accept_secrets", "must be an array of secrets");
    let files = list("accept_secret_files", "must be an array of paths");
    GivenSecrets {
        shared_secret: auth.entry("shared_secret").and_then(|entry| read_secret(&entry, &remarks)),
        shared_secret_file: path("shared_secret_file", FILE_CURE),
        variable: sources.environment(SECRET_VARIABLE).and_then(|bytes| read_variable(auth, bytes, &remarks)),
        pairwise: path("pairwise", pairwise::CURE),
        accept_secrets: secrets.iter().map(|entry| read_secret(entry, &remarks)).collect(),
        accept_secret_files: files.iter().map(|entry| entry.string(FILE_CURE).map(PathBuf::from)).collect(),
        remarks,
    }
}

/// A file that holds a secret is a secret file itself.
fn check_stands(
    auth: &Table<'_>,
    stands: &Stands<'_>,
    sources: &dyn Sources,
    remarks: &RefCell<Vec<SecretRemark>>,
) {
    let inline = ["shared_secret", "accept_secrets"].into_iter().find_map(|key| auth.entry(key));
    let (Some(inline), &Stands { path, access: Some(access) }) = (inline, stands) else { return };
    if let Err(error) = access.check() {
        let cure = format!("{}; or use shared_secret_file", access_cure(&error, path));
        inline.report(format!("stands in a file that {error}"), cure);
    }
    remark_directories(path, sources, remarks);
}

fn remark_directories(path: &Path, sources: &dyn Sources, remarks: &RefCell<Vec<SecretRemark>>) {
    let source = format!("file {}", path.display());
    let open = sources.open_directories(path).into_iter();
    let open = open.map(|directory| SecretRemark::OpenDirectory { source: source.clone(), directory });
    remarks.borrow_mut().extend(open);
}

/// What would be right for a file that others have too much access to.
fn access_cure(error: &SecretFileError, path: &Path) -> String {
    match error {
        SecretFileError::ForeignOwner { .. } => {
            format!("must belong to the user that reads it, or to root: chown {}", path.display())
        }
        _ => format!("must be its owner's alone: chmod 600 {}", path.display()),
    }
}

fn read_secret(entry: &Entry<'_>, remarks: &RefCell<Vec<SecretRemark>>) -> Option<Secret> {
    let text = entry.string(SECRET_CURE)?;
    remarks.borrow_mut().extend(remarks::of_bytes(entry.key(), text.as_bytes()));
    let secret = Secret::new(text.as_bytes().to_vec());
    secret.map_err(|short| entry.report(format!("has a secret of {} bytes", short.len), length_cure())).ok()
}

fn read_variable(
    auth: &Table<'_>,
    secret: Zeroizing<Vec<u8>>,
    remarks: &RefCell<Vec<SecretRemark>>,
) -> Option<Secret> {
    remarks.borrow_mut().extend(remarks::of_bytes(&variable(), &secret));
    let report = |short: SecretTooShort| {
        let cure = format!("{}, or be unset", length_cure());
        auth.report_elsewhere(&variable(), format!("has {} bytes", short.len), cure);
    };
    Secret::new(secret).map_err(report).ok()
}

/// K-1
fn length_cure() -> String {
    format!("must have at least {SECRET_LEN_MIN}")
}

/// What mistakes of the environment are reported of.
fn variable() -> String {
    format!("environment variable {SECRET_VARIABLE}")
}

/// That there has to be a secret, and is none.
pub(super) fn report_none(auth: &Findings<'_>) {
    let cure = format!(
        "set shared_secret_file, or shared_secret, or pairwise, or the environment variable \
         {SECRET_VARIABLE}; enabled = false would let anyone in"
    );
    auth.about_section("has no secret", cure);
}

impl GivenSecrets {
    /// The ring (K-2) and where it came from; nothing if there is no secret, which is a mistake if
    /// one is `required`.
    pub(super) fn ring(self, surroundings: &Surroundings<'_>, required: bool) -> Option<Held> {
        self.check_one_source(surroundings.findings, required);
        let key = |secret: &Secret| Key::derive(surroundings.app, secret);
        let inline = self.shared_secret.as_ref().map(|secret| (key(secret), SecretSource::Inline));
        let file = self.shared_secret_file.and_then(|path| surroundings.file("shared_secret_file", &path));
        let file = file.map(|(secret, path)| (key(&secret), SecretSource::File(path)));
        let variable = self.variable.as_ref().map(|secret| (key(secret), SecretSource::Environment));

        // Further keys that are accepted. One that is there twice, or is also offered, does no harm and counts
        // once.
        let secrets = surroundings.accepted("accept_secrets", self.accept_secrets);
        let files = surroundings.accepted("accept_secret_files", self.accept_secret_files);
        let files = files.filter_map(|(at, path)| surroundings.file(&at, &path));
        let accepted = secrets.map(|(_, secret)| secret).chain(files.map(|(secret, _)| secret));
        let accepted: Vec<Key> = accepted.map(|secret| key(&secret)).collect();
        if let Some(path) = &self.pairwise {
            return pairwise::ring(path, accepted, surroundings); // K-3
        }
        let (offered, source) = inline.or(file).or(variable)?;
        Some(Held { ring: Arc::new(KeyRing::new(offered, accepted)), source, pairwise: None })
    }

    /// Which of two secrets is in force must not be a question of precedence.
    fn check_one_source(&self, auth: &Findings<'_>, required: bool) {
        let of_variable = self.variable.is_some() || auth.is_reported_elsewhere(&variable());
        let keys = [
            ("shared_secret", self.shared_secret.is_some()),
            ("shared_secret_file", self.shared_secret_file.is_some()),
            ("pairwise", self.pairwise.is_some()),
        ];
        // One that could not be read was meant to be one.
        let given = keys.into_iter().filter(|&(key, given)| given || auth.is_reported(key));
        let mut given: Vec<_> = given.map(|(key, _)| (auth.line(key), key)).collect();
        given.sort_unstable_by_key(|&(line, _)| line);
        let mut first = of_variable.then(|| format!("the {}", variable()));
        for (line, key) in given {
            match &first {
                Some(first) => {
                    let problem = format!("is a second source of the secret, beside {first}");
                    auth.about(key, problem, "must be the only one: remove one of the two");
                }
                None => first = Some(in_line(key, line)),
            }
        }
        if first.is_none() && required {
            report_none(auth);
        }
    }
}

/// A key, and where the file has it.
fn in_line(key: &str, line: Option<u32>) -> String {
    line.map_or_else(|| key.to_owned(), |line| format!("{key} in line {line}"))
}

impl Surroundings<'_> {
    /// The entries of the list `key`, each with its own key; none if there are too many.
    fn accepted<T>(&self, key: &str, entries: Vec<Option<T>>) -> impl Iterator<Item = (String, T)> {
        let many = entries.len() > ACCEPTED_SECRETS_MAX;
        if many {
            let problem = format!("has {} entries", entries.len());
            self.findings.about(key, problem, format!("must have at most {ACCEPTED_SECRETS_MAX}"));
        }
        let entries = if many { Vec::new() } else { entries };
        let at = |(index, entry): (usize, Option<T>)| Some((format!("{key}[{index}]"), entry?));
        entries.into_iter().enumerate().filter_map(at).collect::<Vec<_>>().into_iter()
    }

    /// The secret in the file at `path`, which `key` names, and where that is.
    fn file(&self, key: &str, path: &Path) -> Option<(Secret, PathBuf)> {
        let (mut secret, path) = self.read_file(key, path, FILE_CURE)?;
        // One newline at the end is the editor's, not the secret's.
        if secret.last() == Some(&b'\n') {
            secret.pop();
            if secret.last() == Some(&b'\r') {
                secret.pop();
            }
        }
        let source = format!("file {}", path.display());
        self.remarks.borrow_mut().extend(remarks::of_bytes(&source, &secret));
        match Secret::new(secret) {
            Ok(secret) => Some((secret, path)),
            Err(short) => {
                let problem = format!("names a file with a secret of {} bytes", short.len);
                self.findings.about(key, problem, length_cure());
                None
            }
        }
    }

    /// The bytes of the file at `path`, which `key` names, and where that is.
    pub(super) fn read_file(
        &self,
        key: &str,
        path: &Path,
        cure: &str,
    ) -> Option<(Zeroizing<Vec<u8>>, PathBuf)> {
        let text = path.to_string_lossy();
        // The path is shown, in errors and as the secret's source: it must not reach into the
        // lines around it, nor into the terminal.
        let cure = if text.is_empty() { cure } else { PATH_CURE };
        if text.is_empty() || text.contains(char::is_control) {
            self.findings.text(key, &text, cure);
            return None;
        }
        let path = self.directory.join(self.credential(key, path)?);
        match self.sources.secret_file(&path) {
            Ok(bytes) => {
                remark_directories(&path, self.sources, &self.remarks);
                Some((bytes, path))
            }
            Err(error) => {
                self.report_file(key, &path, &error);
                None
            }
        }
    }

    /// The path of a credential, where it begins with the variable that says where these are.
    fn credential(&self, key: &str, path: &Path) -> Option<PathBuf> {
        let Some(name) = path.to_str().and_then(|text| text.strip_prefix(CREDENTIALS)) else {
            return Some(path.to_owned());
        };
        let variable = self.sources.environment(CREDENTIALS_VARIABLE);
        let directory = variable.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
        let directory = directory.filter(|text| !text.is_empty() && !text.contains(char::is_control));
        if directory.is_none() {
            let problem = format!("begins with ${CREDENTIALS_VARIABLE}, which is not set to a path");
            let cure = "must be run by systemd, with LoadCredential= or the like, or name a path without it";
            self.findings.about(key, problem, cure);
        }
        directory.map(|directory| Path::new(directory).join(name))
    }

    fn report_file(&self, key: &str, path: &Path, error: &SecretFileError) {
        let cure = match error {
            // The path is not repeated: what can't be opened may be the secret itself, given
            // where its file's name should be.
            SecretFileError::Unreadable(_) => {
                let directory =
                    if self.directory.as_os_str().is_empty() { ".".as_ref() } else { self.directory };
                format!(
                    "must be the path, from {}, of a regular file that this process can read",
                    directory.display()
                )
            }
            SecretFileError::TooLong => {
                format!("must name a file of secrets, of at most {SECRET_FILE_BYTES_MAX} bytes")
            }
            SecretFileError::OpenToAll { .. }
            | SecretFileError::WritableForGroup { .. }
            | SecretFileError::ForeignOwner { .. } => access_cure(error, path),
        };
        self.findings.about(key, format!("names a file that {error}"), cure);
    }
}
