//! The secret of the environment, taken out of it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::SECRET_VARIABLE;
use super::sources::{SecretFileError, Sources, SystemSources};

/// This process's own file system and environment, but for the secret, which was taken out of the environment: what
/// stays there can be read in `/proc/PID/environ`, is in the memory of the process as long as it runs, and is
/// inherited by every child. To be used with [`Config::load_with`](super::Config::load_with), also for a reload.
///
/// The secret is in one place in memory as long as this lives, and is wiped when it is dropped.
pub struct TakenVariable {
    secret: Option<Zeroizing<Vec<u8>>>,
}

impl TakenVariable {
    /// Overwrites [`SECRET_VARIABLE`] in the place where the process was given it, and removes it.
    ///
    /// To be called first of all, while there is one thread. The program that started this one may still have the
    /// variable in its own environment.
    ///
    /// # Errors
    ///
    /// When other threads run, which may be reading the environment, or where that can't be found out: without
    /// `/proc`, and on other systems than Linux. Then the variable stays.
    pub fn take() -> io::Result<Self> {
        Ok(Self { secret: take()? })
    }
}

#[cfg(target_os = "linux")]
fn take() -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    crate::sys::take_variable(super::secrets::SECRET_VARIABLE_C)
}

#[cfg(not(target_os = "linux"))]
fn take() -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Sources for TakenVariable {
    fn environment(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        if name == SECRET_VARIABLE { self.secret.clone() } else { SystemSources.environment(name) }
    }

    fn secret_file(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
        SystemSources.secret_file(path)
    }

    fn open_directories(&self, path: &Path) -> Vec<PathBuf> {
        SystemSources.open_directories(path)
    }
}

impl fmt::Debug for TakenVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TakenVariable").field("is_set", &self.secret.is_some()).finish()
    }
}
