//! Tells the counts of instructions which compiler they are of.

use std::env;
use std::process::Command;

fn main() {
    let version = env::var_os("RUSTC")
        .and_then(|rustc| Command::new(rustc).arg("--version").output().ok())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .unwrap_or_default();
    let version = version.split_whitespace().nth(1).unwrap_or("unknown").to_owned();
    println!("cargo::rustc-env=REPLINK_RUSTC={version}");
    println!("cargo::rerun-if-changed=build.rs");
}
