//! What strangers without a key can do to a replica from many addresses at once: the bounds that docs/security.md
//! states ("What a flood can do"), measured on a process.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests fail by panicking; their support is shared")]
#![allow(clippy::float_cmp, reason = "whole numbers")]
#![allow(clippy::print_stderr, reason = "a part that is left out is said")]

mod support;

use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use replink_tests::fixtures::OTHER_SECRET;
use replink_tests::nodes::connect_from;
use replink_tests::raw_peer::RawPeer;
use support::cluster::Cluster;
use support::peer;
use support::process::{Running, serve_command};
use support::scrape::{Samples, free_address};

/// How long they are at it.
const FLOOD: Duration = Duration::from_secs(4);

/// The bounds of docs/security.md.
const LOG_BYTES_MAX: usize = 32 * 1024;
const EVENT_BYTES_MAX: usize = 32 * 1024;
const DESCRIPTORS_MAX: usize = 256 + 64 + 64;
const MEMORY_MAX: usize = 64 << 20;
const SCRAPE_MAX: Duration = Duration::from_secs(1);
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Ends the flood, also where an assertion fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Descriptors and resident bytes of a process; `None` where this user may not look.
fn held(process: u32) -> Option<(usize, usize)> {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count();
    let pages = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    let resident: usize = pages.split(' ').nth(1)?.parse().ok()?;
    Some((descriptors, resident * 4096))
}

#[test]
fn strangers_stop_silence_and_slow_down_nothing() {
    // Strangers come from 127.0.0.10 and on, which are no replica's.
    let cluster = Cluster::new("", "");
    let metrics = free_address();
    let mut command = serve_command(&cluster.config(), 1);
    let mut serve = Running::listening(command.args(["--metrics", &metrics.to_string()]));
    let process = serve.id();
    let mut link = peer::dial(cluster.addresses[1], 0, 2);
    serve.event("up");
    let before = held(process);
    if before.is_none() {
        eprintln!("this user may not look at another process: descriptors and memory are not measured");
    }

    let over = AtomicBool::new(false);
    let wrong_key = RawPeer::new(0, OTHER_SECRET).hello();
    let kinds: [&[u8]; 6] =
        [b"", b"GET / HTTP/1.1\r\n\r\n", &[0xa5; 600], &wrong_key[..100], &wrong_key, &[0; 256]];
    let mut scrapes = 0;
    thread::scope(|scope| {
        for flooder in 0..2_u8 {
            let (over, to) = (&over, cluster.addresses[1]);
            scope.spawn(move || {
                let mut open = Vec::new();
                for count in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let from = 10 + flooder * 120 + u8::try_from(count % 120).unwrap();
                    let mut stream = connect_from(from, to);
                    let _ = stream.write_all(kinds[count % kinds.len()]);
                    // Some stay, most go at once.
                    if count % 4 == 0 {
                        open.push(stream);
                    }
                    if open.len() > 500 {
                        open.clear();
                    }
                }
            });
        }
        let _over = Over(&over);
        let started = Instant::now();
        while started.elapsed() < FLOOD {
            let asked = Instant::now();
            let samples = Samples::scrape(metrics);
            assert!(asked.elapsed() < SCRAPE_MAX, "a scrape took {:?}", asked.elapsed());
            assert_eq!(samples.find("replink_links"), Some(1.0));
            scrapes += 1;
            link.exchange_prepare(scrapes, b"while strangers are at it");
            if let (Some((descriptors, memory)), Some((_, at_first))) = (held(process), before) {
                assert!(descriptors <= DESCRIPTORS_MAX, "{descriptors} descriptors");
                assert!(memory <= at_first + MEMORY_MAX, "{at_first} bytes were held, and now {memory}");
            }
        }
        // A real one, from its address of the roster. The link that it had is over: else that would have to leave first.
        drop(link);
        let asked = Instant::now();
        let mut newer = peer::dial(cluster.addresses[1], 0, 2);
        newer.exchange_prepare(1, b"here again");
        assert!(asked.elapsed() < CONNECT_MAX, "a replica connected after {:?}", asked.elapsed());
    });
    let samples = Samples::scrape(metrics);
    let accepted = samples.get("replink_accepted_total");
    assert!(accepted > 500.0 && scrapes > 10, "no flood: {accepted} connections, {scrapes} scrapes");
    assert_eq!(samples.get("replink_events_dropped_total"), 0.0);
    serve.signal("TERM");
    let finished = serve.finish();
    assert!(finished.status.success());
    let (log, events) = (finished.stderr.len(), finished.stdout.len());
    assert!(log <= LOG_BYTES_MAX, "{log} bytes of log for {accepted} connections:\n{}", finished.stderr);
    assert!(events <= EVENT_BYTES_MAX, "{events} bytes of events for {accepted} connections");
}
