use replink_transport::blocking::{Receiver, Sender};
use replink_transport::frame::ClusterId;
use replink_transport::{Received, SendCause};

use super::link;
use crate::link::{Cluster, node::BURST_BYTES};
use crate::{Counted, Counter, Course, Failure, Flow, Frames, Order, Task, Window, on_threads};

pub(crate) fn measure(cluster: &Cluster, links: u16, size: usize, window: Window) -> Result<Flow, Failure> {
    let id = cluster.config().cluster;
    // The halves that are not used stay open until the end.
    let mut unused = Vec::new();
    let mut tasks: Vec<Task<'_>> = Vec::new();
    for _ in 0..links {
        let ((sender, back), (forth, receiver)) = link(cluster)?;
        unused.push((back, forth));
        tasks.push(Box::new(move |course| send(sender, id, size, course)));
        tasks.push(Box::new(move |course| receive(receiver, course)));
    }
    Ok(Flow::of(&[], &on_threads(window, tasks)?))
}

fn send(sender: Sender, cluster: ClusterId, size: usize, course: &Course) -> Result<Counted, Failure> {
    let mut sender = sender;
    let mut frames = Frames::new(cluster, size);
    let mut counter = Counter::of_time(course);
    while counter.goes_on() {
        let mut bytes = 0;
        while bytes < BURST_BYTES {
            match sender.queue(&frames.header(), frames.body()) {
                Ok(()) => frames.advance(),
                Err(full) if matches!(full.cause(), SendCause::Backpressure { .. }) => break,
                Err(refused) => return Err(refused.into()),
            }
            bytes += size;
        }
        match sender.flush() {
            Err(error) if !course.is_over() => return Err(error.into()),
            _ => {}
        }
    }
    let _ = sender.link().stream().shutdown(std::net::Shutdown::Write); // whoever waits for more is woken
    Ok(counter.finish())
}

fn receive(receiver: Receiver, course: &Course) -> Result<Counted, Failure> {
    let mut receiver = receiver;
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
    let _ = receiver.link().stream().shutdown(std::net::Shutdown::Both); // nor does the sender wait
    Ok(counter.finish())
}
