//! Every setting of `cluster.toml`, and every mistake that it may have.

mod config_support;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config_support::{FILE, Fake, FakeFile, SECRET, text};
use replink_frame::{ReplicaId, Version};
use replink_handshake::{App, Key, KeyRing, Secret, cluster_id};
use replink_transport::config::{
    CONFIG_FILE_BYTES_MAX, Config, DriverChoice, LinkConfig, Policy, SECRET_FILE_BYTES_MAX, SECRET_VARIABLE,
    SecretSource,
};
use replink_transport::mesh::Role;

type TestResult = Result<(), Box<dyn Error>>;

/// The file name is the same everywhere and left out of what is expected.
fn mistakes(fake: &Fake, text: &str) -> Vec<String> {
    let Err(errors) = fake.parse(text) else { return Vec::new() };
    assert_eq!(errors.to_string().lines().count(), errors.iter().count(), "one line each: {errors}");
    let prefix = format!("{FILE}:");
    let lines = errors.iter().map(|error| {
        assert_eq!(error.file.as_deref(), Some(Path::new(FILE)));
        let shown = error.to_string();
        shown.strip_prefix(&prefix).expect("the file comes first").trim_start().to_owned()
    });
    lines.collect()
}

#[track_caller]
fn assert_mistakes(fake: &Fake, text: &str, expected: &[&str]) {
    assert_eq!(mistakes(fake, text), expected, "\n{text}");
}

/// A secret that needs no line.
fn with_secret() -> Fake {
    Fake::default().variable(SECRET.as_bytes())
}

#[track_caller]
fn assert_cluster(line: &str, expected: &str) {
    assert_mistakes(&with_secret(), &text(line, "", "", ""), &[&format!("3: cluster.{expected}")]);
}

#[track_caller]
fn assert_auth(line: &str, expected: &str) {
    assert_mistakes(&with_secret(), &text("", line, "", ""), &[&format!("5: cluster.auth.{expected}")]);
}

#[track_caller]
fn assert_link(line: &str, expected: &str) {
    assert_mistakes(&with_secret(), &text("", "", line, ""), &[&format!("7: cluster.link.{expected}")]);
}

fn ring(offered: &str, accepted: &[&str]) -> Result<KeyRing, Box<dyn Error>> {
    let key =
        |secret: &str| Secret::new(secret.as_bytes().to_vec()).map(|s| Key::derive(&App::default(), &s));
    let accepted: Result<Vec<Key>, _> = accepted.iter().map(|secret| key(secret)).collect();
    Ok(KeyRing::new(key(offered)?, accepted?))
}

#[track_caller]
fn assert_keys(config: &Config, offered: &str, accepted: &[&str]) -> TestResult {
    let keys = config.auth.keys.as_ref().ok_or("no keys")?;
    assert!(keys.ids().eq(ring(offered, accepted)?.ids()));
    Ok(())
}

const DURATION: &str =
    "must be a whole number with a unit (us, ms, s, m or h), such as \"5s\", up to \"24h\"";
const POSITIVE: &str =
    "must be above zero: a whole number with a unit (us, ms, s, m or h), such as \"5s\", up to \"24h\"";
const SIZE: &str = "must be a whole number with a unit (B, KiB, MiB, GiB or TiB), such as \"64MiB\"";
const FRAME_SIZE: &str = "must be a size from \"256B\" to \"4294967295B\", such as \"64MiB\"";
const POLICY: &str = "must be \"off\", \"optional\" or \"required\"";
const ADDRESS: &str =
    "must be a host and a port, such as \"10.0.0.1:7400\", \"[fd00::1]:7400\" or \"replica-0.example:7400\"";
const NETWORK: &str = "must be an address such as \"127.0.0.1\" or a network such as \"10.0.0.0/8\"";
const APP: &str = "must be the embedding product's name, of 1 to 64 bytes without control characters";
const NODES: &str = "must be one [[cluster.nodes]] with id and address for each replica";

#[test]
fn the_defaults_are_the_documented_ones() -> TestResult {
    let config = with_secret().parse(&text("", "", "", ""))?;
    assert_eq!(config.path.as_deref(), Some(Path::new(FILE)));
    assert_eq!(config.name, "orders");
    assert_eq!(config.cluster, cluster_id("orders"));
    assert_eq!((config.replica_id, &config.listen, config.source), (None, &None, None));
    assert_eq!((config.release, &config.releases), (0, &(0..=u32::MAX)));

    let auth = &config.auth;
    assert_eq!((auth.app.as_str(), auth.enabled, auth.migrating), ("replink", true, false));
    assert_eq!((auth.min_version, auth.version), (Version::V2, Version::V2));
    assert!(auth.allow.is_empty() && auth.allows([203, 0, 113, 7].into()));
    assert_eq!(auth.handshake_timeout, Duration::from_secs(5));
    assert_eq!((auth.max_pending, auth.max_pending_per_address), (256, 16));

    let link = &config.link;
    assert_eq!(link, &LinkConfig::default());
    // Two nodes with files like this have both (S-5).
    assert_eq!([link.sealed, link.forward_secrecy], [Policy::Optional; 2]);
    assert_eq!((link.lanes, link.driver), (1, DriverChoice::Auto));
    assert_eq!((link.max_frame_size, link.send_queue_frames), (64 << 20, 1024));
    assert_eq!((link.send_queue_bytes, link.busy_poll), (128 << 20, Duration::ZERO));
    assert_eq!(link.heartbeat_interval, Duration::from_secs(1));
    assert_eq!(link.heartbeat_timeout, Duration::from_secs(5));
    assert_eq!(link.reconnect_min, Duration::from_millis(50));
    assert_eq!(link.reconnect_max, Duration::from_secs(2));
    assert_eq!(link.link_max_age, Duration::ZERO);
    assert!(config.nodes.iter().all(|node| node.role == Role::Voter));
    Ok(())
}

/// The example of the documentation, but for what isn't available.
const FULL: &str = r#"
[cluster]
name = "orders"
replica_id = 0
listen = "0.0.0.0:7400"
source = "::ffff:10.0.0.1"
release = 4
releases = "3..=5"

[cluster.auth]
app = "acme-ledger"
enabled = true
migrating = true
shared_secret_file = "cluster.key"
accept_secret_files = ["/run/old.key"]
accept_secrets = ["another-horse-battery-staple-0123456789"]
min_version = 1
version = 2
allow = ["10.0.0.0/8", "127.0.0.1"]
handshake_timeout = "3s"
max_pending = 100
max_pending_per_address = 100

[cluster.link]
sealed = "off"
forward_secrecy = "off"
lanes = 1
busy_poll = "0us"
driver = "auto"
max_frame_size = "1MiB"
send_queue_frames = 7
send_queue_bytes = "1MiB"
heartbeat_interval = "200ms"
heartbeat_timeout = "201ms"
reconnect_min = "1s"
reconnect_max = "1s"
link_max_age = "24h"

[[cluster.nodes]]
id = 0
address = "10.0.0.1:7400"
role = "voter"

[[cluster.nodes]]
id = 255
address = "Replica-255.example:7401"
"#;

fn full_sources() -> Fake {
    Fake::default()
        .file("/etc/orders/cluster.key", SECRET.as_bytes())
        .file("/run/old.key", b"older-horse-battery-staple-0123456789\n")
}

#[test]
fn every_setting_is_read() -> TestResult {
    let config = full_sources().parse(FULL)?;
    assert_eq!(config.replica_id, Some(ReplicaId(0)));
    assert_eq!(config.listen, Some("0.0.0.0:7400".parse()?));
    assert_eq!(config.source, Some("10.0.0.1".parse()?));
    assert_eq!((config.release, &config.releases), (4, &(3..=5)));
    assert_eq!((config.auth.app.as_str(), config.auth.migrating), ("acme-ledger", true));
    assert_eq!(config.auth.secret_source, Some(SecretSource::File("/etc/orders/cluster.key".into())));
    assert_eq!(config.auth.keys.as_ref().map(|keys| keys.ids().len()), Some(3));
    assert_eq!((config.auth.min_version, config.auth.version), (Version::V1, Version::V2));
    assert!(config.auth.allows("::ffff:10.1.2.3".parse()?) && !config.auth.allows("192.0.2.1".parse()?));
    assert_eq!(config.auth.handshake_timeout, Duration::from_secs(3));
    assert_eq!((config.auth.max_pending, config.auth.max_pending_per_address), (100, 100));
    let mut link = LinkConfig::default();
    link.sealed = Policy::Off;
    link.forward_secrecy = Policy::Off;
    link.max_frame_size = 1 << 20;
    link.send_queue_frames = 7;
    link.send_queue_bytes = 1 << 20;
    link.heartbeat_interval = Duration::from_millis(200);
    link.heartbeat_timeout = Duration::from_millis(201);
    link.reconnect_min = Duration::from_secs(1);
    link.reconnect_max = Duration::from_secs(1);
    link.link_max_age = Duration::from_secs(86_400);
    assert_eq!(config.link, link);

    assert!(config.roster().iter().eq([ReplicaId(0), ReplicaId(255)]));
    let last = config.node(ReplicaId(255)).ok_or("no node 255")?;
    assert_eq!(last.address, "replica-255.example:7401".parse()?);
    assert!(config.node(ReplicaId(1)).is_none());
    Ok(())
}

#[test]
fn listens_at_its_own_address_unless_told_otherwise() -> TestResult {
    let config = with_secret().parse(&text("", "", "", ""))?;
    assert_eq!(config.listen_address(ReplicaId(1)), Some(&"10.0.0.2:7400".parse()?));
    assert_eq!(config.listen_address(ReplicaId(2)), None);
    let config = with_secret().parse(&text("listen = \"[::]:0\"", "", "", ""))?;
    assert_eq!(config.listen_address(ReplicaId(1)), Some(&"[::]:0".parse()?));
    assert_eq!(config.listen_address(ReplicaId(2)), None);
    Ok(())
}

#[test]
fn other_ways_to_write_toml_are_as_good() -> TestResult {
    let text = r#"cluster = { name = 'orders', link.max_frame_size = "1KiB", nodes = [
        { id = 0x10, address = "a.example:1" },
        { id = 1_7, "address" = """b.example:1""" },
    ] }"#;
    let config = with_secret().parse(text)?;
    assert_eq!(config.link.max_frame_size, 1024);
    assert!(config.roster().iter().eq([ReplicaId(16), ReplicaId(17)]));
    let crlf = self::text("", "", "", "").replace('\n', "\r\n");
    assert_eq!(with_secret().parse(&crlf)?.nodes.len(), 2);
    Ok(())
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_their_lines() {
    let text = r#"[cluster]
nam = "orders"
replica_id = 300

[cluster.auth]
min_version = 3
shared_secret = "short"

[cluster.link]
lanes = "1"
sealed = "maybe"

[[cluster.nodes]]
id = 0

[[cluster.node]]
id = 1
"#;
    let expected = [
        "1: cluster.name: is missing; must be the name that all replicas of the cluster share, such as \"orders\"",
        "2: cluster.nam: is not a known key; did you mean name?",
        "3: cluster.replica_id: is 300; must be a whole number from 0 to 255",
        "6: cluster.auth.min_version: is 3; must be 1 or 2",
        "7: cluster.auth.shared_secret: has a secret of 5 bytes; must have at least 32",
        "10: cluster.link.lanes: is a string; must be a whole number from 1 to 65535",
        "11: cluster.link.sealed: is \"maybe\"; must be \"off\", \"optional\" or \"required\"",
        &format!("13: cluster.nodes[0].address: is missing; {ADDRESS}"),
        "16: cluster.node: is not a known key; did you mean nodes?",
    ];
    assert_mistakes(&Fake::default(), text, &expected);
}

#[test]
fn a_mistake_is_also_there_as_fields() -> TestResult {
    let errors = with_secret().parse(&text("", "min_version = 3", "", "")).err().ok_or("not refused")?;
    let shown = "/etc/orders/cluster.toml:5: cluster.auth.min_version: is 3; must be 1 or 2";
    assert_eq!(errors.to_string(), shown);
    let error = errors.iter().next().ok_or("empty")?;
    assert_eq!((error.file.as_deref(), error.line), (Some(Path::new(FILE)), Some(5)));
    assert_eq!(error.key, "cluster.auth.min_version");
    assert_eq!((error.problem.as_str(), error.cure.as_str()), ("is 3", "must be 1 or 2"));
    Ok(())
}

#[test]
fn unknown_keys() {
    let expected = "1: auth: is not a known key; belongs in [cluster]";
    let text = format!("[auth]\n{}", text("", "", "", ""));
    assert_mistakes(&with_secret(), &text, &[expected]);
    assert_cluster("listn = \"\"", "listn: is not a known key; did you mean listen?");
    assert_cluster("\"replica id\" = 1", "\"replica id\": is not a known key; did you mean replica_id?");
    assert_cluster("sealed = \"off\"", "sealed: is not a known key; belongs in [cluster.link]");
    assert_auth("min_verison = 1", "min_verison: is not a known key; did you mean min_version?");
    assert_link("app = \"a\"", "app: is not a known key; belongs in [cluster.auth]");
    let node = self::text("", "", "", "adress = \"\"");
    let expected = "11: cluster.nodes[0].adress: is not a known key; did you mean address?";
    assert_mistakes(&with_secret(), &node, &[expected]);
    let node = self::text("", "", "", "\"a\\nb\" = 1");
    let expected =
        "11: cluster.nodes[0].\"a\\nb\": is not a known key; [[cluster.nodes]] takes id, address, role";
    assert_mistakes(&with_secret(), &node, &[expected]);
}

#[test]
fn wrong_types() {
    let name = "must be the name that all replicas of the cluster share, such as \"orders\"";
    let text = text("", "", "", "").replace("\"orders\"", "7");
    assert_mistakes(&with_secret(), &text, &[&format!("2: cluster.name: is an integer; {name}")]);
    assert_cluster("listen = 7400", &format!("listen: is an integer; {ADDRESS}"));
    assert_cluster("replica_id = \"0\"", "replica_id: is a string; must be a whole number from 0 to 255");
    assert_cluster("replica_id = 0.0", "replica_id: is a float; must be a whole number from 0 to 255");
    assert_auth("enabled = \"true\"", "enabled: is a string; must be true or false");
    assert_auth("enabled = 1", "enabled: is an integer; must be true or false");
    assert_auth("app = true", &format!("app: is a boolean; {APP}"));
    assert_auth("min_version = \"2\"", "min_version: is a string; must be 1 or 2");
    let networks = "must be an array of addresses and networks, such as [\"10.0.0.0/8\"]";
    assert_auth("allow = \"10.0.0.0/8\"", &format!("allow: is a string; {networks}"));
    assert_auth("allow = [\"::1\", 7]", &format!("allow[1]: is an integer; {NETWORK}"));
    assert_auth("handshake_timeout = 5", &format!("handshake_timeout: is an integer; {POSITIVE}"));
    assert_auth("handshake_timeout = 07:32:00", &format!("handshake_timeout: is a date or time; {POSITIVE}"));
    assert_auth("accept_secrets = 7", "accept_secrets: is an integer; must be an array of secrets");
    assert_auth(
        "accept_secret_files = \"old.key\"",
        "accept_secret_files: is a string; must be an array of paths",
    );
    let file = "must be a string with the path of a file that holds the secret";
    assert_auth("accept_secret_files = [[]]", &format!("accept_secret_files[0]: is an array; {file}"));
    assert_link("max_frame_size = 65536", &format!("max_frame_size: is an integer; {FRAME_SIZE}"));
    assert_link("sealed = true", &format!("sealed: is a boolean; {POLICY}"));
    assert_link("driver = {}", "driver: is a table; must be \"auto\", \"io_uring\" or \"poll\"");
    assert_link(
        "send_queue_frames = \"1\"",
        "send_queue_frames: is a string; must be a whole number from 1 to 4294967295",
    );

    let nodes = "[cluster]\nname = \"orders\"\nnodes = [\n7]";
    let expected = "4: cluster.nodes[0]: is an integer; must be a table: [[cluster.nodes]]";
    assert_mistakes(&with_secret(), nodes, &[expected]);
    let nodes = "[cluster]\nname = \"orders\"\n[cluster.nodes]\nid = 0";
    assert_mistakes(&with_secret(), nodes, &[&format!("3: cluster.nodes: is a table; {NODES}")]);
    let auth = self::text("auth = 1", "", "", "").replace("[cluster.auth]\n", "");
    assert_mistakes(
        &with_secret(),
        &auth,
        &["3: cluster.auth: is an integer; must be a table: [cluster.auth]"],
    );
    assert_mistakes(
        &with_secret(),
        "cluster = 1",
        &["1: cluster: is an integer; must be a table: [cluster]"],
    );
}

#[test]
fn what_has_to_be_there() {
    assert_mistakes(&with_secret(), "", &["1: cluster: is missing; start with [cluster] and its name"]);
    let name = "must be the name that all replicas of the cluster share, such as \"orders\"";
    let missing =
        [format!("2: cluster.name: is missing; {name}"), format!("2: cluster.nodes: is missing; {NODES}")];
    assert_eq!(mistakes(&with_secret(), "\n[cluster]"), missing);
    assert_eq!(mistakes(&with_secret(), "\n[cluster.auth]"), missing);
    for empty in ["", " "] {
        let text = text("", "", "", "").replace("orders", empty);
        let is = if empty.is_empty() { "is an empty string" } else { "is \" \"" };
        assert_mistakes(&with_secret(), &text, &[&format!("2: cluster.name: {is}; {name}")]);
    }
    let text = "[cluster]\nname = \"orders\"\nnodes = []";
    assert_mistakes(&with_secret(), text, &[&format!("3: cluster.nodes: is an empty list; {NODES}")]);
}

#[test]
fn nodes() {
    let base = text("", "", "", "");
    let expect = |from: &str, to: &str, expected: &str| {
        assert_mistakes(&with_secret(), &base.replace(from, to), &[expected]);
    };
    expect("id = 1", "id = 0", "13: cluster.nodes[1].id: is 0, as in line 9; must be an id of its own");
    for id in ["256", "-1", "99999999999999999999999"] {
        let expected = format!("13: cluster.nodes[1].id: is {id}; must be a whole number from 0 to 255");
        expect("id = 1", &format!("id = {id}"), &expected);
    }
    expect("id = 1", "", "12: cluster.nodes[1].id: is missing; must be a whole number from 0 to 255");
    for same in ["10.0.0.1:7400", "[::ffff:10.0.0.1]:7400"] {
        let expected =
            "14: cluster.nodes[1].address: is the address in line 10 too; must be an address of its own";
        expect("10.0.0.2:7400", same, expected);
    }
    expect("10.0.0.2:7400", "10.0.0.2", &format!("14: cluster.nodes[1].address: is \"10.0.0.2\"; {ADDRESS}"));
    expect("10.0.0.2:7400", "", &format!("14: cluster.nodes[1].address: is an empty string; {ADDRESS}"));
    for undialable in ["0.0.0.0:7400", "[::]:7400", "10.0.0.2:0"] {
        let expected = "14: cluster.nodes[1].address: has an address or a port that no peer can connect to; \
                        must be where peers reach the replica; what to bind goes into cluster.listen";
        expect("10.0.0.2:7400", undialable, expected);
    }
    for role in ["leader", "Voter"] {
        let text = text("", "", "", &format!("role = \"{role}\""));
        let expected = format!("11: cluster.nodes[0].role: is \"{role}\"; must be \"voter\" or \"standby\"");
        assert_mistakes(&with_secret(), &text, &[&expected]);
    }
}

#[test]
fn replica_id_and_listen() {
    assert_cluster(
        "replica_id = 7",
        "replica_id: is 7, which is not the id of any of cluster.nodes; must be one of 0, 1",
    );
    assert_cluster("replica_id = 256", "replica_id: is 256; must be a whole number from 0 to 255");
    // A node that can't be read may be the one that is meant.
    let text = text("replica_id = 7", "", "", "").replace("id = 1", "id = 256");
    let expected = "13: cluster.nodes[1].id: is 256; must be a whole number from 0 to 255";
    assert_mistakes(&with_secret(), &text, &[expected]);
    for listen in ["0.0.0.0", "7400", "::1:7400", "10.0.0.256:7400"] {
        assert_cluster(&format!("listen = \"{listen}\""), &format!("listen: is \"{listen}\"; {ADDRESS}"));
    }
}

#[test]
fn source() {
    let cure = "must be an IP address of this machine without a port, such as \"10.0.0.1\"; leave the key out to let \
                the system choose";
    for source in
        ["10.0.0.1:7400", "localhost", "[::1]", "10.0.0.0/8", "0.0.0.0", "::", "224.0.0.1", "ff02::1"]
    {
        assert_cluster(&format!("source = \"{source}\""), &format!("source: is \"{source}\"; {cure}"));
    }
    assert_cluster("source = 1", &format!("source: is an integer; {cure}"));
}

#[test]
fn releases() -> TestResult {
    let cure = "must be \"any\", or a lowest and a highest release such as \"3..=5\"";
    for releases in ["all", "3", "3..5", "-1..=5", "3..=4294967296"] {
        assert_cluster(
            &format!("releases = \"{releases}\""),
            &format!("releases: is \"{releases}\"; {cure}"),
        );
    }
    assert_cluster("releases = 3", &format!("releases: is an integer; {cure}"));
    assert_cluster(
        "releases = \"5..=3\"",
        "releases: is \"5..=3\"; must have the lowest release first, such as \"3..=5\"",
    );
    for release in ["-1", "4294967296"] {
        let expected = format!("release: is {release}; must be a whole number from 0 to 4294967295");
        assert_cluster(&format!("release = {release}"), &expected);
    }
    // What is made in code is checked as well.
    let mut config = with_secret().parse(&text("releases = \"any\"", "", "", ""))?;
    config.releases = std::ops::RangeInclusive::new(2, 1);
    let errors = config.validate().expect_err("no release gets in");
    assert!(errors.to_string().starts_with("cluster.releases: is \"2..=1\"; "), "{errors}");
    Ok(())
}

/// H-12
#[test]
fn migrating() {
    assert_auth("migrating = 1", "migrating: is an integer; must be true or false");
    assert_mistakes(&with_secret(), &text("", "migrating = true", "", ""), &[]);
    assert_auth(
        "migrating = true\nenabled = false",
        "migrating: is true beside enabled = false, which has no key to migrate to; set a secret and leave enabled \
         out, or leave migrating out",
    );
    for key in ["sealed", "forward_secrecy"] {
        let expected = format!(
            "5: cluster.auth.migrating: is true beside cluster.link.{key} = \"required\", which no link without \
             authentication can have; set cluster.link.{key} to \"optional\" until all replicas have a key, or leave \
             migrating out"
        );
        let link = format!("{key} = \"required\"");
        assert_mistakes(&with_secret(), &text("", "migrating = true", &link, ""), &[&expected]);
    }
    let none = mistakes(&Fake::default(), &text("", "migrating = true", "", ""));
    assert!(none[0].contains("cluster.auth: has no secret"), "{none:?}");
}

#[test]
fn app() {
    assert_auth("app = \"\"", &format!("app: is an empty string; {APP}"));
    assert_auth("app = \"a\\tb\"", &format!("app: is \"a\\tb\"; {APP}"));
    let long = "a".repeat(65);
    let expected = format!("app: is not valid (65 bytes, not shown as they may be a secret); {APP}");
    assert_auth(&format!("app = \"{long}\""), &expected);
}

#[test]
fn versions() -> TestResult {
    for (line, key, number) in [("min_version = 0", "min_version", 0), ("version = 3", "version", 3)] {
        assert_auth(line, &format!("{key}: is {number}; must be 1 or 2"));
    }
    // A node may dial old peers in version 1 and still let only version 2 in.
    let config = with_secret().parse(&text("", "version = 1", "", ""))?;
    assert_eq!((config.auth.min_version, config.auth.version), (Version::V2, Version::V1));
    let config = with_secret().parse(&text("", "min_version = 1\nversion = 1", "", ""))?;
    assert_eq!((config.auth.min_version, config.auth.version), (Version::V1, Version::V1));
    Ok(())
}

/// H-13
#[test]
fn version_1_has_no_forward_secrecy() -> TestResult {
    let required = "forward_secrecy = \"required\"";
    for (auth, line) in [("min_version = 1", 7), ("min_version = 1\nversion = 1", 8)] {
        let expected = format!(
            "{line}: cluster.link.forward_secrecy: is \"required\", which is impossible in version 1, and \
             cluster.auth.min_version is 1; set min_version and version to 2, or set it to \"optional\""
        );
        assert_mistakes(&with_secret(), &text("", auth, required, ""), &[&expected]);
        with_secret().parse(&text("", auth, "forward_secrecy = \"optional\"", ""))?;
    }
    let expected =
        ["7: cluster.link.forward_secrecy: is \"required\", which is impossible in version 1, and \
         cluster.auth.version is 1; set version to 2, or set it to \"optional\""];
    assert_mistakes(&with_secret(), &text("", "version = 1", required, ""), &expected);
    let expected = "7: cluster.link.forward_secrecy: is \"required\", which is impossible with \
                    cluster.auth.enabled = false; enable authentication, or set it to \"off\"";
    assert_mistakes(&with_secret(), &text("", "enabled = false", required, ""), &[expected]);
    assert_eq!(with_secret().parse(&text("", "", required, ""))?.link.forward_secrecy, Policy::Required);
    Ok(())
}

#[test]
fn allow() {
    for bad in ["10.0.0.0/33", "localhost", "10.0.0.1:7400"] {
        let line = format!("allow = [\"::1\", \"{bad}\"]");
        assert_auth(&line, &format!("allow[1]: is \"{bad}\"; {NETWORK}"));
    }
    assert_auth("allow = [\"\"]", &format!("allow[0]: is an empty string; {NETWORK}"));
    let cure = "must name who may connect; leave the key out to let any address in";
    assert_auth("allow = []", &format!("allow: is an empty list; {cure}"));
    let lines = text("", "allow = [\n\"::1\",\n\n\"x\",\n]", "", "");
    assert_mistakes(&with_secret(), &lines, &[&format!("8: cluster.auth.allow[1]: is \"x\"; {NETWORK}")]);
}

#[test]
fn limits_of_unauthenticated_peers() {
    for bad in ["", "5", "5 s", "0s", "25h", "-1s"] {
        let is = if bad.is_empty() { "is an empty string".to_owned() } else { format!("is \"{bad}\"") };
        let expected = format!("handshake_timeout: {is}; {POSITIVE}");
        assert_auth(&format!("handshake_timeout = \"{bad}\""), &expected);
    }
    for key in ["max_pending", "max_pending_per_address"] {
        for bad in ["0", "-1", "4294967296"] {
            let expected = format!("{key}: is {bad}; must be a whole number from 1 to 4294967295");
            assert_auth(&format!("{key} = {bad}"), &expected);
        }
    }
    let cure = "set max_pending_per_address to at most 8, or raise max_pending";
    let config = with_secret().parse(&text("", "max_pending = 8", "", "")).unwrap();
    assert_eq!(config.auth.max_pending_per_address, 8, "the default goes along");
    let both = text("", "max_pending = 8\nmax_pending_per_address = 9", "", "");
    let expected = format!(
        "6: cluster.auth.max_pending_per_address: max_pending_per_address (9) is above max_pending (8); {cure}"
    );
    assert_mistakes(&with_secret(), &both, &[&expected]);
}

#[test]
fn link_values() {
    for key in ["sealed", "forward_secrecy"] {
        assert_link(&format!("{key} = \"yes\""), &format!("{key}: is \"yes\"; {POLICY}"));
        assert_link(&format!("{key} = \"\""), &format!("{key}: is an empty string; {POLICY}"));
    }
    assert_link("driver = \"epoll\"", "driver: is \"epoll\"; must be \"auto\", \"io_uring\" or \"poll\"");
    for bad in ["0", "65536"] {
        let expected = format!("lanes: is {bad}; must be a whole number from 1 to 65535");
        assert_link(&format!("lanes = {bad}"), &expected);
    }
    for key in ["busy_poll", "heartbeat_interval", "heartbeat_timeout"] {
        assert_link(&format!("{key} = \"1 s\""), &format!("{key}: is \"1 s\"; {DURATION}"));
    }
    for key in ["reconnect_min", "reconnect_max"] {
        for bad in ["0s", "1.5s"] {
            assert_link(&format!("{key} = \"{bad}\""), &format!("{key}: is \"{bad}\"; {POSITIVE}"));
        }
    }
    assert_link("send_queue_bytes = \"64MB\"", &format!("send_queue_bytes: is \"64MB\"; {SIZE}"));
    for bad in ["0B", "255B", "4GiB", "64"] {
        let expected = format!("max_frame_size: is \"{bad}\"; {FRAME_SIZE}");
        assert_link(&format!("max_frame_size = \"{bad}\""), &expected);
    }
    let expected = "send_queue_frames: is 0; must be a whole number from 1 to 4294967295";
    assert_link("send_queue_frames = 0", expected);
}

#[test]
fn link_values_that_contradict_each_other() -> TestResult {
    assert_link(
        "send_queue_bytes = \"1MiB\"",
        "send_queue_bytes: send_queue_bytes (1MiB) has no room for one frame of max_frame_size (64MiB); \
         set send_queue_bytes to at least \"64MiB\", or lower max_frame_size",
    );
    let both = text("", "", "heartbeat_interval = \"5s\"\nheartbeat_timeout = \"5s\"", "");
    let expected = "8: cluster.link.heartbeat_timeout: heartbeat_timeout (5s) is not above heartbeat_interval (5s); \
                    set heartbeat_timeout above \"5s\", or heartbeat_interval to \"0s\" for no heartbeats";
    assert_mistakes(&with_secret(), &both, &[expected]);
    assert_link(
        "heartbeat_timeout = \"0s\"",
        "heartbeat_timeout: heartbeat_timeout (0s) is not above heartbeat_interval (1s); \
         set heartbeat_timeout above \"1s\", or heartbeat_interval to \"0s\" for no heartbeats",
    );
    let both = text("", "", "reconnect_min = \"3s\"\nreconnect_max = \"2s\"", "");
    let expected = "7: cluster.link.reconnect_min: reconnect_min (3s) is above reconnect_max (2s); \
                    set reconnect_min to at most \"2s\", or raise reconnect_max";
    assert_mistakes(&with_secret(), &both, &[expected]);
    // One that is given moves the default of the other along.
    let link = |line: &str| with_secret().parse(&text("", "", line, "")).map(|config| config.link);
    assert_eq!(link("max_frame_size = \"1GiB\"")?.send_queue_bytes, 1 << 30);
    assert_eq!(link("heartbeat_interval = \"5s\"")?.heartbeat_timeout.as_secs(), 25);
    assert_eq!(link("heartbeat_timeout = \"1s\"")?.heartbeat_interval.as_millis(), 200);
    assert_eq!(link("reconnect_min = \"3s\"")?.reconnect_max.as_secs(), 3);
    assert_eq!(link("reconnect_max = \"1ms\"")?.reconnect_min.as_millis(), 1);
    // With heartbeats off their timeout says nothing.
    let off = text("", "", "heartbeat_interval = \"0s\"\nheartbeat_timeout = \"0s\"", "");
    assert!(with_secret().parse(&off)?.link.heartbeat_interval.is_zero());
    // What is wrong by itself is not compared.
    let text = text("", "", "heartbeat_timeout = \"x\"\nheartbeat_interval = \"10s\"", "");
    assert_mistakes(
        &with_secret(),
        &text,
        &[&format!("7: cluster.link.heartbeat_timeout: is \"x\"; {DURATION}")],
    );
    Ok(())
}

#[test]
fn keys_that_there_were_once_are_refused_with_what_has_their_place() {
    let sealed = "remove it: cluster.link.sealed encrypts and proves all that a link carries, by default wherever \
                  the peer takes part";
    let renewed = "remove it: the keys of sealed links are renewed within the link, after each 64MiB";
    for (line, key, cure) in [
        ("encryption = \"off\"", "encryption", sealed),
        ("encryption = \"required\"", "encryption", sealed),
        ("renew_after = \"0B\"", "renew_after", renewed),
        ("renew_after = \"1TiB\"", "renew_after", renewed),
    ] {
        assert_link(line, &format!("{key}: is not a key any more; {cure}"));
    }
    // Also where it never was one.
    let misplaced = text("", "encryption = \"off\"", "", "");
    let expected = format!("5: cluster.auth.encryption: is not a key any more; {sealed}");
    assert_mistakes(&with_secret(), &misplaced, &[&expected]);
}

#[test]
fn lanes_drivers_and_roles() -> TestResult {
    let link = "lanes = 2\ndriver = \"poll\"";
    let config = with_secret().parse(&text("", "", link, "role = \"standby\""))?;
    assert_eq!((config.link.lanes, config.link.driver), (2, DriverChoice::Poll));
    let link = "busy_poll = \"50us\"\ndriver = \"io_uring\"";
    let other = with_secret().parse(&text("", "", link, ""))?;
    assert_eq!((other.link.busy_poll, other.link.driver), (Duration::from_micros(50), DriverChoice::IoUring));
    assert!(config.nodes.iter().any(|node| node.role == Role::Standby));
    let config = with_secret().parse(&text("", "", "", ""))?;
    assert_eq!((config.link.lanes, config.link.driver), (1, DriverChoice::Auto));
    assert!(config.nodes.iter().all(|node| node.role == Role::Voter));
    Ok(())
}

#[test]
fn the_secret_comes_from_one_of_three_places() -> TestResult {
    let inline = format!("shared_secret = \"{SECRET}\"");
    let config = Fake::default().parse(&text("", &inline, "", ""))?;
    assert_eq!(config.auth.secret_source, Some(SecretSource::Inline));
    assert_keys(&config, SECRET, &[])?;

    let config = with_secret().parse(&text("", "", "", ""))?;
    assert_eq!(config.auth.secret_source, Some(SecretSource::Environment));
    assert_keys(&config, SECRET, &[])?;

    for (path, resolved) in [("a/key", "/etc/orders/a/key"), ("/run/key", "/run/key")] {
        let fake = Fake::default().file(resolved, SECRET.as_bytes());
        let config = fake.parse(&text("", &format!("shared_secret_file = \"{path}\""), "", ""))?;
        assert_eq!(config.auth.secret_source, Some(SecretSource::File(PathBuf::from(resolved))));
        assert_keys(&config, SECRET, &[])?;
    }
    Ok(())
}

#[test]
fn two_sources_for_one_secret() {
    let cure = "must be the only one: remove one of the two";
    let inline = format!("shared_secret = \"{SECRET}\"");
    let file = "shared_secret_file = \"k\"";
    let fake = Fake::default().file("/etc/orders/k", SECRET.as_bytes());
    for (first, second, key, other) in [
        (inline.as_str(), file, "shared_secret_file", "shared_secret"),
        (file, inline.as_str(), "shared_secret", "shared_secret_file"),
    ] {
        let text = text("", &format!("{first}\n{second}"), "", "");
        let expected = format!(
            "6: cluster.auth.{key}: is a second source of the secret, beside {other} in line 5; {cure}"
        );
        assert_mistakes(&fake, &text, &[&expected]);
    }
    let variable =
        format!("is a second source of the secret, beside the environment variable {SECRET_VARIABLE}");
    assert_auth(&inline, &format!("shared_secret: {variable}; {cure}"));
}

#[test]
fn no_secret_at_all() -> TestResult {
    let expected = format!(
        "4: cluster.auth: has no secret; set shared_secret_file, or shared_secret, or pairwise, or the \
         environment variable {SECRET_VARIABLE}; enabled = false would let anyone in"
    );
    assert_mistakes(&Fake::default(), &text("", "", "", ""), &[&expected]);
    let config = Fake::default().parse(&text("", "enabled = false", "", ""))?;
    assert!(!config.auth.enabled && config.auth.keys.is_none() && config.auth.secret_source.is_none());
    let config = with_secret().parse(&text("", "enabled = false", "", ""))?;
    assert_keys(&config, SECRET, &[])
}

/// K-1
#[test]
fn a_short_secret() {
    let short = &SECRET[..31];
    let expected = "has a secret of 31 bytes; must have at least 32";
    let inline = text("", &format!("shared_secret = \"{short}\""), "", "");
    assert_mistakes(&Fake::default(), &inline, &[&format!("5: cluster.auth.shared_secret: {expected}")]);
    let empty = text("", "shared_secret = \"\"", "", "");
    let none = "5: cluster.auth.shared_secret: has a secret of 0 bytes; must have at least 32";
    assert_mistakes(&Fake::default(), &empty, &[none]);
    let accepted = format!("accept_secrets = [\"{SECRET}\", \"{short}\"]");
    assert_auth(&accepted, &format!("accept_secrets[1]: {expected}"));

    // 32 bytes with the newline, which does not count.
    let fake = Fake::default().file("/etc/orders/k", format!("{short}\n").as_bytes());
    let file = text("", "shared_secret_file = \"k\"", "", "");
    let expected =
        "5: cluster.auth.shared_secret_file: names a file with a secret of 31 bytes; must have at least 32";
    assert_mistakes(&fake, &file, &[expected]);

    for value in ["", short] {
        let fake = Fake::default().variable(value.as_bytes());
        let expected = format!(
            "environment variable {SECRET_VARIABLE}: has {} bytes; must have at least 32, or be unset",
            value.len()
        );
        assert_mistakes(&fake, &text("", "", "", ""), &[&expected]);
    }
}

#[test]
fn a_secret_file_that_is_of_no_use() {
    let file = text("", "shared_secret_file = \"k\"", "", "");
    let expected = "5: cluster.auth.shared_secret_file: names a file that can't be read: no such file; \
                    must be the path, from /etc/orders, of a regular file that this process can read";
    assert_mistakes(&Fake::default(), &file, &[expected]);

    let mut fake = Fake::default();
    fake.files.insert("/etc/orders/k".into(), FakeFile::OpenToAll);
    let expected = "5: cluster.auth.shared_secret_file: names a file that is open to every user of this machine \
                    (mode 0644); must be its owner's alone: chmod 600 /etc/orders/k";
    assert_mistakes(&fake, &file, &[expected]);
    fake.files.insert("/etc/orders/k".into(), FakeFile::TooLong);
    let expected = "5: cluster.auth.shared_secret_file: names a file that has more than 65536 bytes; \
                    must name a file of secrets, of at most 65536 bytes";
    assert_mistakes(&fake, &file, &[expected]);

    let cure = "must be a string with the path of a file that holds the secret";
    let empty = text("", "shared_secret_file = \"\"", "", "");
    let expected = format!("5: cluster.auth.shared_secret_file: is an empty string; {cure}");
    assert_mistakes(&Fake::default(), &empty, &[&expected]);
    assert_auth(
        "accept_secret_files = [\"\"]",
        &format!("accept_secret_files[0]: is an empty string; {cure}"),
    );

    // Whoever reads the error has one line per mistake, and a terminal that does as it did before.
    let fake = Fake::default().file("/etc/orders/a\u{1b}[31m\nk", SECRET.as_bytes());
    let path = "\"a\\u001b[31m\\nk\"";
    let shown = "is \"a\\u{1b}[31m\\nk\"; must be a path without control characters";
    let file = text("", &format!("shared_secret_file = {path}"), "", "");
    assert_mistakes(&fake, &file, &[&format!("5: cluster.auth.shared_secret_file: {shown}")]);
    assert_auth(&format!("accept_secret_files = [{path}]"), &format!("accept_secret_files[0]: {shown}"));
}

#[test]
fn one_newline_at_the_end_of_a_file_is_not_part_of_the_secret() -> TestResult {
    for (end, counts) in
        [("", ""), ("\n", ""), ("\r\n", ""), ("\n\n", "\n"), ("\r\n\r\n", "\r\n"), ("\r", "\r"), (" \n", " ")]
    {
        let fake = Fake::default().file("/etc/orders/k", format!("{SECRET}{end}").as_bytes());
        let config = fake.parse(&text("", "shared_secret_file = \"k\"", "", ""))?;
        assert_keys(&config, &format!("{SECRET}{counts}"), &[])?;
    }
    // The other places have no editor that adds one.
    let config = Fake::default().variable(format!("{SECRET}\n").as_bytes()).parse(&text("", "", "", ""))?;
    assert_keys(&config, &format!("{SECRET}\n"), &[])?;
    let inline = format!("shared_secret = \"{SECRET}\\n\"");
    let config = Fake::default().parse(&text("", &inline, "", ""))?;
    assert_keys(&config, &format!("{SECRET}\n"), &[])
}

/// K-2
#[test]
fn further_keys_are_accepted() -> TestResult {
    let (second, third) = (format!("{SECRET}-2"), format!("{SECRET}-3"));
    let auth = format!("accept_secrets = [\"{second}\", \"{SECRET}\"]\naccept_secret_files = [\"3\", \"3\"]");
    let fake = with_secret().file("/etc/orders/3", format!("{third}\n").as_bytes());
    let config = fake.parse(&text("", &auth, "", ""))?;
    assert_keys(&config, SECRET, &[&second, &third])?;

    let many = vec![format!("\"{SECRET}\""); 65].join(", ");
    assert_auth(
        &format!("accept_secrets = [{many}]"),
        "accept_secrets: has 65 entries; must have at most 64",
    );
    Ok(())
}

#[test]
fn what_is_not_toml() {
    for (text, expected) in [
        ("[cluster]\nname = orders\n", "2: name: is not valid TOML: "),
        ("[cluster]\nname = \"orders\n\nlisten = 1\n", "2: name: is not valid TOML: "),
        ("[cluster]\nname\n", "2: is not valid TOML: "),
        ("[cluster\nname = \"orders\"\n", "1: is not valid TOML: "),
        ("[cluster]\nunknown = orders\n", "2: is not valid TOML: "),
        (
            "[cluster]\nname = \"a\"\nname = \"b\"\n",
            "3: name: is there a second time; a key and a table may be there once; keep one of them",
        ),
        ("[cluster]\n\n[cluster]\n", "3: cluster: is there a second time; "),
    ] {
        let mistakes = mistakes(&with_secret(), text);
        assert!(mistakes.len() == 1 && mistakes[0].starts_with(expected), "{text:?}: {mistakes:#?}");
    }
    let two = mistakes(&with_secret(), "[cluster]\nname = orders\nreplica_id = 0\nlisten = here\n");
    assert_eq!(two.len(), 2, "{two:#?}");
    assert!(two[0].starts_with("2: name: ") && two[1].starts_with("4: listen: "), "{two:#?}");
}

#[test]
fn loads_from_the_file_system() -> TestResult {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("cluster.toml");
    let key = directory.path().join("cluster.key");
    std::fs::write(&path, text("", "shared_secret_file = \"cluster.key\"", "", ""))?;

    let shown = |path: &Path| Config::load(path).err().map(|errors| errors.to_string()).unwrap_or_default();
    let prefix = format!("{}:5: cluster.auth.shared_secret_file: names a file ", path.display());
    assert!(
        shown(&path).starts_with(&format!("{prefix}that can't be read: No such file")),
        "{}",
        shown(&path)
    );
    std::fs::create_dir(&key)?;
    assert!(shown(&path).starts_with(&format!("{prefix}that can't be read: ")), "{}", shown(&path));
    std::fs::remove_dir(&key)?;

    std::fs::write(&key, format!("{SECRET}\n"))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for mode in [0o644, 0o604, 0o602, 0o660, 0o620] {
            std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode))?;
            let expected =
                format!("(mode {mode:04o}); must be its owner's alone: chmod 600 {}", key.display());
            assert!(shown(&path).contains(&expected), "{}", shown(&path));
        }
        for mode in [0o400, 0o440, 0o600, 0o640] {
            std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode))?;
            Config::load(&path)?;
        }
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640))?;
    }
    let config = Config::load(&path)?;
    assert_keys(&config, SECRET, &[])?;
    assert_eq!(config.auth.secret_source, Some(SecretSource::File(key.clone())));

    std::fs::write(&key, vec![b'x'; SECRET_FILE_BYTES_MAX + 1])?;
    assert!(
        shown(&path).starts_with(&format!("{prefix}that has more than 65536 bytes; ")),
        "{}",
        shown(&path)
    );
    std::fs::write(&key, vec![b'x'; SECRET_FILE_BYTES_MAX])?;
    Config::load(&path)?;
    Ok(())
}

#[test]
fn a_file_that_is_no_configuration() -> TestResult {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("cluster.toml");
    let shown = || Config::load(&path).err().map(|errors| errors.to_string()).unwrap_or_default();
    let prefix = path.display();
    assert!(shown().starts_with(&format!("{prefix}: can't be read: No such file")), "{}", shown());
    std::fs::write(&path, b"[cluster]\nname = \"\xff\"")?;
    assert_eq!(shown(), format!("{prefix}:2: is not UTF-8 text; must be saved as UTF-8"));
    std::fs::write(&path, vec![b'#'; CONFIG_FILE_BYTES_MAX + 1])?;
    let expected = format!("{prefix}: has more than 1048576 bytes; must be the configuration of one cluster");
    assert_eq!(shown(), expected);
    std::fs::write(&path, vec![b'#'; CONFIG_FILE_BYTES_MAX])?;
    assert_eq!(shown(), format!("{prefix}:1: cluster: is missing; start with [cluster] and its name"));
    Ok(())
}
