use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use replink_transport::Backoff;
use replink_transport::blocking::{self, DialFailure};
use replink_transport::frame::ReplicaId;
use replink_transport::handshake::{DialError, DialTarget, PeerReject};

use super::event::{Event, Refusal};
use super::settings::Settings;
use super::{Shared, running_link};

/// Keeps a link to `peer` up until it leaves the roster or the node stops.
pub(super) fn run(shared: &Arc<Shared>, peer: ReplicaId) {
    let link_settings = &shared.settings().config.link;
    let mut backoff = Backoff::new(link_settings.reconnect_min, link_settings.reconnect_max);
    let mut last_failure = String::new();
    while !shared.links.is_stopping() {
        let settings = shared.settings();
        let Some(node) = settings.config.node(peer) else { break };
        let failure = match node.address.to_socket_addrs() {
            Ok(addresses) => attempt(shared, &settings, peer, &addresses.collect::<Vec<_>>()),
            Err(error) => Failure::new(format!("can't resolve {}: {error}", node.address)),
        };
        // A link that stayed up, or left in peace, was no failure.
        if failure.up_for >= settings.config.link.reconnect_max {
            backoff.reset();
        }
        if failure.message != last_failure {
            if !failure.message.is_empty() {
                tracing::info!(%peer, "no link: {}; trying on", failure.message);
            }
            last_failure = failure.message;
        }
        let random = getrandom::u64().unwrap_or(u64::MAX);
        thread::sleep(failure.wait.unwrap_or_default().max(backoff.next_wait(random)));
    }
    shared.links.end_dialing(peer);
}

/// How an attempt ended.
#[derive(Default)]
struct Failure {
    /// For the log; empty when the link was up, or the operator has been told.
    message: String,
    up_for: Duration,
    /// At least this long until the next attempt.
    wait: Option<Duration>,
}

impl Failure {
    fn new(message: String) -> Self {
        Self { message, ..Self::default() }
    }
}

fn attempt(shared: &Arc<Shared>, settings: &Settings, peer: ReplicaId, addresses: &[SocketAddr]) -> Failure {
    let deadline = Instant::now() + settings.config.auth.handshake_timeout;
    let target = DialTarget::new(peer);
    match blocking::connect(&settings.endpoint, target, addresses, deadline) {
        Ok(authenticated) => {
            Failure { up_for: running_link::run(shared, authenticated), ..Failure::default() }
        }
        Err(DialFailure::Handshake(error)) => {
            let Some(&address) = addresses.first() else { return Failure::new(error.to_string()) };
            // A refusal that is proved is for an operator to mend: loud, and not so often.
            let wait = match &error {
                DialError::Rejected(reject) if reject.retry_after_ms > 0 => {
                    Duration::from_millis(reject.retry_after_ms.into())
                        .min(settings.config.link.reconnect_max)
                }
                DialError::Rejected(reject) if !reject.authenticated => Duration::ZERO,
                _ => settings.config.link.reconnect_max,
            };
            let event = match &error {
                DialError::Rejected(reject) => rejected(address, *reject),
                error => Event::Rejected(Refusal {
                    address,
                    peer: Some(peer),
                    status: error.status().unwrap_or_default(),
                    authenticated: false,
                    by_us: true,
                    explanation: error.to_string(),
                }),
            };
            shared.report(&event);
            Failure { wait: Some(wait), ..Failure::default() }
        }
        Err(error) => Failure::new(error.to_string()),
    }
}

/// A peer turned us away.
pub(super) fn rejected(address: SocketAddr, reject: PeerReject) -> Event {
    Event::Rejected(Refusal {
        address,
        peer: Some(reject.from),
        status: reject.status,
        authenticated: reject.authenticated,
        by_us: false,
        explanation: reject.to_string(),
    })
}
