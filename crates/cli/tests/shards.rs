//! `serve` with several shards, lanes and roles.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests fail by panicking; their support is shared")]

mod support;

use std::collections::BTreeSet;
use std::io::Write;

use replink_transport::frame::{Command, GenericHeader, GoodbyeReason};
use replink_transport::handshake::cluster_id;
use support::cluster::Cluster;
use support::peer;
use support::process::Running;

#[test]
fn each_lane_has_its_link_on_its_shard() {
    let cluster = Cluster::new("", "lanes = 2\ndriver = \"poll\"\nreconnect_max = \"100ms\"");
    let mut replicas = [0, 1, 2].map(|id| Running::serve(&cluster.config(), id, &["--shards", "2"]));
    for (id, serve) in (0u8..).zip(&mut replicas) {
        let mut found = BTreeSet::new();
        for _ in 0..4 {
            let up = serve.event("up");
            assert_eq!(up["shard"], up["lane"], "lane i goes to shard i modulo the number of shards");
            found.insert((up["peer"].as_u64().unwrap(), up["lane"].as_u64().unwrap()));
        }
        let others = (0..3).filter(|&other| other != u64::from(id));
        assert_eq!(found, others.flat_map(|other| [(other, 0), (other, 1)]).collect());
    }
    let [zero, one, two] = replicas;
    zero.signal("TERM");
    assert!(zero.finish().status.success());
    for mut serve in [one, two] {
        for _ in 0..2 {
            let down = serve.event("down");
            assert_eq!((&down["peer"], &down["reason"]), (&0.into(), &"goodbye_shutdown".into()));
        }
        serve.signal("TERM");
        assert!(serve.finish().status.success());
    }
}

#[test]
fn replicas_find_each_other_by_name() {
    let cluster = Cluster::new("", "");
    let named = |id: usize| format!("localhost:{}", cluster.addresses[id].port());
    let mut toml = std::fs::read_to_string(cluster.config()).unwrap();
    for id in 0..3 {
        toml = toml.replace(&cluster.addresses[id].to_string(), &named(id));
    }
    std::fs::write(cluster.config(), toml).unwrap();
    let mut one = Running::serve(&cluster.config(), 1, &[]);
    let mut zero = Running::serve(&cluster.config(), 0, &["--shards", "2"]);
    assert_eq!((&zero.event("up")["peer"], &one.event("up")["peer"]), (&1.into(), &0.into()));
    zero.signal("HUP");
    zero.event("reloaded");
    zero.signal("TERM");
    assert!(zero.finish().status.success());
}

#[test]
fn a_standby_that_leads_or_votes_is_turned_out() {
    let cluster = Cluster::new("", "");
    let toml = std::fs::read_to_string(cluster.config()).unwrap();
    std::fs::write(cluster.config(), toml.replace("id = 0\n", "id = 0\nrole = \"standby\"\n")).unwrap();
    let mut serve = Running::serve(&cluster.config(), 1, &["--print-frames"]);
    let frame = |command| GenericHeader::new(cluster_id("orders"), command, 0);
    for command in [
        Command::PREPARE,
        Command::COMMIT,
        Command::START_VIEW_CHANGE,
        Command::DO_VIEW_CHANGE,
        Command::START_VIEW,
    ] {
        let mut peer = peer::dial(cluster.addresses[1], 0, 2);
        serve.event("up");
        // What a standby may send is delivered.
        peer.send(frame(Command::PREPARE_OK).bytes(), &[]);
        assert_eq!(serve.event("frame")["command"], Command::PREPARE_OK.0);
        peer.send(frame(command).bytes(), &[]);
        let warning = serve.event("warning");
        let message = warning["message"].as_str().unwrap();
        assert!(message.contains(&command.to_string()) && message.contains("replica 0"), "{message}");
        let down = serve.event("down");
        assert!(down["explanation"].as_str().unwrap().contains(&command.to_string()), "{down}");
        peer.assert_turned_out(GoodbyeReason::NOT_PERMITTED);
    }
    serve.signal("TERM");
    let finished = serve.finish();
    assert!(!finished.stdout.contains("\"command\":6,"), "no denied frame was delivered");
}

/// More acknowledgements than the link takes wait, and none is lost or out of order.
#[test]
fn acknowledgements_wait_for_a_peer_that_reads_late() {
    const PREPARES: u32 = 50_000;
    // The peer seals nothing; that is no news then.
    let off = "sealed = \"off\"\nforward_secrecy = \"off\"";
    let cluster = Cluster::new("", &format!("send_queue_frames = 4\nheartbeat_interval = \"0s\"\n{off}"));
    let mut serve = Running::serve(&cluster.config(), 1, &[]);
    let mut peer = peer::dial(cluster.addresses[1], 0, 2);
    serve.event("up");
    let mut batch = Vec::new();
    for view in 0..PREPARES {
        let mut prepare = GenericHeader::new(cluster_id("orders"), Command::PREPARE, 0);
        prepare.view = view.into();
        batch.extend_from_slice(prepare.bytes());
    }
    peer.stream.write_all(&batch).unwrap();
    for view in 0..PREPARES {
        let (ok, _) = peer.receive();
        assert_eq!((ok.command, ok.view.get()), (Command::PREPARE_OK, view));
    }
    peer.exchange_prepare(PREPARES, b"and on it goes");
    drop(peer);
    serve.signal("TERM");
    let finished = serve.finish();
    assert!(!finished.stdout.contains("warning"), "{}", finished.stdout);
}
