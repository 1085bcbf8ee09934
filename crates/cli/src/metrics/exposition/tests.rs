use std::collections::BTreeSet;
use std::time::Duration;

use replink_transport::frame::{Flags, KeyId, Version};
use replink_transport::handshake::{Authentication, Peer, Side};
use replink_transport::mesh::{LinkId, Role};
use replink_transport::node::{PeerStats, ShardStats};
use replink_transport::security::KeyStats;

use super::*;

fn stats() -> NodeStats {
    let key = KeyId([0xab; 8]);
    let proved = Authentication::PreSharedKey(key);
    let mut peer = Peer::new(ReplicaId(2), Side::Dialer, Version::V2, proved);
    (peer.flags, peer.lane) = (Flags::SEALED, 1);
    let mut link = LinkStats::new(LinkId(7), peer, "127.0.0.1:7400".parse().unwrap(), 3);
    link.up_for = Duration::from_millis(1500);
    (link.received.bytes, link.received.frames, link.received.reads) = (100, 10, 5);
    (link.sent.written_bytes, link.sent.written_frames, link.sent.writes) = (200, 20, 4);
    (link.sent.queued_frames, link.sent.queued_bytes) = (6, 600);
    let mut round_trip = RoundTrip::new(Duration::from_micros(250));
    round_trip.smoothed = Duration::from_millis(2);
    link.round_trip = Some(round_trip);
    let mut stats = NodeStats::default();
    stats.links = vec![link];
    stats.keys = vec![KeyStats::new(key, true, 1), KeyStats::new(KeyId([1; 8]), false, 0)];
    (stats.pending, stats.accepted, stats.closed_unread) = (3, 30, 4);
    (stats.broken, stats.accept_errors) = (2, 1);
    stats.handshakes = vec![
        (Status::OK, RejectedBy::Us, 12),
        (Status::UNKNOWN_KEY, RejectedBy::Peer, 1),
        (Status(77), RejectedBy::Us, 5),
    ];
    stats.broken_records = vec![(ReplicaId(2), 6)];
    stats.links_ended = vec![(ReplicaId(2), "silent", 8), (ReplicaId(7), "left", 1)];
    stats.dial_failures = vec![(ReplicaId(2), UnreachableReason::Refused, 5)];
    stats.peers = [0, 2].map(|id| PeerStats::new(ReplicaId(id), 0, Role::Voter)).into();
    (stats.peers[1].up, stats.peers[1].last_life) = (true, Some(Duration::from_millis(250)));
    stats.shards = vec![ShardStats::new(Duration::from_millis(500))];
    (stats.backpressure, stats.links_renewed) = (3, vec![(ReplicaId(2), 7)]);
    let milliseconds = Duration::from_millis;
    stats.round_trips.buckets = vec![(milliseconds(1), 2), (milliseconds(10), 5)];
    (stats.round_trips.count, stats.round_trips.sum) = (6, milliseconds(1500));
    stats.weaker_links = vec![(ReplicaId(2), 9)];
    (stats.ended.received.bytes, stats.ended.sent.written_frames) = (1000, 2000);
    stats
}

fn snapshot(stats: NodeStats) -> Snapshot {
    Snapshot {
        stats,
        replica: ReplicaId(1),
        in_force: InForce {
            hash: "0123456789abcdef".to_owned(),
            heartbeat_timeout: Duration::from_secs(5),
            is_voter: true,
            reloads: (4, 2),
            since: Duration::from_secs(1_000_000),
        },
        events_dropped: 11,
        log_lines_dropped: 13,
        process: Some(process::Usage::example()),
    }
}

#[test]
fn every_number_has_its_line() {
    let text = text(snapshot(stats()));
    for line in [
        concat!("replink_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\",replica=\"1\"} 1"),
        "replink_links 1",
        "replink_healthy 1",
        "replink_ready 1",
        "replink_shard_last_turn_seconds{shard=\"0\"} 0.5",
        "replink_config_info{hash=\"0123456789abcdef\"} 1",
        "replink_reloads_total{result=\"ok\"} 4",
        "replink_reloads_total{result=\"failed\"} 2",
        "replink_events_dropped_total 11",
        "replink_log_lines_dropped_total 13",
        "replink_peer_up{peer=\"0\",lane=\"0\"} 0",
        "replink_peer_up{peer=\"2\",lane=\"0\"} 1",
        "replink_peer_last_life_seconds{peer=\"2\",lane=\"0\"} 0.25",
        "replink_links_ended_total{peer=\"2\",reason=\"silent\"} 8",
        "replink_links_ended_total{peer=\"7\",reason=\"left\"} 1",
        "replink_dial_failures_total{peer=\"2\",reason=\"refused\"} 5",
        "replink_backpressure_total 3",
        "replink_round_trip_seconds_bucket{le=\"0.001\"} 2",
        "replink_round_trip_seconds_bucket{le=\"0.01\"} 5",
        "replink_round_trip_seconds_bucket{le=\"+Inf\"} 6",
        "replink_round_trip_seconds_count 6",
        "replink_round_trip_seconds_sum 1.5",
        "process_open_fds 9",
        "process_max_fds 1024",
        "process_cpu_seconds_total 1.5",
        // Not seen yet, and there all the same.
        "replink_links_ended_total{peer=\"0\",reason=\"broken_record\"} 0",
        "replink_dial_failures_total{peer=\"2\",reason=\"not_a_replica\"} 0",
        "replink_broken_records_total{peer=\"0\"} 0",
        "replink_weaker_links_total{peer=\"0\"} 0",
        "replink_links_renewed_total{peer=\"0\"} 0",
        "replink_links_renewed_total{peer=\"2\"} 7",
        "replink_unauthenticated_links 0",
        "replink_handshakes_total{status=\"mac_mismatch\",by=\"us\"} 0",
        "replink_handshakes_total{status=\"mac_mismatch\",by=\"peer\"} 0",
        "replink_sealed_links 1",
        "replink_broken_records_total{peer=\"2\"} 6",
        "replink_weaker_links_total{peer=\"2\"} 9",
        "replink_received_bytes_total 1100",
        "replink_received_frames_total 10",
        "replink_reads_total 5",
        "replink_sent_bytes_total 200",
        "replink_sent_frames_total 2020",
        "replink_writes_total 4",
        "replink_handshakes_total{status=\"ok\",by=\"us\"} 12",
        "replink_handshakes_total{status=\"unknown_key\",by=\"peer\"} 1",
        "replink_handshakes_total{status=\"status_77\",by=\"us\"} 5",
        "replink_handshakes_broken_total 2",
        "replink_pending 3",
        "replink_accepted_total 30",
        "replink_closed_unread_total 4",
        "replink_accept_errors_total 1",
        "replink_key_links{key_id=\"abababababababab\",offered=\"true\"} 1",
        "replink_key_links{key_id=\"0101010101010101\",offered=\"false\"} 0",
        "replink_link_received_bytes_total{peer=\"2\",lane=\"1\"} 100",
        "replink_link_received_frames_total{peer=\"2\",lane=\"1\"} 10",
        "replink_link_reads_total{peer=\"2\",lane=\"1\"} 5",
        "replink_link_sent_bytes_total{peer=\"2\",lane=\"1\"} 200",
        "replink_link_sent_frames_total{peer=\"2\",lane=\"1\"} 20",
        "replink_link_writes_total{peer=\"2\",lane=\"1\"} 4",
        "replink_link_queue_frames{peer=\"2\",lane=\"1\"} 6",
        "replink_link_queue_bytes{peer=\"2\",lane=\"1\"} 600",
        "replink_link_shard{peer=\"2\",lane=\"1\"} 3",
        "replink_link_up_seconds{peer=\"2\",lane=\"1\"} 1.5",
        "replink_link_round_trip_seconds{peer=\"2\",lane=\"1\"} 0.00025",
        "replink_link_round_trip_smoothed_seconds{peer=\"2\",lane=\"1\"} 0.002",
    ] {
        assert_eq!(text.lines().filter(|&found| found == line).count(), 1, "{line} in\n{text}");
    }
}

/// The format's own rules: each metric has one HELP and one TYPE, right before its samples.
#[test]
fn the_format_is_kept() {
    for stats in [stats(), NodeStats::default()] {
        let text = text(snapshot(stats));
        let (mut seen, mut samples, mut current) = (BTreeSet::new(), BTreeSet::new(), ("", ""));
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let name = help.split(' ').next().unwrap();
                assert!(seen.insert(name), "{name} is there once");
                let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
                current = (name, kind);
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                assert!(samples.insert(sample), "{sample} is there once");
                let name = sample.split('{').next().unwrap();
                let of_histogram =
                    ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
                let of = of_histogram.filter(|_| current.1 == "histogram").unwrap_or(name);
                assert_eq!(of, current.0, "{line}");
                assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
            }
        }
        assert!(text.ends_with('\n'));
    }
}

/// What this process takes is read, where there is something to read it from.
#[cfg(target_os = "linux")]
#[test]
fn the_process_is_there() {
    let usage = format!("{:?}", process::Usage::now().unwrap());
    assert!(!usage.contains("open_files: 0,") && !usage.contains("resident_bytes: 0,"), "{usage}");
}

/// They are in the documents: whoever adds one tells what it is for.
#[test]
fn every_name_is_documented() {
    let operations = include_str!("../../../../../docs/operations.md");
    let text = text(snapshot(NodeStats::default()));
    for name in text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()) {
        assert!(operations.contains(&format!("`{name}`")), "{name} is not in docs/operations.md");
    }
}
