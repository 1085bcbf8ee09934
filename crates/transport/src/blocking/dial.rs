use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use replink_handshake::{Authenticated, ChannelBinding, DialTarget};

use super::shaking_hands::{Timeouts, make_blocking};
use crate::exchange::{DialFailure, Dialing, Exchange, Step, Want};
use crate::{Endpoint, Link, fresh};

/// Connects to the first of `addresses` that proves to be the peer, all of it before `deadline`. One that
/// refuses, closes, answers anything else or says nothing gives way to the next, and each gets its equal share
/// of the time. A peer that does not know the offered key is asked again with the next (K-2), each time over a
/// new connection.
///
/// # Errors
///
/// The [`DialFailure`] that tells the most, see [`Dialing::finish`].
pub fn connect(
    endpoint: &Endpoint,
    target: DialTarget,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<Authenticated<Link>, DialFailure> {
    let mut dialing = Dialing::new(endpoint, target, addresses.to_vec(), deadline, Instant::now());
    let mut timeouts = Timeouts::default();
    loop {
        timeouts.drive(&mut dialing);
        let Want::Connect { address } = dialing.want() else { return up(dialing, timeouts) };
        match connect_until(address, endpoint.source(), dialing.until()) {
            Ok(link) => {
                timeouts = Timeouts::default();
                dialing.connected(link, ChannelBinding::None, fresh()?, Instant::now());
            }
            Err(error) => dialing.failed(error, Instant::now()),
        }
    }
}

fn connect_until(address: SocketAddr, source: Option<IpAddr>, until: Instant) -> io::Result<Link> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Link::connect(address, source, left)
}

/// Shakes hands on a connected link, all of it before `deadline`.
///
/// # Errors
///
/// [`DialFailure`]; never [`DialFailure::Connect`].
pub fn dial(
    link: Link,
    endpoint: &Endpoint,
    target: DialTarget,
    deadline: Instant,
) -> Result<Authenticated<Link>, DialFailure> {
    make_blocking(&link, Step::Hello)?;
    let mut dialing = Dialing::on(link, endpoint, target, ChannelBinding::None, deadline, fresh()?);
    let mut timeouts = Timeouts::default();
    timeouts.drive(&mut dialing);
    up(dialing, timeouts)
}

fn up(dialing: Dialing<Link>, timeouts: Timeouts) -> Result<Authenticated<Link>, DialFailure> {
    let authenticated = dialing.finish()?;
    timeouts.take_off(authenticated.link())?;
    Ok(authenticated)
}
