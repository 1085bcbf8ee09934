use replink_transport::frame::ClusterId;
use replink_transport::{Received, SendCause};

use super::{Halves, link};
use crate::link::{Cluster, node::BURST_BYTES};
use crate::{Counted, Counter, Course, Failure, Flow, Frames, Order, Task, Window, on_threads};

pub(crate) fn measure(cluster: &Cluster, links: u16, size: usize, window: Window) -> Result<Flow, Failure> {
    let id = cluster.config().cluster;
    let mut tasks: Vec<Task<'_>> = Vec::new();
    for _ in 0..links {
        let (ours, theirs) = link(cluster)?;
        tasks.push(Task::sending(move |course| send(ours, id, size, course)));
        tasks.push(Task::receiving(move |course| receive(theirs, course)));
    }
    Ok(Flow::of(&[], &on_threads(window, tasks)?))
}

/// Whoever is done closes both halves, and so the socket: the other end does not wait for it.
fn send(halves: Halves, cluster: ClusterId, size: usize, course: &Course) -> Result<Counted, Failure> {
    let (mut sender, _receiver) = halves;
    let mut frames = Frames::new(cluster, size);
    let mut counter = Counter::of_time(course);
    while counter.goes_on() {
        let mut bytes = 0;
        let mut is_full = false;
        while bytes < BURST_BYTES && !is_full {
            let mut queued = 0;
            for (header, body) in frames.upcoming(BURST_BYTES) {
                match sender.queue(header, body) {
                    Ok(()) => queued += 1,
                    Err(full) if matches!(full.cause(), SendCause::Backpressure { .. }) => {
                        is_full = true;
                        break;
                    }
                    Err(refused) => return Err(refused.into()),
                }
            }
            frames.advance_by(queued);
            bytes += queued as usize * size;
        }
        match sender.flush() {
            Err(error) if !course.is_over() => return Err(error.into()),
            _ => {}
        }
    }
    Ok(counter.finish())
}

fn receive(halves: Halves, course: &Course) -> Result<Counted, Failure> {
    let (_sender, mut receiver) = halves;
    let mut order = Order::default();
    let mut counter = Counter::new(course);
    while counter.goes_on() {
        match receiver.receive() {
            Ok(Some(Received::Frame(frame))) => counter.add(order.check(frame.header())?),
            Ok(_) => {}
            Err(_) if course.is_over() => {}
            Err(end) => return Err(end.into()),
        }
    }
    Ok(counter.finish())
}
