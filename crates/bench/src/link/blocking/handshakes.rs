use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use replink_transport::blocking;
use replink_transport::frame::ReplicaId;
use replink_transport::handshake::{Availability, DialTarget};
use replink_transport::{Endpoint, Link};

use crate::link::Cluster;
use crate::loopback::{Knock, STALL_MAX};
use crate::{Counted, Counter, Course, Failure, Handshakes, Task, Window, on_threads};

pub(crate) fn measure(cluster: &Cluster, window: Window) -> Result<Handshakes, Failure> {
    let (dialer, acceptor) = (cluster.endpoint(0)?, cluster.endpoint(1)?);
    let listener = cluster.listener(1)?;
    let address = listener.local_addr()?;
    let tasks: Vec<Task<'_>> = vec![
        Task::sending(move |course| {
            let _knock = Knock(address);
            dial(&dialer, address, course)
        }),
        Task::receiving(move |course| accept(&acceptor, &listener, course)),
    ];
    let counted = on_threads(window, tasks)?;
    Ok(Handshakes::of(&counted[0], &counted[1]))
}

/// Connects, shakes hands and closes, over and over.
pub(crate) fn dial(dialer: &Endpoint, address: SocketAddr, course: &Course) -> Result<Counted, Failure> {
    let target = DialTarget::new(ReplicaId(1));
    let mut counter = Counter::new(course);
    while counter.goes_on() {
        drop(blocking::connect(dialer, target, &[address], Instant::now() + STALL_MAX)?);
        counter.add(0);
    }
    Ok(counter.finish())
}

/// Until the dialer, which knows when it is over, connects and says nothing.
fn accept(acceptor: &Endpoint, listener: &TcpListener, course: &Course) -> Result<Counted, Failure> {
    let mut counter = Counter::of_time(course);
    loop {
        counter.goes_on();
        let (stream, _) = listener.accept()?;
        let link = Link::new(stream)?;
        match blocking::accept(link, acceptor, Availability::Open, Instant::now() + STALL_MAX) {
            Err(failure) if counter.goes_on() => return Err(failure.into()),
            Err(_) => return Ok(counter.finish()),
            Ok(link) => drop(link),
        }
    }
}
