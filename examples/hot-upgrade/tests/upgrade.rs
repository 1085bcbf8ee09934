//! Three upgrades in a row under load: the peer sees one link, and every Prepare once and in order.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use replink_tests::nodes::prepare;
use replink_tests::watchdog::watched;
use replink_transport::config::Config;
use replink_transport::frame::{Command, ReplicaId};
use replink_transport::node::{Event, Node, NodeOptions};

/// A process that does not outlive the test.
struct Replica(Child);

impl Replica {
    fn start(folder: &Path, takes_over: bool) -> Self {
        let mut process = Process::new(env!("CARGO_BIN_EXE_hot-upgrade"));
        process.arg(folder.join("cluster.toml")).arg("1").arg(folder.join("upgrade.sock"));
        if takes_over {
            process.arg("take-over");
        }
        Self(process.stdout(Stdio::piped()).spawn().unwrap())
    }

    fn wait_until_running(&mut self) {
        let mut word = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut word).unwrap();
        assert_eq!(word, "running\n");
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_peer_does_not_notice_three_upgrades() {
    watched(|| {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (here, there) = (listener.local_addr().unwrap(), free.local_addr().unwrap());
        drop(free);
        let key = folder.join("cluster.key");
        fs::write(&key, "a secret for this test, 32 bytes or more").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let toml = format!(
            "[cluster]\nname = \"orders\"\n[cluster.auth]\nshared_secret_file = \"cluster.key\"\n\
             [cluster.link]\nreconnect_max = \"100ms\"\n\
             [[cluster.nodes]]\nid = 0\naddress = \"{here}\"\n[[cluster.nodes]]\nid = 1\naddress = \"{there}\"\n"
        );
        fs::write(folder.join("cluster.toml"), toml).unwrap();
        let config = Config::load(folder.join("cluster.toml")).unwrap();
        let node = Node::with_listener(config, NodeOptions::new(ReplicaId(0)), listener).unwrap();
        let mut shard = node.into_shards(1).unwrap().remove(0);

        let mut running = Replica::start(folder, false);
        running.wait_until_running();
        let mut next = None;
        let (mut sent, mut acknowledged, mut ups, mut upgrades) = (0u32, 0u32, 0, 0);
        let (mut chain, mut expected) = ([0u8; 32], std::collections::VecDeque::new());
        let mut enough = 2000;
        let deadline = Instant::now() + Duration::from_secs(40);
        while upgrades < 3 || acknowledged < sent || sent < enough {
            assert!(
                Instant::now() < deadline,
                "sent {sent}, acknowledged {acknowledged}, upgrades {upgrades}"
            );
            // Up to 256 under way, without a pause.
            while ups == 1 && sent - acknowledged < 256 && (upgrades < 3 || sent < enough) {
                let body = vec![u8::try_from(sent % 256).unwrap(); (sent as usize * 31) % 20_000];
                let header = prepare(sent + 1, body.len());
                if shard.send(ReplicaId(1), &header, Bytes::from(body.clone())).is_err() {
                    break;
                }
                sent += 1;
                let mut hasher = blake3::Hasher::new();
                hasher.update(&chain).update(header.bytes()).update(&body);
                chain = hasher.finalize().into();
                expected.push_back(chain);
            }
            let mut events = shard.poll(Some(Duration::from_millis(5))).unwrap();
            while let Some(event) = events.next() {
                match event {
                    Event::Up(_) => ups += 1,
                    Event::Frame { frame, .. } => {
                        acknowledged += 1;
                        let header = frame.header();
                        assert_eq!(header.command, Command::PREPARE_OK);
                        assert_eq!(header.view.get(), acknowledged);
                        assert_eq!(header.reserved_command[..32], expected.pop_front().unwrap());
                        let count = u64::from(acknowledged).to_le_bytes();
                        assert_eq!(header.reserved_command[32..40], count);
                    }
                    Event::Down(down) => panic!("the peer noticed: {down:?}"),
                    _ => {}
                }
            }
            assert!(ups <= 1, "the link was made anew");
            match &mut next {
                None if upgrades < 3 && acknowledged > 500 * (upgrades + 1) => {
                    next = Some(Replica::start(folder, true));
                }
                Some(_) if !running.is_running() => {
                    assert!(running.0.wait().unwrap().success());
                    running = next.take().unwrap();
                    running.wait_until_running();
                    upgrades += 1;
                    enough = acknowledged + 2000;
                }
                _ => {}
            }
        }
        assert_eq!((ups, upgrades), (1, 3));
        assert!(acknowledged > 2000);
    });
}
