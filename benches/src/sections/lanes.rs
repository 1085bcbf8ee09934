//! What many links cost.

use replink_bench::link::{Cluster, PATIENCE, Replicas, next_frame};
use replink_bench::{
    Connections, Contender, Counted, Counter, Course, Driver, Failure, Flow, Frames, Order, ReplicaLink,
    Task, Window, on_threads,
};
use replink_transport::SendCause;
use replink_transport::frame::{ClusterId, ReplicaId};
use replink_transport::node::Shard;

use super::figures::{flows, size_name};
use crate::side_by_side::field::Field;
use crate::side_by_side::report::{Kind, Table};
use crate::side_by_side::rounds::{Entry, Plan};

pub(super) const NOTE: &str = "Two replicas with one shard each and so many lanes between them; frames go out on \
    one lane after the other. Raw TCP has as many connections, and a thread for each end that takes them in turn.";

const SIZE: usize = 4 << 10;
const LANES: [u16; 3] = [1, 16, 128];

/// Bytes on all lanes together before the shard is polled: many lanes queue no more than one does.
const BYTES_QUEUED: usize = 1 << 20;

pub(super) fn measure(field: &Field, plan: Plan) -> Result<Vec<Table>, Failure> {
    let mut entries = Vec::new();
    for lanes in LANES {
        let raw = field.raw(SIZE, Connections::InTurn(lanes))?;
        entries.push(Entry {
            name: raw.name(),
            kind: Kind::Raw,
            base: entries.len(),
            measure: Box::new(move |window| raw.throughput(SIZE, window)),
        });
    }
    for link in field.links(&[false, true]).into_iter().filter(|link| link.driver != Driver::Blocking) {
        for (base, lanes) in LANES.into_iter().enumerate() {
            entries.push(Entry {
                name: format!(
                    "replink {}, {lanes} {}",
                    link.name(),
                    if lanes == 1 { "link" } else { "links" }
                ),
                kind: Kind::Link,
                base,
                measure: Box::new(move |window| throughput(&link, lanes, window)),
            });
        }
    }
    let title = format!("Links beside each other, frames of {}", size_name(SIZE));
    Ok(vec![flows(("links".to_owned(), title), &entries, false, plan)?])
}

fn throughput(link: &ReplicaLink, lanes: u16, window: Window) -> Result<Flow, Failure> {
    let cluster = Cluster::new(2, link, lanes, |config| config)?;
    let id = cluster.config().cluster;
    let mut replicas = Replicas::start(&cluster, 1)?;
    let [ours, theirs] = &mut replicas.shards[..] else { return Err("two replicas are measured".into()) };
    let (ours, theirs) = (ours.first_mut().ok_or("no shard")?, theirs.first_mut().ok_or("no shard")?);
    let tasks: Vec<Task<'_>> = vec![
        Task::sending(move |course| send(ours, id, lanes, course)),
        Task::receiving(move |course| receive(theirs, lanes, course)),
    ];
    Ok(Flow::of(&[], &on_threads(window, tasks)?))
}

fn send(shard: &mut Shard, cluster: ClusterId, lanes: u16, course: &Course) -> Result<Counted, Failure> {
    let mut counter = Counter::of_time(course);
    let handle = shard.handle();
    // Each lane has frames in an order of its own.
    let mut frames: Vec<_> = (0..lanes).map(|_| Frames::new(cluster, SIZE)).collect();
    while (0..lanes).any(|lane| handle.link(ReplicaId(1), lane).is_none()) && !course.is_over() {
        next_frame(shard, course, |_, _, _| Ok(()))?;
    }
    while counter.goes_on() {
        let mut is_full = false;
        for _ in 0..(BYTES_QUEUED / SIZE).div_ceil(lanes.into()) {
            for (lane, frames) in (0..lanes).zip(&mut frames) {
                match handle.queue_on(ReplicaId(1), lane, &frames.header(), frames.body()) {
                    Ok(()) => frames.advance(),
                    Err(full) if matches!(full.cause(), SendCause::Backpressure { .. }) => is_full = true,
                    Err(_) if course.is_over() => {}
                    Err(refused) => return Err(refused.into()),
                }
            }
        }
        let mut events = shard.poll(Some(if is_full { PATIENCE } else { std::time::Duration::ZERO }))?;
        while events.next().is_some() {}
    }
    Ok(counter.finish())
}

fn receive(shard: &mut Shard, lanes: u16, course: &Course) -> Result<Counted, Failure> {
    let mut counter = Counter::new(course);
    let mut orders = vec![Order::default(); lanes.into()];
    while counter.goes_on() {
        next_frame(shard, course, |header, _, lane| {
            let order = orders.get_mut(usize::from(lane)).ok_or("a lane too many")?;
            counter.add(order.check(header)?);
            Ok(())
        })?;
    }
    Ok(counter.finish())
}
