//! What is read from outside the text: the file itself, secret files and the environment.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use super::error::{ConfigError, ConfigErrors};
use super::files::{self, Access, open_file, read_bounded};

/// Longest `cluster.toml` that is read, in bytes.
pub const CONFIG_FILE_BYTES_MAX: usize = 1024 * 1024;

/// Longest secret file that is read, in bytes.
pub const SECRET_FILE_BYTES_MAX: usize = 64 * 1024;

/// Where [`super::Config::parse`] gets what is not in the text.
pub trait Sources {
    /// The exact bytes of an environment variable; `None` if it is not set.
    fn environment(&self, name: &str) -> Option<Zeroizing<Vec<u8>>>;

    /// All bytes of a secret file, a trailing newline included.
    ///
    /// # Errors
    ///
    /// See [`SecretFileError`].
    fn secret_file(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError>;

    /// The directories on the way to a file that every user of the machine may write to. None, unless this says
    /// otherwise.
    fn open_directories(&self, path: &Path) -> Vec<PathBuf> {
        let _ = path;
        Vec::new()
    }
}

/// Why a secret file is of no use.
#[derive(Error, Debug)]
#[non_exhaustive]
pub enum SecretFileError {
    /// It can't be opened or read.
    #[error("can't be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It has more than [`SECRET_FILE_BYTES_MAX`].
    #[error("has more than {SECRET_FILE_BYTES_MAX} bytes")]
    TooLong,
    /// Its permissions let every user of the machine at it.
    #[error("is open to every user of this machine (mode {mode:04o})")]
    OpenToAll {
        /// The permission bits of the file.
        mode: u32,
    },
    /// Its permissions let its group write to it. To read it they may.
    #[error("can be written by its group (mode {mode:04o})")]
    WritableForGroup {
        /// The permission bits of the file.
        mode: u32,
    },
    /// It belongs neither to the user that reads it nor to root.
    #[error("belongs to user {owner}, who is neither the user that reads it nor root")]
    ForeignOwner {
        /// The number of the user whose it is.
        owner: u32,
    },
}

/// This process's own environment and file system.
#[derive(Clone, Copy, Default, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the process has one environment and one file system")]
pub struct SystemSources;

impl Sources for SystemSources {
    fn environment(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        std::env::var_os(name).map(|value| Zeroizing::new(value.into_encoded_bytes()))
    }

    fn secret_file(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
        let file = open_file(path)?;
        Access::of(&file)?.check()?;
        read_bounded(&file, SECRET_FILE_BYTES_MAX)?.ok_or(SecretFileError::TooLong)
    }

    fn open_directories(&self, path: &Path) -> Vec<PathBuf> {
        files::open_directories(path)
    }
}

/// The bytes of a `cluster.toml`, which may hold a secret, and who has access to them.
pub(super) fn read_config_file(path: &Path) -> Result<(Zeroizing<Vec<u8>>, Access), ConfigErrors> {
    let read = || {
        let file = open_file(path)?;
        Ok((read_bounded(&file, CONFIG_FILE_BYTES_MAX)?, Access::of(&file)?))
    };
    match read() {
        Ok((Some(bytes), access)) => Ok((bytes, access)),
        Ok((None, _)) => {
            let problem = format!("has more than {CONFIG_FILE_BYTES_MAX} bytes");
            Err(error(path, None, problem, "must be the configuration of one cluster"))
        }
        Err(cause) => {
            let cause: io::Error = cause;
            let problem = format!("can't be read: {cause}");
            Err(error(path, None, problem, "must be a file that this process can read"))
        }
    }
}

/// The text that `bytes` are.
pub(super) fn as_text<'bytes>(path: &Path, bytes: &'bytes [u8]) -> Result<&'bytes str, ConfigErrors> {
    std::str::from_utf8(bytes).map_err(|cause| {
        let before = bytes.iter().take(cause.valid_up_to());
        let line = u32::try_from(before.filter(|&&byte| byte == b'\n').count()).unwrap_or(u32::MAX);
        let line = line.saturating_add(1);
        error(path, Some(line), "is not UTF-8 text".to_owned(), "must be saved as UTF-8")
    })
}

fn error(path: &Path, line: Option<u32>, problem: String, cure: &str) -> ConfigErrors {
    let (file, key, cure) = (Some(path.to_owned()), String::new(), cure.to_owned());
    ConfigErrors::from(ConfigError { file, line, key, problem, cure })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_byte_that_is_not_text() -> Result<(), Box<dyn std::error::Error>> {
        let path = Path::new("cluster.toml");
        assert_eq!(as_text(path, b"[cluster]\n")?, "[cluster]\n");
        let errors = as_text(path, b"[cluster]\nname = \"\xff\"\n").err().ok_or("not refused")?;
        assert_eq!(errors.to_string(), "cluster.toml:2: is not UTF-8 text; must be saved as UTF-8");
        Ok(())
    }
}
