//! The part of the transport that knows no socket, no file and no clock stands alone: it compiles without any
//! feature, and drags nothing of an operating system along.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};

/// All that the pure part is made of, with what those need in turn. What is new here is argued for in
/// docs/decisions/0002-dependencies.md.
const PURE: [&str; 26] = [
    "aegis",
    "arrayvec",
    "blake3",
    "bytes",
    "cfg-if",
    "constant_time_eq",
    "cpufeatures",
    "curve25519-dalek",
    "curve25519-dalek-derive",
    "ipnet",
    "proc-macro2",
    "quote",
    "rand_core",
    "replink-frame",
    "replink-handshake",
    "replink-transport",
    "softaes",
    "subtle",
    "syn",
    "thiserror",
    "thiserror-impl",
    "unicode-ident",
    "x25519-dalek",
    "zerocopy",
    "zerocopy-derive",
    "zeroize",
];

/// What would tie it to a system, or to a way of configuring and logging.
const OF_A_SYSTEM: [&str; 9] =
    ["getrandom", "io-uring", "libc", "mio", "rand", "rustix", "socket2", "toml", "tracing"];

fn cargo(arguments: &[&str]) -> Output {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root).args(arguments).args(["-p", "replink-transport", "--no-default-features"]);
    let output = cargo.args(["--offline", "--locked"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn it_depends_on_nothing_of_a_system() {
    // Of one target, whatever this machine is: elsewhere blake3 asks the system what the processor can do.
    let output = cargo(&["tree", "-e", "normal", "--prefix", "none", "--target", "x86_64-unknown-linux-gnu"]);
    let tree = String::from_utf8(output.stdout).unwrap();
    let found: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let of_a_system: Vec<_> = OF_A_SYSTEM.iter().filter(|name| found.contains(*name)).collect();
    assert!(of_a_system.is_empty(), "{of_a_system:?} in\n{tree}");
    assert_eq!(found, BTreeSet::from(PURE), "\n{tree}");
}

#[test]
fn it_compiles_alone() {
    let shared = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = shared.unwrap_or_else(|| PathBuf::from("target")).join("pure-part");
    cargo(&["check", "--target-dir", target.to_str().unwrap()]);
}
