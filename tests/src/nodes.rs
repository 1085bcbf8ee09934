//! Whole nodes on loopback, polled by the test itself: no thread, no sleep.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use replink_frame::{Command, GenericHeader, ReplicaId};
use replink_transport::OwnedFrame;
use replink_transport::config::Config;
use replink_transport::mesh::LinkId;
use replink_transport::node::{Event, Handle, LinkDown, LinkUp, Node, NodeOptions, Refusal, Shard, Warning};

use crate::links::{AUTH, NoSources};
use crate::watchdog::TEST_TIME_MAX;

/// How long one round of polling waits at most, for each shard.
const POLL: Duration = Duration::from_millis(1);

/// Settings that make links come and go quickly.
pub const QUICK: &str = "reconnect_min = \"5ms\"\nreconnect_max = \"50ms\"\n";

/// Ports that stay ours, and configurations that name them.
#[derive(Debug)]
pub struct Ground {
    listeners: Vec<TcpListener>,
    nodes: String,
}

/// What happened on one replica, in order.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A link is up.
    Up(LinkUp),
    /// A frame came.
    Frame(LinkId, ReplicaId, u16, OwnedFrame),
    /// A link is down.
    Down(LinkDown),
    /// Somebody was turned away.
    Rejected(Refusal),
    /// Something to look at.
    Warning(Warning),
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
        let nodes = listeners.iter().enumerate().map(|(id, listener)| {
            let address = listener.local_addr().unwrap();
            format!("[[cluster.nodes]]\nid = {id}\naddress = \"{address}\"\n{extra}\n")
        });
        Self { nodes: nodes.collect(), listeners }
    }

    /// A configuration of these replicas, with settings of `[cluster.auth]` and `[cluster.link]`.
    pub fn config(&self, auth: &str, link: &str) -> Config {
        let nodes = &self.nodes;
        let text =
            format!("[cluster]\nname = \"orders\"\n[cluster.auth]\n{auth}\n[cluster.link]\n{link}\n{nodes}");
        Config::parse(&text, Path::new("/cluster.toml"), &NoSources).unwrap()
    }

    /// A second handle to the port of `replica`.
    pub fn listener(&self, replica: u8) -> TcpListener {
        self.listeners[usize::from(replica)].try_clone().unwrap()
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
        Self::of(id, node.into_shards(shards).unwrap())
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
        for shard in &mut self.shards {
            let mut events = shard.poll(Some(timeout)).unwrap();
            while let Some(event) = events.next() {
                self.seen.push(match event {
                    Event::Up(up) => Seen::Up(up),
                    Event::Frame { link, peer, lane, frame } => {
                        Seen::Frame(link, peer, lane, frame.into_owned())
                    }
                    Event::Down(down) => Seen::Down(down),
                    Event::Rejected(refusal) => Seen::Rejected(refusal),
                    Event::Warning(warning) => Seen::Warning(warning),
                    Event::Drained { link, .. } => Seen::Drained(link),
                    Event::Adopted { link, .. } => Seen::Moved(link),
                    Event::Reloaded => Seen::Reloaded,
                    Event::Stopped => Seen::Stopped,
                    _ => continue,
                });
            }
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
    (0..u8::try_from(ground.listeners.len()).unwrap()).map(start).collect()
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

/// A Prepare with this view and body.
pub fn prepare(view: u32, body: usize) -> GenericHeader {
    let mut header = GenericHeader::new(replink_handshake::cluster_id("orders"), Command::PREPARE, body);
    header.view = view.into();
    header
}
