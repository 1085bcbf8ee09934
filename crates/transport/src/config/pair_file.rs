//! The file of one replica's pair secrets (K-3), as text.
//!
//! ```text
//! pair secrets of replica 0, app replink
//! # peer, secret
//! 1 <64 hexadecimal digits>
//! 2 <64 hexadecimal digits>
//! ```

use replink_frame::ReplicaId;
use replink_handshake::{App, Key, Secret};
use zeroize::Zeroizing;

/// Most secrets of one pair: one that is offered, and those of rotations.
pub const PAIR_SECRETS_MAX: usize = 8;

/// Bytes of a pair's secret; the file has two digits for each.
const SECRET_LEN: usize = 32;

/// Bytes of a line that [`pair_file`] writes, without its end: an id, a space and the digits.
const LINE_LEN_MAX: usize = 3 + 1 + 2 * SECRET_LEN;

const OWNER: &str = "pair secrets of replica ";
const APP: &str = ", app ";

/// The text of replica `replica`'s file: for each peer the secret of their pair, from
/// [`Secret::pair_bytes`].
///
/// The text is in one buffer, which wipes itself.
pub fn pair_file(
    app: &App,
    replica: ReplicaId,
    secrets: &[(ReplicaId, Zeroizing<[u8; 32]>)],
) -> Zeroizing<String> {
    let header = format!("{OWNER}{replica}{APP}{app}\n");
    // As long as it gets: a text that grows leaves copies behind that nobody wipes.
    let capacity = header.len() + secrets.len() * (LINE_LEN_MAX + 1);
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    text.push_str(&header);
    for (peer, secret) in secrets {
        text.push_str(&peer.to_string());
        text.push(' ');
        for byte in secret.iter() {
            for half in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(half.into(), 16));
            }
        }
        text.push('\n');
    }
    text
}

/// A file that could be read.
pub(super) struct PairFile {
    /// Whose it is.
    pub(super) replica: ReplicaId,
    /// The keys in the order of the file. No peer has more than [`PAIR_SECRETS_MAX`], and no two
    /// peers have the same.
    pub(super) keys: Vec<PairKey>,
}

/// One line.
pub(super) struct PairKey {
    line: u32,
    pub(super) peer: ReplicaId,
    pub(super) key: Key,
}

/// What is wrong with a line. Never says what is in it.
pub(super) struct Mistake {
    pub(super) line: Option<u32>,
    pub(super) problem: String,
    pub(super) cure: String,
}

impl PairFile {
    /// Reads all lines, or reports each one that is wrong.
    pub(super) fn parse(bytes: &[u8], app: &App) -> Result<Self, Vec<Mistake>> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            let (problem, cure) = match bytes {
                [0xFE | 0xFF, 0xFE | 0xFF, ..] => {
                    ("begins with a byte order mark (BOM) of UTF-16", "must be saved as UTF-8 without one")
                }
                _ => ("is not UTF-8 text", "must be a file of pair secrets"),
            };
            return Err(vec![mistake(None, problem, cure)]);
        };
        if text.starts_with('\u{FEFF}') {
            let problem = "begins with a byte order mark (BOM)";
            return Err(vec![mistake(Some(1), problem, "must be saved as UTF-8 without one")]);
        }
        let mut lines = (1..).zip(text.lines()).filter(|(_, line)| {
            let line = line.trim_start();
            !line.is_empty() && !line.starts_with('#')
        });
        let replica = read_header(lines.next(), app).map_err(|mistake| vec![mistake])?;
        let (mut file, mut mistakes) = (Self { replica, keys: Vec::new() }, Vec::new());
        for (line, text) in lines {
            let read = read_line(line, text, app, replica);
            mistakes.extend(read.and_then(|key| file.add(key)).err());
        }
        if mistakes.is_empty() { Ok(file) } else { Err(mistakes) }
    }

    fn add(&mut self, new: PairKey) -> Result<(), Mistake> {
        let line = Some(new.line);
        // Whoever has it from one pair could speak in the other.
        let same = |held: &&PairKey| held.key.id() == new.key.id() && held.peer != new.peer;
        if let Some(other) = self.keys.iter().find(same) {
            let problem = format!("has the secret of line {}, which is another pair's", other.line);
            return Err(mistake(line, problem, "must be a secret of its own: draw one with replink keygen"));
        }
        if self.keys.iter().filter(|held| held.peer == new.peer).count() == PAIR_SECRETS_MAX {
            let problem = format!("is one more secret for replica {}", new.peer);
            return Err(mistake(line, problem, format!("must be one of at most {PAIR_SECRETS_MAX}")));
        }
        self.keys.push(new);
        Ok(())
    }
}

fn read_header(line: Option<(u32, &str)>, app: &App) -> Result<ReplicaId, Mistake> {
    let cure = format!("must begin with \"{OWNER}N{APP}{app}\", where N is the replica that it belongs to");
    let number = line.map(|(number, _)| number);
    let named = line.and_then(|(_, text)| text.strip_prefix(OWNER)?.split_once(APP));
    let read = named.and_then(|(replica, found)| Some((read_replica(replica)?, found)));
    match read {
        None => Err(mistake(number, "does not say whose pair secrets follow", cure)),
        Some((_, found)) if found != app.as_str() => {
            let problem = format!("has pair secrets for another app than {:?}", app.as_str());
            Err(mistake(number, problem, "must be the app in cluster.auth.app"))
        }
        Some((replica, _)) => Ok(replica),
    }
}

/// Decimal digits only.
fn read_replica(text: &str) -> Option<ReplicaId> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).map(ReplicaId)
}

fn read_line(line: u32, text: &str, app: &App, replica: ReplicaId) -> Result<PairKey, Mistake> {
    let cure = "must be a peer's replica id, a space, and 64 hexadecimal digits";
    let line_number = Some(line);
    // What follows a # is a comment.
    let mut words = text.split('#').next().unwrap_or_default().split_ascii_whitespace();
    let (Some(peer), Some(digits), None) = (words.next(), words.next(), words.next()) else {
        return Err(mistake(line_number, "does not have two parts", cure));
    };
    let Some(peer) = read_replica(peer) else {
        return Err(mistake(line_number, "does not begin with a replica id", cure));
    };
    if peer == replica {
        let problem = format!("is for replica {peer}, whose file this is");
        return Err(mistake(line_number, problem, "must be for another replica"));
    }
    let secret = read_secret(digits).and_then(|secret| Secret::of_pair(secret, replica, peer).ok());
    match secret {
        Some(secret) => Ok(PairKey { line, peer, key: Key::derive(app, &secret) }),
        None if digits.len() == 2 * SECRET_LEN => {
            Err(mistake(line_number, "has a character that is no hexadecimal digit", cure))
        }
        None => Err(mistake(line_number, format!("has a secret of {} bytes", digits.len()), cure)),
    }
}

fn read_secret(digits: &str) -> Option<Zeroizing<Vec<u8>>> {
    if digits.len() != 2 * SECRET_LEN {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut secret = Zeroizing::new(Vec::with_capacity(SECRET_LEN));
    for pair in digits.as_bytes().chunks_exact(2) {
        secret.push((value(pair[0])? << 4) | value(pair[1])?);
    }
    Some(secret)
}

fn mistake(line: Option<u32>, problem: impl Into<String>, cure: impl Into<String>) -> Mistake {
    Mistake { line, problem: problem.into(), cure: cure.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let app = App::new("an app, app 7 # too").unwrap();
        let root = Secret::new(vec![7; 32]).unwrap();
        let peers = [0, 1, 2, 4, 255].map(ReplicaId);
        let secrets = peers.map(|peer| (peer, Secret::pair_bytes(&app, &root, ReplicaId(3), peer)));
        let text = pair_file(&app, ReplicaId(3), &secrets);
        assert_eq!(text.lines().count(), 6);
        assert!(text.lines().skip(1).all(|line| line.len() <= LINE_LEN_MAX));
        let read = PairFile::parse(text.as_bytes(), &app).ok().unwrap();
        assert_eq!(read.replica, ReplicaId(3));
        assert_eq!(read.keys.len(), peers.len());
        for (read, peer) in read.keys.iter().zip(peers) {
            let secret = Secret::for_pair(&app, &root, ReplicaId(3), peer);
            assert_eq!((read.peer, read.key.id()), (peer, Key::derive(&app, &secret).id()));
        }
    }
}
