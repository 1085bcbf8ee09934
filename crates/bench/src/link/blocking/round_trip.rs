use std::time::{Duration, Instant};

use replink_transport::Received;
use replink_transport::blocking::Receiver;
use replink_transport::frame::ClusterId;

use super::{Halves, link};
use crate::link::Cluster;
use crate::{Counter, Course, Failure, Frames, Order, RoundTrips, Task, Window, on_threads};

pub(crate) fn measure(cluster: &Cluster, size: usize, window: Window) -> Result<RoundTrips, Failure> {
    let id = cluster.config().cluster;
    let (ours, theirs) = link(cluster)?;
    let tasks: Vec<Task<'_, _>> = vec![
        Task::sending(move |course| ping(ours, id, size, course)),
        Task::receiving(move |course| echo(theirs, id, size, course)),
    ];
    Ok(RoundTrips::new(on_threads(window, tasks)?.swap_remove(0)))
}

fn ping(halves: Halves, cluster: ClusterId, size: usize, course: &Course) -> Result<Vec<Duration>, Failure> {
    let (mut sender, mut receiver) = halves;
    let mut frames = Frames::new(cluster, size);
    let mut order = Order::default();
    let mut times = Vec::new();
    let mut counter = Counter::new(course);
    while counter.goes_on() {
        let sent = Instant::now();
        sender.send(&frames.header(), frames.body())?;
        frames.advance();
        wait_for_frame(&mut receiver, &mut order)?;
        if counter.is_counting() {
            times.push(sent.elapsed());
            counter.add(0);
        }
    }
    Ok(times)
}

fn echo(halves: Halves, cluster: ClusterId, size: usize, course: &Course) -> Result<Vec<Duration>, Failure> {
    let (mut sender, mut receiver) = halves;
    let mut frames = Frames::new(cluster, size);
    let mut order = Order::default();
    loop {
        let exchanged = wait_for_frame(&mut receiver, &mut order)
            .and_then(|()| Ok(sender.send(&frames.header(), frames.body())?));
        match exchanged {
            Ok(()) => frames.advance(),
            Err(_) if course.is_over() => return Ok(Vec::new()),
            Err(failure) => return Err(failure),
        }
    }
}

fn wait_for_frame(receiver: &mut Receiver, order: &mut Order) -> Result<(), Failure> {
    loop {
        if let Some(Received::Frame(frame)) = receiver.receive()? {
            return order.check(frame.header()).map(drop);
        }
    }
}
