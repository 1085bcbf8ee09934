use std::time::Instant;

use replink_handshake::{AcceptFailed, Authenticated, Availability, ChannelBinding, Rejected, disabled};

use super::handshake_io::{FrameIo, close_after_reject, make_blocking};
use crate::endpoint::Answering;
use crate::exchange::{AcceptFailure, Step};
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
    let mut io = FrameIo::until(deadline);
    let first = io.read(&link, Step::Hello)?;
    let accepted = match endpoint.answering() {
        Answering::Authenticated(acceptor) => {
            let waiting = acceptor.begin(link, ChannelBinding::None);
            let (mut waiting, challenge) = match waiting.receive(&first, availability, fresh()?) {
                Ok(answered) => answered,
                Err(rejected) => return Err(tell(rejected, io, deadline)),
            };
            io.write(waiting.link_mut(), Step::Challenge, challenge.bytes())?;
            let finish = io.read(waiting.link_mut(), Step::Finish)?;
            match waiting.receive(&finish) {
                Ok(verified) => verified.admit(),
                Err(AcceptFailed::Rejected(rejected)) => return Err(tell(rejected, io, deadline)),
                Err(AcceptFailed::RejectedByPeer { reject, .. }) => {
                    return Err(AcceptFailure::RejectedByPeer(reject));
                }
            }
        }
        Answering::Disabled { local, roster } => {
            match disabled::accept(link, local, *roster).receive(&first) {
                Ok(accepted) => accepted,
                Err(rejected) => return Err(tell(rejected, io, deadline)),
            }
        }
    };
    io.finish(accepted.link(), Step::Finish)?;
    Ok(accepted)
}

fn tell(rejected: Rejected<Link>, mut io: FrameIo, deadline: Instant) -> AcceptFailure {
    let (link, reply, rejection) = rejected.into_parts();
    // Whether the peer takes the reject is its own affair.
    if io.write(&link, Step::Challenge, &reply).is_ok() {
        close_after_reject(&link, deadline);
    }
    rejection.into()
}
