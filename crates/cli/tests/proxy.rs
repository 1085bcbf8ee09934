//! Someone who sits between two replicas from before the handshake on: a process that passes on every
//! record, and changes, drops, repeats, swaps, cuts, reflects or splices one, or puts a reject in its place.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests fail by panicking; their support is shared")]
#![allow(clippy::float_cmp, reason = "whole numbers")]

mod support;

use std::net::{Ipv4Addr, SocketAddr};

use replink_transport::InboundError;
use replink_transport::frame::{Command, ReplicaId};
use replink_transport::handshake::RecordError;
use replink_transport::mesh::{DownReason, Loss};
use serde_json::Value;
use support::cluster::Cluster;
use support::primary::{Primary, body};
use support::process::Running;
use support::proxy::{self, Deed, Proxy};
use support::scrape::{Samples, free_address_at};

const AUTH: &str = "shared_secret_file = \"cluster.key\"";

/// Where replicas listen; what connects has another address.
const LOOPBACK: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// Links come back quickly, however short they lived, and nothing is sent that nobody asked for.
const LINK: &str = "heartbeat_interval = \"0s\"\nreconnect_min = \"5ms\"\nreconnect_max = \"20ms\"\n";

/// No test by itself: it is run as the process in the middle.
#[test]
fn proxy_process() {
    proxy::run();
}

/// Replica 1, and the process through which replica 0 reaches it.
struct Scene {
    cluster: Cluster,
    serve: Running,
    proxy: Proxy,
    metrics: SocketAddr,
}

impl Scene {
    fn new(link: &str) -> Self {
        let mut cluster = Cluster::at(LOOPBACK, "", "");
        let metrics = free_address_at(LOOPBACK);
        let config = cluster.write_config_of(1, AUTH, link);
        let arguments = ["--print-frames", "--metrics", &metrics.to_string()];
        let serve = Running::serve(&config, 1, &arguments);
        let proxy = Proxy::start("proxy_process", cluster.addresses[1]);
        cluster.addresses[1] = proxy.address;
        cluster.write_config_of(0, AUTH, link);
        Self { cluster, serve, proxy, metrics }
    }

    fn primary(&self) -> Primary {
        Primary::start(&self.cluster.path("replica-0.toml"))
    }

    fn broken_records(&self) -> f64 {
        Samples::scrape(self.metrics).find("replink_broken_records_total{peer=\"0\"}").unwrap_or(0.0)
    }

    /// The views of all Prepares that replica 1 was given, up to this one.
    fn delivered(&mut self, last: u32) -> Vec<u32> {
        let view = |event: &Value| u32::try_from(event["size"].as_u64().unwrap()).unwrap() - 256 - 100;
        self.serve.event_where("frame", |event| view(event) == last);
        self.serve.events("frame").iter().map(view).collect()
    }
}

fn is_broken_record(event: &Value) -> bool {
    event["reason"] == "broken_record"
}

#[test]
fn whatever_is_done_to_a_sealed_link_ends_it_and_is_told() {
    let mut scene = Scene::new(LINK);
    let mut primary = scene.primary();
    let mut view = 0;
    let mut next = || {
        view += 1;
        view
    };
    let mut expected = Vec::new();
    primary.poll_until("the link is up", |primary| primary.ups == 1);
    assert_eq!(scene.serve.event("up")["sealed"], true);
    assert_eq!(Samples::scrape(scene.metrics).get("replink_sealed_links"), 1.0);
    scene.proxy.prepare(Deed::Record);
    let recorded = next();
    assert_eq!(primary.exchange(recorded), *blake3::hash(&body(recorded)).as_bytes());
    scene.proxy.wait();
    expected.push(recorded);

    let deeds = [
        Deed::Ciphertext,
        Deed::Tag,
        Deed::Length,
        Deed::Drop,
        Deed::Repeat,
        Deed::Swap,
        Deed::Splice,
        Deed::Reflect,
    ];
    for (count, deed) in (0u32..).zip(deeds) {
        let honest = next();
        assert_eq!(primary.exchange(honest), *blake3::hash(&body(honest)).as_bytes());
        expected.push(honest);
        scene.proxy.prepare(deed);
        let affected = [next(), next(), next()];
        for view in affected {
            primary.send(view);
        }
        scene.proxy.wait();

        // It ends on both sides, and comes back through whoever is in the middle.
        primary.poll_until("the link is made again", |primary| primary.ups == count + 2);
        assert_eq!(primary.downs.len(), count as usize + 1, "{:?}", primary.downs);
        let down = scene.serve.event("down");
        assert!(is_broken_record(&down) && down["peer"] == 0, "{deed:?}: {down}");
        scene.serve.event("up");
        assert_eq!(scene.broken_records(), f64::from(count + 1), "{deed:?}");

        // What came before the deed may be delivered, as it was sent, and nothing else.
        let last = next();
        assert_eq!(primary.exchange(last), *blake3::hash(&body(last)).as_bytes());
        let delivered = scene.delivered(last);
        let intact = match deed {
            // Done to the answer of one of them; and a first copy is as good as ever, whatever is in it.
            Deed::Reflect | Deed::Repeat => 3,
            _ => 0,
        };
        let of_affected = delivered.len() - 1 - expected.len();
        assert!(of_affected <= intact, "{deed:?}: {delivered:?} after {expected:?}");
        expected.extend(&affected[..of_affected]);
        expected.push(last);
        assert_eq!(delivered, expected, "{deed:?}");
    }

    // In the other direction it is replica 0 that finds out, and tells no reject that its acceptor did not make.
    let challenge = InboundError::HandshakeFrame { command: Command::REPLICA_CHALLENGE };
    for (deed, error) in [
        (Deed::Answer, InboundError::Record(RecordError::Tag)),
        (Deed::Reject, challenge),
        (Deed::LateReject, InboundError::Record(RecordError::Length { found: 0 })),
    ] {
        if deed == Deed::Reject {
            // It is done to the first record of a link, which the next one has.
            scene.proxy.prepare(Deed::Cut);
            primary.send(next());
            scene.proxy.wait();
            let ups = primary.ups;
            primary.poll_until("the link is made again", |primary| primary.ups == ups + 1);
            assert!(!is_broken_record(&scene.serve.event("down")), "it ended in the middle of one");
        }
        if deed == Deed::LateReject {
            primary.exchange(next());
        }
        scene.proxy.prepare(deed);
        let before = primary.answers.len();
        primary.send(next());
        scene.proxy.wait();
        let ups = primary.ups;
        primary.poll_until("the link is made again", |primary| primary.ups == ups + 1);
        assert_eq!(primary.answers.len(), before, "nothing of it was delivered");
        let reason = primary.downs.last().unwrap();
        assert!(matches!(reason, DownReason::Lost(Loss::Violation(found)) if *found == error), "{reason:?}");
        assert!(!is_broken_record(&scene.serve.event("down")));
    }
    assert_eq!(primary.stats().broken_records, [(ReplicaId(1), 2)]);

    // From the first byte behind the handshakes on.
    assert_eq!(scene.proxy.has_read(), [""; 0]);

    for &(view, hash) in &primary.answers {
        assert_eq!(hash, *blake3::hash(&body(view)).as_bytes(), "view {view}");
    }
    scene.serve.signal("TERM");
    let finished = scene.serve.finish();
    let told = |line: &&str| {
        line.contains("WARN")
            && line.contains("broken record")
            && line.contains("peer=0")
            && line.contains("address=127.")
    };
    assert_eq!(finished.stderr.lines().filter(told).count(), deeds.len(), "{}", finished.stderr);
}

/// What sealing is for: without it the same process changes a frame, and nobody notices.
#[test]
fn on_a_link_that_is_not_sealed_a_changed_body_is_delivered() {
    let mut scene = Scene::new(&format!("{LINK}sealed = \"off\"\n"));
    let mut primary = scene.primary();
    primary.poll_until("the link is up", |primary| primary.ups == 1);
    assert_eq!(scene.serve.event("up")["sealed"], false);
    scene.proxy.prepare(Deed::Body);
    let answered = primary.exchange(7);
    scene.proxy.wait();
    let mut changed = body(7);
    changed[0] ^= 1;
    assert_eq!(answered, *blake3::hash(&changed).as_bytes(), "replica 1 got what was never sent");
    assert_eq!(primary.exchange(8), *blake3::hash(&body(8)).as_bytes(), "and the link stays up");
    assert_eq!(scene.delivered(8), [7, 8]);
    assert_eq!(scene.proxy.has_read(), ["header", "body"], "which whoever is in the middle can read");
    assert_eq!(scene.broken_records(), 0.0);
    assert_eq!(Samples::scrape(scene.metrics).get("replink_sealed_links"), 0.0);
}

/// Two processes of the command: also the frames that are the link's own are sealed.
#[test]
fn two_serves_notice_a_changed_ping() {
    let mut scene = Scene::new(&format!("{LINK}heartbeat_timeout = \"5s\"\n").replace("0s", "20ms"));
    let mut zero = Running::serve(&scene.cluster.path("replica-0.toml"), 0, &[]);
    assert_eq!(zero.event("up")["sealed"], true);
    scene.serve.event("up");
    scene.proxy.prepare(Deed::Ciphertext);
    scene.proxy.wait();
    let down = scene.serve.event("down");
    assert!(is_broken_record(&down), "{down}");
    assert_eq!(zero.event("down")["peer"], 1);
    assert_eq!((&zero.event("up")["peer"], &scene.serve.event("up")["sealed"]), (&1.into(), &true.into()));
    assert_eq!(scene.broken_records(), 1.0);
    assert_eq!(scene.proxy.has_read(), [""; 0], "pings have headers, too");
    zero.signal("TERM");
    assert!(zero.finish().status.success());
    assert_eq!(scene.serve.event("down")["reason"], "goodbye_shutdown");
}
