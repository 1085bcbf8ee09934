//! Of the target `config`.

/// Every key with its default, then each of them with other values, alone; and the mistakes that
/// operators make.
pub fn seeds() -> Vec<Vec<u8>> {
    // What `config::run` reads before the text: the environment, and where the file is.
    let seed = |environment: u8, text: String| [&[environment, 0], text.as_bytes()].concat();
    let text = |cluster: &str, auth: &str, link: &str, nodes: &str| {
        format!("[cluster]\nname = \"orders\"\n{cluster}[cluster.auth]\n{auth}[cluster.link]\n{link}{nodes}")
    };
    let all = |settings: Settings| -> String {
        settings.iter().map(|(key, values)| format!("{key} = {}\n", values[0])).collect()
    };
    let (cluster, auth, link) = (all(CLUSTER), all(AUTH), all(LINK));
    let file = "shared_secret_file = \"cluster.key\"\n";
    let inline = "shared_secret = \"\u{1}\"\n";
    let mut seeds = vec![
        seed(0, text(&cluster, &format!("{file}{auth}"), &link, NODES)),
        seed(0, text(&cluster, &format!("{inline}{auth}"), &link, NODES)),
        seed(1, text(&cluster, &auth, &link, NODES)),
        seed(2, text("", "", "", NODES)),
        seed(3, text("", "", "", NODES)),
        seed(0, text("", "enabled = false\n", "", NODES)),
        seed(0, text("", inline, "", NODES).replace('\n', "\r\n")),
        seed(
            0,
            format!("cluster = {{ name = 'a', auth = {{ {} }}, nodes = [{INLINE_NODES}] }}", inline.trim()),
        ),
    ];
    for (key, value) in CLUSTER.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value)))
    {
        seeds.push(seed(1, text(&format!("{key} = {value}\n"), "", "", NODES)));
    }
    for (key, value) in AUTH.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value))) {
        seeds.push(seed(1, text("", &format!("{key} = {value}\n"), "", NODES)));
    }
    for (key, value) in LINK.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value))) {
        seeds.push(seed(1, text("", "", &format!("{key} = {value}\n"), NODES)));
    }
    for lines in CONFLICTS {
        seeds.push(seed(1, text("", "", lines, NODES)));
    }
    for nodes in TWINS {
        seeds.push(seed(1, text("", "", "", &nodes.replace(", ", "\n"))));
    }
    for line in SECRETS {
        seeds.push(seed(0, text("", &format!("{line}\n"), "", NODES)));
        seeds.push(seed(0, text("", &format!("enabled = false\n{line}\n"), "", NODES)));
    }
    for address in ADDRESSES {
        let node = format!("[[cluster.nodes]]\nid = 0\naddress = \"{address}\"\n");
        seeds.push(seed(1, text(&format!("listen = \"{address}\"\n"), "", "", &node)));
        seeds.push(seed(1, text("", "", "", &format!("{node}role = \"standby\"\n{node}"))));
    }
    seeds
}

const NODES: &str = "[[cluster.nodes]]\nid = 0\naddress = \"10.0.0.1:7400\"\nrole = \"voter\"\n\
                     [[cluster.nodes]]\nid = 1\naddress = \"10.0.0.2:7400\"\n";
const INLINE_NODES: &str = "{ id = 0, address = 'a:1' }, { id = 1, address = 'b:1' }";
const ADDRESSES: [&str; 8] = [
    "[fd00::1]:7400",
    "[::ffff:10.0.0.1]:7400",
    "[fe80::1%2]:7400",
    "0.0.0.0:7400",
    "Replica-0.Orders.svc.:7400",
    "10.0.0:80",
    "a:0",
    "\u{1}:80",
];

/// A key, and values for it; the first is valid.
type Settings = &'static [(&'static str, &'static [&'static str])];
const CLUSTER: Settings = &[
    ("replica_id", &["0", "0x1", "2", "-1", "256", "\"0\""]),
    ("listen", &["\"0.0.0.0:7400\"", "\"[::]:0\"", "\"\""]),
];
const AUTH: Settings = &[
    ("app", &["\"replink\"", "\"\"", "\"\\u0007\"", "\"\u{1}\""]),
    ("enabled", &["true", "false", "\"no\"", "0"]),
    ("accept_secret_files", &["[\"old.key\"]", "[\"cluster.key\", \"denied.key\"]", "[]", "\"old.key\""]),
    ("min_version", &["2", "1", "3", "2.0"]),
    ("version", &["2", "1", "0b10"]),
    ("allow", &["[\"10.0.0.0/8\", \"127.0.0.1\"]", "[\"::/0\", \"::ffff:10.0.0.0/104\"]", "[]", "[\"*\"]"]),
    ("handshake_timeout", &["\"5s\"", "\"0s\"", "\"24h\"", "\"25h\"", "\"5\"", "5"]),
    ("max_pending", &["256", "15", "0", "4294967296"]),
    ("max_pending_per_address", &["16", "257"]),
];
const LINK: Settings = &[
    ("sealed", &["\"optional\"", "\"off\"", "\"required\"", "true"]),
    ("encryption", &["\"off\"", "\"optional\""]),
    ("forward_secrecy", &["\"off\"", "\"optional\"", "\"required\""]),
    ("lanes", &["1", "2", "0"]),
    ("busy_poll", &["\"0us\"", "\"7us\""]),
    ("renew_after", &["\"0B\"", "\"1TiB\"", "\"16777216TiB\""]),
    ("driver", &["\"auto\"", "\"io_uring\"", "\"poll\""]),
    ("max_frame_size", &["\"64MiB\"", "\"256B\"", "\"255B\"", "\"4294967295B\"", "\"4GiB\""]),
    ("send_queue_frames", &["1024", "0"]),
    ("send_queue_bytes", &["\"128MiB\"", "\"1KiB\""]),
    ("heartbeat_interval", &["\"1s\"", "\"0s\"", "\"6s\"", "\"24h\""]),
    ("heartbeat_timeout", &["\"5s\"", "\"0s\"", "\"1us\""]),
    ("reconnect_min", &["\"50ms\"", "\"3s\"", "\"0s\""]),
    ("reconnect_max", &["\"2s\"", "\"1ms\""]),
];

/// Settings that go together, at their limits and beyond.
const CONFLICTS: [&str; 6] = [
    "reconnect_min = \"2s\"\nreconnect_max = \"2s\"\n",
    "reconnect_min = \"2s\"\nreconnect_max = \"1s\"\n",
    "heartbeat_interval = \"5s\"\nheartbeat_timeout = \"5s\"\n",
    "heartbeat_interval = \"0s\"\nheartbeat_timeout = \"0s\"\n",
    "max_frame_size = \"1MiB\"\nsend_queue_bytes = \"1048576B\"\n",
    "max_frame_size = \"1MiB\"\nsend_queue_bytes = \"1048575B\"\n",
];

/// One address in two spellings; two nodes with one id.
const TWINS: [&str; 3] = [
    "[[cluster.nodes]], id = 0, address = \"A.b:1\", [[cluster.nodes]], id = 1, address = \"a.b.:1\"",
    "[[cluster.nodes]], id = 0, address = \"10.0.0.1:1\", [[cluster.nodes]], id = 1, address = \"[::ffff:10.0.0.1]:1\"",
    "[[cluster.nodes]], id = 0, address = \"a:1\", [[cluster.nodes]], id = 0, address = \"b:1\"",
];

/// What may go wrong around a secret.
const SECRETS: [&str; 28] = [
    "shared_secret_file = \"cluster.key\"\naccept_secret_files = [\"old.key\", \"exact.key\", \"cluster.key\"]",
    "shared_secret_file = \"exact.key\"",
    "shared_secret_file = \"old.key\"",
    "shared_secret_file = \"short.key\"",
    "shared_secret_file = \"blank.key\"",
    "shared_secret_file = \"empty.key\"",
    "shared_secret_file = \"long.key\"",
    "shared_secret_file = \"open.key\"",
    "shared_secret_file = \"/run/cluster.key\"",
    "shared_secret_file = \"\\u001b[1m\\nopen.key\"",
    "shared_secret_file = \"\u{1}\"",
    "shared_secret = \"\u{2}\"",
    "shared_secret = '''\n\u{3}'''",
    "shared_secret = \"\u{4}\"",
    "shared_secret = \u{1}",
    "shared_secret = \u{3}",
    "shared_secret = \"\u{3}",
    "shared_secret = \u{4}",
    "shared_secret = [\"\u{1}\"]",
    "shared_secret = { \u{1} = 1 }",
    "shared_secret \u{1}",
    "shared_secret.\u{4} = 1",
    "shared_secrt = \"\u{1}\"\n\u{1} = 1\n\u{1} = 2",
    "shared_secret = \"\u{1}\"\nshared_secret = \"\u{1}\"",
    "shared_secret = \"\u{1}\"\nshared_secret_file = \"old.key\"",
    "shared_secret = \"\u{1}\"\naccept_secrets = [\"\u{1}\", \"\u{3}x\"]",
    "pairwise = \"\u{1}\"",
    "accept_secrets = [\"\u{4}\"]\n[cluster.auth.\u{1}]",
];
