//! `replink serve` against peers that were written by hand, in both roles and both versions.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests fail by panicking; their support is shared")]

mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use replink_tests::fixtures::OTHER_SECRET;
use replink_tests::nodes::connect_from;
use replink_tests::raw_peer::{Frame, RawPeer, at, command};
use replink_transport::frame::{Command, GenericHeader, GoodbyeReason, ReplicaId, Status};
use replink_transport::handshake::cluster_id;
use support::cluster::Cluster;
use support::peer::{self, Peer, connect, read_frame, replica};
use support::process::{Running, finish, replink};

#[test]
fn accepts_a_version_2_peer_answers_prepares_and_pings_and_says_goodbye() {
    let cluster = Cluster::new("", "");
    let mut serve = Running::serve(&cluster.config(), 1, &["--print-frames"]);
    let mut peer = peer::dial(cluster.addresses[1], 0, 2);
    let up = serve.event("up");
    assert_eq!((&up["peer"], &up["version"], &up["sealed"]), (&0.into(), &2.into(), &false.into()));
    assert_eq!(up["key_id"].as_str().unwrap().len(), 16);
    assert_eq!((up["incarnation"].as_str().unwrap().len(), &up["replica"]), (16, &1.into()));
    let time = up["time"].as_str().unwrap();
    assert!(time.starts_with("20") && time.contains('T') && time.ends_with('Z'), "{time}");

    peer.exchange_prepare(9, b"");
    peer.exchange_prepare(10, &vec![7; 3 << 20]);
    let frame = serve.event_where("frame", |frame| frame["size"] == 256 + (3 << 20));
    assert_eq!((&frame["peer"], &frame["command"]), (&0.into(), &6.into()));

    peer.send_control(command::PING, 0);
    let (pong, _) = peer.receive();
    assert_eq!(pong.command, Command::LINK_PONG);
    assert_eq!(peer.open_control(&pong).fields().echo.get(), 1);

    serve.signal("TERM");
    assert_eq!(peer.receive_goodbye(), GoodbyeReason::SHUTDOWN);
    drop(peer);
    assert!(serve.finish().status.success());
}

#[test]
fn dials_a_version_2_peer() {
    let cluster = Cluster::new("", "reconnect_min = \"5ms\"\nreconnect_max = \"20ms\"");
    let listener = peer::listen(cluster.addresses[1]);
    let mut serve = Running::serve(&cluster.config(), 0, &[]);
    let mut peer = peer::answer(peer::accept(&listener), 1);
    let up = serve.event("up");
    assert_eq!((&up["peer"], &up["version"]), (&1.into(), &2.into()));
    peer.exchange_prepare(3, b"to the dialer");

    // A link that ends is made again.
    peer.send_control(command::GOODBYE, 0);
    assert_eq!(serve.event("down")["reason"], "goodbye_shutdown");
    let mut peer = peer::answer(peer::accept(&listener), 1);
    peer.exchange_prepare(4, b"again");
    drop(peer);
    let down = serve.event("down");
    assert_eq!((&down["reason"], &down["lane"]), (&"ended".into(), &0.into()), "{down}");
    assert!(down["explanation"].as_str().unwrap().contains("without a goodbye"), "{down}");
}

#[test]
fn speaks_version_1_in_both_roles_where_it_is_allowed() {
    let cluster = Cluster::new("min_version = 1\nversion = 1", "reconnect_max = \"100ms\"");
    let listener = peer::listen(cluster.addresses[2]);
    let mut serve = Running::serve(&cluster.config(), 1, &[]);
    assert!(serve.event("warning")["message"].as_str().unwrap().contains("version 1"));

    let mut dialer = peer::dial(cluster.addresses[1], 0, 1);
    let up = serve.event_where("up", |up| up["peer"] == 0);
    assert_eq!(up["version"], 1);
    dialer.exchange_prepare(1, b"from an old dialer");

    let mut acceptor = peer::answer(peer::accept(&listener), 2);
    acceptor.exchange_prepare(2, b"from an old acceptor");

    // H-13: no control frames; the end of the stream is the goodbye.
    serve.signal("TERM");
    dialer.assert_closed();
    acceptor.assert_closed();
    drop((dialer, acceptor));
    assert!(serve.finish().status.success());
}

/// Sends `bytes` to a fresh connection and reads the reject.
fn rejected(cluster: &Cluster, bytes: &[u8]) -> Frame {
    let mut stream = connect(cluster.addresses[1]);
    stream.write_all(bytes).unwrap();
    let reject = read_frame(&mut stream);
    assert_eq!(reject[at::COMMAND], command::CHALLENGE);
    reject
}

#[test]
fn turns_every_impostor_away_with_the_status_and_goes_on() {
    let cluster = Cluster::new("", "");
    let mut serve = Running::serve(&cluster.config(), 1, &[]);
    let honest = replica(0, 2);
    let hello = honest.hello();
    let patched = |offset: usize, value: u8| {
        let mut bytes = hello.to_vec();
        bytes[offset] = value;
        bytes
    };
    let without_nonce = [&hello[..at::NONCE], &[0; 32], &hello[at::MAC..]].concat();
    let prepare = GenericHeader::new(cluster_id("orders"), Command::PREPARE, 100_000);
    let prepare = [&prepare.bytes()[..], &vec![1; 100_000]].concat();
    let old = replica(0, 1).hello().to_vec();
    let cases: [(&str, Vec<u8>, Status, bool); 11] = [
        ("a Prepare first", prepare, Status::UNKNOWN_COMMAND, false),
        ("garbage", vec![0xff; 4096], Status::UNKNOWN_COMMAND, false),
        ("a body announced", patched(at::SIZE + 1, 2), Status::MALFORMED_FRAME, true),
        ("a reserved byte", patched(255, 1), Status::MALFORMED_FRAME, true),
        ("version 7", patched(at::VERSION, 7), Status::UNSUPPORTED_VERSION, false),
        ("another cluster", patched(at::CLUSTER, 0), Status::CLUSTER_MISMATCH, true),
        ("its own id", patched(at::REPLICA, 1), Status::DIRECTIONAL_RULE, true),
        ("a higher id", patched(at::REPLICA, 2), Status::DIRECTIONAL_RULE, true),
        ("no nonce", without_nonce, Status::AUTH_REQUIRED, true),
        ("another key", patched(at::KEY_ID, !hello[at::KEY_ID]), Status::UNKNOWN_KEY, false),
        ("version 1", old, Status::UNKNOWN_COMMAND, false),
    ];
    for (what, bytes, status, authenticated) in cases {
        let reject = rejected(&cluster, &bytes);
        assert_eq!(reject[at::STATUS], status.0, "{what}");
        assert_eq!(reject[at::MAC..at::STATUS] != [0; 32], authenticated, "{what}");
        if bytes[at::COMMAND] == command::HELLO {
            assert_eq!(reject[at::VERSION], bytes[at::VERSION], "{what}: it is answered in its version");
        }
        let event = serve.event("rejected");
        assert_eq!(event["by"], "us");
        assert!(event["address"].as_str().unwrap().starts_with("127.0.0.1:"));
        peer::dial(cluster.addresses[1], 0, 2).exchange_prepare(1, what.as_bytes());
        serve.event("down");
    }
    // A Finish that proves nothing.
    let mut stream = connect(cluster.addresses[1]);
    stream.write_all(&hello).unwrap();
    let challenge = read_frame(&mut stream);
    let mut wrong = honest.finish(&hello, &challenge);
    wrong[at::MAC] ^= 1;
    stream.write_all(&wrong).unwrap();
    assert_eq!(read_frame(&mut stream)[at::STATUS], Status::MAC_MISMATCH.0);
    let event = serve.event("rejected");
    assert_eq!((&event["status"], &event["peer"]), (&"mac_mismatch".into(), &0.into()));

    serve.signal("INT");
    let finished = serve.finish();
    assert!(finished.status.success());
    assert!(finished.stderr.contains("rejected") && finished.stderr.contains("unknown_key"));
}

fn violate(
    cluster: &Cluster,
    serve: &mut Running,
    told: GoodbyeReason,
    violation: impl FnOnce(&mut Peer),
) -> String {
    let mut peer = peer::dial(cluster.addresses[1], 0, 2);
    serve.event("up");
    violation(&mut peer);
    let reason = serve.event("down")["explanation"].as_str().unwrap().to_owned();
    peer.assert_turned_out(told);
    reason
}

#[test]
fn ends_a_link_that_breaks_the_protocol_and_says_why() {
    let cluster = Cluster::new("", "max_frame_size = \"1MiB\"");
    let mut serve = Running::serve(&cluster.config(), 1, &[]);
    let frame = |command: u8, body: usize| GenericHeader::new(cluster_id("orders"), Command(command), body);
    let mut other_cluster = frame(6, 0);
    other_cluster.cluster.0[0] ^= 1;
    let cases = [
        (frame(6, 1 << 20), "frame announces 1048832 bytes"),
        (other_cluster, "names cluster"),
        (frame(0, 0), "command 0 is not valid"),
        (frame(249, 0), "command 249 is not valid"),
        (frame(14, 0), "ReplicaHello (14) after the handshake"),
        (frame(250, 0), "wrong MAC"),
    ];
    for (mut header, expected) in cases {
        if header.command == Command::LINK_PING {
            header.replica = ReplicaId(0);
        }
        let too_large = header.size.get() > 1 << 20;
        let told = if too_large { GoodbyeReason::FRAME_TOO_LARGE } else { GoodbyeReason::PROTOCOL_VIOLATION };
        let reason = violate(&cluster, &mut serve, told, |peer| peer.send(header.bytes(), &[]));
        assert!(reason.contains(expected), "{reason}");
    }
    // The same control frame twice.
    let reason = violate(&cluster, &mut serve, GoodbyeReason::PROTOCOL_VIOLATION, |peer| {
        peer.send_control(command::PING, 0);
        peer.receive();
        peer.repeat_from(0);
        peer.send_control(command::PING, 0);
    });
    assert!(reason.contains("replayed or out of order"), "{reason}");
}

#[test]
fn a_silent_peer_is_dropped_by_the_heartbeat() {
    let cluster = Cluster::new("", "heartbeat_interval = \"20ms\"\nheartbeat_timeout = \"150ms\"");
    let mut serve = Running::serve(&cluster.config(), 1, &[]);
    let peer = peer::dial(cluster.addresses[1], 0, 2);
    serve.event("up");
    assert_eq!(serve.event("down")["peer"], 0);
    drop(peer);
}

#[test]
fn a_slow_or_silent_stranger_is_cut_off_by_one_deadline() {
    let cluster = Cluster::new("handshake_timeout = \"300ms\"\nmax_pending_per_address = 2", "");
    let mut serve = Running::serve(&cluster.config(), 1, &[]);
    // From an address that is no replica's: replicas that share one have as many slots each.
    let stranger = || connect_from(9, cluster.addresses[1]);
    let (silent, mut dripping) = (stranger(), stranger());
    dripping.write_all(&replica(0, 2).hello()[..254]).unwrap();
    // Both slots of this address are taken: a third is closed unread.
    let mut third = stranger();
    assert_eq!(third.read(&mut [0]).unwrap(), 0);
    assert_eq!(serve.event("rejected")["status"], "busy");
    // A byte now and then gains nothing.
    let dripped = Instant::now();
    std::thread::sleep(Duration::from_millis(150));
    let _ = dripping.write_all(&[0]);
    for mut stream in [silent, dripping] {
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
    assert!(dripped.elapsed() < Duration::from_secs(5));
    peer::dial(cluster.addresses[1], 0, 2).exchange_prepare(1, b"there is room again");
}

#[test]
fn strangers_find_it_busy_before_it_is_full() {
    let mut cluster = Cluster::new("", "");
    for replica in [0, 2] {
        cluster.addresses[replica].set_ip([127, 0, 0, 2].into()); // nobody there
    }
    cluster.write_config("shared_secret_file = \"cluster.key\"\nmax_pending = 8", "");
    let mut serve = Running::serve(&cluster.config(), 1, &[]);
    // Half is kept for the address of the others, and the fourth of four is above the mark.
    let _silent = [(); 3].map(|()| connect(cluster.addresses[1]));
    assert_eq!(rejected(&cluster, &replica(0, 2).hello())[at::STATUS], Status::BUSY.0);
    let event = serve.event("rejected");
    assert_eq!((&event["status"], &event["peer"]), (&"busy".into(), &0.into()));
}

#[test]
fn allow_list_closes_before_the_first_read() {
    let cluster = Cluster::new("allow = [\"10.0.0.0/8\"]", "");
    let mut serve = Running::serve(&cluster.config(), 1, &[]);
    let stream = connect(cluster.addresses[1]);
    let event = serve.event("rejected");
    assert_eq!((&event["status"], &event["peer"]), (&"not_allowed".into(), &serde_json::Value::Null));
    drop(stream);
}

#[test]
fn without_authentication_it_warns_at_start_and_on_every_accept() {
    let cluster = Cluster::new("", "");
    cluster.write_config("enabled = false", "");
    let mut serve = Running::serve(&cluster.config(), 1, &[]);
    let warning = serve.event("warning");
    assert!(warning["message"].as_str().unwrap().contains("authentication is disabled"));

    // H-12: one that proves itself is told that nobody asks here.
    let reject = rejected(&cluster, &replica(0, 2).hello());
    assert_eq!(reject[at::STATUS], Status::POLICY_MISMATCH.0);
    // One that does not is let in with its Hello alone.
    let anonymous = RawPeer { nonce: [0; 32], ..replica(0, 1) };
    let mut stream = connect(cluster.addresses[1]);
    stream.write_all(&anonymous.hello()).unwrap();
    let warning = serve.event("warning");
    assert!(warning["message"].as_str().unwrap().contains("without authentication"));
    assert_eq!(serve.event("up")["key_id"], serde_json::Value::Null);
}

#[test]
fn sighup_rotates_keys_and_closes_links_of_a_dropped_one() {
    let cluster = Cluster::new("", "");
    let mut serve = Running::serve(&cluster.config(), 1, &[]);
    let mut peer = peer::dial(cluster.addresses[1], 0, 2);
    serve.event("up");

    // A new key with the old one accepted: nothing happens to the link.
    cluster.write_secret("new.key", OTHER_SECRET);
    let both = "shared_secret_file = \"new.key\"\naccept_secret_files = [\"cluster.key\"]";
    cluster.write_config(both, "");
    serve.signal("HUP");
    let changed = &serve.event("reloaded")["changed"];
    assert!(changed.to_string().contains("cluster.auth secrets"), "{changed}");
    let warning = serve.event("warning");
    assert!(warning["message"].as_str().unwrap().contains("accepted but not offered"), "{warning}");
    peer.exchange_prepare(1, b"still up");

    // A configuration that is wrong changes nothing.
    cluster.write_config("shared_secret = \"short\"", "");
    serve.signal("HUP");
    let warning = serve.event("warning");
    let message = warning["message"].as_str().unwrap();
    assert!(message.starts_with("not reloaded") && message.contains("32"), "{message}");
    peer.exchange_prepare(2, b"still up");

    // Nor does one that can't be taken over while running.
    cluster.write_config(both, "lanes = 2");
    serve.signal("HUP");
    let warning = serve.event("warning");
    assert!(warning["message"].as_str().unwrap().contains("cluster.link.lanes can't change"), "{warning}");
    peer.exchange_prepare(3, b"still up");

    // The old key goes, and its link with it.
    cluster.write_config("shared_secret_file = \"new.key\"", "");
    serve.signal("HUP");
    serve.event("reloaded");
    assert_eq!(peer.receive_goodbye(), GoodbyeReason::KEY_RETIRED);
    assert_eq!(rejected(&cluster, &replica(0, 2).hello())[at::STATUS], Status::UNKNOWN_KEY.0);
    serve.signal("TERM");
    assert!(serve.finish().status.success());
}

#[test]
fn two_serves_find_each_other() {
    let cluster = Cluster::new("", "");
    let mut one = Running::serve(&cluster.config(), 1, &[]);
    let mut zero = Running::serve(&cluster.config(), 0, &[]);
    assert_eq!(zero.event("up")["peer"], 1);
    assert_eq!(one.event("up")["peer"], 0);
    zero.signal("TERM");
    assert!(zero.finish().status.success());
    assert_eq!(one.event("down")["reason"], "goodbye_shutdown");
}

#[test]
fn refuses_to_start_where_it_could_not_do_what_it_is_asked() {
    let cluster = Cluster::new("", "");
    let other = peer::listen(([127, 0, 0, 1], 0).into());
    let taken = other.local_addr().unwrap();
    for (arguments, expected) in [
        (vec!["--metrics", &taken.to_string(), "--replica-id", "1"], "can't serve metrics on"),
        (vec!["--metrics", "here", "--replica-id", "1"], "invalid socket address"),
        (vec!["--shards", "0", "--replica-id", "1"], "--shards"),
        (vec!["--replica-id", "9"], "not in cluster.nodes"),
        (vec![], "which replica to be"),
    ] {
        let serve = finish(replink().args(["serve", "--config"]).arg(cluster.config()).args(arguments));
        let code = if expected.starts_with("can't serve") { 3 } else { 1 };
        assert_eq!(serve.status.code(), Some(code), "{expected}");
        assert!(serve.stderr.contains(expected), "{}", serve.stderr);
    }
}

#[test]
fn a_peer_that_does_not_leave_holds_the_end_up_for_five_seconds_at_most() {
    let cluster = Cluster::new("", "heartbeat_timeout = \"40s\"");
    let mut serve = Running::serve(&cluster.config(), 1, &[]);
    let mut peer = peer::dial(cluster.addresses[1], 0, 2);
    peer.exchange_prepare(1, b"and nothing more");
    serve.event("up");
    let asked = Instant::now();
    serve.signal("TERM");
    assert!(serve.finish().status.success());
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    drop(peer);
}
