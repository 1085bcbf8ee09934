//! A replica written by hand over a plain socket: frames byte by byte, MACs made by the tests' own
//! code. What it shares with the program under test is the layout of a header, no more.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use replink_tests::fixtures::SECRET;
use replink_tests::forge::{Dir, Forge, sign_control, subkey};
use replink_transport::frame::{
    Challenge, ClusterId, Command, ControlFrame, Finish, GenericHeader, GoodbyeReason, Hello, ReplicaId,
    Version,
};

use super::process::PATIENCE;

/// `hash("orders")[0..16]`.
pub fn cluster_id() -> ClusterId {
    ClusterId(blake3::hash(b"orders").as_bytes()[..16].try_into().unwrap())
}

/// One established link, on the peer's side.
pub struct Peer {
    pub stream: TcpStream,
    id: u8,
    /// Control keys for sending and receiving; version 2 only.
    control: Option<([u8; 32], [u8; 32])>,
    counter: u64,
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

pub fn read_frame(stream: &mut TcpStream) -> [u8; 256] {
    let mut frame = [0; 256];
    stream.read_exact(&mut frame).unwrap();
    frame
}

/// Our Hello as replica `id`, in either version.
pub fn hello(id: u8, version: Version) -> Hello {
    let mut hello = Hello::new(cluster_id(), ReplicaId(id), version);
    hello.fields_mut().nonce = [0x5a; 32];
    if version == Version::V2 {
        hello.set_release(3);
        let fields = hello.fields_mut();
        fields.key_id = Forge::new(SECRET).key_id();
        fields.incarnation = 77.into();
    }
    hello
}

/// The Finish that proves us, for a challenge whose MAC must be right.
pub fn finish(hello: &Hello, challenge: &Challenge) -> Finish {
    let forge = Forge::new(SECRET);
    let mut finish = Finish::new(hello.cluster(), hello.sender(), hello.version());
    match hello.version() {
        Version::V1 => {
            assert_eq!(challenge.fields().mac, forge.mac_v1(hello, challenge, Dir::Acceptor));
            finish.fields_mut().mac = forge.mac_v1(hello, challenge, Dir::Dialer);
            finish
        }
        Version::V2 => {
            assert_eq!(challenge.fields().mac, forge.mac_a(hello.bytes(), challenge));
            finish.set_release(hello.release());
            let (theirs, ours) = (challenge.fields(), hello.fields());
            let fields = finish.fields_mut();
            fields.flags = theirs.flags;
            fields.key_id = ours.key_id;
            fields.incarnation = ours.incarnation;
            fields.lane = ours.lane;
            forge.sign_finish(hello.bytes(), challenge, finish)
        }
    }
}

/// Dials as replica `id`.
pub fn dial(address: SocketAddr, id: u8, version: Version) -> Peer {
    let mut stream = connect(address);
    let hello = hello(id, version);
    stream.write_all(hello.bytes()).unwrap();
    let challenge = Challenge::parse(&read_frame(&mut stream)).unwrap();
    assert!(challenge.fields().status.is_ok(), "{challenge:?}");
    let finish = finish(&hello, &challenge);
    stream.write_all(finish.bytes()).unwrap();
    Peer::new(stream, id, &hello, &challenge, &finish, Dir::Dialer)
}

/// Answers a dialer as replica `id`.
pub fn answer(mut stream: TcpStream, id: u8) -> Peer {
    let forge = Forge::new(SECRET);
    let hello = Hello::parse(&read_frame(&mut stream)).unwrap();
    let mut challenge = Challenge::new(cluster_id(), ReplicaId(id), hello.version());
    challenge.fields_mut().nonce = [0xa5; 32];
    if hello.version() == Version::V2 {
        let ours = challenge.fields_mut();
        ours.key_id = hello.fields().key_id;
        ours.lane = hello.fields().lane;
        ours.incarnation = 78.into();
        challenge = forge.sign_challenge(hello.bytes(), challenge);
    } else {
        challenge.fields_mut().mac = forge.mac_v1(&hello, &challenge, Dir::Acceptor);
    }
    stream.write_all(challenge.bytes()).unwrap();
    let finish = Finish::parse(&read_frame(&mut stream)).unwrap();
    let expected = match hello.version() {
        Version::V1 => forge.mac_v1(&hello, &challenge, Dir::Dialer),
        Version::V2 => forge.mac_d(hello.bytes(), &challenge, &finish),
    };
    assert_eq!(finish.fields().mac, expected);
    Peer::new(stream, id, &hello, &challenge, &finish, Dir::Acceptor)
}

impl Peer {
    fn new(
        stream: TcpStream,
        id: u8,
        hello: &Hello,
        challenge: &Challenge,
        finish: &Finish,
        role: Dir,
    ) -> Self {
        let control = (hello.version() == Version::V2).then(|| {
            let session = Forge::new(SECRET).session(hello, challenge, finish);
            let ours = subkey(&session, "control dialer->acceptor");
            let theirs = subkey(&session, "control acceptor->dialer");
            if role == Dir::Dialer { (ours, theirs) } else { (theirs, ours) }
        });
        Self { stream, id, control, counter: 0 }
    }

    pub fn send(&mut self, header: &GenericHeader, body: &[u8]) {
        self.stream.write_all(&[&header.bytes()[..], body].concat()).unwrap();
    }

    pub fn send_prepare(&mut self, view: u32, body: &[u8]) {
        let mut prepare = GenericHeader::new(cluster_id(), Command::PREPARE, body.len());
        prepare.view = view.into();
        self.send(&prepare, body);
    }

    /// The next frame that is no `LinkPing`; pings are answered.
    pub fn receive(&mut self) -> (GenericHeader, Vec<u8>) {
        loop {
            let header = *GenericHeader::view(&read_frame(&mut self.stream));
            let mut body = vec![0; header.body_len()];
            self.stream.read_exact(&mut body).unwrap();
            if header.command == Command::LINK_PING {
                let counter = self.open_control(&header).fields().counter.get();
                self.send_control(Command::LINK_PONG, counter, GoodbyeReason(0));
            } else {
                return (header, body);
            }
        }
    }

    /// A Prepare that is acknowledged as it must be.
    pub fn exchange_prepare(&mut self, view: u32, body: &[u8]) {
        self.send_prepare(view, body);
        let (ok, ok_body) = self.receive();
        assert_eq!(ok.command, Command::PREPARE_OK);
        assert_eq!(ok.view.get(), view);
        assert_eq!(ok.reserved_command[..32], *blake3::hash(body).as_bytes());
        assert_eq!(ok.reserved_command[32..], [0; 96]);
        assert!(ok_body.is_empty());
    }

    /// A control frame of theirs whose MAC is right.
    pub fn open_control(&self, header: &GenericHeader) -> ControlFrame {
        let (_, theirs) = self.control.unwrap();
        let frame = ControlFrame::parse(header, cluster_id()).unwrap();
        assert_eq!(sign_control(&theirs, frame), *header, "its MAC");
        frame
    }

    pub fn send_control(&mut self, command: Command, echo: u64, reason: GoodbyeReason) {
        let (ours, _) = self.control.unwrap();
        self.counter += 1;
        let mut frame = ControlFrame::new(cluster_id(), command, ReplicaId(self.id), 3);
        let fields = frame.fields_mut();
        fields.counter = self.counter.into();
        fields.echo = echo.into();
        fields.reason = reason;
        let header = sign_control(&ours, frame);
        self.send(&header, &[]);
    }

    /// From here on counters begin anew behind `counter`.
    pub fn repeat_from(&mut self, counter: u64) {
        self.counter = counter;
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
