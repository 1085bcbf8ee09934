//! Changes while everything runs, and the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use replink_frame::{GoodbyeReason, ReplicaId};
use replink_handshake::{Authentication, ControlMessage};
use replink_tests::links::{AUTH, receive};
use replink_tests::nodes::{
    Ground, QUICK, Replica, Seen, connected, poll_until, poll_while, prepare, start_all,
};
use replink_tests::watchdog::watched;
use replink_transport::SendCause;
use replink_transport::mesh::{DownReason, LEAVE_MAX, Loss};
use replink_transport::node::{NodeOptions, Placement, ReloadError};

const BOTH: &str = "shared_secret = \"the new secret, which is long enough\"\n\
                    accept_secrets = [\"a secret for tests, 32 bytes or more\"]";
const NEW: &str = "shared_secret = \"the new secret, which is long enough\"";

fn reload(ground: &Ground, replicas: &mut [Replica], auth: &str) {
    for at in 0..replicas.len() {
        let before = replicas[at].count(|seen| matches!(seen, Seen::Reloaded));
        replicas[at].handle().reload(ground.config(auth, QUICK)).unwrap();
        poll_until(replicas, "it is in force", |all| {
            all[at].count(|seen| matches!(seen, Seen::Reloaded)) > before
        });
    }
}

#[test]
fn a_rotation_in_two_steps_loses_no_frame_that_was_taken() {
    watched(|| {
        let (ground, mut replicas) = connected(2, "");
        let authentication = replicas[0].ups().next().unwrap().peer.authentication;
        let Authentication::PreSharedKey(old_key) = authentication else { panic!("{authentication:?}") };
        // Frames flow from everybody to everybody all the time.
        let mut sent: BTreeMap<(u8, u8), u32> = BTreeMap::new();
        let mut flow = |replicas: &mut [Replica]| {
            for from in 0..3u8 {
                for to in (0..3u8).filter(|&to| to != from) {
                    let next = sent.entry((from, to)).or_default();
                    match replicas[usize::from(from)].handle().send(
                        ReplicaId(to),
                        &prepare(*next, 0),
                        Bytes::new(),
                    ) {
                        Ok(_) => *next += 1,
                        Err(error) => panic!("there is a link all the time: {error}"),
                    }
                }
            }
        };
        flow(&mut replicas);
        reload(&ground, &mut replicas, BOTH);
        flow(&mut replicas);
        for replica in &replicas {
            assert_eq!(replica.downs().count(), 0, "the old key is still accepted");
            assert_eq!(replica.handle().key_in_use(old_key), 2);
            let keys = replica.handle().stats().keys;
            assert_eq!(
                keys.iter().map(|key| (key.offered, key.links)).collect::<Vec<_>>(),
                [(true, 0), (false, 2)]
            );
        }
        reload(&ground, &mut replicas, NEW);
        poll_until(&mut replicas, "all links have the new key", |replicas| {
            flow(replicas);
            replicas.iter().all(|one| one.handle().key_in_use(old_key) == 0 && one.links() == 2)
        });
        let renewed = |one: &Replica| one.count(|seen| matches!(seen, Seen::Renewed(..)));
        poll_until(&mut replicas, "all is told", |all| all.iter().all(|one| renewed(one) >= 2));
        for replica in &replicas {
            let told = (replica.ups().count(), renewed(replica), replica.downs().count());
            assert_eq!(told, (4, 2, 0), "each link is made anew once, and none is down: {:#?}", replica.seen);
            let stats = replica.handle().stats();
            assert!(stats.links_renewed.iter().all(|&(_, count)| count == 1), "{:?}", stats.links_renewed);
            assert_eq!((stats.links_renewed.len(), stats.links_ended), (2, vec![]));
        }
        // Nothing is lost, doubled or out of order, whatever link it came on.
        for _ in 0..10 {
            flow(&mut replicas);
        }
        poll_until(&mut replicas, "the last ones arrive", |all| {
            sent.iter().all(|(&(from, to), &count)| last(&all[usize::from(to)], from) == Some(count - 1))
        });
        for replica in &replicas {
            for from in (0..3u8).filter(|&from| from != replica.id.0) {
                let views = views(replica, from);
                assert!(views.iter().copied().eq(0..u32::try_from(views.len()).unwrap()), "{views:?}");
            }
        }
        // Whoever has only the old key is refused.
        let outdated = ground.endpoint(0, 3);
        let failed = poll_while(&mut replicas[1..], || ground.dial(&outdated, 1, 1).unwrap_err());
        assert!(failed.to_string().contains("unknown_key"), "{failed}");
    });
}

fn views(replica: &Replica, from: u8) -> Vec<u32> {
    replica
        .frames()
        .filter(|(peer, ..)| peer.0 == from)
        .map(|(_, _, frame)| frame.header.view.get())
        .collect()
}

fn last(replica: &Replica, from: u8) -> Option<u32> {
    views(replica, from).last().copied()
}

#[test]
fn what_can_not_change_changes_nothing() {
    watched(|| {
        let (ground, mut replicas) = connected(1, "");
        let handle = replicas[0].handle();
        let before = handle.stats().keys;
        for (auth, link, what) in [
            (AUTH, "lanes = 2\n", "cluster.link.lanes"),
            (
                "shared_secret = \"another secret that is long enough\"\napp = \"other\"",
                "",
                "cluster.auth.app",
            ),
            ("enabled = false", "", "cluster.auth.enabled"),
        ] {
            let error = handle.reload(ground.config(auth, link)).unwrap_err();
            assert_eq!(error, ReloadError::Fixed(what));
            assert!(error.to_string().contains("the old configuration stays in force"), "{error}");
        }
        let elsewhere = Ground::new(3, "");
        let error = handle.reload(elsewhere.config(AUTH, "")).unwrap_err();
        assert_eq!(error, ReloadError::Fixed("the address that this replica listens on"));
        let without = ground.roster(AUTH, QUICK, |id| (id != 0).then_some(""));
        assert!(handle.reload(without).is_err(), "it is not on the roster itself");
        for _ in 0..20 {
            for replica in &mut replicas {
                replica.poll(Duration::ZERO);
            }
        }
        assert_eq!(handle.stats().keys, before);
        assert_eq!(replicas[0].links(), 2);
        assert_eq!(replicas[0].count(|seen| matches!(seen, Seen::Reloaded | Seen::Down(_))), 0);
    });
}

#[test]
fn the_roster_can_lose_and_gain_a_replica() {
    watched(|| {
        let (ground, mut replicas) = connected(1, "");
        let without = || ground.roster(AUTH, QUICK, |id| (id != 2).then_some(""));
        replicas[0].handle().reload(without()).unwrap();
        poll_until(&mut replicas, "its link is ended", |all| {
            all[0].downs().count() == 1 && all[2].downs().count() >= 1
        });
        let down = replicas[0].downs().next().unwrap();
        assert_eq!(
            (down.peer.replica, down.reason),
            (ReplicaId(2), DownReason::Ended(GoodbyeReason::OPERATOR))
        );
        let at_peer = replicas[2].downs().next().unwrap();
        assert_eq!(at_peer.reason, DownReason::Left(GoodbyeReason::OPERATOR));
        assert_eq!(replicas[0].links(), 1, "the other one stays");
        let cause =
            replicas[0].handle().send(ReplicaId(2), &prepare(1, 0), Bytes::new()).unwrap_err().cause();
        assert_eq!(cause, SendCause::NotConnected);

        // The same of the end that accepts: the peer is refused when it dials.
        replicas[1].handle().reload(ground.roster(AUTH, QUICK, |id| (id != 0).then_some(""))).unwrap();
        poll_until(&mut replicas, "it is refused", |all| {
            all[1].refusals().any(|refusal| refusal.status == replink_frame::Status::NOT_ALLOWED)
        });
        assert_eq!(replicas[1].downs().next().unwrap().reason, DownReason::Ended(GoodbyeReason::OPERATOR));

        // Back again, and dialed at once.
        replicas[1].handle().reload(ground.config(AUTH, QUICK)).unwrap();
        replicas[0].handle().reload(ground.config(AUTH, QUICK)).unwrap();
        poll_until(&mut replicas, "all are connected", |all| all.iter().all(|one| one.links() == 2));
    });
}

#[test]
fn the_allow_list_and_the_limits_follow() {
    watched(|| {
        let ground = Ground::new(2, "");
        let mut node =
            [Replica::start(&ground, ground.config(AUTH, QUICK), NodeOptions::new(ReplicaId(1)), 1)];
        let endpoint = ground.endpoint(0, 3);
        let link = poll_while(&mut node, || ground.dial(&endpoint, 1, 7).unwrap());
        poll_until(&mut node, "it is up", |node| node[0].links() == 1);
        reload(&ground, &mut node, &format!("{AUTH}\nallow = [\"127.0.0.1/32\"]"));
        assert_eq!(node[0].links(), 1, "a link that is up stays");
        let mut refused = ground.raw(1, 7);
        assert!(poll_while(&mut node, || refused.is_over()));
        assert_eq!(node[0].handle().stats().closed_unread, 1);
        reload(&ground, &mut node, &format!("{AUTH}\nmax_pending = 2\nmax_pending_per_address = 1"));
        let _silent = ground.raw(1, 8);
        poll_until(&mut node, "it is pending", |node| node[0].handle().stats().pending == 1);
        let mut refused = ground.raw(1, 8);
        assert!(poll_while(&mut node, || refused.is_over()));
        assert_eq!(node[0].handle().stats().closed_unread, 2);
        // A limit of frames holds for links that are made from now on.
        let smaller = ground.config(AUTH, &format!("{QUICK}max_frame_size = \"1KiB\"\n"));
        node[0].handle().reload(smaller).unwrap();
        poll_until(&mut node, "it is in force", |node| {
            node[0].count(|seen| matches!(seen, Seen::Reloaded)) == 3
        });
        let large = || (prepare(1, 2000), Bytes::from(vec![0; 2000]));
        let send = |node: &Replica| node.handle().send(ReplicaId(0), &large().0, large().1);
        send(&node[0]).unwrap();
        drop(link);
        poll_until(&mut node, "it is down", |node| node[0].links() == 0);
        let _link = poll_while(&mut node, || ground.dial(&endpoint, 1, 1).unwrap());
        poll_until(&mut node, "it is up again", |node| node[0].links() == 1);
        assert!(matches!(send(&node[0]).unwrap_err().cause(), SendCause::Frame(_)));
    });
}

#[test]
fn a_shutdown_sends_what_is_queued_and_then_says_goodbye() {
    watched(|| {
        let ground = Ground::new(2, "");
        let options = NodeOptions::new(ReplicaId(1));
        let mut node = [Replica::start(&ground, ground.config(AUTH, QUICK), options, 3)];
        let endpoint = ground.endpoint(0, 3);
        let (sender, mut receiver) = poll_while(&mut node, || ground.dial(&endpoint, 1, 1).unwrap());
        poll_until(&mut node, "it is up", |node| node[0].links() == 1);
        let body = Bytes::from(vec![9; 500_000]);
        let handle = node[0].handle();
        for view in 0..60 {
            handle.send(ReplicaId(0), &prepare(view, body.len()), body.clone()).unwrap();
        }
        assert!(handle.stats().links[0].sent.queued_frames > 0, "some of it waits");
        handle.shutdown();
        poll_until(&mut node, "it leaves", |node| node[0].links() == 0);
        let cause = handle.send(ReplicaId(0), &prepare(99, 0), Bytes::new()).unwrap_err().cause();
        assert!(matches!(cause, SendCause::NotConnected | SendCause::Leaving), "{cause}");
        poll_while(&mut node, || {
            for view in 0..60 {
                let frame = receive(&mut receiver).unwrap().frame();
                assert_eq!((frame.header.view.get(), frame.body.len()), (view, 500_000));
            }
            let last = receive(&mut receiver).unwrap().control();
            assert_eq!(last, ControlMessage::Goodbye(GoodbyeReason::SHUTDOWN));
            drop((receiver, sender));
        });
        poll_until(&mut node, "all shards have stopped", |node| {
            node[0].shards.iter().all(replink_transport::node::Shard::is_stopped)
        });
        let reason = node[0].downs().next().unwrap().reason;
        assert_eq!(reason, DownReason::Ended(GoodbyeReason::SHUTDOWN));
        assert_eq!(node[0].count(|seen| matches!(seen, Seen::Stopped)), 3);
        assert_eq!(handle.reload(ground.config(AUTH, QUICK)), Err(ReloadError::Stopping));
    });
}

#[test]
fn a_cluster_that_is_shut_down_at_once_stops_everywhere() {
    watched(|| {
        let (_ground, mut replicas) = connected(2, "lanes = 2\n");
        for replica in &replicas {
            replica.handle().shutdown();
        }
        poll_until(&mut replicas, "all have stopped", |all| {
            all.iter().all(|one| one.shards.iter().all(replink_transport::node::Shard::is_stopped))
        });
        for replica in &replicas {
            assert_eq!((replica.ups().count(), replica.downs().count()), (4, 4));
            assert!(replica.downs().all(|down| !matches!(down.reason, DownReason::Lost(_))), "{replica:#?}");
        }
    });
}

#[test]
fn a_dropped_shard_ends_its_links() {
    watched(|| {
        let ground = Ground::new(3, "");
        let mut replicas = start_all(&ground, AUTH, QUICK, 2);
        poll_until(&mut replicas, "all are connected", |all| all.iter().all(|one| one.ups().count() == 2));
        let kept = replicas[0].handle().stats().links.iter().find(|link| link.shard == 0).unwrap().link;
        drop(replicas[0].shards.pop());
        poll_until(&mut replicas, "its peer notices", |all| {
            all[1..].iter().any(|one| one.downs().any(|down| down.reason == DownReason::Lost(Loss::Ended)))
        });
        assert!(
            replicas[0].handle().stats().links.iter().any(|link| link.link == kept),
            "the other link stays"
        );
        assert!(replicas[0].downs().all(|down| down.link != kept));
        // The others go on without it: what is made anew, or is to be moved there, is not lost.
        poll_until(&mut replicas, "all is made anew", |all| {
            all[0].links() == 2 && all[1..].iter().all(|one| one.links() == 2)
        });
        let links = replicas[0].handle().stats().links;
        assert!(links.iter().all(|link| link.shard == 0), "{links:?}");
        replicas[0].handle().move_link(kept, 1);
        let handle = replicas[0].handle();
        for to in [1, 2] {
            handle.send(ReplicaId(to), &prepare(5, 0), Bytes::new()).unwrap();
        }
        poll_until(&mut replicas, "frames arrive", |all| {
            all[1..].iter().all(|one| one.frames().count() == 1)
        });
        for from in [1u8, 2] {
            let handle = replicas[usize::from(from)].handle();
            handle.send(ReplicaId(0), &prepare(6, 0), Bytes::new()).unwrap();
        }
        poll_until(&mut replicas, "both ways", |all| all[0].frames().count() == 2);
    });
}

/// Both ends say goodbye at once: a shard may read the peer's before it was told that its own node has
/// left.
#[test]
fn nodes_that_stop_together_stop_at_once() {
    watched(|| {
        let ground = Ground::new(2, "");
        let on_shard_1 = Placement::Function(Arc::new(|_| 1));
        let mut replicas: Vec<Replica> = (0..2)
            .map(|id| {
                let options = NodeOptions::new(ReplicaId(id)).placement(on_shard_1.clone());
                Replica::start(&ground, ground.config(AUTH, QUICK), options, 2)
            })
            .collect();
        poll_until(&mut replicas, "they are connected", |replicas| {
            replicas.iter().all(|replica| replica.ups().count() == 1)
        });
        let began = Instant::now();
        replicas[1].handle().shutdown();
        for _ in 0..3 {
            replicas[1].poll(Duration::ZERO); // its goodbye is in the socket
        }
        let (first, rest) = replicas[0].shards.split_at_mut(1);
        first[0].handle().shutdown();
        let mut events = rest[0].poll(Some(Duration::ZERO)).unwrap();
        let _ = first[0].poll(Some(Duration::ZERO)).unwrap(); // it leaves as well, and tells shard 1
        while events.next().is_some() {} // which reads the goodbye
        poll_until(&mut replicas, "all have stopped", |replicas| {
            replicas.iter().all(|replica| replica.handle().is_stopped())
        });
        // Else somebody has waited for as long as a goodbye may take.
        assert!(began.elapsed() < LEAVE_MAX, "{:?}", began.elapsed());
    });
}
