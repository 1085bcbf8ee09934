//! A node hands its links to the next process while frames flow; the peers notice nothing.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use replink_frame::ReplicaId;
use replink_tests::links::AUTH;
use replink_tests::nodes::{Ground, QUICK, Replica, Seen, connected, poll_until, prepare};
use replink_tests::watchdog::{soon, watched};
use replink_transport::SendCause;
use replink_transport::mesh::DownReason;
use replink_transport::node::{Node, NodeOptions};

/// What one end of a link has to get: views that count up from 1, and how far it is.
#[derive(Default)]
struct Counted(BTreeMap<(u8, u16), u32>);

impl Counted {
    /// Takes the frames that have come, which must be the next ones.
    fn take(&mut self, replica: &mut Replica) {
        replica.seen.retain(|seen| {
            let Seen::Frame(_, peer, lane, frame) = seen else { return true };
            let last = self.0.entry((peer.0, *lane)).or_default();
            *last += 1;
            assert_eq!(frame.header.view.get(), *last, "from {peer} on lane {lane}");
            assert_eq!(frame.body, body(*last));
            false
        });
    }
}

/// Small ones, and now and then one that does not fit the read-ahead.
fn body(view: u32) -> Bytes {
    let len = if view.is_multiple_of(64) { 300_000 } else { (view as usize * 37) % 3000 };
    vec![u8::try_from(view % 251).unwrap(); len].into()
}

/// Sends the next frame on a lane, if it is taken.
fn send(from: &Replica, to: u8, lane: u16, sent: &mut BTreeMap<(u8, u8, u16), u32>) -> bool {
    let next = sent.entry((from.id.0, to, lane)).or_default();
    let body = body(*next + 1);
    match from.handle().send_on(ReplicaId(to), lane, &prepare(*next + 1, body.len()), body) {
        Ok(_) => {
            *next += 1;
            true
        }
        Err(error) => {
            let cause = error.cause();
            assert!(
                matches!(
                    cause,
                    SendCause::Backpressure { .. } | SendCause::NotConnected | SendCause::HandedOff
                ),
                "{cause:?}"
            );
            false
        }
    }
}

#[test]
fn the_next_process_goes_on_with_all_links_and_no_frame_is_lost() {
    watched(|| {
        let link = "lanes = 2\n";
        let (ground, mut replicas) = connected(2, link);
        let mut sent = BTreeMap::new();
        let mut got: Vec<Counted> = (0..3).map(|_| Counted::default()).collect();
        // Replica 0 dials both others; replica 1 is dialed by it and dials replica 2.
        for generation in 0..3 {
            let upgraded = [1u8, 0, 1][generation];
            let (ours, theirs) = UnixStream::pair().unwrap();
            let config = ground.config(AUTH, &format!("{QUICK}{link}"));
            let handle = replicas[usize::from(upgraded)].handle();
            let incarnation = incarnations(&replicas, upgraded);
            let giving = thread::spawn(move || handle.hand_over(&ours, soon()));
            let taking = thread::spawn(move || {
                let options = NodeOptions::new(ReplicaId(upgraded)).release(8);
                Node::take_over(config, options, &theirs, soon())
            });
            while !(giving.is_finished() && taking.is_finished()) {
                pump(&mut replicas, &mut sent, &mut got);
            }
            let handed = giving.join().unwrap().unwrap();
            assert_eq!((handed.links, handed.lost.len()), (4, 0));
            let node = taking.join().unwrap().unwrap();
            assert_eq!(node.taken_over(), 4);
            let next = Replica::of(ReplicaId(upgraded), replink_tests::drivers::shards(node, 2));
            let mut old = std::mem::replace(&mut replicas[usize::from(upgraded)], next);
            // The old process has nothing more to yield but the end.
            old.poll(Duration::ZERO);
            got[usize::from(upgraded)].take(&mut old);
            assert!(old.downs().all(|down| down.reason == DownReason::HandedOver), "{:?}", old.seen);
            assert_eq!(old.downs().count(), 4);
            assert_eq!(old.seen.iter().filter(|seen| matches!(seen, Seen::Stopped)).count(), 2);
            drop(old);
            for _ in 0..50 {
                pump(&mut replicas, &mut sent, &mut got);
            }
            assert_eq!(incarnations(&replicas, upgraded), incarnation);
        }
        // Everything that was taken arrives, and no peer has noticed anything.
        poll_until(&mut replicas, "every frame has arrived", |replicas| {
            for (replica, got) in replicas.iter_mut().zip(&mut got) {
                got.take(replica);
            }
            sent.iter().all(|(&(from, to, lane), &count)| {
                got[usize::from(to)].0.get(&(from, lane)).copied().unwrap_or(0) == count
            })
        });
        assert_eq!(replicas[2].downs().count(), 0);
        assert_eq!(replicas[2].ups().count(), 4);
        assert!(sent.values().all(|&count| count > 200), "{sent:?}");
    });
}

/// One round of everybody sending and receiving.
fn pump(replicas: &mut [Replica], sent: &mut BTreeMap<(u8, u8, u16), u32>, got: &mut [Counted]) {
    for from in 0..3u8 {
        for to in (0..3u8).filter(|&to| to != from) {
            for lane in 0..2 {
                for _ in 0..8 {
                    if !send(&replicas[usize::from(from)], to, lane, sent) {
                        break;
                    }
                }
            }
        }
    }
    for (replica, got) in replicas.iter_mut().zip(got) {
        replica.poll(Duration::ZERO);
        got.take(replica);
    }
}

/// What the others know `replica` by.
fn incarnations(replicas: &[Replica], replica: u8) -> Vec<u64> {
    let others = replicas.iter().filter(|other| other.id.0 != replica);
    let links = others.flat_map(|other| other.handle().stats().links);
    links.filter(|link| link.peer.replica.0 == replica).map(|link| link.peer.incarnation).collect()
}

#[test]
fn without_a_successor_the_node_goes_on() {
    watched(|| {
        let (_ground, mut replicas) = connected(1, "");
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        replicas[0].handle().hand_over(&ours, soon()).unwrap_err();
        let body = Bytes::from_static(b"still here");
        replicas[0].handle().send(ReplicaId(1), &prepare(1, body.len()), body).unwrap();
        poll_until(&mut replicas, "the frame is there", |replicas| replicas[1].frames().count() == 1);
    });
}

#[test]
fn a_successor_with_another_key_gets_no_link_and_the_peers_make_new_ones() {
    watched(|| {
        let ground = Ground::new(2, "");
        let mut replicas = replink_tests::nodes::start_all(&ground, AUTH, QUICK, 1);
        poll_until(&mut replicas, "they are connected", |replicas| {
            replicas.iter().all(|replica| replica.links() == 1)
        });
        let (ours, theirs) = UnixStream::pair().unwrap();
        let handle = replicas[0].handle();
        let config = ground.config("shared_secret = \"quite another secret of 32 bytes or more\"", QUICK);
        let giving = thread::spawn(move || handle.hand_over(&ours, soon()));
        let taking =
            thread::spawn(move || Node::take_over(config, NodeOptions::new(ReplicaId(0)), &theirs, soon()));
        poll_until(&mut replicas, "the transfer is over", |_| giving.is_finished() && taking.is_finished());
        let handed = giving.join().unwrap().unwrap();
        assert_eq!((handed.links, handed.lost.len()), (0, 1), "{handed:?}");
        assert_eq!(taking.join().unwrap().unwrap().taken_over(), 0);
        poll_until(&mut replicas, "the peer has lost its link", |replicas| replicas[1].downs().count() == 1);
    });
}
