//! Configurations that are made, or changed, in code: refused with what a file is refused with, and never a
//! panic.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod config_support;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use config_support::{Fake, FakeFile, SECRET, text};
use replink_transport::DURATION_MAX;
use replink_transport::config::{
    Address, Config, ConfigBuilder, DriverChoice, NodeConfig, Policy, SecretSource,
};
use replink_transport::frame::{ReplicaId, Version};
use replink_transport::handshake::{App, Secret, cluster_id};
use replink_transport::mesh::Role;
use replink_transport::node::{BindError, Node, NodeOptions, ReloadError};

fn secret() -> Secret {
    Secret::new(SECRET.as_bytes().to_vec()).unwrap()
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// Two nodes, and no secret yet.
fn nodes() -> ConfigBuilder {
    Config::builder("orders")
        .node(ReplicaId(0), address("10.0.0.1:7400"))
        .node(ReplicaId(1), address("10.0.0.2:7400"))
}

fn builder() -> ConfigBuilder {
    nodes().shared_secret(secret())
}

fn mistakes(builder: ConfigBuilder) -> Vec<String> {
    let errors = builder.build().unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

/// All that a configuration shows, but for the file that it was read from.
fn shown(mut config: Config) -> String {
    config.path = None;
    format!("{config:#?}")
}

#[test]
fn the_defaults_are_those_of_a_file() {
    let inline = format!("shared_secret = \"{SECRET}\"");
    let read = Fake::default().parse(&text("", &inline, "", "")).unwrap();
    let built = builder().build().unwrap();
    assert_eq!((built.path.clone(), built.cluster), (None, cluster_id("orders")));
    assert_eq!(shown(built), shown(read));
}

#[test]
fn every_setting_can_be_made() {
    let read = Fake::default().file("/etc/orders/old.key", b"older-horse-battery-staple-0123456789\n");
    let auth = format!(
        "shared_secret = \"{SECRET}\"\naccept_secret_files = [\"/etc/orders/old.key\"]\n\
         accept_secrets = [\"another-horse-battery-staple-0123456789\"]\napp = \"acme\"\nmigrating = true\nmin_version = 1\n\
         version = 1\nallow = [\"10.0.0.0/8\", \"::ffff:192.0.2.0/120\"]\nhandshake_timeout = \"3s\"\n\
         max_pending = 100\nmax_pending_per_address = 99"
    );
    let link = "sealed = \"off\"\nforward_secrecy = \"off\"\nlanes = 3\n\
                busy_poll = \"9us\"\ndriver = \"poll\"\nmax_frame_size = \"1MiB\"\n\
                send_queue_frames = 7\nsend_queue_bytes = \"2MiB\"\nheartbeat_interval = \"200ms\"\n\
                heartbeat_timeout = \"201ms\"\nreconnect_min = \"1s\"\nreconnect_max = \"4s\"\nlink_max_age = \"6h\"";
    let cluster = "replica_id = 1\nlisten = \"0.0.0.0:7400\"\nsource = \"10.0.0.2\"\nrelease = 4\n\
                   releases = \"3..=5\"";
    let expected = read.parse(&text(cluster, &auth, link, "role = \"standby\"")).unwrap();
    let other = Secret::new(b"another-horse-battery-staple-0123456789".to_vec()).unwrap();
    let built = Config::builder("orders")
        .replica_id(ReplicaId(1))
        .listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 7400)))
        .source("::ffff:10.0.0.2".parse().unwrap())
        .release(4)
        .releases(3..=5)
        .standby(ReplicaId(0), address("10.0.0.1:7400"))
        .member(ReplicaId(1), address("10.0.0.2:7400"), Role::Voter)
        .shared_secret(secret())
        .accept_secret_file("/etc/orders/old.key")
        .accept_secret(other)
        .app(App::new("acme").unwrap())
        .enabled(true)
        .migrating(true)
        .min_version(Version::V1)
        .version(Version::V1)
        .allow(["10.0.0.0/8", "::ffff:192.0.2.0/120"].map(|network| network.parse().unwrap()))
        .handshake_timeout(Duration::from_secs(3))
        .max_pending(100)
        .max_pending_per_address(99)
        .sealed(Policy::Off)
        .forward_secrecy(Policy::Off)
        .lanes(3)
        .busy_poll(Duration::from_micros(9))
        .driver(DriverChoice::Poll)
        .max_frame_size(1 << 20)
        .send_queue_frames(7)
        .send_queue_bytes(2 << 20)
        .heartbeat_interval(Duration::from_millis(200))
        .heartbeat_timeout(Duration::from_millis(201))
        .reconnect_min(Duration::from_secs(1))
        .reconnect_max(Duration::from_secs(4))
        .link_max_age(Duration::from_secs(6 * 3600))
        .build_with(&read)
        .unwrap();
    assert_eq!(shown(built), shown(expected));
}

#[test]
fn secrets_come_from_one_source() {
    let file = || Fake::default().file("k", SECRET.as_bytes()).variable(SECRET.as_bytes());
    let config = nodes().shared_secret_file("k").build_with(&file()).unwrap();
    assert_eq!(config.auth.secret_source, Some(SecretSource::File("k".into())));

    let errors = builder().shared_secret_file("k").build_with(&file()).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "cluster.auth.shared_secret_file: is a second source of the secret, beside shared_secret; must be the \
         only one: remove one of the two"
    );
    // The environment is not asked.
    let none = nodes().build_with(&file()).unwrap_err().to_string();
    assert!(none.starts_with("cluster.auth: has no secret; set shared_secret_file, "), "{none}");
    assert!(nodes().enabled(false).build().unwrap().auth.keys.is_none());

    let missing = nodes().accept_secret_file("k").shared_secret_file("").build().unwrap_err().to_string();
    assert!(missing.contains("cluster.auth.shared_secret_file: is an empty string; "), "{missing}");
    assert!(missing.contains("cluster.auth.accept_secret_files[0]: names a file that can't be"), "{missing}");
    for (file, problem) in [
        (FakeFile::OpenToAll, "names a file that is open to every user of this machine (mode 0644); "),
        (FakeFile::TooLong, "names a file that has more than 65536 bytes; "),
    ] {
        let mut fake = Fake::default();
        fake.files.insert("k".into(), file);
        let error = nodes().shared_secret_file("k").build_with(&fake).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cluster.auth.shared_secret_file: {problem}")), "{error}");
    }
    let control = mistakes(nodes().shared_secret_file("a\nb"));
    assert_eq!(
        control,
        ["cluster.auth.shared_secret_file: is \"a\\nb\"; must be a path without control characters"]
    );
}

#[test]
fn pair_secrets_are_those_of_the_replica_and_of_all_its_peers() {
    let line = |peer: u8| format!("{peer} {:02x}{}\n", peer, "5e".repeat(31));
    let keys = format!("pair secrets of replica 0, app replink\n{}", line(1));
    let file = Fake::default().file("0.keys", keys.as_bytes());
    let mut config = nodes().pairwise("0.keys").build_with(&file).unwrap();
    assert_eq!(config.auth.pairwise.as_ref().unwrap().replica, ReplicaId(0));

    let beside = nodes().pairwise("0.keys").accept_secret(secret()).build_with(&file).unwrap();
    assert_eq!(beside.auth.keys.unwrap().ids().len(), 2, "a shared key is accepted beside");
    // What changes later is held against the same keys.
    config.nodes.push(NodeConfig::new(ReplicaId(2), address("10.0.0.3:7400"), Role::Voter));
    let error = config.validate().unwrap_err().to_string();
    let expected = "cluster.auth.pairwise: names a file without a secret for replica 2; ";
    assert!(error.starts_with(expected), "{error}");
    config.nodes.pop();
    config.replica_id = Some(ReplicaId(1));
    let error = config.validate().unwrap_err().to_string();
    assert!(
        error.ends_with(
            "names the file of replica 0, and cluster.replica_id is 1; must name this replica's own \
             file, which 0.keys is not"
        ),
        "{error}"
    );
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let found = mistakes(
        Config::builder(" ")
            .lanes(0)
            .allow([])
            .heartbeat_interval(Duration::from_secs(9))
            .heartbeat_timeout(Duration::from_secs(8)),
    );
    let keys: Vec<_> = found.iter().map(|mistake| mistake.split(": ").next().unwrap()).collect();
    let expected = [
        "cluster.auth",
        "cluster.auth.allow",
        "cluster.name",
        "cluster.nodes",
        "cluster.link.lanes",
        "cluster.link.heartbeat_timeout",
    ];
    assert_eq!(keys, expected, "{found:#?}");
}

/// A bad value, and the mistake that is reported of it.
type Bad = (fn(&mut Config), &'static str);

const OVER: Duration = Duration::from_micros(86_400_000_001);

/// Every field that can have a bad value.
const BAD: &[Bad] = &[
    (|config| config.name.clear(), "cluster.name: is an empty string; must be the name"),
    (|config| config.name = "other".into(), "cluster.name: is not the name that its id is derived from; "),
    (|config| config.nodes.clear(), "cluster.nodes: is an empty list; must be one"),
    (|config| config.replica_id = Some(ReplicaId(7)), "cluster.replica_id: is 7, which is not the id of any"),
    (
        |config| config.nodes[1].id = ReplicaId(0),
        "cluster.nodes[1].id: is 0, as in cluster.nodes[0].id; must be an id of its own",
    ),
    (
        |config| config.nodes[1].address = config.nodes[0].address.clone(),
        "cluster.nodes[1].address: is the address in cluster.nodes[0].address too; must be an address of its own",
    ),
    (
        |config| config.nodes[1].address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 1)).into(),
        "cluster.nodes[1].address: has an address or a port that no peer can connect to; ",
    ),
    (|config| config.auth.keys = None, "cluster.auth: has no secret; "),
    (
        |config| config.auth.allow = vec!["::ffff:10.0.0.0/104".parse().unwrap()],
        "cluster.auth.allow[0]: is \"::ffff:10.0.0.0/104\"; must be an address",
    ),
    (
        |config| config.auth.handshake_timeout = Duration::ZERO,
        "cluster.auth.handshake_timeout: is \"0s\"; must be above zero",
    ),
    (
        |config| config.auth.handshake_timeout = Duration::MAX,
        "cluster.auth.handshake_timeout: is \"18446744073709551615us\"; must be above zero",
    ),
    (|config| config.auth.max_pending = 0, "cluster.auth.max_pending: is 0; must be a whole number from 1"),
    (
        |config| config.auth.max_pending_per_address = 0,
        "cluster.auth.max_pending_per_address: is 0; must be a whole number from 1 to 4294967295",
    ),
    (
        |config| config.auth.max_pending_per_address = 257,
        "cluster.auth.max_pending_per_address: max_pending_per_address (257) is above max_pending (256); ",
    ),
    (|config| config.link.lanes = 0, "cluster.link.lanes: is 0; must be a whole number from 1 to 65535"),
    (|config| config.link.busy_poll = OVER, "cluster.link.busy_poll: is \"86400000001us\"; must be a whole"),
    (|config| config.link.max_frame_size = 0, "cluster.link.max_frame_size: is \"0B\"; must be a size from"),
    (|config| config.link.max_frame_size = 255, "cluster.link.max_frame_size: is \"255B\"; must be a size"),
    (
        |config| config.link.max_frame_size = u32::MAX,
        "cluster.link.send_queue_bytes: send_queue_bytes (128MiB) has no room for one frame of max_frame_size",
    ),
    (|config| config.link.send_queue_frames = 0, "cluster.link.send_queue_frames: is 0; must be a whole"),
    (
        |config| config.link.send_queue_bytes = 0,
        "cluster.link.send_queue_bytes: send_queue_bytes (0B) has no",
    ),
    (
        |config| config.link.heartbeat_interval = OVER,
        "cluster.link.heartbeat_interval: is \"86400000001us\"; must be a whole number with a unit",
    ),
    (
        |config| config.link.heartbeat_timeout = Duration::MAX,
        "cluster.link.heartbeat_timeout: is \"18446744073709551615us\"; must be a whole number with a unit",
    ),
    (
        |config| config.link.heartbeat_timeout = Duration::from_secs(1),
        "cluster.link.heartbeat_timeout: heartbeat_timeout (1s) is not above heartbeat_interval (1s); ",
    ),
    (
        |config| config.link.reconnect_min = Duration::ZERO,
        "cluster.link.reconnect_min: is \"0s\"; must be above zero: ",
    ),
    (
        |config| config.link.reconnect_min = Duration::from_secs(3),
        "cluster.link.reconnect_min: reconnect_min (3s) is above reconnect_max (2s); ",
    ),
    (
        |config| config.link.reconnect_max = Duration::MAX,
        "cluster.link.reconnect_max: is \"18446744073709551615us\"; must be above zero: ",
    ),
    (
        |config| {
            config.link.sealed = Policy::Required;
            config.auth.min_version = Version::V1;
        },
        "cluster.link.sealed: is \"required\", which is impossible in version 1, and cluster.auth.min_version is 1",
    ),
    (
        |config| {
            config.link.forward_secrecy = Policy::Required;
            config.auth.version = Version::V1;
        },
        "cluster.link.forward_secrecy: is \"required\", which is impossible in version 1, and",
    ),
    (
        |config| {
            config.link.sealed = Policy::Required;
            config.auth.enabled = false;
        },
        "cluster.link.sealed: is \"required\", which is impossible with cluster.auth.enabled = false; ",
    ),
];

#[test]
fn a_bad_value_is_an_error_and_never_a_panic() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let good = builder().build().unwrap();
    assert_eq!(good.validate(), Ok(()));
    let options = NodeOptions::new(ReplicaId(0));
    let node = Node::with_listener(good.clone(), options.clone(), listener.try_clone().unwrap()).unwrap();
    let shards = node.into_shards(1).unwrap();
    for (change, expected) in BAD {
        let mut bad = good.clone();
        change(&mut bad);
        let errors = bad.validate().unwrap_err();
        assert_eq!(errors.iter().count(), 1, "{errors}");
        assert!(errors.to_string().starts_with(expected), "{errors}\nand not\n{expected}");
        let error = errors.iter().next().unwrap();
        assert_eq!((&error.file, error.line), (&None, None));

        let refused = Node::with_listener(bad.clone(), options.clone(), listener.try_clone().unwrap());
        assert!(matches!(refused, Err(BindError::Config(_))), "{errors}");
        assert!(matches!(Node::bind(bad.clone(), options.clone()), Err(BindError::Config(_))), "{errors}");
        let reloaded = shards[0].handle().reload(bad);
        assert!(matches!(reloaded, Err(ReloadError::Config(_) | ReloadError::Fixed(_))), "{reloaded:?}");
    }
}

#[test]
fn the_longest_durations_are_no_mistakes() {
    let interval = DURATION_MAX.checked_sub(Duration::from_secs(1)).unwrap();
    let longest = builder()
        .busy_poll(DURATION_MAX)
        .handshake_timeout(DURATION_MAX)
        .heartbeat_interval(interval)
        .reconnect_min(DURATION_MAX);
    let config = longest.build().unwrap();
    // What goes along with them goes no further.
    let (timeout, wait) = (config.link.heartbeat_timeout, config.link.reconnect_max);
    assert_eq!((timeout, wait), (DURATION_MAX, DURATION_MAX));
    let found = mistakes(builder().heartbeat_interval(DURATION_MAX));
    let expected =
        "cluster.link.heartbeat_timeout: heartbeat_timeout (24h) is not above heartbeat_interval (24h)";
    assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
}

#[test]
fn nothing_shows_a_secret() {
    let builder = builder().accept_secret(secret());
    for shown in [format!("{builder:?}"), format!("{builder:#?}")] {
        assert!(!shown.contains("correct-horse"), "{shown}");
    }
    let config = builder.build().unwrap();
    assert!(!format!("{config:?}").contains("correct-horse"));
    let misplaced = mistakes(nodes().shared_secret_file(format!("{SECRET}\n")));
    assert!(!misplaced.concat().contains(SECRET), "{misplaced:?}");
}
