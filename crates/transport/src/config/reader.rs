//! A walk over the tree of a `cluster.toml` that notes every mistake and goes on.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;

use replink_handshake::SECRET_LEN_MIN;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, ConfigErrors};
use super::findings::Findings;
use super::keys::{self, Section};

/// Where the walk is: knows the lines, and collects what is wrong.
pub(super) struct Reader<'a> {
    /// Nothing for a configuration that was made in code.
    file: Option<&'a Path>,
    /// The offset at which each line begins.
    lines: Vec<usize>,
    errors: RefCell<Vec<ConfigError>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a Path, text: &str) -> Self {
        let lines = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(lines).collect();
        Self { file: Some(file), lines, errors: RefCell::default() }
    }

    /// One that collects what is wrong with a configuration that was made in code.
    pub(super) fn without_file() -> Self {
        Self { file: None, lines: Vec::new(), errors: RefCell::default() }
    }

    /// The line, from 1, of the byte at `offset`.
    pub(super) fn line(&self, offset: usize) -> u32 {
        let line = self.lines.partition_point(|&start| start <= offset);
        u32::try_from(line).unwrap_or(u32::MAX)
    }

    pub(super) fn report(&self, line: Option<u32>, key: String, problem: String, cure: String) {
        let file = self.file.map(Path::to_owned);
        self.errors.borrow_mut().push(ConfigError { file, line, key, problem, cure });
    }

    /// Reports a mistake in another file, which has no keys.
    pub(super) fn report_in(&self, file: &Path, line: Option<u32>, problem: String, cure: String) {
        let (file, key) = (Some(file.to_owned()), String::new());
        self.errors.borrow_mut().push(ConfigError { file, line, key, problem, cure });
    }

    pub(super) fn is_reported(&self, key: &str) -> bool {
        self.errors.borrow().iter().any(|error| error.key == key)
    }

    /// What was read, unless a mistake was reported.
    pub(super) fn finish<T>(self, read: Option<T>) -> Result<T, ConfigErrors> {
        match (ConfigErrors::new(self.errors.into_inner(), self.file), read) {
            (None, Some(read)) => Ok(read),
            (Some(errors), _) => Err(errors),
            // Whoever gives nothing reports why; should that ever be forgotten, it is still no
            // configuration.
            (None, None) => Err(ConfigErrors::from(ConfigError {
                file: self.file.map(Path::to_owned),
                line: None,
                key: String::new(),
                problem: "can't be understood".to_owned(),
                cure: "compare it with the documented keys".to_owned(),
            })),
        }
    }
}

/// A table of the file, or one that could be there and is not, which has no keys.
#[derive(Clone)]
pub(super) struct Table<'a> {
    reader: &'a Reader<'a>,
    section: &'static Section,
    key: String,
    line: u32,
    entries: Option<&'a DeTable<'a>>,
}

impl<'a> Table<'a> {
    pub(super) fn root(reader: &'a Reader<'a>, entries: &'a DeTable<'a>) -> Self {
        let table =
            Self { reader, section: &keys::ROOT, key: String::new(), line: 1, entries: Some(entries) };
        table.report_unknown();
        table
    }

    /// Where checks of the values in this table say what they found. It must be the root.
    pub(super) fn findings(&self) -> Findings<'_> {
        debug_assert!(self.key.is_empty(), "paths begin at the root");
        Findings::new(self.reader, Some(self))
    }

    /// The value of `key`, if it is there.
    pub(super) fn entry(&self, key: &str) -> Option<Entry<'a>> {
        debug_assert!(self.section.keys.contains(&key), "{key} is read but not known");
        let (name, value) = self.entries?.get_key_value(key)?;
        let line = self.reader.line(name.span().start);
        Some(Entry { reader: self.reader, key: self.key_of(key), line, value })
    }

    /// The table called `key`; one without keys if it is not there or is no table.
    pub(super) fn table(&self, key: &str, section: &'static Section) -> Self {
        let table = self.entry(key).and_then(|entry| entry.table(section));
        let absent =
            || Self { reader: self.reader, section, key: self.key_of(key), line: self.line, entries: None };
        table.unwrap_or_else(absent)
    }

    /// Reports that `key` has to be there.
    pub(super) fn report_missing(&self, key: &str, cure: &str) {
        let (key, problem) = (self.key_of(key), "is missing".to_owned());
        self.reader.report(Some(self.line), key, problem, cure.to_owned());
    }

    /// Reports something that is not in the file, as a variable of the environment is not.
    pub(super) fn report_elsewhere(&self, what: &str, problem: String, cure: String) {
        self.reader.report(None, what.to_owned(), problem, cure);
    }

    /// The value at `path`, such as `cluster.nodes[1].id`, which begins in this table.
    pub(super) fn find(&self, path: &str) -> Option<Entry<'a>> {
        let mut entries = self.entries;
        let mut found = None;
        for step in path.split('.') {
            let (name, index) = match step.split_once('[') {
                Some((name, index)) => (name, Some(index.strip_suffix(']')?.parse::<usize>().ok()?)),
                None => (step, None),
            };
            let (name, mut value) = entries?.get_key_value(name)?;
            let mut start = name.span().start;
            if let Some(index) = index {
                let DeValue::Array(values) = value.get_ref() else { return None };
                value = values.get(index)?;
                start = value.span().start;
            }
            entries = if let DeValue::Table(entries) = value.get_ref() { Some(entries) } else { None };
            found = Some((start, value));
        }
        let (start, value) = found?;
        Some(Entry { reader: self.reader, key: path.to_owned(), line: self.reader.line(start), value })
    }

    /// The line of what is at `path`, or if that is not there, of the table that it would be in.
    pub(super) fn line_of(&self, path: &str) -> u32 {
        let ends = std::iter::once(path.len()).chain(path.rmatch_indices('.').map(|(at, _)| at));
        let found = ends.filter_map(|end| path.get(..end)).find_map(|path| self.find(path));
        found.map_or(self.line, |entry| entry.line)
    }

    fn key_of(&self, key: &str) -> String {
        if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) }
    }

    fn report_unknown(&self) {
        let entries = self.entries.into_iter().flat_map(DeTable::keys);
        for name in entries.filter(|name| !self.section.keys.contains(&name.get_ref().as_ref())) {
            let key = self.key_of(&key_text(name.get_ref()));
            let line = self.reader.line(name.span().start);
            let (problem, cure) = match keys::gone(name.get_ref()) {
                Some(cure) => ("is not a key any more", cure.to_owned()),
                None => ("is not a known key", keys::cure(self.section, name.get_ref())),
            };
            self.reader.report(Some(line), key, problem.to_owned(), cure);
        }
    }
}

/// A value, and where it is.
#[derive(Clone)]
pub(super) struct Entry<'a> {
    reader: &'a Reader<'a>,
    key: String,
    line: u32,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Entry<'a> {
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// The key with its tables.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Reports what is wrong with the value. Never hand it the value of a secret.
    pub(super) fn report(&self, problem: impl Into<String>, cure: impl Into<String>) {
        self.reader.report(Some(self.line), self.key.clone(), problem.into(), cure.into());
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => self.wrong_type("must be true or false"),
        }
    }

    /// A whole number that its type has room for.
    pub(super) fn integer<T: TryFrom<i128>>(&self, cure: &str) -> Option<T> {
        self.number(cure, |number| T::try_from(number).ok())
    }

    /// A whole number that `read` makes sense of.
    pub(super) fn number<T>(&self, cure: &str, read: impl FnOnce(i128) -> Option<T>) -> Option<T> {
        let DeValue::Integer(number) = self.value.get_ref() else { return self.wrong_type(cure) };
        let read = i128::from_str_radix(number.as_str(), number.radix()).ok().and_then(read);
        if read.is_none() {
            self.report(is(number.as_str(), &number.as_str()), cure);
        }
        read
    }

    pub(super) fn string(&self, cure: &str) -> Option<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text),
            _ => self.wrong_type(cure),
        }
    }

    /// A string that `read` makes sense of.
    pub(super) fn word<T>(&self, cure: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.string(cure)?;
        let read = read(text);
        if read.is_none() {
            self.report(is(text, &format_args!("{text:?}")), cure);
        }
        read
    }

    pub(super) fn list(&self, cure: &str) -> Option<Vec<Self>> {
        let DeValue::Array(values) = self.value.get_ref() else { return self.wrong_type(cure) };
        let entry = |(index, value): (usize, &'a Spanned<DeValue<'a>>)| Self {
            reader: self.reader,
            key: format!("{}[{index}]", self.key),
            line: self.reader.line(value.span().start),
            value,
        };
        Some(values.iter().enumerate().map(entry).collect())
    }

    pub(super) fn table(&self, section: &'static Section) -> Option<Table<'a>> {
        let DeValue::Table(entries) = self.value.get_ref() else {
            return self.wrong_type(&format!("must be a table: {}", section.header));
        };
        let line = self.reader.line(self.value.span().start);
        let table =
            Table { reader: self.reader, section, key: self.key.clone(), line, entries: Some(entries) };
        table.report_unknown();
        Some(table)
    }

    /// Says which type it is and never what: a secret may have lost its quotes.
    fn wrong_type<T>(&self, cure: &str) -> Option<T> {
        let problem = match self.value.get_ref() {
            DeValue::String(_) => "is a string",
            DeValue::Integer(_) => "is an integer",
            DeValue::Float(_) => "is a float",
            DeValue::Boolean(_) => "is a boolean",
            DeValue::Datetime(_) => "is a date or time",
            DeValue::Array(_) => "is an array",
            DeValue::Table(_) => "is a table",
        };
        self.report(problem, cure);
        None
    }

    /// That the value is what it is, in its own words; nothing if it is no text and no number.
    pub(super) fn is(&self) -> Option<String> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(is(text, &format_args!("{text:?}"))),
            DeValue::Integer(number) => Some(is(number.as_str(), &number.as_str())),
            _ => None,
        }
    }
}

/// An unknown key as it may be shown.
pub(super) fn key_text(key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if may_be_secret(key) {
        format!("({} bytes, not shown as they may be a secret)", key.len())
    } else if !key.is_empty() && key.bytes().all(bare) {
        key.to_owned()
    } else {
        format!("{key:?}")
    }
}

/// That the value is `text`, which looks like `shown`.
pub(super) fn is(text: &str, shown: &dyn fmt::Display) -> String {
    if text.is_empty() {
        "is an empty string".to_owned()
    } else if may_be_secret(text) {
        format!("is not valid ({} bytes, not shown as they may be a secret)", text.len())
    } else {
        format!("is {shown}")
    }
}

/// Whether `text`, wherever it was found, is long enough to be a secret that was put in the wrong
/// place. If so it is not shown.
fn may_be_secret(text: &str) -> bool {
    text.len() >= SECRET_LEN_MIN // K-1
}
