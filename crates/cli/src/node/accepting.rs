use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use replink_transport::blocking::{self, AcceptFailure};
use replink_transport::frame::Status;
use replink_transport::handshake::{Authentication, Availability};
use replink_transport::{Link, Slot};

use super::event::{Event, Refusal};
use super::{Shared, running_link, spawn};

/// How long to leave a listener alone that can't accept, for instance because the process is out
/// of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// When a peer should come back that finds us leaving.
const DRAINING_RETRY_MS: u32 = 1000;

/// Accepts connections until the process ends.
pub(super) fn run(shared: &Arc<Shared>, listener: &TcpListener) {
    loop {
        match listener.accept() {
            Ok((stream, address)) => admit(shared, stream, address),
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                tracing::warn!("can't accept connections: {error}; trying again");
                thread::sleep(ACCEPT_PAUSE);
            }
        }
    }
}

/// The connection was gone before it was accepted; the listener is fine.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// What is decided before a byte is read.
fn admit(shared: &Arc<Shared>, stream: TcpStream, address: SocketAddr) {
    let settings = shared.settings();
    let refuse = |status, explanation| {
        let refusal = Refusal { address, peer: None, status, authenticated: false, by_us: true, explanation };
        shared.report(&Event::Rejected(refusal));
    };
    if !settings.config.auth.allows(address.ip()) {
        let explanation = "its address is not in cluster.auth.allow; closed unread".to_owned();
        return refuse(Status::NOT_ALLOWED, explanation);
    }
    let slot = match shared.pending.take(address.ip(), settings.pending_limits()) {
        Ok(slot) => slot,
        Err(full) => return refuse(Status::BUSY, format!("{full}; closed unread")),
    };
    let accepting = Arc::clone(shared);
    if let Err(error) = spawn("handshake", move || shake_hands(&accepting, stream, address, slot)) {
        tracing::warn!(%address, "connection closed: {error}");
    }
}

fn shake_hands(shared: &Arc<Shared>, stream: TcpStream, address: SocketAddr, slot: Slot) {
    let settings = shared.settings();
    let deadline = Instant::now() + settings.handshake_timeout();
    let availability = if shared.links.is_stopping() {
        Availability::Draining { retry_after_ms: DRAINING_RETRY_MS }
    } else {
        Availability::Open
    };
    let accepted =
        Link::new(stream).map_err(|error| error.to_string()).and_then(|link| {
            match blocking::accept(link, &settings.endpoint, availability, deadline) {
                Ok(accepted) => Ok(accepted),
                Err(AcceptFailure::Rejected(rejection)) => {
                    shared.report(&Event::Rejected(Refusal {
                        address,
                        peer: rejection.claimed,
                        status: rejection.status,
                        authenticated: rejection.authenticated,
                        by_us: true,
                        explanation: rejection.to_string(),
                    }));
                    Err(String::new())
                }
                Err(error) => Err(error.to_string()),
            }
        });
    drop(slot);
    match accepted {
        Ok(accepted) => {
            if accepted.peer().authentication == Authentication::Disabled {
                let peer = accepted.peer().replica;
                shared.warn(format!(
                    "accepted {address} as replica {peer} without authentication, which is disabled"
                ));
            }
            running_link::run(shared, accepted);
        }
        Err(reported) if reported.is_empty() => {}
        Err(error) => tracing::warn!(%address, "connection did not authenticate: {error}"),
    }
}
