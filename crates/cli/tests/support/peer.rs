//! A replica written by hand that is up with the program under test: what follows the handshake.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use replink_tests::fixtures::SECRET;
use replink_tests::forge::{sign_control, subkey};
use replink_tests::raw_peer::{Frame, RawPeer, at, command};
use replink_transport::frame::{Command, ControlFrame, GenericHeader, GoodbyeReason};
use replink_transport::handshake::cluster_id;

use super::process::PATIENCE;

/// Replica `id` of the cluster, in handshake version 1 or 2.
pub fn replica(id: u8, version: u8) -> RawPeer<'static> {
    RawPeer { version, ..RawPeer::new(id, SECRET) }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Listens in the place of a replica that others dial.
pub fn listen(address: SocketAddr) -> TcpListener {
    TcpListener::bind(address).unwrap()
}

/// The next connection, within the deadline.
pub fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return stream;
            }
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            Err(error) => panic!("nobody connected: {error}"),
        }
    }
}

pub fn read_frame(stream: &mut TcpStream) -> Frame {
    let mut frame = [0; 256];
    stream.read_exact(&mut frame).unwrap();
    frame
}

/// Dials as replica `id`.
pub fn dial(address: SocketAddr, id: u8, version: u8) -> Peer {
    let (raw, mut stream) = (replica(id, version), connect(address));
    let hello = raw.hello();
    stream.write_all(&hello).unwrap();
    let challenge = read_frame(&mut stream);
    assert_eq!(challenge[at::STATUS], 0, "rejected");
    assert_eq!(raw.sign_challenge(&hello, challenge), challenge, "its MAC");
    let finish = raw.finish(&hello, &challenge);
    stream.write_all(&finish).unwrap();
    Peer::new(stream, raw, raw.session(&hello, &challenge, &finish), ["dialer->acceptor", "acceptor->dialer"])
}

/// Answers a dialer as replica `id`, in its version.
pub fn answer(mut stream: TcpStream, id: u8) -> Peer {
    let hello = read_frame(&mut stream);
    let raw = replica(id, if hello[at::VERSION] == 0 { 1 } else { 2 });
    let challenge = raw.challenge(&hello);
    stream.write_all(&challenge).unwrap();
    let finish = read_frame(&mut stream);
    assert_eq!(raw.sign_finish(&hello, &challenge, finish), finish, "its MAC");
    Peer::new(stream, raw, raw.session(&hello, &challenge, &finish), ["acceptor->dialer", "dialer->acceptor"])
}

/// One established link, on the peer's side.
pub struct Peer {
    pub stream: TcpStream,
    raw: RawPeer<'static>,
    session: [u8; 32],
    /// K-5's names of what it sends and what it receives.
    directions: [&'static str; 2],
    counter: u64,
}

impl Peer {
    fn new(
        stream: TcpStream,
        raw: RawPeer<'static>,
        session: [u8; 32],
        directions: [&'static str; 2],
    ) -> Self {
        Self { stream, raw, session, directions, counter: 0 }
    }

    pub fn send(&mut self, header: &[u8], body: &[u8]) {
        self.stream.write_all(&[header, body].concat()).unwrap();
    }

    /// The next frame that is no `LinkPing`; pings are answered.
    pub fn receive(&mut self) -> (GenericHeader, Vec<u8>) {
        loop {
            let header = *GenericHeader::view(&read_frame(&mut self.stream));
            let mut body = vec![0; header.body_len()];
            self.stream.read_exact(&mut body).unwrap();
            if header.command == Command::LINK_PING {
                let counter = self.open_control(&header).fields().counter.get();
                self.send_control(command::PONG, counter);
            } else {
                return (header, body);
            }
        }
    }

    /// A Prepare that is acknowledged as it must be.
    pub fn exchange_prepare(&mut self, view: u32, body: &[u8]) {
        let mut prepare = GenericHeader::new(cluster_id("orders"), Command::PREPARE, body.len());
        prepare.view = view.into();
        self.send(prepare.bytes(), body);
        let (ok, ok_body) = self.receive();
        assert_eq!(ok.command, Command::PREPARE_OK);
        assert_eq!(ok.view.get(), view);
        assert_eq!(ok.reserved_command[..32], *blake3::hash(body).as_bytes());
        assert_eq!(ok.reserved_command[32..], [0; 96]);
        assert!(ok_body.is_empty());
    }

    /// A control frame of theirs whose MAC is right.
    pub fn open_control(&self, header: &GenericHeader) -> ControlFrame {
        let key = subkey(&self.session, &format!("control {}", self.directions[1]));
        let frame = ControlFrame::parse(header, cluster_id("orders")).unwrap();
        assert_eq!(sign_control(&key, frame), *header, "its MAC");
        frame
    }

    pub fn send_control(&mut self, command: u8, echo: u64) {
        self.counter += 1;
        let frame = self.raw.control(&self.session, self.directions[0], command, self.counter, echo);
        self.send(&frame, &[]);
    }

    /// From here on counters begin anew behind `counter`.
    pub fn repeat_from(&mut self, counter: u64) {
        self.counter = counter;
    }

    /// Waits for a goodbye and gives its reason.
    pub fn receive_goodbye(&mut self) -> GoodbyeReason {
        let (goodbye, _) = self.receive();
        assert_eq!(goodbye.command, Command::LINK_GOODBYE);
        self.open_control(&goodbye).fields().reason
    }

    /// Asserts that the other end said that it ends the link for this reason, and nothing more (C-3).
    pub fn assert_turned_out(&mut self, reason: GoodbyeReason) {
        assert_eq!(self.receive_goodbye(), reason);
        let _ = self.stream.shutdown(Shutdown::Write);
        self.assert_closed();
    }

    /// Asserts that the other end closed the connection, and sent nothing more.
    pub fn assert_closed(&mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => assert!(rest.is_empty(), "{} more bytes", rest.len()),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
}
