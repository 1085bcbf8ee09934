//! Someone on the path between two replicas: a process of its own that passes on what they send, record by
//! record or frame by frame, and does to one of them what it is told.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use replink_tests::raw_peer::{RawPeer, at, command};
use replink_transport::frame::Status;
use replink_transport::handshake::cluster_id;

use super::peer;
use super::process::PATIENCE;

/// Asks for [`Proxy::has_read`].
const SEARCH: &str = "search";

/// Tells the process where its test listens, and where to pass on to.
const VARIABLE: &str = "REPLINK_TEST_PROXY";

/// Where the flags of a handshake frame are (section 2), and the one of sealed links.
const FLAGS: usize = 128 + 66;
const SEALED: u8 = 8;

/// Where a body begins.
const BODY: usize = 256;

/// Bytes of a record in front of its ciphertext and behind it (section 5).
const HEAD: usize = 4;
const TAG: usize = 16;

/// As many bytes are a cluster's id, or a body's where they are equal, and no ciphertext's.
const RUN: usize = 16;

/// The cluster of the tests.
const CLUSTER: &str = "orders";

/// What the proxy can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// Flips a bit in the ciphertext of a record.
    Ciphertext,
    /// Flips a bit in the tag of a record.
    Tag,
    /// Flips a bit in the length of a record, which none has then.
    Length,
    /// Leaves a record out.
    Drop,
    /// Passes a record on twice.
    Repeat,
    /// Passes a record on behind the one that follows it.
    Swap,
    /// Remembers a record, and passes it on.
    Record,
    /// Puts the record that it remembers before another one.
    Splice,
    /// Passes on half of a record, and ends the connection.
    Cut,
    /// Passes a record of the acceptor's on, and gives it back to who sent it.
    Reflect,
    /// Flips a bit in a record of the acceptor's.
    Answer,
    /// Puts a late reject in the place of the acceptor's first record.
    Reject,
    /// Puts a late reject in the place of a later one.
    LateReject,
    /// Flips a bit in the body of a Prepare, on a link that is not sealed.
    Body,
}

const DEEDS: [Deed; 14] = [
    Deed::Ciphertext,
    Deed::Tag,
    Deed::Length,
    Deed::Drop,
    Deed::Repeat,
    Deed::Swap,
    Deed::Record,
    Deed::Splice,
    Deed::Cut,
    Deed::Reflect,
    Deed::Answer,
    Deed::Reject,
    Deed::LateReject,
    Deed::Body,
];

/// What is read next of one direction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Handshake,
    Frame,
    /// The first one of this direction, or a later one.
    Record {
        first: bool,
    },
}

impl Deed {
    /// Whether it can be done to this, that comes from the dialer or goes to it.
    fn fits(self, unit: Unit, bytes: &[u8], from_dialer: bool) -> bool {
        match (self, unit) {
            (Self::Body, Unit::Frame) => from_dialer && bytes[at::COMMAND] == command::PREPARE,
            (Self::Reject, Unit::Record { first }) => !from_dialer && first,
            (Self::LateReject, Unit::Record { first }) => !from_dialer && !first,
            (Self::Reflect | Self::Answer, Unit::Record { .. }) => !from_dialer,
            (Self::Body, _) | (_, Unit::Handshake | Unit::Frame) => false,
            (_, Unit::Record { .. }) => from_dialer,
        }
    }
}

/// The process, from its test.
pub struct Proxy {
    child: Child,
    control: BufReader<TcpStream>,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Proxy {
    /// Starts it. `test` is the test of this binary that calls [`run`].
    pub fn start(test: &str, target: SocketAddr) -> Self {
        let listener = peer::listen((Ipv4Addr::LOCALHOST, 0).into());
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(VARIABLE, format!("{} {target}", listener.local_addr().unwrap()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let control = BufReader::new(peer::accept(&listener));
        let mut proxy = Self { child, control, address: target };
        proxy.address = proxy.next_line().parse().unwrap();
        proxy
    }

    /// From here on it waits for a frame to do this to, once.
    pub fn prepare(&mut self, deed: Deed) {
        let index = DEEDS.iter().position(|other| *other == deed).unwrap();
        writeln!(self.control.get_mut(), "{index}").unwrap();
        assert_eq!(self.next_line(), "ready");
    }

    /// Waits until it is done.
    pub fn wait(&mut self) {
        assert_eq!(self.next_line(), "done");
    }

    /// What it can read of all that it has passed on behind the handshakes.
    pub fn has_read(&mut self) -> Vec<String> {
        writeln!(self.control.get_mut(), "{SEARCH}").unwrap();
        self.next_line().split_whitespace().map(str::to_owned).collect()
    }

    fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.control.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process: over when its test closes the connection. Nothing in a process that is none.
pub fn run() {
    let Ok(variable) = env::var(VARIABLE) else { return };
    let (control, target) = variable.split_once(' ').unwrap();
    let (control, target) = (TcpStream::connect(control).unwrap(), target.parse().unwrap());
    let listener = peer::listen((Ipv4Addr::LOCALHOST, 0).into());
    let middle = Arc::new(Middle {
        control: Mutex::new(control.try_clone().unwrap()),
        deed: Mutex::new(None),
        recorded: Mutex::new(Vec::new()),
        captured: Mutex::new([Vec::new(), Vec::new()]),
    });
    middle.say(&listener.local_addr().unwrap().to_string());
    let accepting = Arc::clone(&middle);
    thread::spawn(move || accepting.accept(&listener, target));
    for line in BufReader::new(control).lines().map_while(Result::ok) {
        if line == SEARCH {
            middle.say(&middle.has_read().join(" "));
            continue;
        }
        *middle.deed.lock().unwrap() = Some(DEEDS[line.parse::<usize>().unwrap()]);
        middle.say("ready");
    }
}

struct Middle {
    control: Mutex<TcpStream>,
    deed: Mutex<Option<Deed>>,
    recorded: Mutex<Vec<u8>>,
    /// All that came behind handshakes, from either side.
    captured: Mutex<[Vec<u8>; 2]>,
}

impl Middle {
    fn say(&self, line: &str) {
        writeln!(self.control.lock().unwrap(), "{line}").unwrap();
    }

    /// A header has the cluster's id; a body has the same byte again and again.
    fn has_read(&self) -> Vec<&'static str> {
        let captured = self.captured.lock().unwrap();
        let id = cluster_id(CLUSTER).0;
        let is_header = |run: &[u8]| run == id;
        let is_body = |run: &[u8]| run[0] != 0 && run.iter().all(|byte| *byte == run[0]);
        let has = |is: &dyn Fn(&[u8]) -> bool| captured.iter().any(|bytes| bytes.windows(RUN).any(is));
        let read = [("header", has(&is_header)), ("body", has(&is_body))];
        read.into_iter().filter(|(_, seen)| *seen).map(|(what, _)| what).collect()
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener, target: SocketAddr) {
        while let Ok((dialer, _)) = listener.accept() {
            let Ok(acceptor) = TcpStream::connect_timeout(&target, PATIENCE) else { continue };
            let ends = [dialer, acceptor].map(|stream| {
                stream.set_nodelay(true).unwrap();
                (stream.try_clone().unwrap(), Arc::new(Mutex::new(stream)))
            });
            let [(dialer, to_dialer), (acceptor, to_acceptor)] = ends;
            let ways = [
                (dialer, Arc::clone(&to_acceptor), Arc::clone(&to_dialer)),
                (acceptor, to_dialer, to_acceptor),
            ];
            for (index, (from, to, back)) in ways.into_iter().enumerate() {
                let middle = Arc::clone(self);
                thread::spawn(move || {
                    let _ = middle.pass_on(from, &to, &back, index == 0);
                    let _ = to.lock().unwrap().shutdown(Shutdown::Both);
                    let _ = back.lock().unwrap().shutdown(Shutdown::Both);
                });
            }
        }
    }

    /// Passes on what one end sends, piece by piece, until the connection ends.
    fn pass_on(
        &self,
        mut from: TcpStream,
        to: &Mutex<TcpStream>,
        back: &Mutex<TcpStream>,
        from_dialer: bool,
    ) -> io::Result<()> {
        let mut held: Option<Vec<u8>> = None;
        // A Hello and a Finish, or a Challenge. The last of them says whether the link is sealed.
        let mut handshake_left = if from_dialer { 2 } else { 1 };
        let mut unit = Unit::Handshake;
        loop {
            let mut bytes = match unit {
                Unit::Handshake | Unit::Frame => read_frame(&mut from)?,
                Unit::Record { .. } => read_record(&mut from)?,
            };
            if unit != Unit::Handshake {
                self.captured.lock().unwrap()[usize::from(from_dialer)].extend_from_slice(&bytes);
            }
            let deed = self.deed.lock().unwrap().take_if(|deed| deed.fits(unit, &bytes, from_dialer));
            match deed {
                Some(Deed::Ciphertext | Deed::Answer) => bytes[HEAD] ^= 1,
                Some(Deed::Tag) => *bytes.last_mut().unwrap() ^= 1,
                Some(Deed::Length) => bytes[HEAD - 1] ^= 1,
                Some(Deed::Body) => bytes[BODY] ^= 1,
                Some(Deed::Drop) => bytes.clear(),
                Some(Deed::Repeat) => bytes.extend_from_within(..),
                Some(Deed::Record) => self.recorded.lock().unwrap().clone_from(&bytes),
                Some(Deed::Splice) => {
                    bytes.splice(..0, self.recorded.lock().unwrap().iter().copied());
                }
                Some(Deed::Reflect) => back.lock().unwrap().write_all(&bytes)?,
                Some(Deed::Reject | Deed::LateReject) => bytes = reject().to_vec(),
                Some(Deed::Cut) => bytes.truncate(bytes.len() / 2),
                Some(Deed::Swap) => {
                    held = Some(bytes);
                    continue;
                }
                None => {}
            }
            let swapped = held.take();
            bytes.extend_from_slice(swapped.as_deref().unwrap_or_default());
            let written = to.lock().unwrap().write_all(&bytes);
            if deed.is_some() || swapped.is_some() {
                self.say("done");
            }
            written?;
            if deed == Some(Deed::Cut) {
                return Ok(());
            }
            unit = match unit {
                Unit::Handshake if handshake_left > 1 => {
                    handshake_left -= 1;
                    Unit::Handshake
                }
                Unit::Handshake if bytes[FLAGS] & SEALED != 0 => Unit::Record { first: true },
                Unit::Handshake | Unit::Frame => Unit::Frame,
                Unit::Record { .. } => Unit::Record { first: false },
            };
        }
    }
}

/// A reject that nobody proves (H-7), as an acceptor with this id would send it.
fn reject() -> [u8; BODY] {
    let mut reject = RawPeer::new(1, &[0; 32]).reject(Status::DUPLICATE_REPLICA.0);
    reject[..HEAD].fill(0);
    reject
}

fn read_frame(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; BODY];
    from.read_exact(&mut frame)?;
    let size = u32::from_le_bytes(frame[at::SIZE..at::SIZE + 4].try_into().unwrap());
    frame.resize(size as usize, 0);
    from.read_exact(&mut frame[BODY..])?;
    Ok(frame)
}

fn read_record(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut record = vec![0; HEAD];
    from.read_exact(&mut record)?;
    let len = u32::from_le_bytes(record[..].try_into().unwrap()) as usize;
    record.resize(HEAD + len + TAG, 0);
    from.read_exact(&mut record[HEAD..])?;
    Ok(record)
}
