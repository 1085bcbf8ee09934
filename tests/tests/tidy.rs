//! What no compiler checks about the source itself.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
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
        let wanted = ["C-", "D-", "F-", "H-", "K-", "S-"].contains(&kind) && number.parse::<u8>().is_ok();
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

/// Whoever reads a folder has to know those that it imports, and no other.
#[test]
fn no_folder_of_the_transport_crate_imports_itself_by_way_of_others() {
    let imports = imports_between_modules(&root().join("crates/transport/src"));
    let circle = imports.keys().find_map(|from| circle_from(from, &imports));
    assert_eq!(circle, None, "modules that import each other in a circle");
}

/// The modules at the top of a crate, and which others of them each one imports.
fn imports_between_modules(crate_root: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut files = Vec::new();
    files_under(crate_root, "rs", &mut files);
    let module_of = |path: &Path| {
        let below = path.strip_prefix(crate_root).unwrap().with_extension("");
        below.iter().next().unwrap().to_str().unwrap().to_owned()
    };
    let modules: BTreeSet<String> = files.iter().map(|path| module_of(path)).collect();
    assert!(modules.len() > 10, "looked in the wrong place");
    let whole = without_comments(&fs::read_to_string(crate_root.join("lib.rs")).unwrap());
    // What the root exports, and where it is from.
    let mut exported = BTreeMap::new();
    for item in whole.split("pub use ").skip(1).filter_map(|rest| rest.split_once(';')) {
        if let Some((module, names)) = item.0.split_once("::").filter(|(module, _)| modules.contains(*module))
        {
            exported.extend(words(names).map(|name| (name.to_owned(), module.to_owned())));
        }
    }
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files.iter().filter(|path| !path.ends_with("lib.rs") && !path.ends_with("tests.rs")) {
        let (module, text) = (module_of(path), without_comments(&fs::read_to_string(path).unwrap()));
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for rest in text.split("crate::").skip(1) {
            for name in first_names(rest) {
                let target = modules.get(name).or_else(|| exported.get(name));
                if let Some(target) = target.filter(|target| **target != module) {
                    imports.entry(module.clone()).or_default().insert(target.clone());
                }
            }
        }
    }
    imports
}

/// The first name of each path that follows `crate::`: one, or those of a list in braces.
fn first_names(rest: &str) -> Vec<&str> {
    let Some(list) = rest.strip_prefix('{') else { return words(rest).take(1).collect() };
    let (mut names, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, char) in list.char_indices() {
        match char {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                names.extend(words(&list[start..at]).next());
                start = at + 1;
                if char == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

fn without_comments(text: &str) -> String {
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned() + "\n";
    text.lines().map(code).collect()
}

/// A way from `start` back to itself, if there is one.
fn circle_from(start: &str, imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut ways = vec![vec![start.to_owned()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in imports.get(way.last()?).into_iter().flatten() {
            let longer: Vec<_> = way.iter().chain([next]).cloned().collect();
            if next == start {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push(longer);
            }
        }
    }
    None
}

/// What the test above relies on.
#[test]
fn circles_are_found() {
    assert_eq!(first_names("gate::{Terms, Gate};"), ["gate"]);
    assert_eq!(
        first_names("{Endpoint, mesh::{self, Role}, gate::Terms}; more"),
        ["Endpoint", "mesh", "gate"]
    );
    let graph = |edges: &[(&str, &str)]| {
        let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in edges {
            imports.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        imports
    };
    let tree = graph(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]);
    assert_eq!(circle_from("a", &tree), None);
    let circle = graph(&[("a", "b"), ("b", "c"), ("c", "b")]);
    assert_eq!(circle_from("a", &circle), None, "a is in none");
    assert_eq!(circle_from("b", &circle).unwrap(), ["b", "c", "b"]);
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
