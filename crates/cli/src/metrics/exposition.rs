//! A node's numbers in the text format 0.0.4 of Prometheus. Operators' rules depend on the names.

use std::fmt::{Display, Write as _};

use replink_transport::frame::ReplicaId;
use replink_transport::mesh::RoundTrip;
use replink_transport::node::{LinkStats, NodeStats};

use crate::serve::status_name;

/// All metrics of a node.
pub(super) fn text(stats: &NodeStats, replica: ReplicaId) -> String {
    let mut text = Exposition::default();
    node(&mut text, stats, replica);
    handshakes(&mut text, stats);
    keys(&mut text, stats);
    links(&mut text, &stats.links);
    text.0
}

fn node(text: &mut Exposition, stats: &NodeStats, replica: ReplicaId) {
    let version = env!("CARGO_PKG_VERSION");
    let build = format!("{{version=\"{version}\",replica=\"{replica}\"}}");
    text.gauge("replink_build_info", "The program that runs, and as which replica.", [(build, 1)]);
    text.gauge("replink_links", "Links that are up.", one(stats.links.len()));
    text.gauge(
        "replink_sealed_links",
        "Links that are up and sealed: encrypted and proved.",
        one(stats.sealed_links()),
    );
    let weaker = stats.weaker_links.iter().map(|&(peer, count)| (format!("{{peer=\"{peer}\"}}"), count));
    text.counter(
        "replink_weaker_links_total",
        "Links that came up weaker than this replica would have had them: not sealed, or not forward-secret.",
        weaker,
    );
    text.counter(
        "replink_links_ended_total",
        "Links that were up and are not any more.",
        one(stats.ended.links),
    );
    text.counter(
        "replink_broken_records_total",
        "Links that ended because a record that came was broken.",
        stats.broken_records.iter().map(|&(peer, count)| (format!("{{peer=\"{peer}\"}}"), count)),
    );
    let (received, sent) = (stats.received(), stats.sent());
    text.counter("replink_received_bytes_total", "Bytes received on all links.", one(received.bytes));
    text.counter("replink_received_frames_total", "Frames delivered, of all links.", one(received.frames));
    text.counter("replink_reads_total", "Reads of all links that gave something.", one(received.reads));
    text.counter("replink_sent_bytes_total", "Bytes written to all links.", one(sent.written_bytes));
    text.counter(
        "replink_sent_frames_total",
        "Frames written to all links, control frames included.",
        one(sent.written_frames),
    );
    text.counter("replink_writes_total", "Writes to all links.", one(sent.writes));
}

fn handshakes(text: &mut Exposition, stats: &NodeStats) {
    let ended = stats.handshakes.iter().map(|&(status, by, count)| {
        (format!("{{status=\"{}\",by=\"{}\"}}", status_name(status), by.as_str()), count)
    });
    text.counter(
        "replink_handshakes_total",
        "Handshakes that ended, by status and by who ended them.",
        ended,
    );
    text.counter(
        "replink_handshakes_broken_total",
        "Handshakes that ended without an answer.",
        one(stats.broken),
    );
    text.gauge("replink_pending", "Connections that have not authenticated.", one(stats.pending));
    text.counter("replink_accepted_total", "Connections accepted from the listener.", one(stats.accepted));
    text.counter(
        "replink_closed_unread_total",
        "Connections closed unread: not allowed, or too many.",
        one(stats.closed_unread),
    );
    text.counter("replink_accept_errors_total", "Errors of accept.", one(stats.accept_errors));
}

fn keys(text: &mut Exposition, stats: &NodeStats) {
    let keys = stats
        .keys
        .iter()
        .map(|key| (format!("{{key_id=\"{}\",offered=\"{}\"}}", key.key, key.offered), key.links));
    text.gauge("replink_key_links", "Links that were made with a key of the configuration.", keys);
}

/// Per link. Such a series begins anew with each link, and is gone while there is none.
fn links(text: &mut Exposition, links: &[LinkStats]) {
    let mut counter = |name, help, value: fn(&LinkStats) -> u64| {
        text.counter(name, help, links.iter().map(|link| (labels(link), value(link))));
    };
    counter("replink_link_received_bytes_total", "Bytes received.", |link| link.received.bytes);
    counter("replink_link_received_frames_total", "Frames delivered.", |link| link.received.frames);
    counter("replink_link_reads_total", "Reads that gave something.", |link| link.received.reads);
    counter("replink_link_sent_bytes_total", "Bytes written.", |link| link.sent.written_bytes);
    counter("replink_link_sent_frames_total", "Frames written, control frames included.", |link| {
        link.sent.written_frames
    });
    counter("replink_link_writes_total", "Writes.", |link| link.sent.writes);

    let mut gauge = |name, help, value: fn(&LinkStats) -> u64| {
        text.gauge(name, help, links.iter().map(|link| (labels(link), value(link))));
    };
    gauge("replink_link_queue_frames", "Frames that are not wholly written.", |link| {
        link.sent.queued_frames as u64
    });
    gauge("replink_link_queue_bytes", "Bytes that are not written.", |link| link.sent.queued_bytes);
    gauge("replink_link_shard", "The shard that has the link.", |link| link.shard as u64);

    let up = links.iter().map(|link| (labels(link), link.up_for.as_secs_f64()));
    text.gauge("replink_link_up_seconds", "How long the link has been up.", up);
    let mut round_trip = |name, help, value: fn(&RoundTrip) -> f64| {
        let pinged = links.iter().filter_map(|link| Some((labels(link), value(link.round_trip.as_ref()?))));
        text.gauge(name, help, pinged);
    };
    round_trip("replink_link_round_trip_seconds", "What the last ping took.", |trip| trip.last.as_secs_f64());
    round_trip("replink_link_round_trip_smoothed_seconds", "What pings take on average.", |trip| {
        trip.smoothed.as_secs_f64()
    });
}

fn labels(link: &LinkStats) -> String {
    format!("{{peer=\"{}\",lane=\"{}\"}}", link.peer.replica, link.peer.lane)
}

fn one<V>(value: V) -> [(String, V); 1] {
    [(String::new(), value)]
}

#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn counter<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, V)>,
    ) {
        self.metric("counter", name, help, samples);
    }

    fn gauge<V: Display>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (String, V)>) {
        self.metric("gauge", name, help, samples);
    }

    fn metric<V: Display>(
        &mut self,
        kind: &str,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, V)>,
    ) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use replink_transport::frame::{Flags, KeyId, Status, Version};
    use replink_transport::handshake::{Authentication, Peer, Side};
    use replink_transport::mesh::LinkId;
    use replink_transport::node::RejectedBy;
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
        (stats.ended.links, stats.broken_records) = (8, vec![(ReplicaId(2), 6)]);
        stats.weaker_links = vec![(ReplicaId(2), 9)];
        (stats.ended.received.bytes, stats.ended.sent.written_frames) = (1000, 2000);
        stats
    }

    #[test]
    fn every_number_has_its_line() {
        let text = text(&stats(), ReplicaId(1));
        for line in [
            concat!("replink_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\",replica=\"1\"} 1"),
            "replink_links 1",
            "replink_links_ended_total 8",
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
            let text = text(&stats, ReplicaId(1));
            let (mut seen, mut current) = (BTreeSet::new(), "");
            let mut lines = text.lines().peekable();
            while let Some(line) = lines.next() {
                if let Some(help) = line.strip_prefix("# HELP ") {
                    current = help.split(' ').next().unwrap();
                    assert!(seen.insert(current), "{current} is there once");
                    let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {current} ")).unwrap();
                    assert_eq!(kind == "counter", current.ends_with("_total"), "{current}");
                } else {
                    let (name, value) = line.rsplit_once(' ').unwrap();
                    assert_eq!(name.split('{').next(), Some(current), "{line}");
                    assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
                }
            }
            assert!(text.ends_with('\n'));
        }
    }

    /// They are in the documents: whoever adds one tells what it is for.
    #[test]
    fn every_name_is_documented() {
        let operations = include_str!("../../../../docs/operations.md");
        let text = text(&NodeStats::default(), ReplicaId(1));
        for name in text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()) {
            assert!(operations.contains(&format!("`{name}`")), "{name} is not in docs/operations.md");
        }
    }
}
