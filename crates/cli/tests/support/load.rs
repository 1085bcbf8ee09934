//! A replica inside the test that sends Prepares without a pause, and misses none of the answers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use replink_transport::config::Config;
use replink_transport::frame::{Command, GenericHeader, ReplicaId};
use replink_transport::handshake::Peer;
use replink_transport::mesh::DownReason;
use replink_transport::node::{Event, Handle, Node, NodeOptions, Shard};

use super::process::PATIENCE;

/// Prepares under way to one peer.
const UNDER_WAY_MAX: usize = 64;

/// Replica 0, under load.
pub struct Load {
    pub handle: Handle,
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<Report>,
}

/// What replica 0 has seen.
#[derive(Default)]
pub struct Report {
    pub ups: Vec<Peer>,
    pub downs: Vec<(ReplicaId, DownReason)>,
    /// Frames that went down with links.
    pub undelivered: u64,
    pub reloads: usize,
    /// How many Prepares were acknowledged, on links that are up and on others.
    pub acknowledged: u64,
    /// Sequence numbers that wait for their acknowledgement, in order.
    under_way: BTreeMap<ReplicaId, VecDeque<u32>>,
}

impl Load {
    pub fn start(config: Config) -> Self {
        let node = Node::bind(config, NodeOptions::new(ReplicaId(0))).unwrap();
        let shard = node.into_shards(1).unwrap().remove(0);
        let (handle, stop) = (shard.handle(), Arc::new(AtomicBool::new(false)));
        let stopping = Arc::clone(&stop);
        let thread = thread::spawn(move || run(shard, &stopping));
        Self { handle, stop, thread }
    }

    /// Ends the load; what is under way is acknowledged first.
    pub fn stop(self) -> Report {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

fn run(mut shard: Shard, stop: &AtomicBool) -> Report {
    let handle = shard.handle();
    let mut report = Report::default();
    let (mut sequence, mut deadline) = (0, None);
    loop {
        if stop.load(Ordering::Acquire) {
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
            assert!(Instant::now() < deadline, "not acknowledged: {:?}", report.under_way);
            if report.under_way.values().all(VecDeque::is_empty) {
                return report;
            }
        } else {
            // Links come and go while the shard is polled, and at no other time.
            for peer in [1, 2].map(ReplicaId) {
                if handle.link(peer, 0).is_none() {
                    continue;
                }
                let under_way = report.under_way.entry(peer).or_default();
                while under_way.len() < UNDER_WAY_MAX {
                    let body = Bytes::from(body(sequence));
                    let mut prepare = GenericHeader::new(handle.cluster(), Command::PREPARE, body.len());
                    prepare.view = sequence.into();
                    shard.send(peer, &prepare, body).unwrap();
                    under_way.push_back(sequence);
                    sequence += 1;
                }
            }
        }
        let mut events = shard.poll(Some(Duration::from_millis(5))).unwrap();
        while let Some(event) = events.next() {
            report.take(event);
        }
    }
}

fn body(sequence: u32) -> Vec<u8> {
    sequence.to_le_bytes().repeat(1 + sequence as usize % 100)
}

impl Report {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Up(up) => self.ups.push(up.peer),
            Event::Frame { peer, frame, .. } => {
                let header = frame.header();
                assert_eq!(header.command, Command::PREPARE_OK);
                let expected = self.under_way.get_mut(&peer).and_then(VecDeque::pop_front);
                assert_eq!(Some(header.view.get()), expected, "lost, doubled or out of order");
                let hash = blake3::hash(&body(header.view.get()));
                assert_eq!(header.reserved_command[..32], *hash.as_bytes());
                self.acknowledged += 1;
            }
            Event::Down(down) => {
                self.under_way.remove(&down.peer.replica);
                self.undelivered += down.undelivered;
                self.downs.push((down.peer.replica, down.reason));
            }
            Event::Reloaded(_) => self.reloads += 1,
            Event::Warning(warning) => panic!("{warning}"),
            _ => {}
        }
    }
}
