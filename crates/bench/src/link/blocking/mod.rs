//! Links with a thread for each end.

mod handshakes;
mod round_trip;
mod throughput;

pub(super) use handshakes::{dial, measure as handshakes};
pub(super) use round_trip::measure as round_trip;
pub(super) use throughput::measure as throughput;

use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use replink_transport::blocking::{self, Receiver, Sender};
use replink_transport::frame::ReplicaId;
use replink_transport::handshake::{Availability, DialTarget};
use replink_transport::{Endpoint, Link};

use super::Cluster;
use crate::Failure;
use crate::loopback::{STALL_MAX, set_up};

type Halves = (Sender, Receiver);

/// Both ends of a link that is up.
fn link(cluster: &Cluster) -> Result<(Halves, Halves), Failure> {
    let (dialer, acceptor) = (cluster.endpoint(0)?, cluster.endpoint(1)?);
    let listener = cluster.listener(1)?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    let (accepted, _) = listener.accept()?;
    thread::scope(|scope| {
        let accepting = scope.spawn(|| {
            open(&acceptor, |deadline| {
                Ok(blocking::accept(Link::new(accepted)?, &acceptor, Availability::Open, deadline)?)
            })
        });
        let target = DialTarget::new(ReplicaId(1));
        let ours =
            open(&dialer, |deadline| Ok(blocking::dial(Link::new(stream)?, &dialer, target, deadline)?));
        let theirs = accepting.join().map_err(|_| "the acceptor panicked")?;
        Ok((ours?, theirs?))
    })
}

fn open(
    endpoint: &Endpoint,
    shake_hands: impl FnOnce(Instant) -> Result<replink_transport::handshake::Authenticated<Link>, Failure>,
) -> Result<Halves, Failure> {
    let link = shake_hands(Instant::now() + STALL_MAX)?;
    let (sender, receiver) = blocking::open(link, endpoint.outbound_limits())?;
    set_up(sender.link().stream())?; // the same socket as the receiver's
    Ok((sender, receiver))
}
