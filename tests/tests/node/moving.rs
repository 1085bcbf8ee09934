//! Links that go from shard to shard, under full load.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use replink_frame::ReplicaId;
use replink_tests::links::AUTH;
use replink_tests::nodes::{Ground, QUICK, start_all};
use replink_tests::running::{Running, wait_until};
use replink_tests::streams::{Sink, Source};
use replink_tests::watchdog::watched;
use replink_transport::SendCause;
use replink_transport::mesh::LinkId;
use replink_transport::node::{Event, Handle};

const MOVES: u64 = 1000;
const SENDERS: u32 = 2;
const BODY_MAX: usize = 1000;

/// What one node has seen.
#[derive(Default)]
struct Watch {
    sink: Sink,
    up: AtomicUsize,
    adopted: AtomicU64,
    released: AtomicU64,
    drained: AtomicU64,
    /// Whether the test is done: from there on links may end.
    over: AtomicBool,
    /// Which shard has which link, as its embedder was told.
    held: Mutex<BTreeSet<(usize, LinkId)>>,
}

impl Watch {
    fn see(&self, shard: usize, event: &Event<'_>) {
        match event {
            Event::Up(up) => {
                assert!(self.held.lock().unwrap().insert((shard, up.link)));
                self.up.fetch_add(1, Ordering::SeqCst);
            }
            Event::Adopted { link, from, .. } => {
                assert_ne!(shard, *from);
                assert!(self.held.lock().unwrap().insert((shard, *link)), "adopted twice");
                self.adopted.fetch_add(1, Ordering::SeqCst);
            }
            Event::Released { link, to, .. } => {
                assert_ne!(shard, *to);
                assert!(self.held.lock().unwrap().remove(&(shard, *link)), "released, and was not there");
                self.released.fetch_add(1, Ordering::SeqCst);
            }
            Event::Frame { link, frame, .. } => {
                assert!(self.held.lock().unwrap().contains(&(shard, *link)), "a frame of another's link");
                self.sink.take(frame.header(), frame.body());
            }
            Event::Drained { .. } => {
                self.drained.fetch_add(1, Ordering::SeqCst);
            }
            Event::Down(down) => assert!(self.over.load(Ordering::SeqCst), "{down:?}"),
            _ => {}
        }
    }
}

/// Sends until `done`, and returns what was sent.
fn send(handle: &Handle, to: ReplicaId, stream: u32, watch: &Watch, done: &AtomicBool) -> Source {
    let mut source = Source::new(stream, stream.into());
    while !done.load(Ordering::SeqCst) {
        let (mut header, body) = source.next(BODY_MAX);
        let mut body = body;
        loop {
            let drained = watch.drained.load(Ordering::SeqCst);
            let Err(error) = handle.send(to, &header, body) else { break };
            assert!(matches!(error.cause(), SendCause::Backpressure { .. }), "{error}");
            (header, body) = error.into_frame();
            // Nobody wakes this up but the event that is promised.
            wait_until("Drained", || watch.drained.load(Ordering::SeqCst) > drained);
        }
    }
    source
}

#[test]
fn a_thousand_moves_under_full_load_lose_nothing() {
    watched(|| {
        let ground = Ground::new(2, "");
        // Without heartbeats nothing but frames and moves wakes a shard up.
        let link = format!("{QUICK}heartbeat_interval = \"0s\"\nsend_queue_frames = 64\n");
        let replicas = start_all(&ground, AUTH, &link, 2);
        let handles: Vec<_> = replicas.iter().map(replink_tests::nodes::Replica::handle).collect();
        let watches = [0, 1].map(|_| Arc::new(Watch::default()));
        let running: Vec<_> = replicas
            .into_iter()
            .zip(&watches)
            .map(|(replica, watch)| {
                let watch = Arc::clone(watch);
                Running::start(replica.shards, move |shard, event| watch.see(shard, event))
            })
            .collect();
        wait_until("they are connected", || watches.iter().all(|watch| watch.up.load(Ordering::SeqCst) == 1));

        let done = AtomicBool::new(false);
        let sources: Vec<Vec<Source>> = thread::scope(|scope| {
            let ends = [0usize, 1].map(|end| {
                let (handle, watch, done) = (&handles[end], &watches[end], &done);
                let to = ReplicaId(u8::try_from(1 - end).unwrap());
                (0..SENDERS)
                    .map(|stream| scope.spawn(move || send(handle, to, stream, watch, done)))
                    .collect::<Vec<_>>()
            });
            for number in 1..=MOVES {
                // Both ends at once.
                for handle in &handles {
                    let link = handle.stats().links[0];
                    handle.move_link(link.link, 1 - link.shard);
                }
                wait_until("they have moved", || {
                    running.iter().any(Running::is_over)
                        || watches.iter().all(|watch| watch.adopted.load(Ordering::SeqCst) == number)
                });
            }
            done.store(true, Ordering::SeqCst);
            ends.map(|threads| threads.into_iter().map(|thread| thread.join().unwrap()).collect()).into()
        });

        for (end, sources) in sources.iter().enumerate() {
            for (stream, source) in (0..SENDERS).zip(sources) {
                let sink = &watches[1 - end].sink;
                wait_until("all has arrived", || sink.sum(stream).0 >= source.sum().0);
                assert_eq!(sink.sum(stream), source.sum(), "stream {stream} of replica {end}");
                assert!(source.sum().0 > 100, "there was load");
            }
        }
        for watch in &watches {
            let count = |of: &AtomicU64| of.load(Ordering::SeqCst);
            wait_until("the last release is told", || count(&watch.released) == MOVES);
            assert_eq!(count(&watch.adopted), MOVES);
            assert_eq!(watch.held.lock().unwrap().len(), 1);
            watch.over.store(true, Ordering::SeqCst);
        }
        drop(running);
    });
}
