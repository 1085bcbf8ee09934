//! Files of an operator's: opened in one way, which never waits, and read up to a bound.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::sources::SecretFileError;

/// Opens a file to be read: what `path` leads to over whatever links must be a regular file. Never waits, as one
/// would for the other end of a pipe.
///
/// # Errors
///
/// What the system says, or what it is instead of a regular file.
pub fn open_file(path: impl AsRef<Path>) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Close-on-exec is the standard library's.
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    }
    let file = options.open(path)?;
    // The open file is asked, not the path, which may lead elsewhere a moment later.
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("it is {}, and no regular file", kind_text(kind)),
    ))
}

#[cfg(unix)]
fn kind_text(kind: std::fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn kind_text(kind: std::fs::FileType) -> &'static str {
    if kind.is_dir() { "a directory" } else { "a device" }
}

/// Everything in `file`, or `None` if that is more than `limit` bytes. What a file says about its
/// own length is not believed.
pub(super) fn read_bounded(mut file: &File, limit: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    // One buffer of the full size: one that grows leaves copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(vec![0; limit + 1]);
    let mut len = 0;
    while len < bytes.len() {
        match file.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(len);
    Ok((len <= limit).then_some(bytes))
}

/// Who may do what with a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    /// Other systems have no such bits.
    #[cfg(unix)]
    mode: u32,
    #[cfg(unix)]
    owner: u32,
}

impl Access {
    /// What the open file says.
    #[cfg(unix)]
    pub(super) fn of(file: &File) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = file.metadata()?;
        Ok(Self { mode: metadata.mode() & 0o7777, owner: metadata.uid() })
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere the file is asked")]
    pub(super) fn of(_file: &File) -> io::Result<Self> {
        Ok(Self {})
    }

    /// Whether a secret may stand in the file: it belongs to this user or to root, nobody else may write to it,
    /// and no others may read it. Its group may: that is how a secret gets to a service that is not root.
    #[cfg(unix)]
    pub(super) fn check(self) -> Result<(), SecretFileError> {
        let Self { mode, owner } = self;
        if owner != 0 && owner != rustix::process::geteuid().as_raw() {
            return Err(SecretFileError::ForeignOwner { owner });
        }
        if mode & 0o006 != 0 {
            return Err(SecretFileError::OpenToAll { mode });
        }
        if mode & 0o020 != 0 {
            return Err(SecretFileError::WritableForGroup { mode });
        }
        Ok(())
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere there are owners and permissions")]
    pub(super) fn check(self) -> Result<(), SecretFileError> {
        Ok(())
    }
}

/// The directories on the way to the file at `path` that every user may write to, and in which every user could
/// put another file into its place.
#[cfg(unix)]
pub(super) fn open_directories(path: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::MetadataExt;

    // The directory that the path names, and those that lead to where it ends.
    let named = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned));
    let resolved = std::fs::canonicalize(path).ok();
    let resolved = resolved.iter().flat_map(|path| path.ancestors().skip(1)).map(Path::to_owned);
    let mut open: Vec<PathBuf> = named.into_iter().chain(resolved).collect();
    open.retain(|directory| {
        // A sticky directory keeps everybody from the files of others, and nobody writes to a read-only one.
        let mode = directory.metadata().map_or(0, |metadata| metadata.mode());
        mode & 0o002 != 0 && mode & 0o1000 == 0 && !is_read_only(directory)
    });
    open.sort_unstable();
    open.dedup();
    open
}

#[cfg(unix)]
fn is_read_only(directory: &Path) -> bool {
    use rustix::fs::{StatVfsMountFlags, statvfs};
    statvfs(directory).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Other systems have no such bits.
#[cfg(not(unix))]
pub(super) fn open_directories(_path: &Path) -> Vec<PathBuf> {
    Vec::new()
}
