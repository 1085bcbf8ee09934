//! Every setting that two replicas can disagree on, one by one: each end that can know is told in its events, and the
//! text names the setting.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use bytes::Bytes;
use replink_frame::{Command, ReplicaId};
use replink_handshake::cluster_id;
use replink_tests::links::AUTH;
use replink_tests::nodes::{Ground, QUICK, Replica, Seen, poll_until, prepare};
use replink_tests::watchdog::watched;
use replink_transport::config::Config;
use replink_transport::mesh::{CommandPolicy, Role};
use replink_transport::node::NodeOptions;

/// What two replicas have, the first of which dials.
struct Row {
    what: &'static str,
    /// `[cluster.auth]` of each.
    auth: [&'static str; 2],
    /// `[cluster.link]` of each.
    link: [&'static str; 2],
    /// What else one of them has.
    change: fn(&mut Config, usize),
    /// What the dialer sends once it is connected: a body of so many bytes.
    sends: Option<usize>,
    /// What each of them is told, in whichever event; nothing where it can't know.
    told: [&'static str; 2],
}

const DISABLED: &str = "enabled = false";
const VERSION_1: &str =
    "shared_secret = \"a secret for tests, 32 bytes or more\"\nversion = 1\nmin_version = 1";
const OTHER_SECRET: &str = "shared_secret = \"another secret for tests, 32 bytes or more\"";
const OTHER_APP: &str = "shared_secret = \"a secret for tests, 32 bytes or more\"\napp = \"other\"";
const NARROW: &str = "shared_secret = \"a secret for tests, 32 bytes or more\"\nallow = [\"10.0.0.0/8\"]";

/// So that a lane that never comes is missed soon.
const IMPATIENT: &str = "heartbeat_interval = \"50ms\"\nheartbeat_timeout = \"200ms\"\n";

impl Row {
    fn new(what: &'static str, told: [&'static str; 2]) -> Self {
        Self { what, auth: [AUTH; 2], link: [""; 2], change: |_, _| (), sends: None, told }
    }

    fn auth(self, dialer: &'static str, acceptor: &'static str) -> Self {
        Self { auth: [dialer, acceptor], ..self }
    }

    fn link(self, dialer: &'static str, acceptor: &'static str) -> Self {
        Self { link: [dialer, acceptor], ..self }
    }

    fn change(self, change: fn(&mut Config, usize)) -> Self {
        Self { change, ..self }
    }

    fn sends(self, len: usize) -> Self {
        Self { sends: Some(len), ..self }
    }
}

fn rows() -> Vec<Row> {
    let both = |text| [text; 2];
    vec![
        Row::new("name", both("cluster.name")).change(|config, which| {
            if which == 1 {
                config.name = String::from("other");
                config.cluster = cluster_id("other");
            }
        }),
        Row::new("app", both("cluster.auth.app")).auth(AUTH, OTHER_APP),
        Row::new("secret", both("have different secrets")).auth(OTHER_SECRET, AUTH),
        Row::new("enabled of the acceptor alone", both("cluster.auth.enabled")).auth(DISABLED, AUTH),
        Row::new("enabled of the dialer alone", both("cluster.auth.enabled is false")).auth(AUTH, DISABLED),
        Row::new("enabled of a dialer of version 1", both("cluster.auth.enabled")).auth(VERSION_1, DISABLED),
        Row::new("min_version", both("cluster.auth.min_version")).auth(VERSION_1, AUTH),
        Row::new("allow", ["", "cluster.auth.allow"]).auth(AUTH, NARROW),
        Row::new("sealed, which the acceptor requires", both("compare cluster.link.sealed on"))
            .link("sealed = \"off\"", "sealed = \"required\""),
        Row::new("sealed, which the dialer requires", both("compare cluster.link.sealed on"))
            .link("sealed = \"required\"", "sealed = \"off\""),
        Row::new("sealed, which the acceptor would have", ["", "compare cluster.link.sealed and"])
            .link("sealed = \"off\"", ""),
        Row::new("sealed, which the dialer would have", ["compare cluster.link.sealed and", ""])
            .link("", "sealed = \"off\""),
        Row::new(
            "forward_secrecy, which the acceptor requires",
            both("compare cluster.link.forward_secrecy on"),
        )
        .link("forward_secrecy = \"off\"", "forward_secrecy = \"required\""),
        Row::new(
            "forward_secrecy, which the dialer requires",
            both("compare cluster.link.forward_secrecy on"),
        )
        .link("forward_secrecy = \"required\"", "forward_secrecy = \"off\""),
        Row::new(
            "forward_secrecy, which the dialer would have",
            ["compare cluster.link.forward_secrecy and", ""],
        )
        .link("", "forward_secrecy = \"off\""),
        Row::new("release of the dialer", both("cluster.releases")).change(|config, which| {
            (config.release, config.releases) = if which == 0 { (3, 0..=9) } else { (4, 4..=5) };
        }),
        Row::new("release of the acceptor", both("cluster.releases")).change(|config, which| {
            (config.release, config.releases) = if which == 0 { (3, 3..=3) } else { (4, 0..=9) };
        }),
        Row::new("a lane too many", both("compare cluster.link.lanes on")).link("lanes = 2", "lanes = 1"),
        Row::new("a lane too many of links that are not sealed", both("compare cluster.link.lanes on"))
            .link("lanes = 2\nsealed = \"off\"", "lanes = 1\nsealed = \"off\""),
        Row::new("a lane too few", ["", "cluster.link.lanes"]).link("lanes = 1", "lanes = 2"),
        Row::new("max_frame_size", both("cluster.link.max_frame_size"))
            .link("max_frame_size = \"1MiB\"", "max_frame_size = \"64KiB\"")
            .sends(100_000),
        Row::new("role", both("cluster.nodes")).sends(10).change(|config, which| {
            config.nodes[0].role = if which == 1 { Role::Standby } else { Role::Voter };
        }),
        Row::new("nodes", both("cluster.nodes")).change(|config, which| {
            if which == 1 {
                config.nodes.remove(0);
            }
        }),
    ]
}

/// All that a replica was told.
fn texts(replica: &Replica) -> Vec<String> {
    let text = |seen: &Seen| match seen {
        Seen::Rejected(refusal) => Some(refusal.explanation.clone()),
        Seen::Unreachable(unreachable) => Some(unreachable.explanation.clone()),
        Seen::Warning(warning) => Some(warning.to_string()),
        Seen::Down(down) => Some(down.reason.to_string()),
        _ => None,
    };
    replica.seen.iter().filter_map(text).collect()
}

#[test]
fn each_end_that_can_know_is_told_which_setting_it_is() {
    watched(|| {
        for row in rows() {
            let ground = Ground::new(2, "");
            let commands = CommandPolicy::default().deny(Role::Standby, Command::PREPARE);
            let start = |which: usize| {
                let link = format!("{QUICK}{IMPATIENT}{}", row.link[which]);
                let mut config = ground.config(row.auth[which], &link);
                (row.change)(&mut config, which);
                let replica = ReplicaId(u8::try_from(which).unwrap());
                Replica::start(&ground, config, NodeOptions::new(replica).commands(commands), 1)
            };
            let mut replicas = [start(0), start(1)];
            let mut sent = false;
            poll_until(&mut replicas, row.what, |replicas| {
                if let Some(len) = row.sends.filter(|_| !sent && replicas[0].ups().count() > 0) {
                    let sending =
                        replicas[0].handle().send(ReplicaId(1), &prepare(1, len), Bytes::from(vec![7; len]));
                    sent = sending.is_ok();
                }
                let is_told = |(replica, told): (&Replica, &str)| {
                    told.is_empty() || texts(replica).iter().any(|text| text.contains(told))
                };
                replicas.iter().zip(row.told).all(is_told)
            });
        }
    });
}
