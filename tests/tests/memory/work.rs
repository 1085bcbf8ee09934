//! What a replica does with secrets: configuration, links, records both ways, a hand-off.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use replink_frame::{Flags, ReplicaId};
use replink_handshake::{Availability, DialTarget};
use replink_tests::frames::plain;
use replink_tests::links::{Got, listen, read_from, receive, write_to};
use replink_tests::watchdog::soon;
use replink_transport::blocking::{self, Receiver, Sender};
use replink_transport::config::Config;
use replink_transport::hand_off::{Predecessor, Successor, Taken};
use replink_transport::{Endpoint, Inbound, Link, Outbound};

/// A configuration and a secret file, which another process fills.
pub(crate) fn write_configuration(folder: &Path) {
    let draw = "head -c 36 /dev/urandom | base64 > cluster.key; chmod 600 cluster.key
        head -c 32 /dev/urandom > ephemeral-dialer; head -c 32 /dev/urandom > ephemeral-acceptor";
    assert!(Command::new("/bin/sh").args(["-c", draw]).current_dir(folder).status().unwrap().success());
    let toml = "[cluster]\nname = \"orders\"\n[cluster.auth]\nshared_secret_file = \"cluster.key\"\n\
        [cluster.link]\nsealed = \"required\"\nforward_secrecy = \"off\"\n\
        [[cluster.nodes]]\nid = 0\naddress = \"127.0.0.1:7400\"\n\
        [[cluster.nodes]]\nid = 1\naddress = \"127.0.0.1:7401\"\n";
    fs::write(folder.join("cluster.toml"), toml).unwrap();
    fs::set_permissions(folder.join("cluster.key"), fs::Permissions::from_mode(0o600)).unwrap();
}

fn load(folder: &Path) -> Config {
    Config::load(folder.join("cluster.toml")).unwrap()
}

fn endpoint(config: &Config, replica: u8) -> Endpoint {
    config.endpoint(ReplicaId(replica), 7, 0x1000 + u64::from(replica)).unwrap()
}

/// Two replicas with a link that has carried frames.
pub(crate) struct World {
    dialer: Endpoint,
    acceptor: Endpoint,
    /// The dialer's end.
    parts: (Link, Inbound, Outbound),
    peer: (Sender, Receiver),
    relay: JoinHandle<()>,
}

impl World {
    #[allow(clippy::similar_names, reason = "who dials is the dialer, and what comes of it is dialed")]
    pub(crate) fn start(folder: &Path) -> Self {
        let config = load(folder);
        let (dialer, acceptor) = (endpoint(&config, 0), endpoint(&config, 1));
        drop(config);
        let (front, back) = (listen(), listen());
        let connected = TcpStream::connect(front.local_addr().unwrap()).unwrap();
        let relayed = front.accept().unwrap().0;
        let onward = TcpStream::connect(back.local_addr().unwrap()).unwrap();
        let accepted = back.accept().unwrap().0;
        let file = folder.join("frames");
        let relay = thread::spawn(move || relay(relayed, onward, &file));
        let (dialed, accepted) = thread::scope(|scope| {
            let accepting = scope.spawn(|| {
                let link = Link::new(accepted).unwrap();
                blocking::accept(link, &acceptor, Availability::Open, soon()).unwrap()
            });
            let link = Link::new(connected).unwrap();
            let dialed = blocking::dial(link, &dialer, DialTarget::new(ReplicaId(1)), soon()).unwrap();
            (dialed, accepting.join().unwrap())
        });
        let limits = dialer.outbound_limits();
        let peer = blocking::open(accepted, limits).unwrap();
        let (link, session) = dialed.into_parts();
        drop(session.export("test").unwrap());
        let (receiving, sending) = session.split();
        let parts = (link, Inbound::new(receiving, limits.frame_size), Outbound::new(sending, limits));
        let mut world = Self { dialer, acceptor, parts, peer, relay };
        world.exchange();
        world
    }

    /// Frames in records both ways, and control frames.
    fn exchange(&mut self) {
        let (link, inbound, outbound) = &mut self.parts;
        assert!(inbound.peer().flags.contains(Flags::SEALED));
        for len in [0, 10, 1500, 100_000] {
            let (header, body) = plain(len, 5);
            outbound.push(&header, body.clone()).unwrap();
            outbound.ping();
            while !outbound.is_empty() {
                write_to(outbound, link).unwrap();
            }
            let Got::Frame(frame) = receive(&mut self.peer.1).unwrap() else { panic!("a frame") };
            assert_eq!(frame.body, body);
            assert!(matches!(receive(&mut self.peer.1).unwrap(), Got::Control(_)));
            self.peer.0.send(&header, Bytes::clone(&body)).unwrap();
            while inbound.next().unwrap().is_none() {
                read_from(inbound, link).unwrap();
            }
        }
    }

    /// The dialer's end goes to the next process of its replica (which is this one as well), carries
    /// frames there, and everything ends.
    pub(crate) fn hand_over_and_end(self) {
        let Self { dialer, acceptor, parts, peer, relay } = self;
        let (ours, theirs) = UnixStream::pair().unwrap();
        let taken = thread::scope(|scope| {
            let giving = scope.spawn(|| {
                let mut predecessor = Predecessor::begin(&ours, &dialer, soon()).unwrap();
                predecessor.link(parts.0, parts.1, parts.2).unwrap();
                predecessor.finish().unwrap();
            });
            let mut successor = Successor::begin(&theirs, soon()).unwrap();
            let taken = successor.next(&dialer).unwrap().unwrap();
            assert!(successor.next(&dialer).unwrap().is_none());
            giving.join().unwrap();
            taken
        });
        let Taken::Link { link, inbound, outbound } = taken else { panic!("a link") };
        let mut world = Self { dialer, acceptor, parts: (link, inbound, outbound), peer, relay };
        world.exchange();
        let Self { dialer, acceptor, parts, peer, relay } = world;
        drop((dialer, acceptor, parts, peer));
        relay.join().unwrap();
    }
}

/// Passes on what comes, and writes the three frames of the handshake to a file.
fn relay(mut dialer: TcpStream, mut acceptor: TcpStream, file: &Path) {
    let mut frames = Vec::new();
    for step in 0..3 {
        let (from, to) = if step == 1 { (&mut acceptor, &mut dialer) } else { (&mut dialer, &mut acceptor) };
        let mut frame = [0; 256];
        from.read_exact(&mut frame).unwrap();
        frames.extend_from_slice(&frame);
        if step == 2 {
            fs::write(file, &frames).unwrap();
        }
        to.write_all(&frame).unwrap();
    }
    // Each direction to its end, and then the end is passed on.
    let pass = |mut from: &TcpStream, mut to: &TcpStream| {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| pass(&dialer, &acceptor));
        pass(&acceptor, &dialer);
        other.join().unwrap();
    });
}

/// A handshake with ephemeral keys that are known, without sockets.
pub(crate) mod ephemeral {
    use std::fs::File;
    use std::io::Read;
    use std::path::Path;

    use replink_frame::{Challenge, Flags, Hello};
    use replink_handshake::{
        Acceptor, Authenticated, Availability, AwaitChallenge, AwaitFinish, ChannelBinding, DialTarget,
        Dialer, EphemeralSecret, Fresh, Nonce,
    };
    use replink_tests::fixtures::{acceptor_config, dialer_config, supports};
    use zeroize::Zeroizing;

    fn fresh(folder: &Path, name: &str, nonce: u8) -> Fresh {
        let mut bytes = Zeroizing::new([0; 32]);
        File::open(folder.join(name)).unwrap().read_exact(&mut *bytes).unwrap();
        Fresh::new(Nonce::new([nonce; 32]).unwrap(), EphemeralSecret::new(*bytes))
    }

    pub(crate) struct Begun {
        waiting: AwaitChallenge<()>,
        accepting: AwaitFinish<()>,
        hello: Hello,
        challenge: Challenge,
    }

    pub(crate) fn begin(folder: &Path) -> Begun {
        let config = super::load(folder);
        let ring = config.auth.keys.clone().unwrap();
        let (mut dialer, mut acceptor) = (dialer_config(0), acceptor_config(2));
        (dialer.ring, acceptor.ring) = (ring.clone(), ring);
        (dialer.flags, acceptor.flags) =
            (supports(Flags::EPHEMERAL | Flags::SEALED), supports(Flags::EPHEMERAL | Flags::SEALED));
        let (bare, target) = (ChannelBinding::None, DialTarget::new(acceptor.local.replica));
        let ours = fresh(folder, "ephemeral-dialer", 1);
        let (waiting, hello) = Dialer::new(dialer).begin((), target, bare, ours).unwrap();
        let theirs = fresh(folder, "ephemeral-acceptor", 2);
        let accepting = Acceptor::new(acceptor).begin((), bare);
        let (accepting, challenge) = accepting.receive(hello.bytes(), Availability::Open, theirs).unwrap();
        Begun { waiting, accepting, hello, challenge }
    }

    pub(crate) fn finish(begun: Begun, folder: &Path) {
        let Begun { waiting, accepting, hello, challenge } = begun;
        let (dialed, finish) = waiting.receive(challenge.bytes()).unwrap();
        let accepted = accepting.receive(finish.bytes()).unwrap().admit();
        let frames = [*hello.bytes(), *challenge.bytes(), *finish.bytes()].concat();
        std::fs::write(folder.join("frames"), frames).unwrap();
        let halves = [dialed, accepted].map(|end: Authenticated<()>| end.into_parts().1.split());
        drop(halves);
    }
}
