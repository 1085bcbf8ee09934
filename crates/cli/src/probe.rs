//! `replink probe`: one handshake, and what it shows.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use replink_transport::blocking::{self, LinkEnd, Receiver, Sender};
use replink_transport::exchange::{DialFailure, UnreachableReason};
use replink_transport::frame::{Flags, GoodbyeReason, ReplicaId, Status, Version};
use replink_transport::handshake::{Authentication, ControlMessage, DialError, DialTarget, Peer};
use replink_transport::mesh::PROBE_LANE;
use replink_transport::{Endpoint, InboundError, Received, incarnation};
use serde_json::{Value, json};

use crate::arguments::ProbeOptions;
use crate::look_up::look_up;
use crate::serve::{incarnation_text, status_name};
use crate::{configuration, fail, output};

/// Exit codes beyond 0 (up) and 1 (bad configuration).
const REJECTED: u8 = 2;
const UNREACHABLE: u8 = 3;

/// What a probe found out.
enum Outcome {
    Up { peer: Peer, address: SocketAddr, handshake: Duration, round_trip: Option<Duration> },
    Rejected { status: Status, authenticated: bool, by_us: bool, explanation: String },
    Unreachable { reason: UnreachableReason, explanation: String },
}

pub(crate) fn run(options: &ProbeOptions) -> ExitCode {
    let config = match configuration::load(&options.config) {
        Ok(config) => config,
        Err(errors) => return fail(errors),
    };
    let peer = ReplicaId(options.peer);
    let Some(node) = config.node(peer) else {
        return fail(format_args!("replica {peer} is not in cluster.nodes"));
    };
    let Some(replica) = options.replica_id.map(ReplicaId).or(config.replica_id) else {
        return fail("as which replica? give --replica-id, or set cluster.replica_id");
    };
    if replica >= peer {
        // H-1
        return fail(format_args!(
            "replica {replica} can't probe replica {peer}: the lower id dials; probe as a lower one"
        ));
    }
    let endpoint = match incarnation() {
        Ok(incarnation) => config.endpoint(replica, None, incarnation),
        Err(error) => return fail(error),
    };
    let endpoint = match endpoint {
        Ok(endpoint) => endpoint,
        Err(error) => return fail(error),
    };
    // A name server's time is not the peer's.
    let answer = look_up(std::slice::from_ref(&node.address)).pop().flatten();
    let (outcome, address) = match answer.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())) {
        Ok(addresses) => {
            let deadline = Instant::now() + config.auth.handshake_timeout;
            (probe(&endpoint, peer, &addresses, deadline), addresses.first().copied())
        }
        Err(error) => {
            let explanation = format!("can't resolve {}: {error}", node.address);
            (Outcome::Unreachable { reason: UnreachableReason::Name, explanation }, None)
        }
    };
    let report = outcome.report(peer, address);
    let text = if options.json { report.to_string() } else { text(&report) };
    output::report(&text, outcome.exit_code())
}

/// Version 1 has no lanes: there a probe takes the place of the link.
fn probe(endpoint: &Endpoint, peer: ReplicaId, addresses: &[SocketAddr], deadline: Instant) -> Outcome {
    let began = Instant::now();
    let lane = if endpoint.version() == Version::V2 { PROBE_LANE } else { 0 };
    let target = DialTarget::new(peer).lane(lane);
    let authenticated = match blocking::connect(endpoint, target, addresses, deadline) {
        Ok(authenticated) => authenticated,
        Err(failure) if failure.reason() != UnreachableReason::Rejected => return unreachable(&failure),
        Err(DialFailure::Handshake(error)) => {
            let (authenticated, by_us) = match &error {
                DialError::Rejected(reject) => (reject.authenticated, false),
                _ => (false, true),
            };
            let status = error.status().unwrap_or_default();
            return Outcome::Rejected { status, authenticated, by_us, explanation: error.to_string() };
        }
        Err(failure) => return unreachable(&failure),
    };
    let handshake = began.elapsed();
    match blocking::open(authenticated, endpoint.outbound_limits()) {
        Ok((sender, receiver)) => confirm(handshake, sender, receiver, deadline),
        Err(error) => ended(error.to_string()),
    }
}

fn unreachable(failure: &DialFailure) -> Outcome {
    let reason = failure.reason();
    Outcome::Unreachable { reason, explanation: format!("{failure}; {}", reason.advice()) }
}

/// The connection failed when the handshake was over.
fn ended(explanation: String) -> Outcome {
    Outcome::Unreachable { reason: UnreachableReason::Ended, explanation }
}

/// How long to wait for a pong; a peer that takes the handshake and answers none is up all the same.
const PONG_WAIT: Duration = Duration::from_secs(1);

/// How long to listen for a late reject on a link that has no ping to answer.
const LATE_REJECT_WAIT: Duration = Duration::from_millis(200);

/// The acceptor has the last word (H-9): a ping that is answered says that it took our Finish.
fn confirm(handshake: Duration, mut sender: Sender, mut receiver: Receiver, deadline: Instant) -> Outcome {
    let (peer, address) = (*receiver.peer(), receiver.link().peer_address());
    let wait = if peer.version == Version::V2 { PONG_WAIT } else { LATE_REJECT_WAIT };
    let deadline = deadline.min(Instant::now() + wait);
    let pinged = Instant::now();
    let counter = match sender.ping() {
        Ok(counter) => counter,
        Err(error) => return ended(format!("connection failed after the handshake: {error}")),
    };
    let round_trip = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break None;
        }
        if let Err(error) = receiver.set_timeout(Some(left)) {
            return ended(error.to_string());
        }
        match receiver.receive() {
            Ok(Some(Received::Control(ControlMessage::Pong { echo }))) if Some(echo) == counter => {
                break Some(pinged.elapsed());
            }
            Ok(_) => {}
            Err(LinkEnd::Violation(InboundError::LateReject(reject))) => {
                return Outcome::Rejected {
                    status: reject.status,
                    authenticated: reject.authenticated,
                    by_us: false,
                    explanation: reject.to_string(),
                };
            }
            Err(end) => return ended(format!("after the handshake: {end}")),
        }
    };
    let _ = sender.goodbye(GoodbyeReason::OPERATOR);
    Outcome::Up { peer, address, handshake, round_trip }
}

impl Outcome {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Up { .. } => ExitCode::SUCCESS,
            Self::Rejected { .. } => ExitCode::from(REJECTED),
            Self::Unreachable { .. } => ExitCode::from(UNREACHABLE),
        }
    }

    /// `first` is where it was tried first.
    fn report(&self, replica: ReplicaId, first: Option<SocketAddr>) -> Value {
        let address = first.map(|address| address.to_string());
        match self {
            Self::Up { peer, address, handshake, round_trip } => json!({
                "result": "up",
                "peer": replica.0,
                "address": address.to_string(),
                "status": status_name(Status::OK),
                "authenticated": peer.authentication != Authentication::Disabled,
                "version": peer.version.number(),
                "flags": peer.flags.to_string(),
                "sealed": peer.flags.contains(Flags::SEALED),
                "forward_secret": peer.flags.contains(Flags::EPHEMERAL),
                "key_id": peer.authentication.key_id().map(|id| id.to_string()),
                "incarnation": incarnation_text(peer),
                "release": (peer.version == Version::V2).then_some(peer.release),
                "handshake_ms": milliseconds(*handshake),
                "round_trip_ms": round_trip.map(milliseconds),
            }),
            Self::Rejected { status, authenticated, by_us, explanation } => json!({
                "result": "rejected",
                "peer": replica.0,
                "address": address,
                "status": status_name(*status),
                "authenticated": authenticated,
                "by": if *by_us { "us" } else { "peer" },
                "explanation": explanation,
            }),
            Self::Unreachable { reason, explanation } => json!({
                "result": "unreachable",
                "peer": replica.0,
                "address": address,
                "reason": reason.name(),
                "explanation": explanation,
            }),
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The report for a person: one field per line.
fn text(report: &Value) -> String {
    let Value::Object(fields) = report else { return report.to_string() };
    let lines = fields.iter().map(|(key, value)| match value {
        Value::String(text) => format!("{key:>14}  {text}"),
        Value::Null => format!("{key:>14}  -"),
        Value::Number(number) if number.is_f64() => {
            format!("{key:>14}  {:.3}", number.as_f64().unwrap_or(0.0))
        }
        other => format!("{key:>14}  {other}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::thread;

    use replink_transport::frame::Version;
    use replink_transport::handshake::{
        App, Availability, ControlMessage, Key, KeyRing, Local, Secret, cluster_id,
    };
    use replink_transport::{EndpointSettings, Link};

    use super::*;

    fn endpoint(replica: u8) -> Endpoint {
        let (app, replica) = (App::default(), ReplicaId(replica));
        let key = Key::derive(&app, &Secret::new(vec![7; 32]).unwrap());
        let local = Local::new(app, cluster_id("orders"), replica).incarnation(1);
        let roster = (0..2).map(ReplicaId).collect();
        let settings = EndpointSettings::new(local, Some(Arc::new(KeyRing::new(key, []))), roster);
        assert_eq!(settings.version, Version::V2);
        Endpoint::new(settings).unwrap()
    }

    /// A name may stand for a web server as well as for the replica.
    #[test]
    fn the_address_behind_another_server_is_probed_too() {
        let [other, replica] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = [&other, &replica].map(|listener| listener.local_addr().unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream = other.accept().unwrap().0;
                stream.read_exact(&mut [0; 256]).unwrap();
                let _ = stream.write_all(&b"HTTP/1.1 400 Bad Request\r\n\r\n".repeat(10));
            });
            scope.spawn(|| {
                let link = Link::new(replica.accept().unwrap().0).unwrap();
                let link = blocking::accept(link, &endpoint(1), Availability::Open, deadline).unwrap();
                let (mut sender, mut receiver) = blocking::open(link, endpoint(1).outbound_limits()).unwrap();
                while let Ok(received) = receiver.receive() {
                    if let Some(Received::Control(ControlMessage::Ping { counter })) = received {
                        sender.pong(counter).unwrap();
                    }
                }
            });
            let outcome = probe(&endpoint(0), ReplicaId(1), &addresses, deadline);
            let report = outcome.report(ReplicaId(1), addresses.first().copied());
            assert_eq!(report["result"], "up", "{report}");
            assert_eq!(report["address"], addresses[1].to_string());
        });
    }

    /// Whatever else listens there, it is no replica that refuses.
    #[test]
    fn something_else_is_no_replica() {
        let answers = [b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec(), vec![b'x'; 4096]];
        for answer in answers {
            let other = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = other.local_addr().unwrap();
            let server = thread::spawn(move || {
                let mut stream = other.accept().unwrap().0;
                stream.read_exact(&mut [0; 256]).unwrap();
                stream.write_all(&answer).unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                let _ = stream.read(&mut [0]);
            });
            let deadline = Instant::now() + Duration::from_secs(20);
            let outcome = probe(&endpoint(0), ReplicaId(1), &[address], deadline);
            let report = outcome.report(ReplicaId(1), Some(address));
            assert_eq!(
                (&report["result"], &report["reason"]),
                (&"unreachable".into(), &"not_a_replica".into())
            );
            assert_eq!(outcome.exit_code(), ExitCode::from(UNREACHABLE));
            server.join().unwrap();
        }
    }
}
