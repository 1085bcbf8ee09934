use std::sync::atomic::{AtomicBool, Ordering};

use replink_transport::node::Shard;

use super::PATIENCE;
use crate::link::{Cluster, Replicas, blocking};
use crate::{Counted, Counter, Course, Failure, Handshakes, Task, Window, on_threads};

/// A blocking dialer, so that there is a next one at once, and a node that makes each a link of its own: it
/// comes up, and is lost when the dialer closes it.
pub(crate) fn measure(cluster: &Cluster, shards: u16, window: Window) -> Result<Handshakes, Failure> {
    let dialer = cluster.endpoint(0)?;
    let address = cluster.listener(1)?.local_addr()?;
    // The other replica's node stays away: its port is the dialer's.
    let mut replicas = Replicas::start(cluster, shards)?;
    let mut acceptor = replicas.shards.pop().ok_or("no replica")?;
    drop(replicas);
    let finished = &AtomicBool::new(false);
    let mut tasks: Vec<Task<'_>> = vec![Task::sending(move |course| {
        let counted = blocking::dial(&dialer, address, course);
        finished.store(true, Ordering::Relaxed);
        counted
    })];
    for shard in &mut acceptor {
        tasks.push(Task::receiving(move |course| accept(shard, finished, course)));
    }
    let counted = on_threads(window, tasks)?;
    let mut all = counted[1];
    for shard in &counted[2..] {
        all.cpu += shard.cpu;
    }
    Ok(Handshakes::of(&counted[0], &all))
}

/// The dialer knows when it is over: what it has begun is brought to its end.
fn accept(shard: &mut Shard, finished: &AtomicBool, course: &Course) -> Result<Counted, Failure> {
    let mut counter = Counter::of_time(course);
    while counter.goes_on() || !finished.load(Ordering::Relaxed) {
        let mut events = shard.poll(Some(PATIENCE))?;
        while events.next().is_some() {}
    }
    Ok(counter.finish())
}
