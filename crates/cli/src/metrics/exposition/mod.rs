//! A node's numbers in the text format 0.0.4 of Prometheus. Operators' rules depend on the names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet, prometheus_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use replink_transport::exchange::UnreachableReason;
use replink_transport::frame::{ReplicaId, Status};
use replink_transport::mesh::{DownReason, RoundTrip};
use replink_transport::node::{Histogram, LinkStats, NodeStats, RejectedBy};

use super::{health, process};
use crate::serve::{InForce, status_name};

/// All that is shown of a replica, at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) stats: NodeStats,
    pub(super) replica: ReplicaId,
    pub(super) in_force: InForce,
    pub(super) events_dropped: u64,
    pub(super) log_lines_dropped: u64,
    /// `None` where the system does not say.
    pub(super) process: Option<process::Usage>,
}

/// All metrics of a replica. Those that count by labels whose values are known have all of them from the beginning: a
/// rule that looks for a rise sees the first one too.
pub(super) fn text(snapshot: Snapshot) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = prometheus_text::encode(&mut text, &registry);
    text
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.show_replica(&mut page)?;
        self.show_peers(&mut page)?;
        self.show_traffic(&mut page)?;
        self.show_handshakes(&mut page)?;
        keys(&mut page, &self.stats)?;
        links(&mut page, &self.stats.links)?;
        self.process.map_or(Ok(()), |usage| usage.show(&mut page))
    }
}

impl Snapshot {
    fn show_replica(&self, page: &mut Page<'_>) -> fmt::Result {
        let (stats, in_force) = (&self.stats, &self.in_force);
        let build =
            vec![("version", env!("CARGO_PKG_VERSION").into()), ("replica", self.replica.to_string())];
        page.gauge("replink_build_info", "The program that runs, and as which replica.", [(build, 1)])?;
        page.gauge(
            "replink_healthy",
            "Whether every shard has turned lately, as /healthz says.",
            single(u32::from(health::healthy(stats, in_force).is_ok())),
        )?;
        page.gauge(
            "replink_ready",
            "Whether a majority of the voters is here or linked, as /readyz says.",
            single(u32::from(health::ready(stats, in_force).is_ok())),
        )?;
        let turns = stats.shards.iter().enumerate();
        page.gauge(
            "replink_shard_last_turn_seconds",
            "How long ago a shard last turned; 0 while it waits.",
            turns.map(|(index, shard)| (vec![("shard", index.to_string())], shard.last_turn.as_secs_f64())),
        )?;
        let hash = vec![("hash", in_force.hash.clone())];
        page.gauge(
            "replink_config_info",
            "The configuration in force, by a hash of what check shows of it.",
            [(hash, 1)],
        )?;
        page.gauge(
            "replink_config_timestamp_seconds",
            "When the configuration in force was read.",
            single(in_force.since.as_secs_f64()),
        )?;
        let (ok, failed) = in_force.reloads;
        let reloads = [("ok", ok), ("failed", failed)];
        page.counter(
            "replink_reloads_total",
            "How often the configuration was read again, by what came of it.",
            reloads.map(|(result, count)| (vec![("result", result.to_owned())], count)),
        )?;
        page.counter(
            "replink_events_dropped_total",
            "Events that nobody took in time, or that could not be written.",
            single(self.events_dropped),
        )?;
        page.counter(
            "replink_log_lines_dropped_total",
            "Lines of the log that nobody took in time, or that could not be written.",
            single(self.log_lines_dropped),
        )
    }

    fn show_peers(&self, page: &mut Page<'_>) -> fmt::Result {
        let stats = &self.stats;
        let place = |peer: ReplicaId, lane: u16| vec![("peer", peer.to_string()), ("lane", lane.to_string())];
        page.gauge(
            "replink_peer_up",
            "Whether the link that there should be is up.",
            stats.peers.iter().map(|peer| (place(peer.peer, peer.lane), u32::from(peer.up))),
        )?;
        let life = stats
            .peers
            .iter()
            .filter_map(|peer| Some((place(peer.peer, peer.lane), peer.last_life?.as_secs_f64())));
        page.gauge("replink_peer_last_life_seconds", "How long ago the peer last showed life.", life)?;
        let peers: BTreeSet<_> = stats.peers.iter().map(|peer| peer.peer).collect();

        // H-1: this replica dials those above it.
        let dialed = peers.iter().filter(|&&peer| peer > self.replica);
        let mut failures = zeros(dialed, &UnreachableReason::ALL.map(UnreachableReason::name));
        failures
            .extend(stats.dial_failures.iter().map(|&(peer, reason, count)| ((peer, reason.name()), count)));
        page.counter(
            "replink_dial_failures_total",
            "Attempts to make a link that came to nothing, by peer and by why.",
            by_reason(failures),
        )?;
        let mut ended = zeros(&peers, &DownReason::NAMES);
        ended.extend(stats.links_ended.iter().map(|&(peer, reason, count)| ((peer, reason), count)));
        page.counter(
            "replink_links_ended_total",
            "Links that were up and are not any more, by peer and by why.",
            by_reason(ended),
        )?;
        page.counter(
            "replink_broken_records_total",
            "Links that ended because a record that came was broken.",
            by_peer(&peers, &stats.broken_records),
        )?;
        page.counter(
            "replink_weaker_links_total",
            "Links that came up weaker than this replica would have had them: not sealed, or not forward-secret.",
            by_peer(&peers, &stats.weaker_links),
        )?;
        page.counter(
            "replink_links_renewed_total",
            "Links that were made anew without a loss, because of their key or their age.",
            by_peer(&peers, &stats.links_renewed),
        )
    }

    fn show_traffic(&self, page: &mut Page<'_>) -> fmt::Result {
        let stats = &self.stats;
        let (received, sent) = (stats.received(), stats.sent());
        page.gauge("replink_links", "Links that are up.", single(stats.links.len()))?;
        page.gauge(
            "replink_sealed_links",
            "Links that are up and sealed: encrypted and proved.",
            single(stats.sealed_links()),
        )?;
        page.gauge(
            "replink_unauthenticated_links",
            "Links that are up and that nobody has proved.",
            single(stats.unauthenticated_links()),
        )?;
        for (name, help, count) in [
            ("replink_received_bytes_total", "Bytes received on all links.", received.bytes),
            ("replink_received_frames_total", "Frames delivered, of all links.", received.frames),
            ("replink_reads_total", "Reads of all links that gave something.", received.reads),
            ("replink_sent_bytes_total", "Bytes written to all links.", sent.written_bytes),
            (
                "replink_sent_frames_total",
                "Frames written to all links, control frames included.",
                sent.written_frames,
            ),
            ("replink_writes_total", "Writes to all links.", sent.writes),
            (
                "replink_backpressure_total",
                "Frames that were given back because a link's queue was full.",
                stats.backpressure,
            ),
        ] {
            page.counter(name, help, single(count))?;
        }
        page.histogram("replink_round_trip_seconds", "How long pings took, on all links.", &stats.round_trips)
    }

    fn show_handshakes(&self, page: &mut Page<'_>) -> fmt::Result {
        let stats = &self.stats;
        let known = (0..=u8::MAX).map(Status).filter(|status| status.name().is_some());
        let both = known.flat_map(|status| [RejectedBy::Us, RejectedBy::Peer].map(|by| ((status, by), 0)));
        let mut ended: BTreeMap<_, u64> =
            both.filter(|&((status, by), _)| status != Status::OK || by == RejectedBy::Us).collect();
        ended.extend(stats.handshakes.iter().map(|&(status, by, count)| ((status, by), count)));
        let ended = ended.into_iter().map(|((status, by), count)| {
            (vec![("status", status_name(status)), ("by", by.as_str().to_owned())], count)
        });
        page.counter(
            "replink_handshakes_total",
            "Handshakes that ended, by status and by who ended them.",
            ended,
        )?;
        page.histogram(
            "replink_handshake_seconds",
            "How long handshakes took that made a link.",
            &stats.handshake_times,
        )?;
        page.counter(
            "replink_handshakes_broken_total",
            "Handshakes that ended without an answer.",
            single(stats.broken),
        )?;
        page.gauge("replink_pending", "Connections that have not authenticated.", single(stats.pending))?;
        page.counter(
            "replink_accepted_total",
            "Connections accepted from the listener.",
            single(stats.accepted),
        )?;
        page.counter(
            "replink_closed_unread_total",
            "Connections closed unread: not allowed, or too many.",
            single(stats.closed_unread),
        )?;
        page.counter("replink_accept_errors_total", "Errors of accept.", single(stats.accept_errors))
    }
}

fn keys(page: &mut Page<'_>, stats: &NodeStats) -> fmt::Result {
    let keys = stats
        .keys
        .iter()
        .map(|key| (vec![("key_id", key.key.to_string()), ("offered", key.offered.to_string())], key.links));
    page.gauge("replink_key_links", "Links that were made with a key of the configuration.", keys)
}

/// Per link. Such a series begins anew with each link, and is gone while there is none.
fn links(page: &mut Page<'_>, links: &[LinkStats]) -> fmt::Result {
    let mut counter = |name, help, value: fn(&LinkStats) -> u64| {
        page.counter(name, help, links.iter().map(|link| (labels(link), value(link))))
    };
    counter("replink_link_received_bytes_total", "Bytes received.", |link| link.received.bytes)?;
    counter("replink_link_received_frames_total", "Frames delivered.", |link| link.received.frames)?;
    counter("replink_link_reads_total", "Reads that gave something.", |link| link.received.reads)?;
    counter("replink_link_sent_bytes_total", "Bytes written.", |link| link.sent.written_bytes)?;
    counter("replink_link_sent_frames_total", "Frames written, control frames included.", |link| {
        link.sent.written_frames
    })?;
    counter("replink_link_writes_total", "Writes.", |link| link.sent.writes)?;

    let mut gauge = |name, help, value: fn(&LinkStats) -> u64| {
        page.gauge(name, help, links.iter().map(|link| (labels(link), value(link))))
    };
    gauge("replink_link_queue_frames", "Frames that are not wholly written.", |link| {
        link.sent.queued_frames as u64
    })?;
    gauge("replink_link_queue_bytes", "Bytes that are not written.", |link| link.sent.queued_bytes)?;
    gauge("replink_link_shard", "The shard that has the link.", |link| link.shard as u64)?;

    let up = links.iter().map(|link| (labels(link), link.up_for.as_secs_f64()));
    page.gauge("replink_link_up_seconds", "How long the link has been up.", up)?;
    let mut round_trip = |name, help, value: fn(&RoundTrip) -> Duration| {
        let pinged = links
            .iter()
            .filter_map(|link| Some((labels(link), value(link.round_trip.as_ref()?).as_secs_f64())));
        page.gauge(name, help, pinged)
    };
    round_trip("replink_link_round_trip_seconds", "What the last ping took.", |trip| trip.last)?;
    round_trip("replink_link_round_trip_smoothed_seconds", "What pings take on average.", |trip| {
        trip.smoothed
    })
}

type Labels = Vec<(&'static str, String)>;

fn labels(link: &LinkStats) -> Labels {
    vec![("peer", link.peer.replica.to_string()), ("lane", link.peer.lane.to_string())]
}

/// The one value of a metric without labels.
pub(super) fn single<V>(value: V) -> [(Labels, V); 1] {
    [(Vec::new(), value)]
}

type ByReason = BTreeMap<(ReplicaId, &'static str), u64>;

fn zeros<'a>(peers: impl IntoIterator<Item = &'a ReplicaId>, reasons: &[&'static str]) -> ByReason {
    peers.into_iter().flat_map(|&peer| reasons.iter().map(move |&reason| ((peer, reason), 0))).collect()
}

fn by_reason(counts: ByReason) -> impl Iterator<Item = (Labels, u64)> {
    counts.into_iter().map(|((peer, reason), count)| {
        (vec![("peer", peer.to_string()), ("reason", reason.to_owned())], count)
    })
}

fn by_peer(peers: &BTreeSet<ReplicaId>, counted: &[(ReplicaId, u64)]) -> impl Iterator<Item = (Labels, u64)> {
    let mut counts: BTreeMap<_, _> = peers.iter().map(|&peer| (peer, 0)).collect();
    counts.extend(counted.iter().copied());
    counts.into_iter().map(|(peer, count)| (vec![("peer", peer.to_string())], count))
}

/// What is written of metrics, one after the other.
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    /// A counter, whose name ends in `_total`.
    pub(super) fn counter<V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, V)>,
    ) -> fmt::Result {
        // The encoder adds it.
        let name = name.strip_suffix("_total").unwrap_or(name);
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    pub(super) fn gauge<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, V)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        samples
            .into_iter()
            .try_for_each(|(labels, value)| metric.encode_family(&labels)?.encode_gauge(&value))
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
        let mut below = 0;
        let buckets = histogram.buckets.iter().map(|&(bound, count)| {
            let within = count - below;
            below = count;
            (bound.as_secs_f64(), within)
        });
        let buckets: Vec<_> = buckets.collect();
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(histogram.sum.as_secs_f64(), histogram.count, &buckets, None)
    }
}

#[cfg(test)]
mod tests;
