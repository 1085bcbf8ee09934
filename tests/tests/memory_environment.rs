//! What is left of a secret in a process that was given it in its environment, once it was taken out and dropped.
//!
//! A program of its own, without a test harness, which would start a thread before anything can be taken.
#![cfg_attr(not(target_os = "linux"), allow(unused))]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[cfg(target_os = "linux")]
mod memory {
    pub(super) mod oracle;
    pub(super) mod scan;
    #[allow(dead_code, reason = "another test uses the rest")]
    pub(super) mod sources;
}

/// The folder with the secret, in the process that was given it.
const FOLDER: &str = "REPLINK_TEST_FOLDER";

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() {
    let taken = replink_transport::config::TakenVariable::take();
    if memory::oracle::run_if_asked() {
        return;
    }
    if let Some(folder) = std::env::var_os(FOLDER) {
        return nothing_is_left(taken.unwrap(), folder.as_ref());
    }
    // A shell draws the secret, so that this process never knows it.
    let folder = tempfile::tempdir().unwrap();
    let prepare = format!(
        "head -c 36 /dev/urandom | base64 > \"$1/cluster.key\"\n{FOLDER}=$1 {}=$(cat \"$1/cluster.key\") exec \"$2\"",
        replink_transport::config::SECRET_VARIABLE
    );
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", &prepare, "sh"]).arg(folder.path()).arg(std::env::current_exe().unwrap());
    assert!(shell.status().unwrap().success(), "it fails in the process that has the secret");
}

/// Out of the environment block and the stack as well; and no child has it.
#[cfg(target_os = "linux")]
fn nothing_is_left(taken: replink_transport::config::TakenVariable, folder: &std::path::Path) {
    use memory::{oracle, scan::Scanner, sources};
    use replink_transport::config::{Config, SECRET_VARIABLE, TakenVariable};

    let scanner = Scanner::start();
    assert!(TakenVariable::take().is_err(), "another thread may be reading the environment");
    sources::write_others(folder);
    let patterns = oracle::ask(folder, "source");
    let names =
        |found: Vec<_>| found.into_iter().map(|found: memory::scan::Found| found.name).collect::<Vec<_>>();
    assert_eq!(
        names(scanner.find(&patterns)),
        ["secret", "secret"],
        "both halves, once, as long as it is held"
    );
    for _ in 0..2 {
        let config = Config::load_with(folder.join("environment.toml"), &taken).unwrap();
        assert!(config.auth.keys.is_some(), "a reload finds it again");
    }
    assert_eq!(format!("{taken:?}"), "TakenVariable { is_set: true }");
    assert!(std::env::var_os(SECRET_VARIABLE).is_none());
    let block = std::fs::read("/proc/self/environ").unwrap();
    let entry = format!("{SECRET_VARIABLE}=").into_bytes();
    let entries: Vec<_> =
        block.split(|&byte| byte == 0).filter(|variable| variable.starts_with(&entry)).collect();
    assert_eq!(entries, [&entry], "its name, and no value");
    drop(taken);
    let left = scanner.find(&patterns);
    assert!(left.is_empty(), "{left:#?}");
}
