//! What is wrong with the values of a configuration, whether they come from a file or from code.

use std::fmt;
use std::path::Path;

use super::reader::{Entry, Reader, Table, is};

/// Where checks say what they found. What is said of a value that a file has comes with its line, and in the
/// spelling of the file.
#[derive(Clone, Copy)]
pub(super) struct Findings<'a> {
    reader: &'a Reader<'a>,
    /// The file's; nothing if the values come from code.
    root: Option<&'a Table<'a>>,
    section: &'static str,
}

impl<'a> Findings<'a> {
    pub(super) fn new(reader: &'a Reader<'a>, root: Option<&'a Table<'a>>) -> Self {
        Self { reader, root, section: "cluster" }
    }

    /// The same, for the keys of `section`.
    pub(super) fn within(&self, section: &'static str) -> Self {
        Self { section, ..*self }
    }

    /// Whether something about `key` was reported already.
    pub(super) fn is_reported(&self, key: &str) -> bool {
        self.reader.is_reported(&self.path(key))
    }

    /// The same for what is no key of a file, as a variable of the environment is none.
    pub(super) fn is_reported_elsewhere(&self, what: &str) -> bool {
        self.reader.is_reported(what)
    }

    /// The line in which the file says `key`, if it does.
    pub(super) fn line(&self, key: &str) -> Option<u32> {
        self.entry(&self.path(key)).map(|entry| entry.line())
    }

    /// The text `key` is not what it has to be.
    pub(super) fn text(&self, key: &str, text: &str, cure: impl Into<String>) {
        let path = self.path(key);
        let problem = self.entry(&path).and_then(|entry| entry.is());
        self.report(&path, problem.unwrap_or_else(|| is(text, &format_args!("{text:?}"))), cure.into());
    }

    /// The number `key` is not what it has to be.
    pub(super) fn number(&self, key: &str, number: impl fmt::Display, cure: impl Into<String>) {
        let path = self.path(key);
        let problem = self.entry(&path).and_then(|entry| entry.is());
        self.report(&path, problem.unwrap_or_else(|| format!("is {number}")), cure.into());
    }

    /// Something else is wrong with `key`. Never hand it the value of a secret.
    pub(super) fn about(&self, key: &str, problem: impl Into<String>, cure: impl Into<String>) {
        self.report(&self.path(key), problem.into(), cure.into());
    }

    /// Something is wrong with the section as a whole.
    pub(super) fn about_section(&self, problem: &str, cure: String) {
        self.report(self.section, problem.to_owned(), cure);
    }

    /// Keys contradict each other: it is said of the first one that the file has, the others may be defaults.
    /// Says nothing if one of them was reported already: what is wrong by itself is not compared.
    pub(super) fn conflict<const N: usize>(
        &self,
        keys: [&str; N],
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) {
        if keys.into_iter().any(|key| self.is_reported(key)) {
            return;
        }
        let said = keys.into_iter().find(|key| self.line(key).is_some());
        if let Some(key) = said.or(keys.first().copied()) {
            self.about(key, problem, cure);
        }
    }

    /// A mistake in another file, which has no keys.
    pub(super) fn in_file(&self, file: &Path, line: Option<u32>, problem: String, cure: String) {
        self.reader.report_in(file, line, problem, cure);
    }

    fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.section)
    }

    fn entry(&self, path: &str) -> Option<Entry<'a>> {
        self.root?.find(path)
    }

    fn report(&self, path: &str, problem: String, cure: String) {
        let line = self.root.map(|root| root.line_of(path));
        self.reader.report(line, path.to_owned(), problem, cure);
    }
}
