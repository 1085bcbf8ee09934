//! Writes the seeds of every target into `corpus/`, made from the known answers or by hand.
//!
//! `cargo run --example seeds` in `fuzz/`. Seeds of an input format that changed are to be made
//! anew and minimized with the rest, see `README.md`.

use std::fs;
use std::path::Path;

use serde_json::Value;

#[path = "seeds/config.rs"]
mod config;
#[path = "seeds/exchange.rs"]
mod exchange;
#[path = "seeds/inbound.rs"]
mod inbound;
#[path = "seeds/sealed.rs"]
mod sealed;
#[path = "seeds/ticket.rs"]
mod ticket;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (target, seeds) in seeds() {
        write(root, target, seeds);
    }
}

/// The seeds of every target.
pub fn seeds() -> [(&'static str, Vec<Vec<u8>>); 9] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let vectors: Vec<Value> = ["handshake_v1.json", "handshake_v2.json"]
        .iter()
        .flat_map(|name| {
            let text =
                fs::read_to_string(root.join("../tests/vectors").join(name)).expect("the known answers");
            serde_json::from_str::<Vec<Value>>(&text).expect("a list of known answers")
        })
        .collect();
    [
        ("frame_parse", vectors.iter().flat_map(frames).collect()),
        ("acceptor", acceptor(&vectors)),
        ("dialer", dialer(&vectors)),
        ("remac", remac()),
        ("exchange", exchange::seeds()),
        ("inbound", inbound::seeds()),
        ("sealed", sealed::seeds()),
        ("ticket", ticket::seeds()),
        ("config", config::seeds()),
    ]
}

/// Connects with what was recorded and answers with what was recorded; with and without
/// authentication, in every availability.
fn acceptor(vectors: &[Value]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for vector in vectors {
        let node = Node { replica: number(vector, "acceptor") as u8, ..Node::of(vector) };
        let [hello, finish] = ["hello", "finish"].map(|name| raw(&unhex(&vector[name])));
        for switches in [1, 2] {
            let knobs = Node { switches: node.switches | switches, ..node }.knobs();
            let mut seed = [&knobs[..], &[0, 0], &hello].concat();
            if switches == 1 {
                seed.extend([&[1][..], &finish].concat());
            }
            seeds.push(seed);
        }
    }
    for (switches, keys) in switches_and_keys() {
        let node = Node { replica: 3, switches, keys, supported: 12, ..Node::default() };
        let knobs = node.knobs();
        for base in 0..10 {
            let hello = pooled(base, &[]);
            if switches & 2 != 0 {
                seeds.push([&knobs[..], &hello].concat()); // without authentication: Hellos only
                continue;
            }
            seeds.push([&knobs[..], &[0, 2, 250, 0, 0, 0], &hello].concat()); // busy
            seeds.push([&knobs[..], &[0, 3, 250, 0, 0, 0], &hello].concat()); // draining
            let finish = [&[1][..], &pooled(base, &[])].concat();
            for hello in [0, 4] {
                seeds.push([&knobs[..], &[0, 0], &pooled(hello, &[]), &finish].concat());
            }
        }
    }
    seeds
}

/// Dials and gets what was recorded; on an established link too.
fn dialer(vectors: &[Value]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for vector in vectors {
        let (peer, lane) = (number(vector, "acceptor") as u8, number(vector, "lane") as u16);
        let v1 = u8::from(vector.get("session").is_none());
        let node = Node { replica: number(vector, "dialer") as u8, ..Node::of(vector) };
        let knobs = Node { switches: node.switches | v1, ..node }.knobs();
        let target = [&[peer][..], &lane.to_le_bytes(), &[0]].concat();
        let mut seed = [&knobs[..], &target].concat();
        for frame in frames(vector).iter().take(5) {
            seed.extend([&[0][..], &raw(frame)].concat());
        }
        seeds.push(seed);
    }
    for (switches, keys) in switches_and_keys() {
        let supported = if switches & 1 == 0 { 12 } else { 0 };
        let node = Node { replica: 3, switches, keys, supported, ..Node::default() };
        let target = [4, 0, 0, 0, 0];
        // Without authentication there is a link at once, with frames to deliver.
        let deliver: &[u8] = if switches & 2 == 0 { &[3] } else { &[] };
        for base in 0..10 {
            let dial = [&[0][..], &pooled(base, &[])].concat();
            let up = [2];
            let mut seed = [node.knobs(), target[..4].to_vec()].concat();
            if switches & 2 == 0 {
                seed.extend([&dial[..], &up].concat());
            }
            for base in base..base + 8 {
                seed.extend([deliver, &[1], &pooled(base + 5, &[])].concat());
                seed.extend([deliver, &[0], &[base; 9]].concat());
            }
            seeds.push(seed);
        }
    }
    seeds
}

/// Handshakes that succeed, with talk on the link; and a single change at every turn.
fn remac() -> Vec<Vec<u8>> {
    // Sent and opened: ping, pong, goodbye; what is opened has the next counter, then an old one.
    let alone: Vec<u8> = (0..3)
        .flat_map(|command| {
            let send = [&[0][..], &[7; 8], &[command]].concat();
            let opened = [2, command, 1, 0, 0];
            let replayed = [2, command, 0, 0, 0];
            let spoiled = [2, command, 1, 0, 1, 12, 1, 31, 1]; // the last byte of its MAC
            let stray = [2, command, 1, 1, 8, 1, 0, 1, 0]; // signed with bytes of another command
            [&send[..], &opened, &replayed, &spoiled, &stray].concat()
        })
        .chain([1, 11, 0, 0, 0, 0, 0, 0])
        .collect();
    let together: Vec<u8> = (0..6)
        .flat_map(|turn: u8| {
            let send = [&[turn % 2][..], &[9; 8], &[turn % 3]].concat();
            let replayed = [&[turn % 2 + 2 + 8][..], &pooled(3, &[])].concat();
            [send, replayed].concat()
        })
        .collect();
    // Either end of a counter or a MAC spoiled, a nonce reflected, a share of low order, a lane from
    // elsewhere.
    let changes: [&[u8]; 8] = [
        &[],
        &[22, 1, 0, 1],
        &[22, 1, 7, 1],
        &[12, 1, 0, 128],
        &[12, 1, 31, 1],
        &[11, 3, 0],
        &[18, 2, 0],
        &[20, 0, 3, 0],
    ];
    let mut seeds = Vec::new();
    let plain = [(1, 0), (0, 0), (0, 1), (0, 2), (0, 4), (0, 8), (0, 12)].map(|(v1, flags)| (v1, flags, 0));
    let rings = [(1, 0, 0x80), (0, 12, 0x80), (0, 8, 0x88), (0, 0, 8)];
    for (v1, supported, keys) in plain.into_iter().chain(rings) {
        let node = |replica: u8, release| Node {
            replica,
            keys,
            supported,
            release,
            incarnation: 0x1000 + u64::from(replica),
            ..Node::default()
        };
        let (low, high) = (node(1, 6).knobs(), node(2, 7).knobs());
        let changed = |turn: usize, at: usize, change: &[u8]| match change {
            change if turn == at && !change.is_empty() => [&[1], change].concat(),
            _ => vec![0],
        };
        for (turn, change) in (0..4).flat_map(|turn| changes.iter().map(move |change| (turn, change))) {
            let at = |at| changed(turn, at, change);
            // Bytes: switches, both nodes, version, lane, key; Hello, availability, Finish, choice.
            let target = [v1, 0, 0, 0];
            let handshake = [&at(0)[..], &[0], &at(1), &at(2), &[0]].concat();
            seeds.push([&[0, v1], &high[..], &low, &target, &handshake, &alone].concat());
            // Bytes: switches, both nodes, peer, lane, key; choice, challenge.
            let target = [2, 0, 0, 0];
            let handshake = [&[0][..], &at(0), &at(1)].concat();
            seeds.push([&[1, v1], &low[..], &high, &target, &handshake, &alone].concat());
            // Bytes: switches, dialer, peer, lane, key, acceptor; choice, Hello, availability,
            // challenge, Finish.
            let handshake = [&[0][..], &at(0), &[0], &at(1), &at(2)].concat();
            seeds.push([&[2, v1], &low[..], &target, &high, &handshake, &together].concat());
        }
        seeds.push([&[0, v1], &high[..], &low, &[v1, 0, 0, 0], &[0, 0, 0, 0, 1, 9, 1, 1, 1, 1]].concat());
        // Every key of the ring, whomever it serves.
        for key in 0..20 {
            seeds.push([&[0, v1], &high[..], &low, &[v1, 0, 0, key], &[0, 0, 0, 0, 0], &alone].concat());
        }
        seeds.push([&[1, v1], &low[..], &high, &[2, 0, 0, 0], &[1 + (9 << 2), 1, 1, 1, 1, 0, 0]].concat());
        seeds.push([&[2, v1], &low[..], &[2, 0, 0, 0], &high, &[0, 0, 2, 1, 1, 1, 1, 0]].concat());
    }
    seeds
}

/// All switches with one key, and a few with other rings.
fn switches_and_keys() -> impl Iterator<Item = (u8, u8)> {
    let rings =
        [8, 0x80, 0x84, 0x88].into_iter().flat_map(|keys| (0..2).map(move |switches| (switches, keys)));
    (0..128).map(|switches| (switches, 0)).chain(rings)
}

/// A node's configuration as the targets read it.
#[derive(Clone, Copy, Default)]
struct Node {
    replica: u8,
    switches: u8,
    keys: u8,
    supported: u16,
    required: u16,
    release: u32,
    incarnation: u64,
}

impl Node {
    fn of(vector: &Value) -> Self {
        Self {
            switches: (number(vector, "mode") as u8) << 2,
            supported: number(vector, "flags") as u16,
            release: number(vector, "release") as u32,
            ..Self::default()
        }
    }

    fn knobs(&self) -> Vec<u8> {
        let mut knobs = vec![self.replica, self.switches, self.keys];
        knobs.extend([self.supported, self.required].iter().flat_map(|flags| flags.to_le_bytes()));
        knobs.extend(self.release.to_le_bytes());
        knobs.extend(self.incarnation.to_le_bytes());
        knobs
    }
}

/// A number of a known answer; 0 where a version 1 one has none.
fn number(vector: &Value, name: &str) -> u64 {
    vector.get(name).map_or(0, |value| value.as_u64().expect("a number"))
}

/// A frame of input as it is.
fn raw(frame: &[u8]) -> Vec<u8> {
    [&[0], frame, &[0]].concat()
}

/// A frame of the pool, changed.
fn pooled(index: u8, changes: &[&[u8]]) -> Vec<u8> {
    [&[index + 1, changes.len() as u8], &changes.concat()[..]].concat()
}

/// Every header in a known answer.
fn frames(vector: &Value) -> Vec<Vec<u8>> {
    let named = ["hello", "challenge", "finish", "reject_busy", "goodbye"];
    let mut frames: Vec<_> = named.iter().filter_map(|name| vector.get(name)).map(unhex).collect();
    // A record is no frame, but some begin with one; what seals it is as good as any other bytes.
    for record in vector.get("records").and_then(Value::as_array).into_iter().flatten() {
        for part in ["plaintext", "record"].map(|part| unhex(&record[part])) {
            frames.extend(part.first_chunk::<256>().map(|frame| frame.to_vec()));
        }
    }
    frames
}

fn unhex(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("hexadecimal text");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("a byte")).collect()
}

/// A seed is named by its hash, as the fuzzer names its own.
fn write(root: &Path, target: &str, seeds: Vec<Vec<u8>>) {
    let folder = root.join("corpus").join(target);
    fs::create_dir_all(&folder).expect("a folder for the seeds");
    for seed in seeds {
        let name = blake3::hash(&seed).to_hex();
        fs::write(folder.join(&name[..40]), seed).expect("a seed");
    }
}
