//! From text to the tree of its keys and values.

use std::borrow::Cow;
use std::collections::HashSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroize;

use super::keys;
use super::reader::{Reader, key_text};

/// The parsed text. Wiped when dropped: a string with an escape in it is a copy of the text, and
/// may be a secret. (The parser's error about a line that is not TOML copies the text too, and
/// frees that copy as it is; it does not leave [`Document::parse`].)
pub(super) struct Document<'text>(DeTable<'text>);

impl<'text> Document<'text> {
    /// Reports every line that is not TOML, and then gives nothing: what the parser makes of the
    /// rest would only bring errors that are none.
    pub(super) fn parse(text: &'text str, reader: &Reader<'_>) -> Option<Self> {
        let (tree, errors) = DeTable::parse_recoverable(text);
        let document = Self(tree.into_inner());
        if errors.is_empty() {
            return Some(document);
        }
        let mut lines = HashSet::new();
        for error in &errors {
            // Never the parser's own display, which repeats the line, and with it the secret.
            // Its message is put together from constants.
            let line = error.span().map(|span| reader.line(span.start));
            // One mistake makes the parser stumble more than once.
            if lines.insert(line) {
                report(text, reader, error, line);
            }
        }
        None
    }

    pub(super) fn root(&self) -> &DeTable<'text> {
        &self.0
    }
}

impl Drop for Document<'_> {
    fn drop(&mut self) {
        wipe_table(&mut self.0);
    }
}

fn report(text: &str, reader: &Reader<'_>, error: &toml::de::Error, line: Option<u32>) {
    let raw = error.span().and_then(|span| text.get(span)).unwrap_or_default();
    if error.message() == "duplicate key" {
        let cure = "a key and a table may be there once; keep one of them".to_owned();
        reader.report(line, key_text(raw), "is there a second time".to_owned(), cure);
        return;
    }
    let (what, cure) = match error.message().split_once(", expected ") {
        Some((what, expected)) => (what, format!("expected {expected}")),
        None => (error.message(), "see https://toml.io for how to write it".to_owned()),
    };
    // The key of the line, but only one that is known not to be a secret in the wrong place.
    let start = error.span().map_or(0, |span| span.start);
    let key = text.get(..start).and_then(|before| before.rsplit('\n').next()).and_then(key_of);
    reader.report(line, key.unwrap_or_default().to_owned(), format!("is not valid TOML: {what}"), cure);
}

fn key_of(line: &str) -> Option<&'static str> {
    let (key, _) = line.split_once('=')?;
    keys::known(key.trim())
}

fn wipe_table(table: &mut DeTable<'_>) {
    table.iter_mut().for_each(|(_, value)| wipe_value(value));
}

fn wipe_value(value: &mut Spanned<DeValue<'_>>) {
    match value.get_mut() {
        DeValue::String(Cow::Owned(text)) => text.zeroize(),
        DeValue::Array(values) => values.iter_mut().for_each(wipe_value),
        DeValue::Table(table) => wipe_table(table),
        _ => {}
    }
}
