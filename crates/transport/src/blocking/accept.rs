use std::sync::Arc;
use std::time::Instant;

use replink_handshake::{Authenticated, Availability, ChannelBinding};

use super::shaking_hands::{Timeouts, make_blocking};
use crate::exchange::{AcceptFailure, Accepted, Accepting, Exchange, Step, VersionOneKeys, Want};
use crate::{Endpoint, Link, fresh};

/// Answers a handshake on an accepted connection, all of it before `deadline`.
///
/// # Errors
///
/// [`AcceptFailure`]; a peer that is turned away has been told why.
pub fn accept(
    link: Link,
    endpoint: &Endpoint,
    availability: Availability,
    deadline: Instant,
) -> Result<Authenticated<Link>, AcceptFailure> {
    shake_hands(Accepting::new(link, endpoint, ChannelBinding::None, deadline), availability)
}

/// The same for a connection from an address of the roster: a peer of version 1, whose Hello names no key, is answered
/// with each key of the ring in turn until one fits (K-2), so that its keys can be changed. `keys` is to be the same one
/// for all connections.
///
/// # Errors
///
/// As [`accept`].
pub fn accept_trying_keys(
    link: Link,
    endpoint: &Endpoint,
    availability: Availability,
    keys: &Arc<VersionOneKeys>,
    deadline: Instant,
) -> Result<Authenticated<Link>, AcceptFailure> {
    let accepting = Accepting::new(link, endpoint, ChannelBinding::None, deadline).trying_keys(keys);
    shake_hands(accepting, availability)
}

fn shake_hands(
    mut accepting: Accepting<Link>,
    availability: Availability,
) -> Result<Authenticated<Link>, AcceptFailure> {
    if let Some(link) = accepting.link_mut() {
        make_blocking(link, Step::Hello)?;
    }
    let mut timeouts = Timeouts::default();
    timeouts.drive(&mut accepting);
    if let Want::Answer = accepting.want() {
        accepting.answer(availability, fresh()?, Instant::now());
        timeouts.drive(&mut accepting);
    }
    let authenticated = match accepting.finish() {
        Accepted::Proved(verified) => verified.admit(),
        Accepted::Unproved(authenticated) => authenticated,
        Accepted::Rejected(mut leaving) => {
            timeouts.drive(&mut leaving);
            return Err(leaving.finish().into());
        }
        Accepted::Failed(failure) => return Err(failure),
    };
    timeouts.take_off(authenticated.link())?;
    Ok(authenticated)
}
