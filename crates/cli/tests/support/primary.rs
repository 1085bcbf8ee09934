//! Replica 0 inside the test: it sends Prepares whose bodies are known, and keeps every answer.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use replink_transport::config::Config;
use replink_transport::frame::{Command, GenericHeader, ReplicaId};
use replink_transport::mesh::DownReason;
use replink_transport::node::{Event, Node, NodeOptions, NodeStats, Shard};

use super::process::PATIENCE;

/// Replica 0, which dials replica 1.
pub struct Primary {
    shard: Shard,
    /// Links that came up.
    pub ups: u32,
    /// What the answers said: view, and hash of the body.
    pub answers: Vec<(u32, [u8; 32])>,
    /// Why links ended.
    pub downs: Vec<DownReason>,
}

/// The body of the Prepare with this view. Its length tells which it is.
pub fn body(view: u32) -> Vec<u8> {
    vec![u8::try_from(view % 251).unwrap(); 100 + view as usize]
}

impl Primary {
    pub fn start(config: &Path) -> Self {
        let config = Config::load(config).unwrap();
        let node = Node::bind(config, NodeOptions::new(ReplicaId(0))).unwrap();
        let shard = node.into_shards(1).unwrap().remove(0);
        Self { shard, ups: 0, answers: Vec::new(), downs: Vec::new() }
    }

    pub fn stats(&self) -> NodeStats {
        self.shard.handle().stats()
    }

    /// Polls until `done`.
    pub fn poll_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "not in time: {what}; {:?}, {:?}", self.answers, self.downs);
            let mut events = self.shard.poll(Some(Duration::from_millis(5))).unwrap();
            while let Some(event) = events.next() {
                match event {
                    Event::Up(_) => self.ups += 1,
                    Event::Down(down) => self.downs.push(down.reason),
                    Event::Frame { frame, .. } => {
                        let header = frame.header();
                        assert_eq!(header.command, Command::PREPARE_OK);
                        let hash = header.reserved_command[..32].try_into().unwrap();
                        self.answers.push((header.view.get(), hash));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Sends a Prepare; a link that has just ended takes none.
    pub fn send(&self, view: u32) {
        let body = Bytes::from(body(view));
        let mut prepare = GenericHeader::new(self.shard.handle().cluster(), Command::PREPARE, body.len());
        prepare.view = view.into();
        let _ = self.shard.send(ReplicaId(1), &prepare, body);
    }

    /// Sends a Prepare and waits for its answer, which is the last then.
    pub fn exchange(&mut self, view: u32) -> [u8; 32] {
        self.send(view);
        self.poll_until("a Prepare is answered", |primary| {
            primary.answers.last().is_some_and(|(answered, _)| *answered == view)
        });
        self.answers.last().unwrap().1
    }
}
