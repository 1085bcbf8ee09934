//! What no compiler checks about the source itself.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Longest source file, in lines: a larger one holds more than its name says.
const LINES_MAX: usize = 500;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn files_under(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("target") {
                files_under(&path, extension, found);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    files_under(&root().join("crates"), "rs", &mut files);
    assert!(files.len() > 50, "looked in the wrong place");
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn unsafe_code_is_in_sys_alone_and_says_why_it_is_sound() {
    for (path, text) in sources() {
        let blocks = text.matches("unsafe {").count() + text.matches("unsafe fn").count();
        let is_sys = path.components().any(|part| part.as_os_str() == "sys");
        assert!(blocks == 0 || is_sys, "{} has unsafe code", path.display());
        // A block says why it is sound, a function what its callers have to see to.
        let reasons = text.matches("SAFETY:").count() + text.matches("/// # Safety").count();
        assert!(reasons >= blocks, "{} does not say why", path.display());
    }
}

#[test]
fn source_files_are_small() {
    for (path, text) in sources() {
        // Below the root, whose own path goes through this package.
        let path = path.strip_prefix(root()).unwrap();
        let is_test = path.components().any(|part| part.as_os_str() == "tests");
        let lines = text.lines().count();
        assert!(is_test || lines <= LINES_MAX, "{} has {lines} lines", path.display());
    }
}

/// Every rule that the code cites is one that the protocol has, and every rule is cited.
#[test]
fn code_and_protocol_cite_the_same_rules() {
    let is_rule = |word: &str| -> Option<String> {
        let (kind, number) = word.split_at_checked(2)?;
        let wanted = ["F-", "H-", "K-", "S-"].contains(&kind) && number.parse::<u8>().is_ok();
        wanted.then(|| word.to_owned())
    };
    let rules_in = |text: &str| {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter_map(is_rule).collect::<Vec<_>>()
    };
    let protocol = rules_in(&fs::read_to_string(root().join("docs/protocol.md")).unwrap());
    let mut cited = Vec::new();
    for (path, text) in sources() {
        for rule in rules_in(&text) {
            assert!(protocol.contains(&rule), "{} cites {rule}, which is no rule", path.display());
            cited.push(rule);
        }
    }
    for rule in &protocol {
        assert!(cited.contains(rule), "no code cites {rule}");
    }
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let mut documents = Vec::new();
    files_under(root(), "md", &mut documents);
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") || target.contains(' ') {
                continue;
            }
            let path = document.parent().unwrap().join(target);
            assert!(path.exists(), "{} links to {target}", document.display());
        }
    }
}
