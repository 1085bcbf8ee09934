use std::time::Instant;

use replink_handshake::{Authenticated, Availability, ChannelBinding};

use super::shaking_hands::{Timeouts, make_blocking};
use crate::exchange::{AcceptFailure, Accepted, Accepting, Exchange, Step, Want};
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
    make_blocking(&link, Step::Hello)?;
    let mut timeouts = Timeouts::default();
    let mut accepting = Accepting::new(link, endpoint, ChannelBinding::None, deadline);
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
