//! What of the command's memory gets out of it.

use std::env;
use std::ffi::OsStr;
use std::io;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, getrlimit, set_dumpable_behavior};

/// The environment variable that lets memory go into core dumps, and debuggers at it.
const VARIABLE: &str = "REPLINK_CORE_DUMPS";

/// Keeps memory, which has keys in it, out of core dumps, and from other processes of the same user.
///
/// # Errors
///
/// When that can't be done, or the environment asks for something unknown.
pub(crate) fn keep_in() -> Result<(), String> {
    match env::var_os(VARIABLE) {
        None => set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_err(|error| format!("can't keep memory out of core dumps: {}", io::Error::from(error))),
        Some(value) if value == OsStr::new("allow") => Ok(()),
        Some(_) => Err(format!("{VARIABLE} must be \"allow\", or unset for no core dumps")),
    }
}

/// Keeps memory from being swapped out, where the limit of locked memory was lifted: all of it, for keys are in no
/// one place. Whether it is.
///
/// With a limit, memory that is needed later would fail to come.
pub(crate) fn lock() -> bool {
    let has_limit = getrlimit(Resource::Memlock).current.is_some();
    // What is not touched is not locked: a stack takes what it uses, and not all that it may.
    !has_limit && mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT).is_ok()
}
