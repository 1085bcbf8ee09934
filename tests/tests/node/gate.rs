//! Who gets in, and what becomes of those who do not.

use std::time::Duration;

use replink_frame::{GoodbyeReason, ReplicaId, Status};
use replink_handshake::{DialError, DialTarget};
use replink_tests::fixtures::{OTHER_SECRET, SECRET};
use replink_tests::links::AUTH;
use replink_tests::nodes::{Ground, QUICK, Replica, Seen, poll_until, poll_while, start_all};
use replink_tests::raw_peer::{RawLink, RawPeer, at, command, put};
use replink_tests::watchdog::watched;
use replink_transport::exchange::DialFailure;
use replink_transport::mesh::{DownReason, Loss};
use replink_transport::node::{NodeOptions, RejectedBy};

/// Replica 2 of three, alone: the others are the test's.
fn alone(auth: &str) -> (Ground, [Replica; 1]) {
    let ground = Ground::new(3, "");
    let config = ground.config(&format!("{AUTH}\n{auth}"), QUICK);
    let replica = Replica::start(&ground, config, NodeOptions::new(ReplicaId(2)), 1);
    (ground, [replica])
}

/// Replica 0 comes from its address of the roster, is let in, and leaves.
fn serves(ground: &Ground, node: &mut [Replica]) {
    let before = node[0].ups().count();
    let endpoint = ground.endpoint(0, 1 + before as u64);
    let link = poll_while(node, || ground.dial(&endpoint, 2, 1).unwrap());
    poll_until(node, "it is up", |node| node[0].ups().count() == before + 1);
    link.0.goodbye(GoodbyeReason::OPERATOR).unwrap();
    poll_until(node, "it is down", |node| node[0].links() == 0 && node[0].downs().count() == before + 1);
    assert_eq!(node[0].downs().last().unwrap().reason, DownReason::Left(GoodbyeReason::OPERATOR));
}

fn is_over(node: &mut [Replica], link: &mut RawLink) -> bool {
    poll_while(node, || link.is_over())
}

#[test]
fn an_address_that_is_not_allowed_is_closed_unread() {
    watched(|| {
        let (ground, mut node) = alone("allow = [\"127.0.0.1/32\"]");
        let mut stranger = ground.raw(2, 9);
        stranger.send(&RawPeer::new(0, SECRET).hello());
        assert!(is_over(&mut node, &mut stranger), "not one byte of an answer");
        let stats = node[0].handle().stats();
        assert_eq!((stats.accepted, stats.closed_unread, stats.pending), (1, 1, 0));
        assert_eq!(stats.handshakes, [(Status::NOT_ALLOWED, RejectedBy::Us, 1)]);
        let refusal = node[0].refusals().next().unwrap();
        assert_eq!((refusal.peer, refusal.status), (None, Status::NOT_ALLOWED));
        assert_eq!(refusal.address, stranger.0.local_addr().unwrap());
        assert!(refusal.explanation.contains("cluster.auth.allow"), "{}", refusal.explanation);
        serves(&ground, &mut node);
    });
}

#[test]
fn strangers_fill_what_is_shared_and_a_replica_gets_in_all_the_same() {
    watched(|| {
        // 2 of the 8 are kept back for 127.0.0.1, 6 are shared, 2 for each address at most.
        let (ground, mut node) = alone("max_pending = 8\nmax_pending_per_address = 2");
        let mut silent: Vec<_> = [2, 2, 3, 3, 4].map(|from| ground.raw(2, from)).into();
        poll_until(&mut node, "they are pending", |node| node[0].handle().stats().pending == 5);
        assert!(is_over(&mut node, &mut ground.raw(2, 2)), "the third one of an address");
        assert_eq!(node[0].handle().stats().closed_unread, 1);
        let text = &node[0].refusals().last().unwrap().explanation;
        assert!(text.contains("max_pending_per_address"), "{text}");

        silent.push(ground.raw(2, 5));
        poll_until(&mut node, "all shared ones are taken", |node| node[0].handle().stats().pending == 6);
        assert!(is_over(&mut node, &mut ground.raw(2, 6)), "none is left for strangers");
        let text = &node[0].refusals().last().unwrap().explanation;
        assert!(text.contains("max_pending less 2"), "{text}");
        serves(&ground, &mut node);
        assert_eq!(node[0].handle().stats().pending, 6, "the strangers are still there");

        // One of them speaks: there are too many of its kind.
        let hello = RawPeer::new(1, SECRET).hello();
        silent[4].send(&hello);
        let reject = poll_while(&mut node, || silent[4].read());
        assert_eq!((reject[at::COMMAND], Status(reject[at::STATUS])), (command::CHALLENGE, Status::BUSY));
        let retry_after = u32::from_le_bytes(reject[at::RETRY_AFTER..][..4].try_into().unwrap());
        assert!((250..=5000).contains(&retry_after), "{retry_after}");
        drop(silent);
        poll_until(&mut node, "they are gone", |node| node[0].handle().stats().pending == 0);
        serves(&ground, &mut node);
    });
}

#[test]
fn whoever_comes_while_the_node_leaves_is_told_to_come_back() {
    watched(|| {
        let (ground, mut node) = alone("");
        let endpoint = ground.endpoint(0, 1);
        let link = poll_while(&mut node, || ground.dial(&endpoint, 2, 1).unwrap());
        poll_until(&mut node, "it is up", |node| node[0].links() == 1);
        // The link stays for as long as its other end does not close it.
        node[0].handle().shutdown();
        poll_until(&mut node, "it leaves", |node| node[0].links() == 0);
        let second = ground.endpoint(1, 1);
        let failure = poll_while(&mut node, || ground.dial(&second, 2, 1).unwrap_err());
        let DialFailure::Handshake(DialError::Rejected(reject)) = failure else { panic!("{failure}") };
        assert_eq!((reject.status, reject.authenticated), (Status::DRAINING, true));
        assert!((250..=5000).contains(&reject.retry_after_ms), "{reject:?}");
        assert!(!node[0].handle().is_stopped());
        drop(link);
        poll_until(&mut node, "it has stopped", |node| node[0].shards[0].is_stopped());
        assert_eq!(node[0].count(|seen| matches!(seen, Seen::Stopped)), 1);
    });
}

#[test]
fn the_silent_the_half_and_the_dripping_have_their_time_and_no_more() {
    watched(|| {
        let (ground, mut node) = alone("handshake_timeout = \"200ms\"");
        let hello = RawPeer::new(0, SECRET).hello();
        let mut silent = ground.raw(2, 2);
        let mut half = ground.raw(2, 3);
        half.send(&hello[..128]);
        let mut dripping = ground.raw(2, 4);
        let dripped = poll_while(&mut node, || dripping.drip(&hello, Duration::from_millis(5)));
        assert!(dripped < hello.len(), "the time is for the whole handshake, not for each byte");
        assert!(is_over(&mut node, &mut silent) && is_over(&mut node, &mut half));
        // One that stops behind the Challenge.
        let mut challenged = ground.raw(2, 5);
        challenged.send(&hello);
        let challenge = poll_while(&mut node, || challenged.read());
        assert_eq!(challenge[at::STATUS], 0);
        assert!(is_over(&mut node, &mut challenged));
        let stats = node[0].handle().stats();
        assert_eq!((stats.broken, stats.pending, stats.accepted), (4, 0, 4));
        serves(&ground, &mut node);
    });
}

#[test]
fn after_each_bad_peer_the_next_good_one_is_served() {
    watched(|| {
        let (ground, mut node) = alone("");
        let insider = RawPeer::new(0, SECRET);
        let changed = |offset: usize, bytes: &[u8]| {
            let mut frame = insider.hello();
            put(&mut frame, offset, bytes);
            frame.to_vec()
        };
        let attacks: [(&str, Vec<u8>, Option<Status>); 9] = [
            ("http", b"GET / HTTP/1.1\r\n\r\n".repeat(20), Some(Status::UNKNOWN_COMMAND)),
            ("prepare first", insider.frame(command::PREPARE).into(), Some(Status::UNKNOWN_COMMAND)),
            ("another cluster", changed(at::CLUSTER, &[1; 16]), Some(Status::CLUSTER_MISMATCH)),
            ("a higher id", changed(at::REPLICA, &[3]), Some(Status::DIRECTIONAL_RULE)),
            ("its own id", changed(at::REPLICA, &[2]), Some(Status::DIRECTIONAL_RULE)),
            ("another key", RawPeer::new(0, OTHER_SECRET).hello().into(), Some(Status::UNKNOWN_KEY)),
            ("another version", changed(at::VERSION, &[77]), Some(Status::UNSUPPORTED_VERSION)),
            ("nothing", Vec::new(), None),
            ("a part", vec![0; 100], None),
        ];
        // From an address each: the same from the same address is told of once a minute.
        for (from, (what, bytes, status)) in (2..).zip(attacks) {
            let before = node[0].refusals().count();
            let mut bad = ground.raw(2, from);
            bad.send(&bytes);
            bad.stop_sending();
            assert!(
                poll_while(&mut node, || {
                    while bad.try_read().is_ok() {}
                    bad.is_over()
                }),
                "{what}"
            );
            let statuses: Vec<_> = node[0].refusals().skip(before).map(|refusal| refusal.status).collect();
            assert_eq!(statuses, Vec::from_iter(status), "{what}");
            serves(&ground, &mut node);
        }
        // A forged Finish.
        let mut bad = ground.raw(2, 2);
        let hello = insider.hello();
        bad.send(&hello);
        let challenge = poll_while(&mut node, || bad.read());
        bad.send(&changed(at::COMMAND, &[command::FINISH]));
        let reject = poll_while(&mut node, || bad.read());
        assert_eq!(challenge[at::STATUS], 0);
        assert_ne!(reject[at::STATUS], 0);
        serves(&ground, &mut node);
        // The first frame behind a good handshake is bad.
        let mut bad = ground.raw(2, 2);
        bad.send(&hello);
        let challenge = poll_while(&mut node, || bad.read());
        bad.send(&insider.finish(&hello, &challenge));
        bad.send(&[0xff; 256]);
        poll_until(&mut node, "it is down", |node| {
            node[0].ups().count() == 11 && node[0].downs().count() == 11
        });
        // C-3: it is told so.
        let said = poll_while(&mut node, || {
            loop {
                let frame = bad.read();
                if frame[at::COMMAND] == command::GOODBYE {
                    break frame[at::GOODBYE_REASON];
                }
            }
        });
        assert_eq!(said, GoodbyeReason::FRAME_TOO_LARGE.0);
        assert!(is_over(&mut node, &mut bad));
        let reason = node[0].downs().last().unwrap().reason;
        assert!(matches!(reason, DownReason::Lost(Loss::Violation(_))), "{reason}");
        serves(&ground, &mut node);
    });
}

#[test]
fn a_flood_of_every_kind_leaves_nothing_behind() {
    watched(|| {
        let (ground, mut node) = alone("max_pending = 32\nhandshake_timeout = \"300ms\"");
        let hello = RawPeer::new(0, SECRET).hello();
        let kinds: [&[u8]; 4] = [b"", &[0xa5; 600], &hello[..128], &hello];
        let flood = 400;
        poll_while(&mut node, || {
            for count in 0..flood {
                let mut link = ground.raw(2, 2 + u8::try_from(count % 50).unwrap());
                link.send(kinds[count % kinds.len()]);
                if count % 3 == 0 {
                    link.reset();
                }
            }
        });
        serves(&ground, &mut node);
        poll_until(&mut node, "none is left", |node| {
            let stats = node[0].handle().stats();
            stats.pending == 0 && stats.accepted == flood as u64 + 1
        });
        let stats = node[0].handle().stats();
        let rejected: u64 =
            stats.handshakes.iter().filter(|(status, ..)| *status != Status::OK).map(|of| of.2).sum();
        // Every one of them is counted, as closed unread (and so rejected), rejected or broken.
        assert_eq!(rejected + stats.broken, flood as u64, "{stats:?}");
        assert!(stats.closed_unread <= rejected);
        assert_eq!(stats.accept_errors, 0);
        let told = node[0].refusals().count() as u64;
        assert!(told <= rejected);
    });
}

#[test]
fn a_dial_target_that_is_another_replica_is_no_link() {
    watched(|| {
        let (ground, mut node) = alone("");
        let endpoint = ground.endpoint(0, 1);
        let failure = poll_while(&mut node, || {
            let link = replink_transport::Link::new(ground.raw(2, 1).0).unwrap();
            let target = DialTarget::new(ReplicaId(1));
            replink_transport::blocking::dial(link, &endpoint, target, replink_tests::watchdog::soon())
                .unwrap_err()
        });
        assert!(matches!(failure, DialFailure::Handshake(DialError::WrongPeer { .. })), "{failure:?}");
        serves(&ground, &mut node);
    });
}

/// An honest start is no flood, however many lanes there are and although all replicas share one address.
#[test]
fn all_lanes_come_up_without_a_refusal() {
    watched(|| {
        for lanes in [17, 64] {
            let ground = Ground::new(3, "");
            let mut replicas = start_all(&ground, AUTH, &format!("{QUICK}lanes = {lanes}"), 1);
            poll_until(&mut replicas, "all lanes are up", |all| {
                all.iter().all(|one| one.links() == 2 * lanes)
            });
            for replica in &replicas {
                let stats = replica.handle().stats();
                assert_eq!((stats.closed_unread, stats.broken), (0, 0), "{lanes} lanes");
                assert_eq!((replica.refusals().count(), replica.warnings().count()), (0, 0), "{lanes} lanes");
            }
        }
    });
}

/// However many connect at once: links have their turn in between, and no more descriptors are held than that.
#[test]
fn one_turn_accepts_only_so_many() {
    watched(|| {
        for driver in ["poll", "auto"] {
            let ground = Ground::new(3, "");
            let config = ground.config(AUTH, &format!("{QUICK}driver = \"{driver}\"\n"));
            let mut node = [Replica::start(&ground, config, NodeOptions::new(ReplicaId(2)), 1)];
            let strangers: Vec<_> = (0..300).map(|_| ground.raw(2, 9)).collect();
            let (mut before, mut turns) = (0, 0);
            while before < strangers.len() as u64 {
                node[0].poll(Duration::from_millis(10));
                let accepted = node[0].handle().stats().accepted;
                assert!(accepted - before <= 64, "{} in one turn of {driver}", accepted - before);
                turns += usize::from(accepted > before);
                before = accepted;
            }
            assert!(turns > 300 / 64);
        }
    });
}
