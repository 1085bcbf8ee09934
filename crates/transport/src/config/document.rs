//! From text to the tree of its keys and values.

use std::borrow::Cow;
use std::collections::HashSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroize;

use super::keys;
use super::reader::{Reader, key_text};
use super::syntax::{Masked, Mistake};

/// The parsed text, whose strings are copies of it. Wiped when dropped: one may be a secret.
pub(super) struct Document<'masked>(DeTable<'masked>);

/// Takes a text apart. Reports every piece of it that is not TOML, and then gives nothing.
pub(super) fn take_apart(text: &str, reader: &Reader<'_>) -> Option<Masked> {
    Masked::of(text).map_err(|mistakes| report_all(text, reader, &mistakes)).ok()
}

impl<'masked> Document<'masked> {
    /// Makes the tree. Reports what contradicts itself in it, and then gives nothing.
    pub(super) fn of(masked: &'masked Masked, reader: &Reader<'_>) -> Option<Self> {
        let (tree, errors) = DeTable::parse_recoverable(&masked.text);
        let mut document = Self(tree.into_inner());
        if errors.is_empty() {
            fill_table(&mut document.0, masked);
            return Some(document);
        }
        let mistakes: Vec<Mistake> = errors.iter().map(Mistake::from).collect();
        report_all(&masked.text, reader, &mistakes);
        None
    }

    pub(super) fn root(&self) -> &DeTable<'masked> {
        &self.0
    }
}

impl Drop for Document<'_> {
    fn drop(&mut self) {
        wipe_table(&mut self.0);
    }
}

/// One mistake makes the parser stumble more than once, and is reported once for each line.
fn report_all(text: &str, reader: &Reader<'_>, mistakes: &[Mistake]) {
    let mut lines = HashSet::new();
    for mistake in mistakes {
        let line = mistake.span.as_ref().map(|span| reader.line(span.start));
        if lines.insert(line) {
            report(text, reader, mistake, line);
        }
    }
}

fn report(text: &str, reader: &Reader<'_>, mistake: &Mistake, line: Option<u32>) {
    let raw = mistake.span.as_ref().and_then(|span| text.get(span.clone())).unwrap_or_default();
    if mistake.what == "duplicate key" {
        let cure = "a key and a table may be there once; keep one of them".to_owned();
        reader.report(line, key_text(raw), "is there a second time".to_owned(), cure);
        return;
    }
    let cure = match &mistake.expected {
        Some(expected) => format!("expected {expected}"),
        None => "see https://toml.io for how to write it".to_owned(),
    };
    // The key of the line, but only one that is known not to be a secret in the wrong place.
    let start = mistake.span.as_ref().map_or(0, |span| span.start);
    let key = text.get(..start).and_then(|before| before.rsplit('\n').next()).and_then(key_of);
    let problem = format!("is not valid TOML: {}", mistake.what);
    reader.report(line, key.unwrap_or_default().to_owned(), problem, cure);
}

fn key_of(line: &str) -> Option<&'static str> {
    let (key, _) = line.split_once('=')?;
    keys::known(key.trim())
}

/// Puts what the strings say in the places where the masked text has blanks.
fn fill_table(table: &mut DeTable<'_>, masked: &Masked) {
    table.iter_mut().for_each(|(_, value)| fill_value(value, masked));
}

fn fill_value(value: &mut Spanned<DeValue<'_>>, masked: &Masked) {
    let start = value.span().start;
    match value.get_mut() {
        DeValue::String(text) => *text = Cow::Owned(masked.string_at(start).unwrap_or_default().to_owned()),
        DeValue::Array(values) => values.iter_mut().for_each(|value| fill_value(value, masked)),
        DeValue::Table(table) => fill_table(table, masked),
        _ => {}
    }
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
