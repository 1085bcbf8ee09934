//! Links and failed handshakes, one after the other, for as long as one likes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use replink_frame::{GoodbyeReason, ReplicaId};
use replink_handshake::Availability;
use replink_transport::node::NodeOptions;
use replink_transport::{Endpoint, Link, blocking};

use crate::fixtures::SECRET;
use crate::links::{AUTH, receive};
use crate::nodes::{Ground, Replica, poll_until, poll_while};
use crate::process;
use crate::raw_peer::{RawLink, RawPeer};
use crate::watchdog::soon;

/// Attempts that follow each other as fast as they can.
const LINK: &str = "reconnect_min = \"1ms\"\nreconnect_max = \"1ms\"\n";

/// Cycles between two looks at the node.
const BATCH: u64 = 100;

/// A node that accepts and one that dials, whose peers come and go.
#[derive(Debug)]
pub struct Soak {
    ground: Ground,
    acceptor: [Replica; 1],
    dialer: [Replica; 1],
    peers: [Endpoint; 2],
    cycles: u64,
    links: u64,
}

/// What the process holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// Open file descriptors.
    pub files: usize,
    /// Memory, in bytes.
    pub memory: u64,
}

impl Soak {
    /// Starts both nodes.
    pub fn new() -> Self {
        // 0 dials 1, which is played; 2 is dialed by a played 1, and has no other peer.
        let ground = Ground::new(3, "");
        let without = |id: u8| ground.roster(AUTH, LINK, move |other| (other != id).then_some(""));
        let start = |id: u8, config| Replica::start(&ground, config, NodeOptions::new(ReplicaId(id)), 1);
        let (acceptor, dialer) = ([start(2, without(0))], [start(0, without(2))]);
        let peers = [1, 2].map(|incarnation| ground.endpoint(1, incarnation));
        Self { ground, acceptor, dialer, peers, cycles: 0, links: 0 }
    }

    /// Half of the cycles are links, half are handshakes that fail, in either role.
    pub fn run(&mut self, cycles: u64) {
        let end = self.cycles + cycles;
        while self.cycles < end {
            let links = AtomicU64::new(0);
            let (ground, cycles) = (&self.ground, self.cycles..self.cycles + BATCH);
            let [dialing, accepting] = &self.peers;
            poll_while(&mut self.acceptor, || {
                for cycle in cycles.clone().step_by(2) {
                    come(ground, dialing, cycle / 2, &links);
                }
            });
            poll_while(&mut self.dialer, || {
                for cycle in cycles.skip(1).step_by(2) {
                    receive_dialer(ground, accepting, cycle / 2, &links);
                }
            });
            self.links += links.into_inner();
            self.cycles += BATCH;
            for node in [&mut self.acceptor, &mut self.dialer] {
                node[0].seen.clear();
                node[0].seen.shrink_to_fit();
            }
        }
    }

    /// What is held once nothing is under way any more.
    pub fn held(&mut self) -> Option<Held> {
        poll_until(&mut self.acceptor, "all are gone", |node| {
            let stats = node[0].handle().stats();
            stats.links.is_empty() && stats.pending == 0
        });
        // A descriptor stays open until the operation has ended that names it: with the next waits.
        (0..3).for_each(|_| self.acceptor[0].poll(Duration::from_millis(1)));
        // The dialer tries on and on: what it has under way is taken away from it.
        let mut attempts = Vec::new();
        poll_until(&mut self.dialer, "it dials", |node| node[0].links() == 0);
        let listener = self.ground.listener(1);
        attempts.push(poll_while(&mut self.dialer, || listener.accept().unwrap()));
        drop(listener);
        let files = process::open_files()?;
        Some(Held { files, memory: process::memory(std::process::id())?.0 })
    }

    /// Cycles so far, and how many of them were links.
    pub fn counts(&self) -> (u64, u64) {
        (self.cycles, self.links)
    }
}

impl Default for Soak {
    fn default() -> Self {
        Self::new()
    }
}

/// Comes to the node that accepts.
fn come(ground: &Ground, peer: &Endpoint, cycle: u64, links: &AtomicU64) {
    let hello = RawPeer::new(1, SECRET).hello();
    match cycle % 6 {
        0 | 2 | 4 => {
            let (sender, mut receiver) = ground.dial(peer, 2, 1).unwrap();
            if cycle % 6 == 2 {
                drop(sender);
                receiver.link().shutdown();
            } else {
                sender.goodbye(GoodbyeReason::OPERATOR).unwrap();
            }
            while receive(&mut receiver).is_ok() {}
            links.fetch_add(1, Ordering::Relaxed);
        }
        1 => drop(ground.raw(2, 1)),
        3 => {
            let mut link = ground.raw(2, 2);
            link.send(&[0xa5; 600]);
            let _ = link.try_read();
        }
        _ => {
            let mut link = ground.raw(2, 3);
            link.send(&hello[..100]);
            link.reset();
        }
    }
}

/// Is dialed by the other one.
fn receive_dialer(ground: &Ground, peer: &Endpoint, cycle: u64, links: &AtomicU64) {
    let (stream, _) = ground.listener(1).accept().unwrap();
    match cycle % 4 {
        0 | 2 => {
            let link = Link::new(stream).unwrap();
            let link = blocking::accept(link, peer, Availability::Open, soon()).unwrap();
            let (sender, mut receiver) = blocking::open(link, peer.outbound_limits()).unwrap();
            sender.goodbye(GoodbyeReason::OPERATOR).unwrap();
            while receive(&mut receiver).is_ok() {}
            links.fetch_add(1, Ordering::Relaxed);
        }
        1 => drop(stream),
        _ => {
            let mut link = RawLink(stream);
            let _ = link.try_read();
            link.send(&[7; 256]);
        }
    }
}
