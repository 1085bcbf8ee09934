//! Which links there are, and how they end.

use std::time::Duration;

use bytes::Bytes;
use replink_frame::{Command, GoodbyeReason, ReplicaId, Status};
use replink_handshake::{ControlMessage, Side};
use replink_tests::fixtures::SECRET;
use replink_tests::links::{AUTH, receive};
use replink_tests::nodes::{Ground, QUICK, Replica, Seen, poll_until, poll_while, prepare, start_all};
use replink_tests::raw_peer::{RawLink, RawPeer, at, command};
use replink_tests::watchdog::watched;
use replink_transport::blocking::{self, LinkEnd};
use replink_transport::mesh;
use replink_transport::mesh::{CommandPolicy, DownReason, Loss, MeshWarning};
use replink_transport::node::{NodeOptions, Warning};
use replink_transport::{InboundError, Received, SendCause};

/// Replica 1 of two, which accepts; the test is replica 0.
pub(crate) fn acceptor(link: &str) -> (Ground, [Replica; 1]) {
    let ground = Ground::new(2, "");
    let config = ground.config(AUTH, &format!("{QUICK}{link}"));
    let replica = Replica::start(&ground, config, NodeOptions::new(ReplicaId(1)), 1);
    (ground, [replica])
}

/// Replica 0 in its process `incarnation` has a link.
pub(crate) fn dialed(
    ground: &Ground,
    node: &mut [Replica],
    incarnation: u64,
) -> (blocking::Sender, blocking::Receiver) {
    let before = node[0].ups().count();
    let endpoint = ground.endpoint(0, incarnation);
    let link = poll_while(node, || ground.dial(&endpoint, 1, 1).unwrap());
    poll_until(node, "it is up", |node| node[0].ups().count() > before);
    link
}

/// The same by hand.
pub(crate) fn dialed_by_hand(ground: &Ground, node: &mut [Replica]) -> (RawLink, [u8; 32]) {
    let peer = RawPeer::new(0, SECRET);
    let mut link = ground.raw(1, 1);
    let hello = peer.hello();
    link.send(&hello);
    let challenge = poll_while(node, || link.read());
    let finish = peer.finish(&hello, &challenge);
    link.send(&finish);
    poll_until(node, "it is up", |node| node[0].links() == 1);
    (link, peer.session(&hello, &challenge, &finish))
}

#[test]
fn the_lower_id_dials_and_dials_again_after_a_kill() {
    watched(|| {
        let ground = Ground::new(2, "");
        let mut replicas = start_all(&ground, AUTH, QUICK, 1);
        poll_until(&mut replicas, "they are connected", |all| all.iter().all(|one| one.links() == 1));
        for round in 1..=5 {
            let killed = replicas.pop().unwrap();
            drop(killed);
            poll_until(&mut replicas, "the loss is noticed", |all| all[0].downs().count() == round);
            assert_eq!(replicas[0].downs().last().unwrap().reason, DownReason::Lost(Loss::Ended));
            let config = ground.config(AUTH, QUICK);
            replicas.push(Replica::start(&ground, config, NodeOptions::new(ReplicaId(1)), 1));
            poll_until(&mut replicas, "it is back", |all| all[1].links() == 1 && all[0].links() == 1);
            let [dialer, acceptor] = [&replicas[0], &replicas[1]].map(|one| one.ups().last().unwrap().peer);
            assert_eq!((dialer.side, acceptor.side), (Side::Dialer, Side::Acceptor));
        }
        let mut incarnations: Vec<_> = replicas[0].ups().map(|up| up.peer.incarnation).collect();
        incarnations.sort_unstable();
        incarnations.dedup();
        assert_eq!(incarnations.len(), 6, "a process each");
        // The other way round: the dialer dies and returns.
        drop(replicas.remove(0));
        poll_until(&mut replicas, "the loss is noticed", |all| all[0].links() == 0);
        let config = ground.config(AUTH, QUICK);
        replicas.insert(0, Replica::start(&ground, config, NodeOptions::new(ReplicaId(0)), 1));
        poll_until(&mut replicas, "it is back", |all| all.iter().all(|one| one.links() == 1));
    });
}

#[test]
fn a_newer_link_of_the_same_process_takes_over() {
    watched(|| {
        let (ground, mut node) = acceptor("");
        let (mut before, mut old) = dialed(&ground, &mut node, 5);
        let endpoint = ground.endpoint(0, 5);
        let (mut sender, _new) = poll_while(&mut node, || ground.dial(&endpoint, 1, 1).unwrap());
        sender.send(&prepare(3, 5), Bytes::from_static(b"hello")).unwrap();
        let said = poll_while(&mut node, || receive(&mut old).unwrap().control());
        assert_eq!(said, ControlMessage::Goodbye(GoodbyeReason::SUPERSEDED));
        let end = poll_while(&mut node, || receive(&mut old).unwrap_err());
        assert!(matches!(end, LinkEnd::Left(GoodbyeReason::SUPERSEDED)), "{end:?}");
        // C-3: what the old one has still to say comes ahead of what the new one has said already.
        poll_while(&mut node, || {
            before.send(&prepare(1, 0), Bytes::new()).unwrap();
            before.send(&prepare(2, 0), Bytes::new()).unwrap();
        });
        poll_until(&mut node, "it is delivered", |node| node[0].frames().count() == 2);
        assert_eq!(
            (node[0].ups().count(), node[0].downs().count()),
            (2, 0),
            "both are up, one of them leaves"
        );
        before.goodbye(GoodbyeReason::SUPERSEDED).unwrap();
        poll_until(&mut node, "the new one carries frames", |node| node[0].frames().count() == 3);
        let views: Vec<u32> = node[0].frames().map(|(_, _, frame)| frame.header.view.get()).collect();
        assert_eq!(views, [1, 2, 3]);
        let [before, after] = [0, 1].map(|nth| node[0].ups().nth(nth).unwrap().link);
        assert_eq!(
            node[0].count(|seen| matches!(seen, Seen::Renewed(link, by) if (*link, *by) == (before, after))),
            1
        );
        assert_eq!((node[0].links(), node[0].downs().count()), (1, 0), "nothing was lost, so none is down");
    });
}

#[test]
fn another_process_is_turned_away_while_the_first_one_lives() {
    watched(|| {
        let (ground, mut node) = acceptor("");
        let (mut sender, mut first) = dialed(&ground, &mut node, 5);
        let endpoint = ground.endpoint(0, 6);
        let (_, mut second) = poll_while(&mut node, || ground.dial(&endpoint, 1, 1).unwrap());
        let end = poll_while(&mut node, || receive(&mut second).unwrap_err());
        let LinkEnd::Violation(InboundError::LateReject(reject)) = end else { panic!("{end:?}") };
        assert_eq!((reject.status, reject.authenticated), (Status::DUPLICATE_REPLICA, true));
        let addresses = [&first, &second].map(|end| end.link().stream().local_addr().unwrap());
        // That there are two is not said before the first one has answered once more.
        assert_eq!(node[0].warnings().count(), 0);
        poll_while(&mut node, || {
            let ping = first.receive().unwrap();
            let Some(Received::Control(ControlMessage::Ping { counter })) = ping else { panic!("{ping:?}") };
            sender.pong(counter).unwrap();
        });
        poll_until(&mut node, "it is told", |node| node[0].warnings().count() == 1);
        let warning = node[0].warnings().next().unwrap();
        let [kept, refused] = addresses;
        let expected = MeshWarning::Duplicate { peer: ReplicaId(0), kept, refused };
        assert_eq!(*warning, Warning::Mesh(expected));
        let text = warning.to_string();
        assert!(addresses.iter().all(|address| text.contains(&address.to_string())), "{text}");
        assert_eq!((node[0].links(), node[0].downs().count()), (1, 0), "the first one keeps its link");
        // It leaves: then the other one may.
        drop(first);
        drop(sender);
        poll_until(&mut node, "it is down", |node| node[0].links() == 0);
        let _third = dialed(&ground, &mut node, 6);
        assert_eq!(node[0].ups().last().unwrap().peer.incarnation, 6);
    });
}

#[test]
fn a_peer_that_stops_answering_is_lost_for_its_silence() {
    watched(|| {
        let (ground, mut node) = acceptor("heartbeat_interval = \"20ms\"\nheartbeat_timeout = \"150ms\"\n");
        let (mut link, session) = dialed_by_hand(&ground, &mut node);
        // It answers for a while, and is kept.
        let peer = RawPeer::new(0, SECRET);
        for counter in 1..=20u64 {
            let ping = poll_while(&mut node, || link.read());
            assert_eq!(ping[at::COMMAND], command::PING);
            link.send(&peer.control(&session, "dialer->acceptor", command::PONG, counter, counter));
        }
        poll_until(&mut node, "the round trip is measured", |node| {
            node[0].handle().stats().links[0].round_trip.is_some()
        });
        assert_eq!(node[0].downs().count(), 0);
        // From here on it reads, and says nothing.
        poll_until(&mut node, "it is lost", |node| node[0].downs().count() == 1);
        let reason = node[0].downs().next().unwrap().reason;
        let DownReason::Lost(Loss::Silent(silence)) = reason else { panic!("{reason:?}") };
        assert!(silence >= Duration::from_millis(150), "{silence:?}");
        assert!(reason.to_string().contains("nothing was heard"), "{reason}");
        assert!(poll_while(&mut node, || {
            while link.try_read().is_ok() {}
            link.is_over()
        }));
        assert_eq!(node[0].links(), 0);
    });
}

#[test]
fn a_goodbye_is_no_loss() {
    watched(|| {
        let (ground, mut node) = acceptor("");
        for (reason, expected) in [
            (Some(GoodbyeReason::SHUTDOWN), DownReason::Left(GoodbyeReason::SHUTDOWN)),
            (Some(GoodbyeReason::OPERATOR), DownReason::Left(GoodbyeReason::OPERATOR)),
            (None, DownReason::Lost(Loss::Ended)),
        ] {
            let before = node[0].downs().count();
            let (sender, receiver) = dialed(&ground, &mut node, 9);
            match reason {
                Some(reason) => sender.goodbye(reason).unwrap(),
                None => drop((sender, receiver)),
            }
            poll_until(&mut node, "it is down", |node| node[0].downs().count() > before);
            assert_eq!(node[0].downs().last().unwrap().reason, expected);
        }
        // In the middle of a frame.
        let (mut link, _) = dialed_by_hand(&ground, &mut node);
        link.send(&[0; 100]);
        drop(link);
        poll_until(&mut node, "it is down", |node| node[0].downs().count() == 4);
        assert_eq!(node[0].downs().last().unwrap().reason, DownReason::Lost(Loss::Ended));
    });
}

#[test]
fn two_nodes_measure_their_round_trip() {
    watched(|| {
        let ground = Ground::new(2, "");
        let link = format!("{QUICK}heartbeat_interval = \"10ms\"\nheartbeat_timeout = \"10s\"\n");
        let mut replicas = start_all(&ground, AUTH, &link, 2);
        poll_until(&mut replicas, "both have measured", |all| {
            all.iter().all(|one| one.handle().stats().links.iter().any(|link| link.round_trip.is_some()))
        });
        for replica in &replicas {
            let round_trip = replica.handle().stats().links[0].round_trip.unwrap();
            assert!(!round_trip.last.is_zero() && !round_trip.smoothed.is_zero());
        }
    });
}

#[test]
fn a_standby_may_not_send_what_is_denied() {
    watched(|| {
        let ground = Ground::new(2, "");
        let roster =
            || ground.roster(AUTH, QUICK, |id| Some(if id == 0 { "role = \"standby\"" } else { "" }));
        let policy = CommandPolicy::default().deny(mesh::Role::Standby, Command::PREPARE);
        let options = |id| NodeOptions::new(ReplicaId(id)).commands(policy);
        let mut replicas = [Replica::start(&ground, roster(), options(1), 1)];
        // A peer that does not keep to it.
        let (mut sender, mut receiver) = {
            let endpoint = ground.endpoint(0, 3);
            poll_while(&mut replicas, || ground.dial(&endpoint, 1, 1).unwrap())
        };
        let mut allowed = prepare(1, 0);
        allowed.command = Command::PREPARE_OK;
        sender.send(&allowed, Bytes::new()).unwrap();
        sender.send(&prepare(2, 0), Bytes::new()).unwrap();
        sender.send(&allowed, Bytes::new()).unwrap();
        poll_until(&mut replicas, "it is down", |all| all[0].downs().count() == 1);
        assert_eq!(replicas[0].downs().next().unwrap().reason, DownReason::Denied(Command::PREPARE));
        let commands: Vec<_> = replicas[0].frames().map(|(_, _, frame)| frame.header.command).collect();
        assert_eq!(commands, [Command::PREPARE_OK], "nothing from the denied one on");
        let address = receiver.link().stream().local_addr().unwrap();
        let denied = MeshWarning::Denied { peer: ReplicaId(0), address, command: Command::PREPARE };
        assert!(replicas[0].warnings().eq([&Warning::Mesh(denied)]));
        let said = poll_while(&mut replicas, || receive(&mut receiver).unwrap().control());
        assert_eq!(said, ControlMessage::Goodbye(GoodbyeReason::NOT_PERMITTED)); // C-3
        let end = poll_while(&mut replicas, || receive(&mut receiver).unwrap_err());
        assert!(matches!(end, LinkEnd::Left(GoodbyeReason::NOT_PERMITTED)), "{end:?}");

        // A node that would have to send it says so at once, and keeps its link.
        let [one] = replicas;
        let mut replicas = [one, Replica::start(&ground, roster(), options(0), 1)];
        poll_until(&mut replicas, "they are connected", |all| all.iter().all(|one| one.links() == 1));
        let error = replicas[1].handle().send(ReplicaId(1), &prepare(7, 3), Bytes::from("abc")).unwrap_err();
        assert_eq!(error.cause(), SendCause::Denied(Command::PREPARE));
        let (header, body) = error.into_frame();
        assert_eq!((header.view.get(), &body[..]), (7, &b"abc"[..]));
        replicas[1].handle().send(ReplicaId(1), &allowed, Bytes::new()).unwrap();
        poll_until(&mut replicas, "what is allowed arrives", |all| all[0].frames().count() == 2);
        // The other one is a voter, and may.
        replicas[0].handle().send(ReplicaId(0), &prepare(8, 0), Bytes::new()).unwrap();
        poll_until(&mut replicas, "it arrives", |all| all[1].frames().count() == 1);
        assert_eq!(replicas[1].count(|seen| matches!(seen, Seen::Down(_))), 0);
    });
}
