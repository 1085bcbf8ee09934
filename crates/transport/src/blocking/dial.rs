use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use replink_frame::Status;
use replink_handshake::{Authenticated, ChannelBinding, DialError, DialFailed, DialTarget, disabled};

use super::handshake_io::{FrameIo, make_blocking};
use crate::endpoint::Dialing;
use crate::exchange::{DialFailure, Step};
use crate::{Endpoint, Link, fresh};

/// Connects to the first of `addresses` that answers and shakes hands, all of it before
/// `deadline`; an address that does not answer gets its equal share of the time. A peer that does not know the offered key is asked again with the next (K-2), each
/// time over a new connection.
///
/// # Errors
///
/// [`DialFailure`] of the last attempt.
pub fn connect(
    endpoint: &Endpoint,
    target: DialTarget,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<Authenticated<Link>, DialFailure> {
    let mut target = target;
    loop {
        let link = connect_any(addresses, deadline)?;
        match shake_hands(link, endpoint, target, deadline) {
            Err(DialFailure::Handshake(DialError::Rejected(reject)))
                if reject.status == Status::UNKNOWN_KEY
                    && target.key_index + 1 < endpoint.key_count(target.peer) =>
            {
                target.key_index += 1;
            }
            result => return result,
        }
    }
}

fn connect_any(addresses: &[SocketAddr], deadline: Instant) -> Result<Link, DialFailure> {
    let mut failure = DialFailure::NoAddress;
    for (&address, untried) in addresses.iter().zip((1..=addresses.len()).rev()) {
        // One that swallows everything leaves the others their share of the time.
        let share = u32::try_from(untried).unwrap_or(u32::MAX);
        let left = deadline.saturating_duration_since(Instant::now()) / share;
        let connected = if left.is_zero() {
            Err(io::Error::from(io::ErrorKind::TimedOut))
        } else {
            TcpStream::connect_timeout(&address, left).and_then(|stream| Link::connected(stream, address))
        };
        match connected {
            Ok(link) => return Ok(link),
            Err(source) => failure = DialFailure::Connect { address, source },
        }
    }
    Err(failure)
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
    shake_hands(link, endpoint, target, deadline)
}

/// On a link that blocks.
fn shake_hands(
    link: Link,
    endpoint: &Endpoint,
    target: DialTarget,
    deadline: Instant,
) -> Result<Authenticated<Link>, DialFailure> {
    let mut io = FrameIo::until(deadline);
    let authenticated = match endpoint.dialing() {
        Dialing::Authenticated(dialer) => {
            let (mut waiting, hello) =
                dialer.begin(link, target, ChannelBinding::None, fresh()?).map_err(|failed| failed.error)?;
            io.write(waiting.link_mut(), Step::Hello, hello.bytes())?;
            let challenge = io.read(waiting.link_mut(), Step::Challenge)?;
            let (authenticated, finish) =
                waiting.receive(&challenge).map_err(|failed| tell(failed, &mut io))?;
            io.write(authenticated.link(), Step::Finish, finish.bytes())?;
            authenticated
        }
        Dialing::Disabled { local } => {
            let (unproved, hello) =
                disabled::dial(link, local, target.peer).map_err(|failed| failed.error)?;
            io.write(unproved.link(), Step::Hello, hello.bytes())?;
            unproved
        }
    };
    io.finish(authenticated.link(), Step::Finish)?;
    Ok(authenticated)
}

/// D-12: the peer that proved itself, but does not suit us, gets to know why.
fn tell(failed: DialFailed<Link>, io: &mut FrameIo) -> DialError {
    let DialFailed { link, reply, error } = failed;
    if let Some(reply) = reply {
        // Whether the peer takes the reject is its own affair. It has sent nothing that is unread, so
        // closing does not reset the connection.
        let _ = io.write(&link, Step::Finish, &reply);
    }
    error
}
