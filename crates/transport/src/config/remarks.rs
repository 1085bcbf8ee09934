//! What is odd about a secret, and no mistake.

use std::fmt;
use std::path::PathBuf;

/// What is odd about a secret that was read, and taken as it is. Never holds a byte of it but the odd one.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SecretRemark {
    /// It has a byte that an editor or a shell is likely to have put there. The bytes of a secret are taken
    /// exactly as they are (K-1), so the same secret without it is another key.
    OddByte {
        /// Where the secret comes from.
        source: String,
        /// The byte, such as 10 for a newline.
        byte: u8,
        /// Where it is.
        place: OddPlace,
    },
    /// Every user of this machine could put another file into the place of the one that it comes from.
    OpenDirectory {
        /// Where the secret comes from.
        source: String,
        /// The directory that every user may write to.
        directory: PathBuf,
    },
}

/// Where an odd byte is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum OddPlace {
    /// The secret begins with it.
    Beginning,
    /// It is within the secret.
    Within,
    /// The secret ends with it.
    End,
}

/// What is odd about the bytes of the secret that comes from `source`: at most one thing at each place. Random
/// bytes, which are no text, are not looked at.
pub(super) fn of_bytes(source: &str, secret: &[u8]) -> Vec<SecretRemark> {
    let remark = |byte, place| SecretRemark::OddByte { source: source.to_owned(), byte, place };
    // As UTF-16 has it.
    if let [first @ (0xFE | 0xFF), 0xFE | 0xFF, ..] = secret {
        return vec![remark(*first, OddPlace::Beginning)];
    }
    let Ok(text) = std::str::from_utf8(secret) else { return Vec::new() };
    let odd = |byte: u8| byte.is_ascii_whitespace() || byte.is_ascii_control();
    let beginning = if text.starts_with('\u{FEFF}') {
        Some(0xEF)
    } else {
        secret.first().copied().filter(|&byte| odd(byte))
    };
    let end = secret.last().copied().filter(|&byte| odd(byte));
    let inner = text.trim_matches(|char: char| char.is_ascii_whitespace() || char.is_ascii_control());
    let within = inner.bytes().find(u8::is_ascii_control);
    let found = [(beginning, OddPlace::Beginning), (within, OddPlace::Within), (end, OddPlace::End)];
    found.into_iter().filter_map(|(byte, place)| Some(remark(byte?, place))).collect()
}

fn byte_text(byte: u8) -> &'static str {
    match byte {
        b'\n' => "a newline",
        b'\r' => "a carriage return",
        b'\t' => "a tab",
        b' ' => "a space",
        0 => "a zero byte",
        0xEF | 0xFE | 0xFF => "a byte order mark",
        _ => "a control character",
    }
}

impl fmt::Display for SecretRemark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OddByte { source, byte, place } => {
                let has = match place {
                    OddPlace::Beginning => "begins with",
                    OddPlace::Within => "has",
                    OddPlace::End => "ends with",
                };
                let within = if *place == OddPlace::Within { " in it" } else { "" };
                write!(
                    f,
                    "the secret of {source} {has} {} (byte 0x{byte:02X}){within}, which counts: without it, it is \
                     another key; remove it, unless all replicas have it",
                    byte_text(*byte)
                )
            }
            Self::OpenDirectory { source, directory } => write!(
                f,
                "every user of this machine may write to {}, and so put another file into the place of {source}: \
                 chmod o-w {}",
                directory.display(),
                directory.display()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_bytes_are_named() {
        let secret = "correct-horse-battery-staple-0123456789";
        for (bytes, expected) in [
            (secret.to_owned(), &[][..]),
            (format!("{secret}\n"), &[(b'\n', OddPlace::End)]),
            (format!("{secret}\r\n"), &[(b'\n', OddPlace::End)]),
            (format!("{secret} "), &[(b' ', OddPlace::End)]),
            (format!("\t{secret}\0"), &[(b'\t', OddPlace::Beginning), (0, OddPlace::End)]),
            (format!("\u{FEFF}{secret}"), &[(0xEF, OddPlace::Beginning)]),
            (format!("{secret}\n{secret}"), &[(b'\n', OddPlace::Within)]),
            ("correct horse battery staple 0123".to_owned(), &[]),
            ("ünïcödé-ünïcödé-ünïcödé-ünïcödé".to_owned(), &[]),
        ] {
            let found: Vec<_> = of_bytes("it", bytes.as_bytes())
                .into_iter()
                .map(|remark| match remark {
                    SecretRemark::OddByte { byte, place, .. } => (byte, place),
                    SecretRemark::OpenDirectory { .. } => unreachable!(),
                })
                .collect();
            assert_eq!(found, expected, "{bytes:?}");
        }
        assert_eq!(of_bytes("it", b"\xFF\xFEs\0e\0c\0").len(), 1);
        assert_eq!(of_bytes("it", b"\xFFrandom\x80\n").len(), 0, "no text");
        let shown = of_bytes("file k", b"0123456789abcdef0123456789abcdef\n")[0].to_string();
        assert!(
            shown.starts_with("the secret of file k ends with a newline (byte 0x0A), which counts"),
            "{shown}"
        );
    }
}
