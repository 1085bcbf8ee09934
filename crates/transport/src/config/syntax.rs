//! The pieces of a `cluster.toml`, without a copy of its text that nobody wipes.
//!
//! The parser that makes a tree copies the whole text into each of its errors, and leaves pieces of a string behind
//! where one with an escape in it grows. So it never sees what is in a string: here the text is taken apart into
//! pieces, which are places in it, and the tree is made of one in which the strings of all values are blank.

use std::ops::Range;

use replink_handshake::SECRET_LEN_MIN;
use toml_parser::decoder::{ScalarKind, StringBuilder};
use toml_parser::parser::{Event, EventKind, RecursionGuard, ValidateWhitespace, parse_document};
use toml_parser::{Expected, ParseError, Raw, Source};
use zeroize::Zeroizing;

/// How deep tables and arrays may lie in each other.
const DEPTH_MAX: u32 = 80;

/// A text whose pieces are TOML, and what its strings say, apart.
pub(super) struct Masked {
    /// As long as the text, and the same but for what is in strings and comments.
    pub(super) text: Zeroizing<String>,
    /// The strings, each with the place at which it begins, in their order.
    strings: Vec<(usize, Zeroizing<String>)>,
}

/// A piece that is not TOML. Says nothing of what is in it.
pub(super) struct Mistake {
    /// Where it is.
    pub(super) span: Option<Range<usize>>,
    /// What is wrong.
    pub(super) what: String,
    /// What would be right, where that is known.
    pub(super) expected: Option<String>,
}

impl Masked {
    /// Takes `text` apart, or says what is wrong with all of its pieces.
    pub(super) fn of(text: &str) -> Result<Self, Vec<Mistake>> {
        let source = Source::new(text);
        let tokens = source.lex().into_vec();
        let (mut events, mut errors) = (Vec::<Event>::with_capacity(tokens.len()), Vec::new());
        let mut receiver = ValidateWhitespace::new(&mut events, source);
        parse_document(&tokens, &mut RecursionGuard::new(&mut receiver, DEPTH_MAX), &mut errors);

        let mut masked = Zeroizing::new(text.as_bytes().to_vec());
        let mut strings = Vec::new();
        for event in events {
            let Some(raw) = source.get(event) else { continue };
            let span = event.span().start()..event.span().end();
            match event.kind() {
                EventKind::SimpleKey => raw.decode_key(&mut (), &mut errors),
                EventKind::Comment => masked[span][1..].fill(b'.'),
                EventKind::Scalar => match decode(raw, &mut errors) {
                    Scalar::String(string) => {
                        strings.push((span.start, string));
                        mask_string(&mut masked[span]);
                    }
                    Scalar::Number => mask_number(&mut masked[span]),
                    Scalar::Time => mask_time(&mut masked[span]),
                    Scalar::Boolean => {}
                },
                _ => {}
            }
        }
        if !errors.is_empty() {
            return Err(errors.iter().map(Mistake::from).collect());
        }
        // What was put in the place of characters are characters, so this is text again.
        let masked = String::from_utf8(std::mem::take(&mut *masked)).unwrap_or_default();
        Ok(Self { text: Zeroizing::new(masked), strings })
    }

    /// What the string says that begins at `start`.
    pub(super) fn string_at(&self, start: usize) -> Option<&str> {
        let index = self.strings.binary_search_by_key(&start, |&(start, _)| start).ok()?;
        self.strings.get(index).map(|(_, string)| string.as_str())
    }
}

/// What a value is that is no array and no table.
enum Scalar {
    String(Zeroizing<String>),
    Number,
    Time,
    Boolean,
}

fn decode(raw: Raw<'_>, errors: &mut Vec<ParseError>) -> Scalar {
    let mut decoded = Decoded(Zeroizing::new(String::with_capacity(raw.len())));
    match raw.decode_scalar(&mut decoded, errors) {
        // One without quotes is none, and has been reported.
        ScalarKind::String => Scalar::String(decoded.0),
        ScalarKind::Integer(_) | ScalarKind::Float => Scalar::Number,
        ScalarKind::DateTime => Scalar::Time,
        ScalarKind::Boolean(_) => Scalar::Boolean,
    }
}

/// Has room for all that it gets: nothing decoded is longer than it was written. One that grew would leave copies
/// behind.
struct Decoded(Zeroizing<String>);

impl Decoded {
    fn has_room(&self, len: usize) -> bool {
        self.0.len() + len <= self.0.capacity()
    }
}

impl<'text> StringBuilder<'text> for Decoded {
    fn clear(&mut self) {
        self.0.clear();
    }

    fn push_str(&mut self, append: &'text str) -> bool {
        let has_room = self.has_room(append.len());
        if has_room {
            self.0.push_str(append);
        }
        has_room
    }

    fn push_char(&mut self, append: char) -> bool {
        let has_room = self.has_room(append.len_utf8());
        if has_room {
            self.0.push(append);
        }
        has_room
    }
}

/// A string of the same length, of one line and without an escape.
fn mask_string(written: &mut [u8]) {
    if let [first, inner @ .., last] = written {
        inner.fill(b'.');
        (*first, *last) = (b'"', b'"');
    }
}

/// A number of the same kind, if it is long enough to be a secret without its quotes.
fn mask_number(written: &mut [u8]) {
    if written.len() >= SECRET_LEN_MIN {
        written.iter_mut().filter(|byte| byte.is_ascii_digit()).for_each(|digit| *digit = b'1');
    }
}

/// Another time of the same length, if it is long enough to be a secret without its quotes. That it was none is
/// not said then, but that no setting is a time.
fn mask_time(written: &mut [u8]) {
    const TIME: &[u8] = b"07:32:00.";
    if written.len() >= SECRET_LEN_MIN {
        let (time, fraction) = written.split_at_mut(TIME.len());
        time.copy_from_slice(TIME);
        fraction.fill(b'1');
    }
}

impl From<&ParseError> for Mistake {
    /// In the words of the parser, which are constants.
    fn from(error: &ParseError) -> Self {
        let span = error.unexpected().map(|span| span.start()..span.end());
        let expected = error.expected().map(|expected| {
            let words: Vec<String> = expected.iter().map(expected_text).collect();
            if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
        });
        Self { span, what: error.description().to_owned(), expected }
    }
}

impl From<&toml::de::Error> for Mistake {
    /// Never by the parser's own display, which repeats the line.
    fn from(error: &toml::de::Error) -> Self {
        let (what, expected) = match error.message().split_once(", expected ") {
            Some((what, expected)) => (what, Some(expected.to_owned())),
            None => (error.message(), None),
        };
        Self { span: error.span(), what: what.to_owned(), expected }
    }
}

fn expected_text(expected: &Expected) -> String {
    match expected {
        Expected::Literal("\n") => "newline".to_owned(),
        Expected::Literal("`") => "'`'".to_owned(),
        Expected::Literal(literal) if literal.chars().all(|char| char.is_ascii_control()) => {
            format!("`{}`", literal.escape_debug())
        }
        Expected::Literal(literal) => format!("`{literal}`"),
        Expected::Description(description) => (*description).to_owned(),
        _ => "something else".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_are_blank_and_strings_say_what_they_said() {
        let text = "a = \"x\\u0041y\" # secret\n\"b c\" = ['''\nd'e''', \"\"\"f\\\n   \"g\"\"\"\"]\nh = '' # \n\
                    i = 31415926535897932384626433832795028\nj = 1979-05-27T07:32:00Z\nk = -1.5\n\
                    l = 1979-05-27T07:32:00.123456789012+07:00\n";
        let masked = Masked::of(text).ok().unwrap();
        let expected = "a = \"........\" #.......\n\"b c\" = [\"........\", \".............\"]\nh = \"\" #.\n\
                        i = 11111111111111111111111111111111111\nj = 1979-05-27T07:32:00Z\nk = -1.5\n\
                        l = 07:32:00.11111111111111111111111111111\n";
        assert_eq!(*masked.text, expected);
        let said: Vec<&str> = masked.strings.iter().map(|(_, string)| string.as_str()).collect();
        assert_eq!(said, ["xAy", "d'e", "f\"g\"", ""]);
        assert_eq!(masked.string_at(4), Some("xAy"));
        assert_eq!(masked.string_at(5), None);
    }

    #[test]
    fn no_string_is_longer_than_it_was_written() {
        let text = r#"a = "\n\t\"\\\b\f\r\e\x41\u00e9\U0001F600é😀""#;
        let masked = Masked::of(text).ok().unwrap();
        let (_, string) = &masked.strings[0];
        assert_eq!(string.as_str(), "\n\t\"\\\u{8}\u{c}\r\u{1b}Aé😀é😀");
    }

    #[test]
    fn all_pieces_are_looked_at() {
        let mistakes = Masked::of("a = b\nc = \"\\q\"\nd = 1__0\n\"f\\q\" = [\n").err().unwrap();
        assert!(mistakes.len() >= 5, "{}", mistakes.len());
        let depth = "[".repeat(100);
        assert!(Masked::of(&format!("a = {depth}")).is_err());
    }
}
