//! Whole nodes on loopback, polled by the test itself: no thread, no sleep.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::panic::resume_unwind;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use replink_frame::{Command, GenericHeader, ReplicaId};
use replink_handshake::DialTarget;
use replink_transport::blocking;
use replink_transport::config::Config;
use replink_transport::exchange::DialFailure;
use replink_transport::mesh::LinkId;
use replink_transport::node::{
    Event, Handle, LinkDown, LinkUp, Node, NodeOptions, Refusal, Shard, Unreachable, Warning,
};
use replink_transport::{Endpoint, Link, OwnedFrame};

use crate::drivers;
use crate::links::{AUTH, NoSources};
use crate::raw_peer::RawLink;
use crate::watchdog::{TEST_TIME_MAX, soon};

/// How long one round of polling waits at most, for each shard.
const POLL: Duration = Duration::from_millis(1);

/// Settings that make links come and go quickly.
pub const QUICK: &str = "reconnect_min = \"5ms\"\nreconnect_max = \"50ms\"\n";

/// Ports that stay ours, and configurations that name them.
#[derive(Debug)]
pub struct Ground {
    addresses: Vec<SocketAddr>,
    listeners: Vec<Option<TcpListener>>,
    extra: String,
}

/// What happened on one replica, in order.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a test has few of them")]
pub enum Seen {
    /// A link is up.
    Up(LinkUp),
    /// A frame came.
    Frame(LinkId, ReplicaId, u16, OwnedFrame),
    /// A link is down.
    Down(LinkDown),
    /// Somebody was turned away.
    Rejected(Refusal),
    /// A peer can't be reached.
    Unreachable(Unreachable),
    /// Something to look at.
    Warning(Warning),
    /// A link was made anew.
    Renewed(LinkId, LinkId),
    /// A queue has room again.
    Drained(LinkId),
    /// A link went from one shard to another.
    Moved(LinkId),
    /// The configuration is in force.
    Reloaded,
    /// A shard is at its end.
    Stopped,
}

impl Ground {
    /// Ports for `replicas` replicas; `extra` goes into each one's table.
    pub fn new(replicas: u8, extra: &str) -> Self {
        let listeners: Vec<_> =
            (0..replicas).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
        let addresses = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        Self { addresses, listeners: listeners.into_iter().map(Some).collect(), extra: extra.to_owned() }
    }

    /// A configuration of these replicas, with settings of `[cluster.auth]` and `[cluster.link]`.
    pub fn config(&self, auth: &str, link: &str) -> Config {
        self.roster(auth, link, |_| Some(&self.extra))
    }

    /// The same, where `extra` says what each replica's table has besides, and `None` of one that is
    /// not on the roster.
    pub fn roster<'a>(&self, auth: &str, link: &str, extra: impl Fn(u8) -> Option<&'a str>) -> Config {
        let nodes = (0..self.replicas()).filter_map(|id| {
            let (address, extra) = (self.address(id), extra(id)?);
            Some(format!("[[cluster.nodes]]\nid = {id}\naddress = \"{address}\"\n{extra}\n"))
        });
        let nodes: String = nodes.collect();
        let text =
            format!("[cluster]\nname = \"orders\"\n[cluster.auth]\n{auth}\n[cluster.link]\n{link}\n{nodes}");
        Config::parse(&text, Path::new("/cluster.toml"), &NoSources).unwrap()
    }

    /// How many ports there are.
    pub fn replicas(&self) -> u8 {
        u8::try_from(self.addresses.len()).unwrap()
    }

    /// Where `replica` listens.
    pub fn address(&self, replica: u8) -> SocketAddr {
        self.addresses[usize::from(replica)]
    }

    /// The process `incarnation` of `replica`, for the blocking driver.
    pub fn endpoint(&self, replica: u8, incarnation: u64) -> Endpoint {
        self.config(AUTH, "").endpoint(ReplicaId(replica), 7, incarnation).unwrap()
    }

    /// A connection to `replica` in rough hands, from the loopback address 127.0.0.`from`.
    pub fn raw(&self, replica: u8, from: u8) -> RawLink {
        RawLink(connect_from(from, self.address(replica)))
    }

    /// Dials `replica` with the blocking driver, from the loopback address 127.0.0.`from`.
    ///
    /// # Errors
    ///
    /// [`DialFailure`].
    pub fn dial(
        &self,
        endpoint: &Endpoint,
        replica: u8,
        from: u8,
    ) -> Result<(blocking::Sender, blocking::Receiver), DialFailure> {
        let link = Link::new(connect_from(from, self.address(replica))).unwrap();
        let dialed = blocking::dial(link, endpoint, DialTarget::new(ReplicaId(replica)), soon())?;
        Ok(blocking::open(dialed, endpoint.outbound_limits()).unwrap())
    }

    /// A second handle to the port of `replica`.
    pub fn listener(&self, replica: u8) -> TcpListener {
        self.listeners[usize::from(replica)].as_ref().unwrap().try_clone().unwrap()
    }

    /// From here on nobody listens on the port of `replica`.
    pub fn close(&mut self, replica: u8) {
        self.listeners[usize::from(replica)] = None;
    }
}

/// One replica.
#[derive(Debug)]
pub struct Replica {
    /// Which.
    pub id: ReplicaId,
    /// Its shards, in order.
    pub shards: Vec<Shard>,
    /// What happened, of all shards.
    pub seen: Vec<Seen>,
}

impl Replica {
    /// Starts replica `id` on its port.
    pub fn start(ground: &Ground, config: Config, options: NodeOptions, shards: usize) -> Self {
        let id = options.replica;
        let node = Node::with_listener(config, options, ground.listener(id.0)).unwrap();
        Self::of(id, drivers::shards(node, shards))
    }

    /// A replica with these shards.
    pub fn of(id: ReplicaId, shards: Vec<Shard>) -> Self {
        Self { id, shards, seen: Vec::new() }
    }

    /// What any thread may use.
    pub fn handle(&self) -> Handle {
        self.shards[0].handle()
    }

    /// Polls every shard once.
    pub fn poll(&mut self, timeout: Duration) {
        for shard in 0..self.shards.len() {
            self.poll_shard(shard, timeout);
        }
    }

    /// Polls one shard once.
    pub fn poll_shard(&mut self, shard: usize, timeout: Duration) {
        let mut events = self.shards[shard].poll(Some(timeout)).unwrap();
        while let Some(event) = events.next() {
            self.seen.push(match event {
                Event::Up(up) => Seen::Up(up),
                Event::Frame { link, peer, lane, frame } => Seen::Frame(link, peer, lane, frame.into_owned()),
                Event::Down(down) => Seen::Down(down),
                Event::Rejected(refusal) => Seen::Rejected(refusal),
                Event::Warning(warning) => Seen::Warning(warning),
                Event::Renewed { link, by, .. } => Seen::Renewed(link, by),
                Event::Drained { link, .. } => Seen::Drained(link),
                Event::Adopted { link, .. } => Seen::Moved(link),
                Event::Unreachable(unreachable) => Seen::Unreachable(unreachable),
                Event::Reloaded(_) => Seen::Reloaded,
                Event::Stopped => Seen::Stopped,
                _ => continue,
            });
        }
    }

    /// How many links are up.
    pub fn links(&self) -> usize {
        self.handle().stats().links.len()
    }

    /// The links that went down.
    pub fn downs(&self) -> impl Iterator<Item = &LinkDown> {
        self.seen.iter().filter_map(|seen| match seen {
            Seen::Down(down) => Some(down),
            _ => None,
        })
    }

    /// The links that came up.
    pub fn ups(&self) -> impl Iterator<Item = &LinkUp> {
        self.seen.iter().filter_map(|seen| match seen {
            Seen::Up(up) => Some(up),
            _ => None,
        })
    }

    /// The frames that came.
    pub fn frames(&self) -> impl Iterator<Item = (ReplicaId, u16, &OwnedFrame)> {
        self.seen.iter().filter_map(|seen| match seen {
            Seen::Frame(_, peer, lane, frame) => Some((*peer, *lane, frame)),
            _ => None,
        })
    }

    /// What there was to look at.
    pub fn warnings(&self) -> impl Iterator<Item = &Warning> {
        self.seen.iter().filter_map(|seen| match seen {
            Seen::Warning(warning) => Some(warning),
            _ => None,
        })
    }

    /// How many things happened that `is` says yes to.
    pub fn count(&self, is: impl Fn(&Seen) -> bool) -> usize {
        self.seen.iter().filter(|seen| is(seen)).count()
    }

    /// Those who were turned away.
    pub fn refusals(&self) -> impl Iterator<Item = &Refusal> {
        self.seen.iter().filter_map(|seen| match seen {
            Seen::Rejected(refusal) => Some(refusal),
            _ => None,
        })
    }
}

/// Starts all replicas of `ground`, each with the same configuration.
pub fn start_all(ground: &Ground, auth: &str, link: &str, shards: usize) -> Vec<Replica> {
    let start = |id| {
        let options = NodeOptions::new(ReplicaId(id)).release(7);
        Replica::start(ground, ground.config(auth, link), options, shards)
    };
    (0..ground.replicas()).map(start).collect()
}

/// Three replicas with `shards` shards each, all connected.
pub fn connected(shards: usize, link: &str) -> (Ground, Vec<Replica>) {
    let ground = Ground::new(3, "");
    let mut replicas = start_all(&ground, AUTH, &format!("{QUICK}{link}"), shards);
    let lanes = ground.config(AUTH, link).link.lanes;
    poll_until(&mut replicas, "all are connected", |replicas| {
        replicas.iter().all(|replica| replica.ups().count() == 2 * usize::from(lanes))
    });
    (ground, replicas)
}

/// Polls all until `done`.
///
/// # Panics
///
/// When that takes too long.
pub fn poll_until(replicas: &mut [Replica], what: &str, mut done: impl FnMut(&mut [Replica]) -> bool) {
    let deadline = Instant::now() + TEST_TIME_MAX / 2;
    while !done(replicas) {
        assert!(Instant::now() < deadline, "not within {:?}: {what}\n{replicas:#?}", TEST_TIME_MAX / 2);
        for replica in &mut *replicas {
            replica.poll(POLL);
        }
    }
}

/// Polls all while `work` is done by a thread of its own, and returns what comes of it.
pub fn poll_while<T: Send>(replicas: &mut [Replica], work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(work);
        poll_until(replicas, "the other end is done", |_| thread.is_finished());
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// A connection from the loopback address 127.0.0.`from`, which fails rather than hang.
pub fn connect_from(from: u8, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.set_read_timeout(Some(TEST_TIME_MAX / 2)).unwrap();
    socket.set_write_timeout(Some(TEST_TIME_MAX / 2)).unwrap();
    socket.into()
}

/// A Prepare with this view and body.
pub fn prepare(view: u32, body: usize) -> GenericHeader {
    let mut header = GenericHeader::new(replink_handshake::cluster_id("orders"), Command::PREPARE, body);
    header.view = view.into();
    header
}
