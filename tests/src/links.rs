//! Endpoints made of configuration texts, and a replica that answers on loopback.
#![allow(clippy::similar_names, reason = "who dials is the dialer, and what comes of it is dialed")]

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use replink_frame::ReplicaId;
use replink_handshake::{Authenticated, Availability, ControlMessage, DialTarget, Peer};
use replink_transport::blocking::{self, LinkEnd};
use replink_transport::config::{Config, SecretFileError, Sources};
use replink_transport::exchange::{AcceptFailure, DialFailure};
use replink_transport::memory::SLICES_MAX;
use replink_transport::{Endpoint, GatherWrite, Inbound, Link, Outbound, OwnedFrame, Received};
use zeroize::Zeroizing;

use crate::frames::plain;
use crate::watchdog::{TEST_TIME_MAX, soon};

/// The ids of the cluster `orders` on loopback: the honest dialer, one more that dials, the
/// acceptor, and one above it. There is no replica 2.
pub const REPLICAS: [u8; 4] = [0, 1, 3, 4];

/// The replica that accepts.
pub const ACCEPTOR: u8 = 3;

/// The secret of `[cluster.auth]` where a test has none of its own.
pub const AUTH: &str = "shared_secret = \"a secret for tests, 32 bytes or more\"";

/// Nothing but what the text says.
#[derive(Clone, Copy, Debug)]
pub struct NoSources;

impl Sources for NoSources {
    fn environment(&self, _: &str) -> Option<Zeroizing<Vec<u8>>> {
        None
    }

    fn secret_file(&self, _: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
        Err(io::Error::from(io::ErrorKind::NotFound).into())
    }
}

/// Replica `replica` with these settings of `[cluster.auth]` and `[cluster.link]`.
pub fn endpoint_with(replica: u8, auth: &str, link: &str) -> Endpoint {
    config_with(auth, link).endpoint(ReplicaId(replica), 7, 0x1000 + u64::from(replica)).unwrap()
}

/// The configuration of the cluster with these settings of `[cluster.auth]` and `[cluster.link]`.
pub fn config_with(auth: &str, link: &str) -> Config {
    let node =
        |id: u8| format!("[[cluster.nodes]]\nid = {id}\naddress = \"127.0.0.1:{}\"\n", 7400 + u16::from(id));
    let nodes = REPLICAS.map(node).concat();
    let text =
        format!("[cluster]\nname = \"orders\"\n[cluster.auth]\n{auth}\n[cluster.link]\n{link}\n{nodes}");
    Config::parse(&text, Path::new("/cluster.toml"), &NoSources).unwrap()
}

/// Replica `replica` with these settings of `[cluster.auth]`.
pub fn endpoint(replica: u8, auth: &str) -> Endpoint {
    endpoint_with(replica, auth, "")
}

/// Two connected sockets: who connected, and who accepted.
pub fn sockets() -> (TcpStream, TcpStream) {
    let listener = listen();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (connected, listener.accept().unwrap().0)
}

/// A listener on a port that the system chose.
pub fn listen() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

/// Both ends of one handshake over two connected sockets.
pub fn shake_hands(
    dialer: &Endpoint,
    acceptor: &Endpoint,
) -> (Result<Authenticated<Link>, DialFailure>, Result<Authenticated<Link>, AcceptFailure>) {
    let (ours, theirs) = sockets();
    thread::scope(|scope| {
        let accepting = scope.spawn(|| {
            let link = Link::new(theirs).unwrap();
            blocking::accept(link, acceptor, Availability::Open, soon())
        });
        let target = DialTarget::new(acceptor.local().replica);
        let dialed = blocking::dial(Link::new(ours).unwrap(), dialer, target, soon());
        (dialed, accepting.join().unwrap())
    })
}

/// Both ends of a link that is up, open.
pub fn open_link(dialer: &Endpoint, acceptor: &Endpoint) -> [(blocking::Sender, blocking::Receiver); 2] {
    let (dialed, accepted) = shake_hands(dialer, acceptor);
    [(dialed.unwrap(), dialer), (accepted.unwrap(), acceptor)]
        .map(|(link, endpoint)| blocking::open(link, endpoint.outbound_limits()).unwrap())
}

/// What came, owned; `None` where [`Received`] borrows nothing new.
#[derive(Debug)]
pub enum Got {
    /// A frame.
    Frame(Box<OwnedFrame>),
    /// A control frame.
    Control(ControlMessage),
}

impl Got {
    /// The frame.
    pub fn frame(self) -> OwnedFrame {
        match self {
            Self::Frame(frame) => *frame,
            Self::Control(control) => panic!("{control:?} where a frame was expected"),
        }
    }

    /// The control frame.
    pub fn control(self) -> ControlMessage {
        match self {
            Self::Control(control) => control,
            Self::Frame(frame) => panic!("{frame:?} where a control frame was expected"),
        }
    }
}

/// The next that comes, or how the link ended.
///
/// # Errors
///
/// [`LinkEnd`].
pub fn receive(receiver: &mut blocking::Receiver) -> Result<Got, LinkEnd> {
    loop {
        match receiver.receive()? {
            Some(Received::Frame(frame)) => return Ok(Got::Frame(frame.into_owned().into())),
            Some(Received::Control(control)) => return Ok(Got::Control(control)),
            None => {}
        }
    }
}

/// What happened on a [`Server`].
#[derive(Debug)]
pub enum Event {
    /// The connection was dead before the handshake began.
    Dead(io::Error),
    /// It did not become a link.
    Refused(AcceptFailure),
    /// A link is up.
    Up(Peer),
    /// A frame came, and was sent back.
    Frame(Box<OwnedFrame>),
    /// The peer left, or sent another control frame.
    Control(ControlMessage),
    /// The link is over.
    End(LinkEnd),
}

/// A replica that serves one connection after the other with the blocking driver and sends every
/// frame back.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    events: Receiver<Event>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts it. A handshake may take `handshake_time`.
    pub fn start(endpoint: Endpoint, handshake_time: Duration) -> Self {
        let listener = listen();
        let address = listener.local_addr().unwrap();
        let (sender, events) = channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                serve(stream, &endpoint, handshake_time, &sender);
            }
        });
        Self { address, events, stopping, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new connection to it.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TEST_TIME_MAX / 2)).unwrap();
        stream.set_write_timeout(Some(TEST_TIME_MAX / 2)).unwrap();
        stream
    }

    /// What happens next.
    pub fn event(&self) -> Event {
        self.events.recv_timeout(TEST_TIME_MAX).unwrap()
    }

    /// The next event, which is a refusal.
    pub fn refusal(&self) -> AcceptFailure {
        match self.event() {
            Event::Refused(failure) => failure,
            event => panic!("{event:?} where a refusal was expected"),
        }
    }

    /// How the link that is up ends.
    pub fn end(&self) -> LinkEnd {
        match self.event() {
            Event::End(end) => end,
            event => panic!("{event:?} where the end was expected"),
        }
    }

    /// Dials as `honest`, sends a frame, gets it back and leaves: the replica is well.
    pub fn serves(&self, honest: &Endpoint) {
        let target = DialTarget::new(ReplicaId(ACCEPTOR));
        let link = blocking::connect(honest, target, &[self.address], soon()).unwrap();
        let (mut sender, mut receiver) = blocking::open(link, honest.outbound_limits()).unwrap();
        let (header, body) = plain(1000, 5);
        sender.send(&header, body.clone()).unwrap();
        assert_eq!(receive(&mut receiver).unwrap().frame(), OwnedFrame::new(header, body));
        sender.goodbye(replink_frame::GoodbyeReason::SHUTDOWN).unwrap();
        assert!(matches!(self.event(), Event::Up(peer) if peer.replica == honest.local().replica));
        assert!(matches!(self.event(), Event::Frame(_)));
        assert!(matches!(self.event(), Event::Control(ControlMessage::Goodbye(_))));
        assert!(matches!(self.end(), LinkEnd::Left(_)));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        if thread::panicking() {
            return; // it may be waiting for a peer that hangs
        }
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn serve(stream: TcpStream, endpoint: &Endpoint, handshake_time: Duration, events: &Sender<Event>) {
    let tell = |event| {
        let _ = events.send(event);
    };
    let link = match Link::new(stream) {
        Ok(link) => link,
        Err(error) => return tell(Event::Dead(error)),
    };
    let deadline = Instant::now() + handshake_time;
    match blocking::accept(link, endpoint, Availability::Open, deadline) {
        Err(failure) => tell(Event::Refused(failure)),
        Ok(link) => {
            tell(Event::Up(*link.peer()));
            let (mut sender, mut receiver) = blocking::open(link, endpoint.outbound_limits()).unwrap();
            let end = loop {
                match receive(&mut receiver) {
                    Ok(Got::Frame(frame)) => {
                        let _ = sender.send(&frame.header, Bytes::clone(&frame.body));
                        tell(Event::Frame(frame));
                    }
                    Ok(Got::Control(control)) => {
                        if let ControlMessage::Ping { counter } = control {
                            let _ = sender.pong(counter);
                        }
                        tell(Event::Control(control));
                    }
                    Err(end) => break end,
                }
            };
            tell(Event::End(end));
        }
    }
}

/// One read into a codec.
///
/// # Errors
///
/// As [`Link::receive`].
pub fn read_from(inbound: &mut Inbound, link: &Link) -> io::Result<usize> {
    let received = link.receive(inbound.room())?;
    inbound.received(received);
    Ok(received)
}

/// One write out of a codec.
///
/// # Errors
///
/// What the socket says.
pub fn write_to(outbound: &mut Outbound, link: &Link) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let count = outbound.slices(&mut slices);
    let written = link.write_gathered(&slices[..count])?;
    outbound.advance(written);
    Ok(written)
}
