use std::time::{Duration, Instant};

use replink_transport::frame::{ClusterId, ReplicaId};
use replink_transport::node::Shard;

use super::{connect, next_frame};
use crate::link::{Cluster, Replicas};
use crate::{Counter, Course, Failure, Frames, Order, RoundTrips, Task, Window, on_threads};

pub(crate) fn measure(
    cluster: &Cluster,
    shards: u16,
    size: usize,
    window: Window,
) -> Result<RoundTrips, Failure> {
    between(&mut Replicas::start(cluster, shards)?, cluster.config().cluster, size, window)
}

/// Frames of `size` bytes from replica 0 to replica 1 of two, and back.
///
/// # Errors
///
/// [`Failure`].
pub fn between(
    replicas: &mut Replicas,
    id: ClusterId,
    size: usize,
    window: Window,
) -> Result<RoundTrips, Failure> {
    let [ours, theirs] = &mut replicas.shards[..] else { return Err("two replicas are measured".into()) };
    let mut tasks: Vec<Task<'_, _>> = Vec::new();
    for (index, shard) in ours.iter_mut().enumerate() {
        // One pair of shards plays; the others see to what is theirs.
        tasks.push(match index {
            0 => Task::sending(move |course| ping(shard, id, size, course)),
            _ => Task::sending(move |course| idle(shard, course)),
        });
    }
    for shard in theirs {
        tasks.push(Task::receiving(move |course| echo(shard, id, size, course)));
    }
    Ok(RoundTrips::new(on_threads(window, tasks)?.swap_remove(0)))
}

pub(crate) fn ping(
    shard: &mut Shard,
    cluster: ClusterId,
    size: usize,
    course: &Course,
) -> Result<Vec<Duration>, Failure> {
    let mut frames = Frames::new(cluster, size);
    let mut order = Order::default();
    let mut times = Vec::new();
    let mut counter = Counter::new(course);
    connect(shard, ReplicaId(1))?;
    while counter.goes_on() {
        let sent = Instant::now();
        shard.send(ReplicaId(1), &frames.header(), frames.body())?;
        frames.advance();
        let mut returned = false;
        while !returned && !course.is_over() {
            next_frame(shard, course, |header, _, _| {
                returned = true;
                order.check(header).map(drop)
            })?;
        }
        if returned && counter.is_counting() {
            times.push(sent.elapsed());
            counter.add(0);
        }
    }
    Ok(times)
}

pub(crate) fn echo(
    shard: &mut Shard,
    cluster: ClusterId,
    size: usize,
    course: &Course,
) -> Result<Vec<Duration>, Failure> {
    let handle = shard.handle();
    let mut frames = Frames::new(cluster, size);
    let mut order = Order::default();
    while !course.is_over() {
        next_frame(shard, course, |header, peer, lane| {
            order.check(header)?;
            match handle.send_on(peer, lane, &frames.header(), frames.body()) {
                Err(refused) if !course.is_over() => return Err(refused.into()),
                _ => frames.advance(),
            }
            Ok(())
        })?;
    }
    Ok(Vec::new())
}

fn idle(shard: &mut Shard, course: &Course) -> Result<Vec<Duration>, Failure> {
    while !course.is_over() {
        next_frame(shard, course, |_, _, _| Ok(()))?;
    }
    Ok(Vec::new())
}
