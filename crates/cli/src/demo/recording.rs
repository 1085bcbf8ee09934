//! What someone on the path sees of the demo's links, searched for what they carry.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use memchr::memmem::Finder;
use replink_transport::config::open_file;
use replink_transport::frame::HEADER_SIZE;
use replink_transport::handshake::cluster_id;

use super::DemoError;

/// Long enough that no ciphertext has it by chance.
const PIECE: usize = 32;

/// So many pieces of the file are looked for, from its beginning to its end.
const PIECES: u64 = 8;

/// Bytes that are passed on at once.
const CHUNK: usize = 256 << 10;

/// How long the ends of links may take to come through once their processes are gone.
const PATIENCE: Duration = Duration::from_secs(5);

const HEADERS: &str = "frame headers";
const CONTENT: &str = "content of the file";

/// All that goes over links in either direction behind their handshakes, which are in clear. It is searched as it
/// comes and not kept: the file may be larger than the memory.
pub(super) struct Recording {
    needles: Vec<(&'static str, Finder<'static>)>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bytes: u64,
    /// Directions of links that have not ended.
    open: usize,
    seen: BTreeSet<&'static str>,
}

impl Recording {
    /// Looks for the headers of the cluster called `name`, each of which has its id, and for pieces of `input`.
    pub(super) fn new(name: &str, input: &Path) -> io::Result<Self> {
        let mut needles = vec![(HEADERS, Finder::new(&cluster_id(name).0).into_owned())];
        let file = open_file(input)?;
        // A shorter file has no piece. Its frames have headers all the same.
        if let Some(last) = file.metadata()?.len().checked_sub(PIECE as u64) {
            let places: BTreeSet<u64> = (0..PIECES).map(|index| last * index / (PIECES - 1)).collect();
            for place in places {
                let mut piece = [0; PIECE];
                file.read_exact_at(&mut piece, place)?;
                needles.push((CONTENT, Finder::new(&piece).into_owned()));
            }
        }
        Ok(Self { needles, state: Mutex::default(), changed: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When all links have ended: that nothing was to be read of at least `expected` bytes, in words.
    pub(super) fn verdict(&self, expected: u64) -> Result<String, DemoError> {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), PATIENCE, |state| state.open > 0)
            .unwrap_or_else(PoisonError::into_inner);
        if !state.seen.is_empty() {
            let seen: Vec<_> = state.seen.iter().copied().collect();
            return Err(DemoError::Plaintext { seen: seen.join(" and ") });
        }
        // Otherwise the replication went past it, and nothing is shown.
        if state.bytes < expected || state.open > 0 {
            return Err(DemoError::NotRecorded { bytes: state.bytes });
        }
        Ok(format!(
            "whoever records the links of replica 0 reads nothing: in {} bytes behind the handshakes there are neither {HEADERS} nor \
             {CONTENT}",
            state.bytes
        ))
    }

    fn search(&self, bytes: &[u8], new: usize) {
        let found = self.needles.iter().filter(|(_, needle)| needle.find(bytes).is_some());
        let found: Vec<_> = found.map(|(what, _)| *what).collect();
        let mut state = self.lock();
        state.bytes += new as u64;
        state.seen.extend(found);
    }

    /// Passes on what comes, until it ends.
    fn pass_on(&self, mut from: &TcpStream, mut to: &TcpStream, handshake: usize) -> io::Result<()> {
        let mut buffer = vec![0; PIECE + CHUNK];
        let (mut handshake_left, mut kept) = (handshake, 0);
        loop {
            let room = if handshake_left > 0 { handshake_left } else { CHUNK };
            let count = match from.read(&mut buffer[kept..kept + room]) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let end = kept + count;
            to.write_all(&buffer[kept..end])?;
            if handshake_left > 0 {
                handshake_left -= count;
                continue;
            }
            self.search(&buffer[..end], count);
            // What is looked for may come in two parts.
            let part = end.min(PIECE - 1);
            buffer.copy_within(end - part..end, 0);
            kept = part;
        }
    }

    fn link(self: Arc<Self>, dialer: TcpStream, acceptor: TcpStream) -> io::Result<()> {
        dialer.set_nodelay(true)?;
        acceptor.set_nodelay(true)?;
        let (dialer, acceptor) = (Arc::new(dialer), Arc::new(acceptor));
        // A Hello and a Finish one way, a Challenge the other (section 3).
        let ways = [(Arc::clone(&dialer), Arc::clone(&acceptor), 2), (acceptor, dialer, 1)];
        self.lock().open += ways.len();
        for (from, to, frames) in ways {
            let recording = Arc::clone(&self);
            let direction = thread::Builder::new().spawn(move || {
                let ended = recording.pass_on(&from, &to, frames * HEADER_SIZE);
                // Where one way broke, the other one has nobody to go to.
                let _ = to.shutdown(if ended.is_ok() { Shutdown::Write } else { Shutdown::Both });
                if ended.is_err() {
                    let _ = from.shutdown(Shutdown::Both);
                }
                recording.lock().open -= 1;
                recording.changed.notify_all();
            });
            if let Err(error) = direction {
                self.lock().open -= 1;
                return Err(error);
            }
        }
        Ok(())
    }
}

/// A port that links go through.
pub(super) struct Relay {
    listener: TcpListener,
    pub(super) address: SocketAddr,
}

impl Relay {
    pub(super) fn bind() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Passes on to `target` and into the recording what comes, for as long as this process lives.
    pub(super) fn start(self, target: SocketAddr, recording: Arc<Recording>) -> io::Result<()> {
        let accept = move || {
            for dialer in self.listener.incoming().map_while(Result::ok) {
                // A replica that is not there yet: the dialer sees the end, and dials again.
                if let Ok(acceptor) = TcpStream::connect(target) {
                    let _ = Arc::clone(&recording).link(dialer, acceptor);
                }
            }
        };
        thread::Builder::new().spawn(accept).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "recorded";

    /// A recording of what these pieces are, each written by itself behind a handshake in both directions.
    fn recorded(input: &[u8], pieces: &[&[u8]]) -> Arc<Recording> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input");
        std::fs::write(&path, input).unwrap();
        let recording = Arc::new(Recording::new(NAME, &path).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay::bind().unwrap();
        let address = relay.address;
        relay.start(listener.local_addr().unwrap(), Arc::clone(&recording)).unwrap();
        let mut dialer = TcpStream::connect(address).unwrap();
        let (mut acceptor, _) = listener.accept().unwrap();
        let header = &cluster_id(NAME).0.repeat(HEADER_SIZE / 16);
        acceptor.set_read_timeout(Some(PATIENCE)).unwrap();
        acceptor.write_all(header).unwrap();
        for bytes in [&header.repeat(2)[..]].iter().chain(pieces) {
            dialer.write_all(bytes).unwrap();
            // It has come through before the next one is written: so no two of them are read at once.
            let mut passed_on = vec![0; bytes.len()];
            acceptor.read_exact(&mut passed_on).unwrap();
            assert_eq!(passed_on, *bytes);
        }
        drop((dialer, acceptor));
        recording
    }

    fn seen(recording: &Recording) -> String {
        match recording.verdict(0) {
            Err(DemoError::Plaintext { seen }) => seen,
            Err(error) => panic!("{error}"),
            Ok(_) => String::new(),
        }
    }

    #[test]
    fn handshakes_are_in_clear_and_nothing_else_is_to_be() {
        let recording = recorded(&[7; 100], &[&[8; 1000], &[9; 1000]]);
        assert!(recording.verdict(2000).unwrap().contains("in 2000 bytes"));
        assert!(matches!(recording.verdict(2001), Err(DemoError::NotRecorded { bytes: 2000 })));
    }

    #[test]
    fn headers_and_content_are_found_also_in_two_parts() {
        let id = cluster_id(NAME).0;
        let input: Vec<u8> = (0..=255).collect();
        for at in 0..=16 {
            assert_eq!(seen(&recorded(&input, &[&id[..at], &id[at..]])), HEADERS, "{at}");
        }
        for at in [1, 16, 31, 32] {
            assert_eq!(seen(&recorded(&input, &[&input[..at], &input[at..]])), CONTENT, "{at}");
        }
        // Its last bytes, which are a piece like its first ones.
        assert_eq!(seen(&recorded(&input, &[&input[256 - PIECE..]])), CONTENT);
        assert_eq!(seen(&recorded(&input, &[&input[..PIECE], &id])), "content of the file and frame headers");
    }

    #[test]
    fn a_file_that_is_shorter_than_a_piece_has_headers_all_the_same() {
        assert_eq!(seen(&recorded(b"short", &[b"short"])), "");
        assert_eq!(seen(&recorded(b"", &[&cluster_id(NAME).0])), HEADERS);
    }
}
