//! Someone on the path between two replicas: a process of its own that passes frames on, and does to
//! one of them what it is told.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use replink_tests::raw_peer::{at, command};

use super::peer;
use super::process::PATIENCE;

/// Tells the process where its test listens, and where to pass on to.
const VARIABLE: &str = "REPLINK_TEST_PROXY";

/// `PrepareOk`.
const PREPARE_OK: u8 = 7;

/// Where in a frame the tag of a seal is (section 5).
const TAG: usize = 64;

/// Where the embedder's own bytes begin, and where a body does.
const RESERVED_COMMAND: usize = 128;
const BODY: usize = 256;

/// What the proxy can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// Flips a bit in the header of a Prepare.
    Header,
    /// Flips a bit in the body of a Prepare.
    Body,
    /// Flips a bit in the seal of a Prepare.
    Tag,
    /// Leaves a Prepare out.
    Drop,
    /// Passes a Prepare on twice.
    Repeat,
    /// Passes a Prepare on behind the frame that follows it.
    Swap,
    /// Remembers a Prepare, and passes it on.
    Record,
    /// Puts the Prepare that it remembers before another one.
    Splice,
    /// Passes a `PrepareOk` on, and gives it back to who sent it.
    Reflect,
    /// Flips a bit in the header of a `PrepareOk`.
    Answer,
    /// Flips a bit in a `LinkPing`.
    Ping,
}

const DEEDS: [Deed; 11] = [
    Deed::Header,
    Deed::Body,
    Deed::Tag,
    Deed::Drop,
    Deed::Repeat,
    Deed::Swap,
    Deed::Record,
    Deed::Splice,
    Deed::Reflect,
    Deed::Answer,
    Deed::Ping,
];

impl Deed {
    /// Whether it can be done to this frame, that comes from the dialer or goes to it.
    fn fits(self, frame: &[u8], from_dialer: bool) -> bool {
        let command = frame[at::COMMAND];
        match self {
            Self::Reflect | Self::Answer => !from_dialer && command == PREPARE_OK,
            Self::Ping => from_dialer && command == command::PING,
            _ => from_dialer && command == command::PREPARE,
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
    });
    middle.say(&listener.local_addr().unwrap().to_string());
    let accepting = Arc::clone(&middle);
    thread::spawn(move || accepting.accept(&listener, target));
    for line in BufReader::new(control).lines().map_while(Result::ok) {
        *middle.deed.lock().unwrap() = Some(DEEDS[line.parse::<usize>().unwrap()]);
        middle.say("ready");
    }
}

struct Middle {
    control: Mutex<TcpStream>,
    deed: Mutex<Option<Deed>>,
    recorded: Mutex<Vec<u8>>,
}

impl Middle {
    fn say(&self, line: &str) {
        writeln!(self.control.lock().unwrap(), "{line}").unwrap();
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

    /// Passes on what one end sends, frame by frame, until the connection ends.
    fn pass_on(
        &self,
        mut from: TcpStream,
        to: &Mutex<TcpStream>,
        back: &Mutex<TcpStream>,
        from_dialer: bool,
    ) -> io::Result<()> {
        let mut held: Option<Vec<u8>> = None;
        loop {
            let mut frame = read_frame(&mut from)?;
            let deed = self.deed.lock().unwrap().take_if(|deed| deed.fits(&frame, from_dialer));
            match deed {
                Some(Deed::Header | Deed::Answer | Deed::Ping) => frame[RESERVED_COMMAND] ^= 1,
                Some(Deed::Body) => frame[BODY] ^= 1,
                Some(Deed::Tag) => frame[TAG] ^= 1,
                Some(Deed::Drop) => frame.clear(),
                Some(Deed::Repeat) => frame.extend_from_within(..),
                Some(Deed::Record) => self.recorded.lock().unwrap().clone_from(&frame),
                Some(Deed::Splice) => {
                    frame.splice(..0, self.recorded.lock().unwrap().iter().copied());
                }
                Some(Deed::Reflect) => back.lock().unwrap().write_all(&frame)?,
                Some(Deed::Swap) => {
                    held = Some(frame);
                    continue;
                }
                None => {}
            }
            let swapped = held.take();
            frame.extend_from_slice(swapped.as_deref().unwrap_or_default());
            let written = to.lock().unwrap().write_all(&frame);
            if deed.is_some() || swapped.is_some() {
                self.say("done");
            }
            written?;
        }
    }
}

fn read_frame(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; BODY];
    from.read_exact(&mut frame)?;
    let size = u32::from_le_bytes(frame[at::SIZE..at::SIZE + 4].try_into().unwrap());
    frame.resize(size as usize, 0);
    from.read_exact(&mut frame[BODY..])?;
    Ok(frame)
}
