//! What one frame to many costs.

use std::time::Duration;

use bytes::Bytes;
use replink_bench::link::{Cluster, PATIENCE, Replicas, connect, next_frame};
use replink_bench::{
    Counted, Counter, Course, Driver, Failure, Flow, Frames, Order, Raw, ReplicaLink, Task, Window,
    on_threads,
};
use replink_transport::SendCause;
use replink_transport::frame::{ClusterId, GenericHeader, ReplicaId};
use replink_transport::node::{Handle, Shard};

use super::figures::{flows, size_name};
use crate::side_by_side::field::Field;
use crate::side_by_side::report::{Kind, Table};
use crate::side_by_side::rounds::{Entry, Plan};

pub(super) const NOTE: &str = "Each frame goes from one node to all others, its body shared: \
    sealed links encrypt it once for each, and are held against the same links without seals. GB/s is what all \
    receivers got together. Raw TCP writes the same bytes to each connection in turn, from one thread. Every end \
    has a thread of its own, also where the machine has fewer cores.";

const SIZE: usize = 64 << 10;
const PEERS: [u8; 3] = [2, 4, 8];

/// Frames between two polls of the sending shard.
const BURST: usize = 16;

pub(super) fn measure(field: &Field, plan: Plan) -> Result<Vec<Table>, Failure> {
    let to_peers = |peers: u8| {
        let mut entries = vec![Entry {
            name: "raw TCP".to_owned(),
            kind: Kind::Raw,
            base: 0,
            measure: Box::new(move |window| Raw::broadcast(peers, SIZE, window)),
        }];
        for link in field.links(&[false, true]).into_iter().filter(|link| link.driver != Driver::Blocking) {
            entries.push(Entry {
                name: format!("replink {}", replink_bench::Contender::name(&link)),
                kind: Kind::Link,
                // A sealed link comes right behind the same one without seals.
                base: if link.sealed { entries.len() - 1 } else { 0 },
                measure: Box::new(move |window| links(&link, peers, window)),
            });
        }
        let title = format!("Broadcast to {peers} peers, frames of {}", size_name(SIZE));
        flows((format!("broadcast-{peers}"), title), &entries, false, plan)
    };
    PEERS.into_iter().map(to_peers).collect()
}

fn links(link: &ReplicaLink, peers: u8, window: Window) -> Result<Flow, Failure> {
    let cluster = Cluster::new(peers + 1, link, 1, |config| config)?;
    let id = cluster.config().cluster;
    let mut replicas = Replicas::start(&cluster, 1)?;
    let mut shards = replicas.shards.iter_mut().flatten();
    let ours = shards.next().ok_or("no shard")?;
    let mut tasks: Vec<Task<'_>> = vec![Task::sending(move |course| send(ours, id, peers, course))];
    for shard in shards {
        tasks.push(Task::receiving(move |course| receive(shard, course)));
    }
    Ok(Flow::of(&[], &on_threads(window, tasks)?))
}

fn send(shard: &mut Shard, cluster: ClusterId, peers: u8, course: &Course) -> Result<Counted, Failure> {
    let mut counter = Counter::of_time(course);
    let handle = shard.handle();
    let mut frames = Frames::new(cluster, SIZE);
    for peer in 1..=peers {
        connect(shard, ReplicaId(peer))?;
    }
    while counter.goes_on() {
        for _ in 0..BURST {
            // A body of its own for each frame, as an embedder has.
            let body = frames.body();
            for peer in (1..=peers).map(ReplicaId) {
                queue_or_wait(shard, &handle, peer, (&frames.header(), &body), course)?;
            }
            frames.advance();
        }
        poll(shard, Duration::ZERO)?;
    }
    Ok(counter.finish())
}

/// The slowest peer sets the pace: all get every frame.
fn queue_or_wait(
    shard: &mut Shard,
    handle: &Handle,
    peer: ReplicaId,
    (header, body): (&GenericHeader, &Bytes),
    course: &Course,
) -> Result<(), Failure> {
    while !course.is_over() {
        match handle.queue(peer, header, body.clone()) {
            Ok(()) => break,
            Err(full) if matches!(full.cause(), SendCause::Backpressure { .. }) => poll(shard, PATIENCE)?,
            Err(_) if course.is_over() => break,
            Err(refused) => return Err(refused.into()),
        }
    }
    Ok(())
}

fn poll(shard: &mut Shard, wait: Duration) -> Result<(), Failure> {
    let mut events = shard.poll(Some(wait))?;
    while events.next().is_some() {}
    Ok(())
}

fn receive(shard: &mut Shard, course: &Course) -> Result<Counted, Failure> {
    let mut counter = Counter::new(course);
    let mut order = Order::default();
    while counter.goes_on() {
        next_frame(shard, course, |header, _, _| {
            counter.add(order.check(header)?);
            Ok(())
        })?;
    }
    Ok(counter.finish())
}
