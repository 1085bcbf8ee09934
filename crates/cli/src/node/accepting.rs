use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use replink_transport::Link;
use replink_transport::blocking::{self, AcceptFailure};
use replink_transport::gate::AcceptErrors;
use replink_transport::handshake::Authentication;

use super::entrance::HeldSlot;
use super::event::{Event, Refusal};
use super::{Shared, running_link, spawn};

/// Accepts connections until the process ends.
pub(super) fn run(shared: &Arc<Shared>, listener: &TcpListener) {
    let mut errors = AcceptErrors::default();
    loop {
        match listener.accept() {
            Ok((stream, address)) => {
                errors.succeeded();
                admit(shared, stream, address);
            }
            Err(error) => {
                let pause = errors.failed(&error);
                if !pause.is_zero() {
                    tracing::warn!("can't accept connections: {error}; trying again in {pause:?}");
                    thread::sleep(pause);
                }
            }
        }
    }
}

/// What is decided before a byte is read.
fn admit(shared: &Arc<Shared>, stream: TcpStream, address: SocketAddr) {
    let slot = match shared.entrance.admit(address.ip()) {
        Ok(slot) => slot,
        Err(refused) => {
            return shared.report(&Event::Rejected(Refusal {
                address,
                peer: None,
                status: refused.status(),
                authenticated: false,
                by_us: true,
                explanation: refused.to_string(),
            }));
        }
    };
    let accepting = Arc::clone(shared);
    if let Err(error) = spawn("handshake", move || shake_hands(&accepting, stream, address, slot)) {
        tracing::warn!(%address, "connection closed: {error}");
    }
}

fn shake_hands(shared: &Arc<Shared>, stream: TcpStream, address: SocketAddr, slot: HeldSlot) {
    let settings = shared.settings();
    let accepted =
        Link::new(stream).map_err(|error| error.to_string()).and_then(|link| {
            match blocking::accept(link, &settings.endpoint, slot.availability, slot.deadline) {
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
    match accepted {
        Ok(accepted) => {
            slot.authenticated(&accepted);
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
