//! Runs this program under callgrind.

use std::env;
use std::io;
use std::process::{Command, Output, Stdio};
use std::thread;

use crate::operations::TIMES;

/// The argument with which this program prints the kind of machine that it sees.
pub(crate) const MACHINE: &str = "machine";

/// Large copies in a loop of vector instructions: valgrind takes each byte of a `rep movsb` for an
/// instruction. (GNU libc; others don't look at it.)
const TUNABLES: &str = "glibc.cpu.x86_rep_movsb_threshold=0x40000000:\
                        glibc.cpu.x86_rep_stosb_threshold=0x40000000";

/// What the program sees of the processor under valgrind; `None` where there is no valgrind.
pub(crate) fn machine() -> Result<Option<String>, String> {
    match valgrind(&["--tool=none", "--quiet"], &[MACHINE]) {
        Ok(output) => Ok(Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("valgrind: {error}")),
    }
}

/// Instructions that the operation takes each time. What comes before and after is in both runs, and
/// cancels.
pub(crate) fn count(name: &str) -> Result<u64, String> {
    let (once, twice) = thread::scope(|scope| {
        let once = scope.spawn(|| collected(name, TIMES));
        let twice = collected(name, 2 * TIMES);
        (once.join().expect("it returns its errors"), twice)
    });
    let times = TIMES as u64;
    Ok((twice?.saturating_sub(once?) + times / 2) / times)
}

fn collected(name: &str, times: usize) -> Result<u64, String> {
    let options = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let output =
        valgrind(&options, &["run", name, &times.to_string()]).map_err(|error| format!("{name}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    parse(&text).ok_or_else(|| format!("{name}: callgrind says no count:\n{text}"))
}

/// The number in `==1234== Collected : 5678`.
fn parse(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

fn valgrind(options: &[&str], arguments: &[&str]) -> io::Result<Output> {
    // Nothing of the environment chooses another allocator or another memcpy.
    let kept = env::vars_os().filter(|(name, _)| name == "PATH" || name == "VALGRIND_LIB");
    let output = Command::new("valgrind")
        .args(options)
        .arg(env::current_exe()?)
        .args(arguments)
        .env_clear()
        .envs(kept)
        .env("GLIBC_TUNABLES", TUNABLES)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        Ok(output)
    } else {
        Err(io::Error::other(format!("{}:\n{}", output.status, String::from_utf8_lossy(&output.stderr))))
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_count_is_found_in_what_callgrind_says() {
        let text = "==7== Callgrind, a call-graph tool\n==7== Events    : Ir\n==7== Collected : 227318\n";
        assert_eq!(parse(text), Some(227_318));
        assert_eq!(parse("==7== Process terminating"), None);
    }
}
