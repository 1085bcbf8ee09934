//! What is compared with what depends on a key is compared in constant time (H-3): by which code, in the sources. How long
//! it takes is measured by `just timing`, which can't be part of a gate.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The text of a source file without its blanks and line ends.
fn source(path: &Path) -> String {
    fs::read_to_string(path).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn ours(file: &str) -> String {
    source(&Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../crates")).join(file))
}

/// Where the sources of a crate are that we are built with.
fn folder_of(package: &str) -> PathBuf {
    let metadata = ["metadata", "--offline", "--format-version", "1"];
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output =
        Command::new(env!("CARGO")).args(metadata).args(["--manifest-path", manifest]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let is_its = |word: &&str| word.ends_with("/Cargo.toml") && word.contains(&format!("/{package}-"));
    let manifest = text.split('"').find(is_its).expect("we are built with it");
    Path::new(manifest).parent().unwrap().to_owned()
}

#[test]
fn macs_are_compared_by_blake3_and_by_nothing_else() {
    let mac = ours("handshake/src/mac.rs");
    assert!(mac.contains("pub(crate) struct Mac(Hash);"));
    let compares = "pub(crate) fn matches(&self, received: &[u8; 32]) -> bool { // H-3: `blake3::Hash` compares in \
                    constant time. self.0 == Hash::from_bytes(*received) }";
    assert!(mac.contains(compares), "Mac::matches is another one: it needs a look, and `just timing`");
    let blake3 = source(&folder_of("blake3").join("src/lib.rs"));
    let constant = "impl PartialEq for Hash { #[inline] fn eq(&self, other: &Hash) -> bool { \
                    constant_time_eq::constant_time_eq_32(&self.0, &other.0) } }";
    assert!(blake3.contains(constant), "blake3 compares hashes in another way now: it needs a look");
    let binding = ours("handshake/src/binding.rs");
    let exporters = "Hash::from_bytes(*self.exporter()) == Hash::from_bytes(*other.exporter())";
    assert!(binding.contains(exporters), "exporter values are compared in another way: it needs a look");
    // What is made with a key has no other comparison than that one.
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/handshake/src");
    let mut files = vec![PathBuf::from(folder)];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        for line in fs::read_to_string(&path).unwrap().lines() {
            let words: Vec<&str> = line.split(|one: char| !one.is_alphanumeric() && one != '_').collect();
            let secret = ["mac", "tag"].iter().any(|word| words.contains(word));
            let compares = line.contains(" == ") || line.contains(" != ");
            let is_comment = line.trim_start().starts_with("//");
            assert!(is_comment || !(secret && compares), "{}: {line}", path.display());
        }
    }
}

#[test]
fn tags_are_compared_by_aegis_and_by_nothing_else() {
    let records = ours("handshake/src/records.rs");
    assert!(records.contains("type Cipher = Aegis128X2<RECORD_TAG_LEN>;"));
    assert_eq!(records.matches("decryptor.finalize(tag)").count(), 1, "the tag is verified by the cipher");
    let folder = folder_of("aegis").join("src/c/libaegis/src");
    let x2 = source(&folder.join("aegis128x2/aegis128x2_common.h"));
    assert!(x2.contains("ret = aegis_verify_16(computed_mac, mac);"));
    let common = source(&folder.join("common/common.c"));
    let body = common.split("aegis_verify_n(const uint8_t *x").nth(1).unwrap();
    let body = &body[..body.find("aegis_verify_16").unwrap()];
    // Every byte goes in, and nothing stops before the last one.
    assert!(body.contains("for (; i < n; i++) { acc |= x[i] ^ y[i]; }"), "{body}");
    assert!(!body.contains("break") && !body.contains("return 0") && !body.contains("return -1"), "{body}");
}
