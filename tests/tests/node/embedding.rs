//! A shard as a part of somebody else's loop.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use replink_frame::ReplicaId;
use replink_tests::alone::alone;
use replink_tests::links::AUTH;
use replink_tests::nodes::{Ground, QUICK, Replica, Seen, poll_until, prepare, start_all};
use replink_tests::watchdog::watched;
use replink_transport::node::Shard;

/// An embedder's loop over all shards of some nodes: it waits for their file descriptors and their
/// timeouts, and polls without waiting.
struct Outer {
    poll: Poll,
    events: Events,
}

impl Outer {
    fn new(replicas: &[Replica]) -> Self {
        let poll = Poll::new().unwrap();
        for (token, shard) in replicas.iter().flat_map(|replica| &replica.shards).enumerate() {
            let fd = shard.as_raw_fd();
            poll.registry().register(&mut SourceFd(&fd), Token(token), Interest::READABLE).unwrap();
        }
        Self { poll, events: Events::with_capacity(64) }
    }

    /// Waits without end but for the shards' own timeouts, and polls those that have something to
    /// do. How many that were.
    fn turn(&mut self, replicas: &mut [Replica]) -> usize {
        let shards = || replicas.iter().flat_map(|replica| &replica.shards);
        let timeouts: Vec<_> = shards().map(Shard::timeout).collect();
        let wait = timeouts.iter().flatten().min().copied();
        wait_for(&mut self.poll, &mut self.events, wait);
        let ready: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
        let mut polled = 0;
        let mut token = 0;
        for replica in replicas {
            for shard in 0..replica.shards.len() {
                let due = replica.shards[shard].timeout().is_some_and(|due| due.is_zero());
                if due || ready.contains(&token) {
                    replica.poll_shard(shard, Duration::ZERO);
                    polled += 1;
                }
                token += 1;
            }
        }
        polled
    }
}

#[test]
fn a_shard_works_in_somebody_elses_loop() {
    watched(|| {
        let ground = Ground::new(3, "");
        // Without heartbeats there is nothing that wakes a shard up once all is quiet.
        let link = format!("{QUICK}heartbeat_interval = \"0s\"\n");
        let mut replicas = start_all(&ground, AUTH, &link, 2);
        let mut outer = Outer::new(&replicas);
        while !replicas.iter().all(|replica| replica.ups().count() == 2) {
            outer.turn(&mut replicas);
        }
        // A frame goes round: each one that gets it sends it on. A wake-up that is lost ends that.
        let mut rounds = vec![0; replicas.len()];
        replicas[0].handle().send(ReplicaId(1), &prepare(0, 0), Bytes::new()).unwrap();
        while rounds[0] < 300 {
            outer.turn(&mut replicas);
            for from in 0..3usize {
                if replicas[from].frames().count() > rounds[from] {
                    rounds[from] += 1;
                    let to = ReplicaId(u8::try_from((from + 1) % 3).unwrap());
                    let body = Bytes::from(vec![1; rounds[from] * 700]);
                    replicas[from].handle().send(to, &prepare(0, body.len()), body).unwrap();
                }
            }
        }
        // What is asked of a node wakes it up as well.
        let link = replicas[1].handle().link(ReplicaId(0), 0).unwrap();
        let at = |replicas: &[Replica]| {
            let links = replicas[1].handle().stats().links;
            links.iter().find(|stats| stats.link == link).unwrap().shard
        };
        let to = 1 - at(&replicas);
        replicas[1].handle().move_link(link, to);
        while replicas[1].count(|seen| matches!(seen, Seen::Moved(_))) == 0 {
            outer.turn(&mut replicas);
        }
        assert_eq!(at(&replicas), to);
        for replica in &replicas {
            replica.handle().shutdown();
        }
        while !replicas.iter().all(|replica| replica.handle().is_stopped()) {
            outer.turn(&mut replicas);
        }
    });
}

#[test]
fn a_quiet_shard_is_not_readable_and_a_busy_one_is() {
    watched(|| {
        let ground = Ground::new(2, "");
        let link = format!("{QUICK}heartbeat_interval = \"0s\"\n");
        let mut replicas = start_all(&ground, AUTH, &link, 1);
        poll_until(&mut replicas, "they are connected", |all| all.iter().all(|one| one.links() == 1));
        // Until both have nothing to do any more, but for a look now and then whether the peer's machine is there.
        let later = Duration::from_secs(1);
        let quiet = |one: &Replica| !readable(one) && one.shards[0].timeout().is_none_or(|due| due > later);
        poll_until(&mut replicas, "all is quiet", |all| all.iter().all(quiet));
        for what in ["a frame", "a wake-up", "a request"] {
            assert!(!readable(&replicas[0]), "before {what}");
            match what {
                "a frame" => {
                    let handle = replicas[1].handle();
                    handle.send(ReplicaId(0), &prepare(1, 0), Bytes::new()).unwrap();
                }
                "a wake-up" => (replicas[0].shards[0].waker())(),
                _ => replicas[0].handle().reload(ground.config(AUTH, &link)).unwrap(),
            }
            // Loopback may take its time.
            let mut poll = outer_poll(&replicas[0]);
            wait_for(&mut poll.0, &mut poll.1, Some(Duration::from_secs(20)));
            assert!(readable(&replicas[0]), "after {what}");
            poll_until(&mut replicas[..1], "that is done", |one| !readable(&one[0]));
        }
        assert_eq!(replicas[0].frames().count(), 1);
        assert_eq!(replicas[0].count(|seen| matches!(seen, Seen::Reloaded)), 1);
    });
}

/// As in any event loop, being interrupted is no failure; a ring's work may do that.
fn wait_for(poll: &mut Poll, events: &mut Events, timeout: Option<Duration>) {
    while let Err(error) = poll.poll(events, timeout) {
        assert_eq!(error.kind(), ErrorKind::Interrupted);
    }
}

fn outer_poll(replica: &Replica) -> (Poll, Events) {
    let poll = Poll::new().unwrap();
    let fd = replica.shards[0].as_raw_fd();
    poll.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE).unwrap();
    (poll, Events::with_capacity(1))
}

fn readable(replica: &Replica) -> bool {
    let (mut poll, mut events) = outer_poll(replica);
    poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
    !events.is_empty()
}

#[test]
fn a_waker_ends_a_poll_without_timeout() {
    watched(|| {
        let ground = Ground::new(1, "");
        let mut replicas = start_all(&ground, AUTH, QUICK, 2);
        let mut shards = std::mem::take(&mut replicas[0].shards);
        for shard in &mut shards {
            let _ = shard.poll(Some(Duration::ZERO)).unwrap();
            let waker = shard.waker();
            thread::scope(|scope| {
                scope.spawn(move || waker());
                // It may come before this, or later: it ends this all the same.
                while shard.poll(None).unwrap().next().is_some() {}
            });
        }
    });
}

#[test]
fn a_node_starts_no_thread() {
    alone("embedding::a_node_starts_no_thread", None, || {
        let threads = || fs::read_dir("/proc/self/task").map(Iterator::count);
        let Ok(before) = threads() else { return }; // no such files here
        let ground = Ground::new(3, "");
        let mut replicas = start_all(&ground, AUTH, QUICK, 4);
        poll_until(&mut replicas, "they are connected", |all| all.iter().all(|one| one.links() == 2));
        let handle = replicas[0].handle();
        handle.send(ReplicaId(1), &prepare(1, 3), Bytes::from("abc")).unwrap();
        handle.reload(ground.config(AUTH, QUICK)).unwrap();
        poll_until(&mut replicas, "a frame arrives", |all| all[1].frames().count() == 1);
        assert_eq!(threads().unwrap(), before);
        handle.shutdown();
        poll_until(&mut replicas, "it stops", |all| all[0].shards.iter().all(Shard::is_stopped));
        assert_eq!(threads().unwrap(), before);
    });
}
