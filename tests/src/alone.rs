//! Tests that need a process to themselves: for its limits, its threads or its file descriptors.

use std::env;
use std::process::{Command, Stdio};

/// Set in a process that runs one test alone.
const VARIABLE: &str = "REPLINK_TEST_ALONE";

/// Runs `test` in a process of its own, with at most `files` open file descriptors: this very test
/// program, told to run only the test that is called `name`, which is the one that called this.
///
/// # Panics
///
/// When the test fails there.
pub fn alone(name: &str, files: Option<u32>, test: impl FnOnce()) {
    if env::var(VARIABLE).is_ok_and(|alone| alone == name) {
        return test();
    }
    let limit =
        files.map_or_else(|| "exec \"$@\"".to_owned(), |files| format!("ulimit -n {files}; exec \"$@\""));
    let output = Command::new("/bin/sh")
        .args(["-c", &limit, "sh"])
        .arg(env::current_exe().unwrap())
        .args([name, "--exact", "--test-threads=1", "--nocapture"])
        .env(VARIABLE, name)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [out, error] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{name} fails alone:\n{out}{error}");
    assert!(out.contains("1 passed"), "there is no test {name}:\n{out}");
}
