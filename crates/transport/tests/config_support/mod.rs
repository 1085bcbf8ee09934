//! A `cluster.toml` without a file system.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use replink_transport::config::{Config, ConfigErrors, SECRET_VARIABLE, SecretFileError, Sources};
use zeroize::Zeroizing;

/// A secret that is easily found.
pub(crate) const SECRET: &str = "correct-horse-battery-staple-0123456789";

/// The file that the text stands in.
pub(crate) const FILE: &str = "/etc/orders/cluster.toml";

/// An environment and a file system that exist only here.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) variable: Option<Vec<u8>>,
    /// `$CREDENTIALS_DIRECTORY`.
    pub(crate) credentials: Option<&'static str>,
    /// Directories that every user may write to, on the way to each file.
    pub(crate) open_directories: Vec<PathBuf>,
    pub(crate) files: HashMap<PathBuf, FakeFile>,
}

pub(crate) enum FakeFile {
    Bytes(Vec<u8>),
    TooLong,
    OpenToAll,
}

impl Fake {
    pub(crate) fn file(mut self, path: &str, bytes: &[u8]) -> Self {
        self.files.insert(path.into(), FakeFile::Bytes(bytes.to_vec()));
        self
    }

    pub(crate) fn variable(mut self, value: &[u8]) -> Self {
        self.variable = Some(value.to_vec());
        self
    }

    pub(crate) fn parse(&self, text: &str) -> Result<Config, ConfigErrors> {
        Config::parse(text, Path::new(FILE), self)
    }
}

impl Sources for Fake {
    fn environment(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let credentials = self.credentials.map(|directory| directory.as_bytes().to_vec());
        let value = if name == SECRET_VARIABLE { self.variable.clone() } else { credentials };
        assert!([SECRET_VARIABLE, "CREDENTIALS_DIRECTORY"].contains(&name), "{name} is nobody's business");
        value.map(Zeroizing::new)
    }

    fn secret_file(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
        match self.files.get(path) {
            Some(FakeFile::Bytes(bytes)) => Ok(Zeroizing::new(bytes.clone())),
            Some(FakeFile::TooLong) => Err(SecretFileError::TooLong),
            Some(FakeFile::OpenToAll) => Err(SecretFileError::OpenToAll { mode: 0o644 }),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "no such file").into()),
        }
    }

    fn open_directories(&self, _: &Path) -> Vec<PathBuf> {
        self.open_directories.clone()
    }
}

/// A configuration of two nodes with one line put into each of its tables; `[cluster.auth]` gets
/// `auth` and has no secret of its own.
pub(crate) fn text(cluster: &str, auth: &str, link: &str, node: &str) -> String {
    format!(
        "[cluster]\n\
         name = \"orders\"\n\
         {cluster}\n\
         [cluster.auth]\n\
         {auth}\n\
         [cluster.link]\n\
         {link}\n\
         [[cluster.nodes]]\n\
         id = 0\n\
         address = \"10.0.0.1:7400\"\n\
         {node}\n\
         [[cluster.nodes]]\n\
         id = 1\n\
         address = \"10.0.0.2:7400\"\n"
    )
}
