//! The names of all keys, and guesses at what a wrong one was meant to be.

/// The keys that one table may have.
pub(super) struct Section {
    pub(super) header: &'static str,
    pub(super) keys: &'static [&'static str],
}

pub(super) static ROOT: Section = Section { header: "the top of the file", keys: &["cluster"] };

pub(super) static CLUSTER: Section = Section {
    header: "[cluster]",
    keys: &["name", "replica_id", "listen", "source", "release", "releases", "auth", "link", "nodes"],
};

pub(super) static AUTH: Section = Section {
    header: "[cluster.auth]",
    keys: &[
        "app",
        "enabled",
        "migrating",
        "shared_secret",
        "shared_secret_file",
        "accept_secrets",
        "accept_secret_files",
        "pairwise",
        "min_version",
        "version",
        "allow",
        "handshake_timeout",
        "max_pending",
        "max_pending_per_address",
    ],
};

pub(super) static LINK: Section = Section {
    header: "[cluster.link]",
    keys: &[
        "sealed",
        "forward_secrecy",
        "lanes",
        "busy_poll",
        "driver",
        "max_frame_size",
        "send_queue_frames",
        "send_queue_bytes",
        "heartbeat_interval",
        "heartbeat_timeout",
        "reconnect_min",
        "reconnect_max",
        "link_max_age",
    ],
};

pub(super) static NODE: Section = Section { header: "[[cluster.nodes]]", keys: &["id", "address", "role"] };

static ALL: [&Section; 5] = [&ROOT, &CLUSTER, &AUTH, &LINK, &NODE];

/// Longest unknown key that is compared with the known ones.
const GUESSED_LEN_MAX: usize = 64;

/// The known key, of any table, that is spelled like `text`.
pub(super) fn known(text: &str) -> Option<&'static str> {
    ALL.into_iter().flat_map(|section| section.keys).copied().find(|&key| key == text)
}

/// Keys that there were once, and what has their place: a file that has one asks for something.
static GONE: [(&str, &str); 2] = [
    (
        "encryption",
        "remove it: cluster.link.sealed encrypts and proves all that a link carries, by default wherever the peer \
         takes part",
    ),
    ("renew_after", "remove it: the keys of sealed links are renewed within the link, after each 64MiB"),
];

/// What to do about a key that is none any more.
pub(super) fn gone(key: &str) -> Option<&'static str> {
    GONE.into_iter().find(|&(gone, _)| gone == key).map(|(_, cure)| cure)
}

/// What would be right instead of the unknown `key` in `section`.
pub(super) fn cure(section: &Section, key: &str) -> String {
    if let Some(other) = ALL.into_iter().find(|other| other.keys.contains(&key)) {
        return format!("belongs in {}", other.header);
    }
    match closest(section, key) {
        Some(close) => format!("did you mean {close}?"),
        None => format!("{} takes {}", section.header, section.keys.join(", ")),
    }
}

fn closest(section: &Section, key: &str) -> Option<&'static str> {
    if key.len() > GUESSED_LEN_MAX {
        return None;
    }
    let guesses = section.keys.iter().map(|&known| (distance(known, key), known));
    let (distance, close) = guesses.min_by_key(|&(distance, _)| distance)?;
    // A short key is soon close to anything.
    (distance <= 3 && distance * 3 <= close.len()).then_some(close)
}

/// Edits from `a` to `b`: a byte put in, left out, replaced, or swapped with its neighbor.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("allow", "allow", 0),
            ("allow", "alow", 1),
            ("allow", "alolw", 1),
            ("sealed", "seelad", 2),
            ("lanes", "ö", 5),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn guesses_what_was_meant() {
        assert_eq!(cure(&LINK, "heartbeat_intervall"), "did you mean heartbeat_interval?");
        assert_eq!(cure(&LINK, "heartbeat-interval"), "did you mean heartbeat_interval?");
        assert_eq!(cure(&LINK, "heartbeatinterval"), "did you mean heartbeat_interval?");
        assert_eq!(cure(&AUTH, "seald"), "[cluster.auth] takes ".to_owned() + &AUTH.keys.join(", "));
        assert_eq!(cure(&AUTH, "sealed"), "belongs in [cluster.link]");
        assert_eq!(cure(&ROOT, "auth"), "belongs in [cluster]");
        assert_eq!(cure(&NODE, "x"), "[[cluster.nodes]] takes id, address, role");
        assert_eq!(cure(&NODE, &"id".repeat(40)), "[[cluster.nodes]] takes id, address, role");
    }
}
