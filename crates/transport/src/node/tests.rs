//! Nodes whose peers have names: what a name server says, or does not say, is up to the test.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use replink_frame::ReplicaId;
use replink_handshake::Availability;
use zeroize::Zeroizing;

use super::{Event, Node, NodeOptions};
use crate::config::{Config, SecretFileError, Sources};
use crate::{Link, blocking};

/// Each address of two has half of it.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(4);

/// Only a broken build takes so long.
const TEST_TIME_MAX: Duration = Duration::from_secs(30);

struct NoSources;

impl Sources for NoSources {
    fn environment(&self, _: &str) -> Option<Zeroizing<Vec<u8>>> {
        None
    }

    fn secret_file(&self, _: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
        Err(std::io::Error::from(std::io::ErrorKind::NotFound).into())
    }
}

fn config(driver: &str) -> Config {
    let text = format!(
        "[cluster]\nname = \"orders\"\n\
         [cluster.auth]\nshared_secret = \"a secret for tests, 32 bytes or more\"\nhandshake_timeout = \"4s\"\n\
         [cluster.link]\ndriver = \"{driver}\"\nreconnect_min = \"20s\"\nreconnect_max = \"20s\"\n\
         [[cluster.nodes]]\nid = 0\naddress = \"127.0.0.1:7400\"\n\
         [[cluster.nodes]]\nid = 1\naddress = \"one.example:7401\"\n"
    );
    Config::parse(&text, Path::new("/cluster.toml"), &NoSources).unwrap()
}

fn listen() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

/// What somebody else does with a connection at the first address, once the Hello is there.
type Stranger = fn(TcpStream);

const STRANGERS: [(&str, Stranger); 4] = [
    ("closes", drop),
    ("is silent", |mut stream| {
        let _ = stream.read(&mut [0; 1]); // until the dialer has enough
    }),
    ("answers HTTP", |mut stream| {
        let _ = stream.write_all(&b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".repeat(10));
    }),
    ("answers a little HTTP and waits", |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read(&mut [0; 1]);
    }),
];

/// Dials once: the wait before the next attempt is longer than the test.
fn comes_up_behind(driver: &str, what: &str, stranger: Stranger) {
    let (first, second) = (listen(), listen());
    let addresses = vec![first.local_addr().unwrap(), second.local_addr().unwrap()];
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut stream = first.accept().unwrap().0;
            stream.set_read_timeout(Some(TEST_TIME_MAX)).unwrap();
            stream.read_exact(&mut [0; 256]).unwrap();
            stranger(stream);
        });
        let accepting = scope.spawn(move || {
            let endpoint = config("auto").endpoint(ReplicaId(1), 0, 7).unwrap();
            let link = Link::new(second.accept().unwrap().0).unwrap();
            let deadline = Instant::now() + TEST_TIME_MAX;
            blocking::accept(link, &endpoint, Availability::Open, deadline).unwrap()
        });
        let began = Instant::now();
        let ours = NodeOptions::new(ReplicaId(0));
        let mut node = Node::with_listener(config(driver), ours, listen()).unwrap();
        let found = addresses.clone();
        node.resolver = Arc::new(move |_| Ok(found.clone()));
        let mut shards = node.into_shards(1).unwrap();
        let up = loop {
            assert!(began.elapsed() < TEST_TIME_MAX, "{driver}: {what}: no link");
            let mut events = shards[0].poll(Some(Duration::from_millis(10))).unwrap();
            if let Some(Event::Up(up)) = events.next() {
                break up;
            }
        };
        assert_eq!((up.peer.replica, up.address), (ReplicaId(1), addresses[1]), "{driver}: {what}");
        assert!(began.elapsed() < HANDSHAKE_TIMEOUT, "{driver}: {what}: {:?}", began.elapsed());
        drop(accepting.join().unwrap());
    });
}

#[test]
fn the_next_address_of_a_peer_is_tried_within_the_handshake_timeout() {
    thread::scope(|scope| {
        for (what, stranger) in STRANGERS {
            for driver in ["poll", "auto"] {
                scope.spawn(move || comes_up_behind(driver, what, stranger));
            }
        }
    });
}

/// A name server that swallows every question holds up whoever has that name, and nobody else: neither the start nor
/// the links to others, nor a reload, nor the end.
#[test]
fn a_name_server_that_does_not_answer_holds_nobody_up() {
    let peer = listen();
    let with_names = |names: &[&str]| {
        let names = names
            .iter()
            .enumerate()
            .map(|(index, name)| format!("[[cluster.nodes]]\nid = {}\naddress = \"{name}\"\n", index + 2));
        let text = format!(
            "[cluster]\nname = \"orders\"\n\
             [cluster.auth]\nshared_secret = \"a secret for tests, 32 bytes or more\"\n\
             [[cluster.nodes]]\nid = 0\naddress = \"127.0.0.1:7400\"\n\
             [[cluster.nodes]]\nid = 1\naddress = \"{}\"\n{}",
            peer.local_addr().unwrap(),
            names.collect::<String>()
        );
        Config::parse(&text, Path::new("/cluster.toml"), &NoSources).unwrap()
    };
    let (answer, never) = channel::<()>();
    let never = std::sync::Mutex::new(never);
    let deadline = Instant::now() + TEST_TIME_MAX;
    let one = Node::with_listener(with_names(&[]), NodeOptions::new(ReplicaId(1)), peer.try_clone().unwrap());
    let mut ones = one.unwrap().into_shards(1).unwrap();
    let config = with_names(&["two.example:7402"]);
    let mut node = Node::with_listener(config, NodeOptions::new(ReplicaId(0)), listen()).unwrap();
    node.resolver = Arc::new(move |_| {
        let _ = never.lock().map(|never| never.recv());
        Err(std::io::ErrorKind::TimedOut.into())
    });
    let mut zeros = node.into_shards(1).unwrap();
    let handle = zeros[0].handle();
    let mut seen = Vec::new();
    let mut wait_for = |wanted: &str| {
        while !seen.iter().any(|seen: &String| seen.starts_with(wanted)) {
            assert!(Instant::now() < deadline, "{wanted} waits: {seen:?}");
            for shards in [&mut ones, &mut zeros] {
                let mut events = shards[0].poll(Some(Duration::from_millis(1))).unwrap();
                while let Some(event) = events.next() {
                    seen.push(format!("{event:?}"));
                }
            }
        }
    };
    wait_for("Up(");
    wait_for("Unreachable(Unreachable { peer: ReplicaId(2), lane: 0, address: None, reason: Name");
    handle.reload(with_names(&["two.example:7402", "three.example:7403"])).unwrap();
    wait_for("Reloaded(Reloaded { changed: [\"cluster.nodes\"] })");
    handle.shutdown();
    wait_for("Stopped");
    drop(answer);
}
