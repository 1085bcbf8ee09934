//! `just flood`: what connections cost that never authenticate. A node with default limits, which
//! receives from one replica as fast as that can send, is flooded in every other window of time.
//!
//! The node, the sender and the flooders are a process each, all on loopback. The flooders yield to
//! the others (`nice`), for on one machine they would take the processor away from them, which a
//! flood from elsewhere does not. `flood 10000 0` has them not yield.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "figures are what it is for")]
#![allow(clippy::cast_precision_loss, reason = "figures are for people")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use replink_frame::ReplicaId;
use replink_handshake::DialTarget;
use replink_tests::links::{AUTH, NoSources};
use replink_tests::nodes::prepare;
use replink_tests::process;
use replink_tests::random::Random;
use replink_tests::raw_peer::RawPeer;
use replink_tests::running::Running;
use replink_transport::config::Config;
use replink_transport::node::{Event, Node, NodeOptions};
use replink_transport::{Link, blocking};
use socket2::{Domain, Socket, Type};

const WINDOWS: usize = 7;
const PENDING_MAX: u64 = 256;

/// Connections that each flooder has open at most.
const OPEN_MAX: usize = 400;

/// Replica 1 connects from here, and from nowhere else.
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u16>().ok());
    match (arguments.first().map(String::as_str), number(1)) {
        (Some("node"), _) => node(),
        (Some("sender"), Some(port)) => sender(port),
        (Some("flooder"), Some(port)) => flooder(port),
        _ => attack(number(0).map_or(10_000, u64::from), arguments.get(1).map_or("19", |nice| nice)),
    }
}

fn config(port: u16) -> Config {
    let text = format!(
        "[cluster]\nname = \"orders\"\n[cluster.auth]\n{AUTH}\n\
         [[cluster.nodes]]\nid = 0\naddress = \"127.0.0.1:1\"\n\
         [[cluster.nodes]]\nid = 1\naddress = \"{OTHER}:1\"\n\
         [[cluster.nodes]]\nid = 2\naddress = \"127.0.0.1:{port}\"\n"
    );
    Config::parse(&text, Path::new("/cluster.toml"), &NoSources).unwrap()
}

/// Replica 2: says its port, then what it has done whenever a line comes.
fn node() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let node = Node::with_listener(config(port), NodeOptions::new(ReplicaId(2)), listener).unwrap();
    let shards = node.into_shards(1).unwrap();
    let handle = shards[0].handle();
    let _running = Running::start(shards, |_, event| {
        if let Event::Frame { frame, .. } = event {
            std::hint::black_box(frame.body());
        }
    });
    println!("{port}");
    for _ in std::io::stdin().lock().lines() {
        let stats = handle.stats();
        let frames: u64 = stats.links.iter().map(|link| link.received.frames).sum();
        let rejected: u64 = stats.handshakes.iter().filter(|of| of.0.0 != 0).map(|of| of.2).sum();
        let [accepted, unread] = [stats.accepted, stats.closed_unread];
        println!("{frames} {accepted} {unread} {} {rejected} {}", stats.broken, stats.accept_errors);
    }
}

/// Replica 0: sends without end.
fn sender(port: u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let node = Node::with_listener(config(port), NodeOptions::new(ReplicaId(0)), listener).unwrap();
    let mut shard = node.into_shards(1).unwrap().remove(0);
    let body = Bytes::from(vec![1; 4096]);
    let header = prepare(1, body.len());
    loop {
        let full = (0..1000).any(|_| shard.send(ReplicaId(2), &header, body.clone()).is_err());
        let wait = if full { Some(Duration::from_secs(1)) } else { Some(Duration::ZERO) };
        let mut events = shard.poll(wait).unwrap();
        while events.next().is_some() {}
    }
}

/// Makes as many connections as the line says that comes, and says when it is done.
fn flooder(port: u16) {
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let hello = RawPeer::new(0, b"some secret that is long enough to be one").hello();
    let garbage = Random::new(1).bytes(600);
    let kinds: [&[u8]; 3] = [b"", &garbage, &hello[..128]];
    let mut open = VecDeque::new();
    let mut from = 0u8;
    for line in std::io::stdin().lock().lines() {
        let count: usize = line.unwrap().parse().unwrap();
        for number in 0..count {
            from = from % 250 + 1;
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let local = SocketAddr::from((Ipv4Addr::new(127, 0, 1, from), 0));
            if socket.bind(&local.into()).is_err() || socket.connect(&to.into()).is_err() {
                continue;
            }
            let _ = socket.send(kinds[number % kinds.len()]);
            open.push_back(socket);
            if open.len() > OPEN_MAX {
                open.pop_front();
            }
        }
        open.clear();
        println!("done");
    }
}

/// A process of this program, asked by lines.
struct Other {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Other {
    fn start(arguments: &[&str], nice: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new("nice");
        command.args(["-n", nice]).arg(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn ask(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0, "a process has ended");
        line.trim().to_owned()
    }

    fn numbers(&mut self) -> Vec<u64> {
        self.ask("");
        self.line().split(' ').map(|number| number.parse().unwrap()).collect()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one window has shown.
#[derive(Clone, Copy)]
struct Window {
    seconds: f64,
    frames: f64,
    /// Processor time of the node, of the node and the sender, and of the flooders, in seconds.
    node: f64,
    both: f64,
    flooders: f64,
}

struct Stage {
    node: Other,
    sender: Other,
    flooders: Vec<Other>,
    port: u16,
    connects: Vec<Duration>,
    socket_memory: u64,
}

impl Stage {
    fn window(&mut self, what: impl FnOnce(&mut Self)) -> Window {
        let look = |stage: &mut Self| {
            let time = |other: &Other| process::processor_time(other.child.id()).unwrap_or(0) as f64 / 100.0;
            let (node, sender) = (time(&stage.node), time(&stage.sender));
            let flooders: f64 = stage.flooders.iter().map(time).sum();
            (Instant::now(), stage.node.numbers()[0] as f64, node, node + sender, flooders)
        };
        let before = look(self);
        what(self);
        let after = look(self);
        Window {
            seconds: (after.0 - before.0).as_secs_f64(),
            frames: after.1 - before.1,
            node: after.2 - before.2,
            both: after.3 - before.3,
            flooders: after.4 - before.4,
        }
    }

    /// Connections by all flooders. Meanwhile replica 1 connects again and again.
    fn flood(&mut self, connections: u64) {
        let each = connections / self.flooders.len() as u64;
        for flooder in &mut self.flooders {
            flooder.ask(&each.to_string());
        }
        // Until they are all done: each says so once.
        let outputs: Vec<_> = self.flooders.iter_mut().map(|flooder| &mut flooder.output).collect();
        let (port, connects, memory) = (self.port, &mut self.connects, &mut self.socket_memory);
        std::thread::scope(|scope| {
            let waiting: Vec<_> = outputs
                .into_iter()
                .map(|output| scope.spawn(move || output.read_line(&mut String::new()).unwrap()))
                .collect();
            while !waiting.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                connects.push(connect(port));
                *memory = (*memory).max(process::socket_memory().unwrap_or(0));
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
    }
}

/// How long it takes replica 1 to have a link, which it then leaves.
fn connect(port: u16) -> Duration {
    let endpoint = config(port).endpoint(ReplicaId(1), 0, 5).unwrap();
    let started = Instant::now();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((OTHER, 0)).into()).unwrap();
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).unwrap();
    let link = Link::new(socket.into()).unwrap();
    let deadline = started + Duration::from_secs(10);
    let link = blocking::dial(link, &endpoint, DialTarget::new(ReplicaId(2)), deadline).unwrap();
    let (mut sender, mut receiver) = blocking::open(link, endpoint.outbound_limits()).unwrap();
    // Only a pong shows that the node has let it in.
    sender.ping().unwrap();
    receiver.set_timeout(Some(Duration::from_secs(10))).unwrap();
    assert!(matches!(receiver.receive(), Ok(Some(_))));
    let took = started.elapsed();
    let _ = sender.goodbye(replink_frame::GoodbyeReason::OPERATOR);
    took
}

fn attack(all: u64, nice: &str) {
    let connections = all / WINDOWS as u64;
    let mut node = Other::start(&["node"], "0");
    let port: u16 = node.line().parse().unwrap();
    let port_text = port.to_string();
    let sender = Other::start(&["sender", &port_text], "0");
    let flooders = (0..2).map(|_| Other::start(&["flooder", &port_text], nice)).collect();
    let mut stage = Stage { node, sender, flooders, port, connects: Vec::new(), socket_memory: 0 };
    let deadline = Instant::now() + Duration::from_secs(20);
    while stage.node.numbers()[0] == 0 {
        assert!(Instant::now() < deadline, "the sender does not connect");
    }
    // A first connection of replica 1, and some time for both ends to find their sizes.
    let quiet = connect(port);
    let mut quiets = vec![stage.window(|_| std::thread::park_timeout(Duration::from_secs(1)))];
    quiets.clear();
    let memory_before = process::memory(stage.node.child.id()).unwrap_or_default().0;
    let sockets_before = process::socket_memory().unwrap_or(0);
    let mut floods = Vec::new();
    for _ in 0..WINDOWS {
        let flood = stage.window(|stage| stage.flood(connections));
        let wait = Duration::from_secs_f64(flood.seconds);
        floods.push(flood);
        // What was left hanging is over, and does not count for the quiet window.
        quiets.push(stage.window(|_| {
            let until = Instant::now() + wait;
            while Instant::now() < until {
                std::thread::park_timeout(until - Instant::now());
            }
        }));
    }
    let peak = process::memory(stage.node.child.id()).unwrap_or_default().1;
    let totals = stage.node.numbers();
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until {
        std::thread::park_timeout(until - Instant::now());
    }
    let memory_after = process::memory(stage.node.child.id()).unwrap_or_default().0;

    let pairs = || floods.iter().zip(&quiets);
    let rate = |window: &Window| window.frames / window.seconds;
    let kib = |bytes: u64| bytes / 1024;
    println!(
        "connections            {} in {WINDOWS} windows, {:.0}/s",
        connections * WINDOWS as u64,
        connections as f64 / median(floods.iter().map(|flood| flood.seconds))
    );
    println!(
        "  accepted {}, closed unread {}, broken {}, rejected {} (unread included), accept errors {}",
        totals[1], totals[2], totals[3], totals[4], totals[5]
    );
    println!(
        "node memory, KiB       before {}, peak {}, 6 s after {}",
        kib(memory_before),
        kib(peak),
        kib(memory_after)
    );
    println!(
        "  peak above before    {} KiB, {} bytes for each of max_pending {PENDING_MAX}",
        kib(peak.saturating_sub(memory_before)),
        peak.saturating_sub(memory_before) / PENDING_MAX
    );
    println!(
        "TCP memory, machine    before {} KiB, peak {} KiB",
        kib(sockets_before),
        kib(stage.socket_memory)
    );
    stage.connects.sort_unstable();
    println!(
        "a replica connects     quiet {quiet:?}; flooded, {} times: median {:?}, longest {:?}",
        stage.connects.len(),
        stage.connects[stage.connects.len() / 2],
        stage.connects[stage.connects.len() - 1]
    );
    println!(
        "established link       quiet {:.0}, flooded {:.0} frames of 4 KiB a second, medians",
        median(quiets.iter().map(rate)),
        median(floods.iter().map(rate))
    );
    println!(
        "  flooded over quiet   {:.2} (median of the pairs)",
        median(pairs().map(|(flood, quiet)| rate(flood) / rate(quiet)))
    );
    let each = |window: &Window| window.frames / window.both;
    println!(
        "  the same for each second of processor time of both ends: {:.2}",
        median(pairs().map(|(flood, quiet)| each(flood) / each(quiet)))
    );
    println!(
        "processors in use      quiet: node {:.2}, node and sender {:.2}; flooded: node {:.2}, node and sender {:.2}, flooders {:.2}",
        median(quiets.iter().map(|of| of.node / of.seconds)),
        median(quiets.iter().map(|of| of.both / of.seconds)),
        median(floods.iter().map(|of| of.node / of.seconds)),
        median(floods.iter().map(|of| of.both / of.seconds)),
        median(floods.iter().map(|of| of.flooders / of.seconds))
    );
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
