//! `pairwise`: files of pair secrets, right and wrong (K-3).
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::format_collect, reason = "shorter, and of no weight here")]

mod config_support;

use std::path::{Path, PathBuf};

use config_support::{FILE, Fake, FakeFile, SECRET, text};
use replink_transport::config::{
    Config, PAIR_SECRETS_MAX, SECRET_VARIABLE, SecretSource, UnusableConfig, pair_file,
};
use replink_transport::frame::{KeyId, ReplicaId, Version};
use replink_transport::handshake::{App, Key, Secret};
use replink_transport::mesh::CommandPolicy;
use replink_transport::security::{SecurityStatus, SecurityWarning};

const KEYS: &str = "/etc/orders/replica-0.keys";
const HEADER: &str = "pair secrets of replica 0, app replink";
const PAIRWISE: &str = "pairwise = \"replica-0.keys\"";
const LINE_CURE: &str = "must be a peer's replica id, a space, and 64 hexadecimal digits";

/// 64 digits that show where they are seen.
fn digits(seed: u8) -> String {
    format!("{:02x}c0ffee{seed:02x}5ec2e7", seed.wrapping_mul(37)).repeat(4)
}

/// The secret of these digits, between two replicas.
fn key_id(seed: u8, a: u8, b: u8) -> KeyId {
    let digits = digits(seed);
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..64).step_by(2).map(byte).collect();
    Key::derive(&App::default(), &Secret::of_pair(bytes, ReplicaId(a), ReplicaId(b)).unwrap()).id()
}

fn fake(keys: &str) -> Fake {
    Fake::default().file(KEYS, keys.as_bytes())
}

/// Three nodes, and `lines` in `[cluster.auth]`.
fn three(cluster: &str, auth: &str) -> String {
    text(cluster, auth, "", "") + "[[cluster.nodes]]\nid = 2\naddress = \"10.0.0.3:7400\"\n"
}

fn whole() -> String {
    format!("{HEADER}\n1 {}\n2 {}\n", digits(1), digits(2))
}

#[track_caller]
fn mistakes(fake: &Fake, text: &str) -> Vec<String> {
    let errors = fake.parse(text).unwrap_err();
    assert_eq!(errors.to_string().lines().count(), errors.iter().count(), "{errors}");
    for seed in 0..10 {
        for shown in [errors.to_string(), format!("{errors:?}")] {
            assert!(!shown.contains(&digits(seed)[..12]), "a secret in {shown}");
        }
    }
    errors.iter().map(ToString::to_string).collect()
}

/// The file has these mistakes, with the cluster of three.
#[track_caller]
fn assert_file(keys: &str, expected: &[(u32, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(line, what)| format!("{KEYS}:{line}: {what}")).collect();
    assert_eq!(mistakes(&fake(keys), &three("", PAIRWISE)), expected, "\n{keys}");
}

fn ids_between(config: &Config, peer: u8) -> Vec<KeyId> {
    config.auth.keys.as_ref().unwrap().ids_between(ReplicaId(0), ReplicaId(peer)).collect()
}

#[test]
fn each_peer_has_keys_of_its_own() {
    let keys = format!(
        "# made on a Tuesday\r\n\n{HEADER}\r\n  # with 2\n2 {}\r\n\t1\t{} # new\n 1 {}\n1 {}\n",
        digits(2).to_uppercase(),
        digits(1),
        digits(3),
        digits(1),
    );
    for cluster in ["", "replica_id = 0"] {
        let config = fake(&keys).parse(&three(cluster, PAIRWISE)).unwrap();
        assert_eq!(config.auth.secret_source, Some(SecretSource::Pairwise(PathBuf::from(KEYS))));
        let pairwise = config.auth.pairwise.as_ref().unwrap();
        assert_eq!((pairwise.replica, pairwise.unused.len()), (ReplicaId(0), 0));
        assert_eq!(ids_between(&config, 1), [key_id(1, 0, 1), key_id(3, 0, 1)]);
        assert_eq!(ids_between(&config, 2), [key_id(2, 0, 2)]);
        let ring = config.auth.keys.as_ref().unwrap();
        assert_eq!(ring.ids_between(ReplicaId(1), ReplicaId(2)).count(), 0, "it speaks for no one else");
        let offered: Vec<_> = ring.ids().filter(|&id| ring.is_offered(id)).collect();
        assert_eq!(offered, [key_id(2, 0, 2), key_id(1, 0, 1)], "one for each pair");

        let endpoint = config.endpoint(ReplicaId(0), 1, 1).unwrap();
        let counts = [0, 1, 2, 3].map(|peer| endpoint.key_count(ReplicaId(peer)));
        assert_eq!(counts, [0, 2, 1, 0]);
        let mesh = config.mesh_settings(CommandPolicy::default());
        assert_eq!(mesh.keys.as_ref().map(Vec::len), Some(3));
        assert_eq!(mesh.pairs[&key_id(3, 0, 1)], ReplicaId(1));
        assert_eq!(mesh.pairs[&key_id(2, 0, 2)], ReplicaId(2));
    }
}

#[test]
fn a_shared_key_counts_for_every_peer() {
    let auth = format!("shared_secret = \"{SECRET}\"\naccept_secrets = [\"x{SECRET}\"]");
    let config = Fake::default().parse(&three("", &auth)).unwrap();
    assert!(config.auth.pairwise.is_none());
    let endpoint = config.endpoint(ReplicaId(0), 1, 1).unwrap();
    assert_eq!([1, 2].map(|peer| endpoint.key_count(ReplicaId(peer))), [2, 2]);
    let ring = config.auth.keys.as_ref().unwrap();
    assert_eq!(ring.ids().map(|id| ring.is_offered(id)).collect::<Vec<_>>(), [true, false]);
    assert!(config.mesh_settings(CommandPolicy::default()).pairs.is_empty());
}

/// What `keygen` writes for each replica is read by each, and both of a pair have the same key.
#[test]
fn derived_secrets_meet() {
    for version in ["version = 1\nmin_version = 1", "version = 2"] {
        let app = App::new("orders db").unwrap();
        let root = Secret::new(vec![9; 32]).unwrap();
        let configs = [0, 1, 2].map(|own| {
            let peers = [0, 1, 2].into_iter().filter(|&peer| peer != own).map(ReplicaId);
            let secrets: Vec<_> =
                peers.map(|peer| (peer, Secret::pair_bytes(&app, &root, ReplicaId(own), peer))).collect();
            let keys = pair_file(&app, ReplicaId(own), &secrets);
            fake(&keys).parse(&three("", &format!("app = \"orders db\"\n{PAIRWISE}\n{version}"))).unwrap()
        });
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            let [of_a, of_b] = [a, b].map(|own| {
                let ring = configs[usize::from(own)].auth.keys.as_ref().unwrap();
                ring.ids_between(ReplicaId(a), ReplicaId(b)).collect::<Vec<_>>()
            });
            assert_eq!(of_a.len(), 1);
            assert_eq!(of_a, of_b);
        }
        assert_eq!(configs[0].auth.version, if version.contains('1') { Version::V1 } else { Version::V2 });
    }
}

#[test]
fn another_replicas_file() {
    let path = format!("{FILE}:3: cluster.");
    let own = "must name this replica's own file, which /etc/orders/replica-0.keys is not";
    let expected = format!(
        "{FILE}:5: cluster.auth.pairwise: names the file of replica 0, and cluster.replica_id is 1; {own}"
    );
    assert_eq!(mistakes(&fake(&whole()), &three("replica_id = 1", PAIRWISE)), [expected]);

    let config = fake(&whole()).parse(&three("", PAIRWISE)).unwrap();
    let error = config.endpoint(ReplicaId(2), 1, 1).unwrap_err();
    assert_eq!(error, UnusableConfig::NotOurPairSecrets { holder: ReplicaId(0), replica: ReplicaId(2) });
    assert!(error.to_string().contains("has the pair secrets of replica 0, not those of replica 2"));

    let of_7 = whole().replace("replica 0", "replica 7");
    let expected = format!(
        "{FILE}:5: cluster.auth.pairwise: names the file of replica 7, which is not the id of any of \
         cluster.nodes; {own}"
    );
    let found = mistakes(&fake(&of_7), &three("", PAIRWISE));
    assert_eq!(found[0], expected);
    assert!(found[1].contains("without a secret for replica 0;"), "{path}{found:?}");
}

#[test]
fn a_file_of_something_else() {
    let cure = "must begin with \"pair secrets of replica N, app replink\", where N is the replica that it belongs to";
    let nothing = format!("does not say whose pair secrets follow; {cure}");
    let line = format!("1 {}", digits(1));
    for wrong in [
        line.as_str(),
        SECRET,
        "pair secrets of replica 0",
        "pair secrets of replica +0, app replink",
        "pair secrets of replica 256, app replink",
        "pair secrets of replica , app replink",
        " pair secrets of replica 0, app replink",
    ] {
        assert_file(&format!("{wrong}\n{line}\n"), &[(1, &nothing)]);
    }
    for empty in ["", "\n\n", "# nothing\n"] {
        let expected = format!("{KEYS}: {nothing}");
        assert_eq!(mistakes(&fake(empty), &three("", PAIRWISE)), [expected]);
    }
    let not_text = Fake::default().file(KEYS, b"pair \xff");
    let expected = format!("{KEYS}: is not UTF-8 text; must be a file of pair secrets");
    assert_eq!(mistakes(&not_text, &three("", PAIRWISE)), [expected]);
    let other_app = "has pair secrets for another app than \"replink\"; must be the app in cluster.auth.app";
    assert_file(&whole().replace("app replink", "app other"), &[(1, other_app)]);
    assert_file(&whole().replace("app replink", "app replink "), &[(1, other_app)]);
}

#[test]
fn lines_that_are_wrong() {
    let secret = digits(1);
    let more = PAIR_SECRETS_MAX + 1;
    let too_many: String = (3..).take(more - 1).map(|seed| format!("1 {}\n", digits(seed))).collect();
    let short = format!("has a secret of 63 bytes; {LINE_CURE}");
    let not_hex = format!("has a character that is no hexadecimal digit; {LINE_CURE}");
    let two_parts = format!("does not have two parts; {LINE_CURE}");
    let no_id = format!("does not begin with a replica id; {LINE_CURE}");
    let own = "is for replica 0, whose file this is; must be for another replica";
    let same = "has the secret of line 2, which is another pair's; \
                must be a secret of its own: draw one with replink keygen";
    let many = format!("is one more secret for replica 1; must be one of at most {PAIR_SECRETS_MAX}");
    for (line, expected) in [
        (secret.clone(), two_parts.as_str()),
        (format!("1{secret}"), &two_parts),
        (format!("1 {secret} {secret}"), &two_parts),
        ("1".to_owned(), &two_parts),
        ("1 # none".to_owned(), &two_parts),
        (format!("{secret} 1"), &no_id),
        (format!("+1 {secret}"), &no_id),
        (format!("256 {secret}"), &no_id),
        (format!("-1 {secret}"), &no_id),
        (format!("1 {}", &secret[1..]), &short),
        (format!("1 {}g", &secret[1..]), &not_hex),
        (format!("1 {}\u{e9}", &secret[2..]), &not_hex),
        (format!("1 +{}", &secret[1..]), &not_hex),
        (format!("0 {secret}"), own),
        (format!("2 {secret}"), same),
        (format!("2 {}", secret.to_uppercase()), same),
    ] {
        assert_file(&format!("{}{line}\n", whole()), &[(4, expected)]);
    }
    assert_file(&format!("{}{too_many}", whole()), &[(3 + u32::try_from(more).unwrap() - 1, &many)]);
    // All of them at once, and in their order.
    let all = format!("{}x\n1 {}\n0 {secret}\n", whole(), &secret[1..]);
    assert_file(&all, &[(4, &two_parts), (5, &short), (6, own)]);
}

#[test]
fn every_other_node_has_a_secret() {
    let cure = "must name one with a line for each other replica of cluster.nodes";
    for (lines, missing) in [("", "1, 2"), ("1", "2"), ("2", "1"), ("7", "1, 2")] {
        let lines: String =
            lines.chars().map(|peer| format!("{peer} {}\n", digits(u8::try_from(peer).unwrap()))).collect();
        let expected = format!(
            "{FILE}:5: cluster.auth.pairwise: names a file without a secret for replica {missing}; {cure}"
        );
        let keys = format!("{HEADER}\n{lines}");
        assert_eq!(mistakes(&fake(&keys), &three("", PAIRWISE)), [expected]);
    }
    let alone = format!(
        "[cluster]\nname = \"orders\"\n[cluster.auth]\n{PAIRWISE}\n[[cluster.nodes]]\nid = 0\n\
         address = \"10.0.0.1:7400\"\n"
    );
    let expected = format!(
        "{FILE}:4: cluster.auth.pairwise: has no pairs, for the cluster has one replica; \
         use shared_secret_file instead"
    );
    assert_eq!(mistakes(&fake(&whole()), &alone), [expected]);
}

/// So that lines can come before a replica does, and go after it.
#[test]
fn secrets_of_replicas_that_are_not_there_are_left_alone() {
    let keys = format!("{}9 {}\n7 {}\n9 {}\n", whole(), digits(3), digits(4), digits(5));
    let config = fake(&keys).parse(&three("", PAIRWISE)).unwrap();
    assert_eq!(config.auth.pairwise.as_ref().unwrap().unused, [7, 9].map(ReplicaId));
    assert_eq!(config.auth.keys.as_ref().unwrap().ids().len(), 2);
    assert_eq!(ids_between(&config, 9), []);
    let status = SecurityStatus::of(&config, Some(ReplicaId(0)));
    let expected = [7, 9].map(|id| SecurityWarning::UnusedPairSecrets { replica: ReplicaId(id) });
    assert_eq!(status.warnings(), expected);
    assert!(status.warnings()[0].to_string().contains("for replica 7, which is not in cluster.nodes"));
}

#[test]
fn nothing_else_beside_pair_secrets() {
    let keys = || fake(&whole()).file("/etc/orders/k", SECRET.as_bytes());
    let second = "must be the only one: remove one of the two";
    for (line, key) in [
        (format!("shared_secret = \"{SECRET}\""), "shared_secret"),
        ("shared_secret_file = \"k\"".to_owned(), "shared_secret_file"),
    ] {
        for (text, key, other) in [
            (format!("{PAIRWISE}\n{line}"), key, "pairwise"),
            (format!("{line}\n{PAIRWISE}"), "pairwise", key),
        ] {
            let expected = format!(
                "{FILE}:6: cluster.auth.{key}: is a second source of the secret, beside {other} in line 5; {second}"
            );
            assert_eq!(mistakes(&keys(), &three("", &text)), [expected]);
        }
    }
    let expected = format!(
        "{FILE}:5: cluster.auth.pairwise: is a second source of the secret, beside the environment variable \
         {SECRET_VARIABLE}; {second}"
    );
    assert_eq!(mistakes(&keys().variable(SECRET.as_bytes()), &three("", PAIRWISE)), [expected]);
}

/// On the way from a shared key to pair secrets: each peer is offered its own, and all may still use the shared one.
#[test]
fn a_shared_key_may_be_accepted_beside() {
    let text = three("", &format!("{PAIRWISE}\naccept_secrets = [\"{SECRET}\"]"));
    let config = fake(&whole()).parse(&text).unwrap();
    let ring = config.auth.keys.clone().unwrap();
    let shared = ring.ids().last().unwrap();
    assert!(!ring.is_offered(shared) && ring.accepts(shared));
    let settings = config.mesh_settings(CommandPolicy::default());
    assert!(settings.keys.unwrap().contains(&shared) && !settings.pairs.contains_key(&shared));
    for peer in [1, 2] {
        let between: Vec<_> = ring.ids_between(ReplicaId(0), ReplicaId(peer)).collect();
        assert!(between.len() >= 2 && between[0] != shared && between.last() == Some(&shared), "{between:?}");
    }
}

#[test]
fn files_that_are_of_no_use() {
    let with = |file| {
        let mut fake = Fake::default();
        fake.files.insert(KEYS.into(), file);
        mistakes(&fake, &three("", PAIRWISE))
    };
    let at = format!("{FILE}:5: cluster.auth.pairwise: names a file that");
    assert_eq!(
        with(FakeFile::OpenToAll),
        [format!(
            "{at} is open to every user of this machine (mode 0644); must be its owner's alone: chmod 600 {KEYS}"
        )]
    );
    assert_eq!(
        with(FakeFile::TooLong),
        [format!("{at} has more than 65536 bytes; must name a file of secrets, of at most 65536 bytes")]
    );
    let found = mistakes(&Fake::default(), &three("", PAIRWISE));
    assert_eq!(
        found,
        [format!(
            "{at} can't be read: no such file; must be the path, from /etc/orders, of a regular file that this process \
             can read"
        )]
    );
    let empty = mistakes(&Fake::default(), &three("", "pairwise = \"\""));
    let cure = "must be a string with the path of this replica's file of pair secrets";
    assert_eq!(empty, [format!("{FILE}:5: cluster.auth.pairwise: is an empty string; {cure}")]);
}

#[test]
fn nothing_shows_a_pair_secret() {
    let config = fake(&whole()).parse(&three("", PAIRWISE)).unwrap();
    for shown in [format!("{config:?}"), format!("{config:#?}")] {
        assert!(!shown.contains("c0ffee") && !shown.contains("C0FFEE"), "{shown}");
    }
}

/// Mistakes of `cluster.toml` come first, whatever their lines are.
#[test]
fn mistakes_of_both_files() {
    let keys = format!("{HEADER}\nx\n");
    let text = three("", &format!("{PAIRWISE}\nmin_version = 3"));
    let files: Vec<PathBuf> =
        fake(&keys).parse(&text).unwrap_err().iter().filter_map(|error| error.file.clone()).collect();
    assert_eq!(files, [Path::new(FILE), Path::new(KEYS)]);
}
