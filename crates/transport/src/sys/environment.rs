//! The memory that the environment of a process starts in.

use std::ffi::{CStr, c_char};
use std::io;

use zeroize::{Zeroize, Zeroizing};

unsafe extern "C" {
    /// The variables, each a string `NAME=value`, and a null pointer behind the last.
    static environ: *mut *mut c_char;
}

/// Takes the variable `name` out of the environment: what comes back is the only copy. Where it stood there are
/// zeros, so that neither `/proc/PID/environ` shows it nor a child inherits it.
///
/// # Errors
///
/// When this is not the only thread of the process, or that can't be known: others may be reading the environment.
pub(crate) fn take_variable(name: &CStr) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        let problem =
            format!("the process has {threads} threads, and one of them may be reading the environment");
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, problem));
    }
    let mut taken = None;
    // SAFETY: this is the only thread, so nobody else reads or changes the list, or has a reference into it.
    let mut entry = unsafe { environ };
    // SAFETY: `environ` is null or a list that ends with a null pointer, and `entry` goes no further.
    while let Some(variable) = unsafe { entry.as_ref() }.copied().filter(|variable| !variable.is_null()) {
        // SAFETY: every entry of the list is a string that ends with a zero, in memory that the process may write
        // to; nobody else has a reference to it.
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(variable.cast::<u8>(), CStr::from_ptr(variable).count_bytes())
        };
        if let Some([b'=', value @ ..]) = bytes.strip_prefix(name.to_bytes()) {
            let at = bytes.len() - value.len();
            let value = &mut bytes[at..];
            taken.get_or_insert_with(|| Zeroizing::new(value.to_vec()));
            value.zeroize();
        }
        // SAFETY: this entry was not the null pointer, so there is another one behind it.
        entry = unsafe { entry.add(1) };
    }
    // SAFETY: this is the only thread, and `name` ends with a zero. (It removes every variable of that name.)
    unsafe { libc::unsetenv(name.as_ptr()) };
    Ok(taken)
}
