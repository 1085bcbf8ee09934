use replink_transport::frame::{ClusterId, ReplicaId};
use replink_transport::node::{NodeStats, Shard};

use super::{connect, fill, next_frame};
use crate::link::{Cluster, Replicas};
use crate::{Calls, Counted, Counter, Course, Failure, Flow, Frames, Order, Task, Window, on_threads};

/// What a thread counted, and the node's statistics when the counted phase began and ended.
type Observed = (Counted, NodeStats, NodeStats);

pub(crate) fn measure(cluster: &Cluster, shards: u16, size: usize, window: Window) -> Result<Flow, Failure> {
    between(&mut Replicas::start(cluster, shards)?, cluster.config().cluster, size, window)
}

/// Frames of `size` bytes from replica 0 to replica 1 of two.
///
/// # Errors
///
/// [`Failure`].
pub fn between(replicas: &mut Replicas, id: ClusterId, size: usize, window: Window) -> Result<Flow, Failure> {
    let [ours, theirs] = &mut replicas.shards[..] else { return Err("two replicas are measured".into()) };
    let shards = ours.len();
    let mut tasks: Vec<Task<'_, Observed>> = Vec::new();
    for shard in ours {
        tasks.push(Task::sending(move |course| send(shard, id, size, course)));
    }
    for shard in theirs {
        tasks.push(Task::receiving(move |course| receive(shard, course)));
    }
    let observed = on_threads(window, tasks)?;
    let counted: Vec<_> = observed.iter().map(|observed| observed.0).collect();
    let (sender, receiver) = (&observed[0], &observed[shards]);
    Ok(Flow { calls: Some(calls(sender, receiver)), ..Flow::of(&[], &counted) })
}

#[allow(clippy::cast_precision_loss, reason = "figures are for people")]
fn calls((_, before, after): &Observed, (_, before_receiving, after_receiving): &Observed) -> Calls {
    let (sent, received) = (after.sent(), after_receiving.received());
    let (sent_before, received_before) = (before.sent(), before_receiving.received());
    let per = |calls: u64, frames: u64| calls as f64 / frames as f64;
    Calls {
        reads: per(received.reads - received_before.reads, received.frames - received_before.frames),
        writes: per(sent.writes - sent_before.writes, sent.written_frames - sent_before.written_frames),
    }
}

fn send(shard: &mut Shard, cluster: ClusterId, size: usize, course: &Course) -> Result<Observed, Failure> {
    let handle = shard.handle();
    let mut frames = Frames::new(cluster, size);
    let mut counter = Counter::of_time(course);
    let mut before = None;
    connect(shard, ReplicaId(1))?;
    while counter.goes_on() {
        if counter.is_counting() && before.is_none() {
            before = Some(handle.stats());
        }
        fill(shard, ReplicaId(1), &mut frames, course)?;
    }
    Ok((counter.finish(), before.unwrap_or_default(), handle.stats()))
}

fn receive(shard: &mut Shard, course: &Course) -> Result<Observed, Failure> {
    let handle = shard.handle();
    let mut order = Order::default();
    let mut counter = Counter::new(course);
    let mut before = None;
    while counter.goes_on() {
        if counter.is_counting() && before.is_none() {
            before = Some(handle.stats());
        }
        next_frame(shard, course, |header, _, _| {
            counter.add(order.check(header)?);
            Ok(())
        })?;
    }
    Ok((counter.finish(), before.unwrap_or_default(), handle.stats()))
}
