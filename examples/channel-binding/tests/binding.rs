//! A direct TLS session carries a link; a relay that terminates TLS on both sides does not.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use channel_binding::link::{self, Link};
use channel_binding::tls::{self, Identity};
use channel_binding::{Failure, TlsStream};
use replink_tests::watchdog::{soon, watched};
use replink_transport::exchange::{AcceptFailure, DialFailure, StreamError};
use replink_transport::frame::{ReplicaId, Status};
use replink_transport::handshake::{ChannelBinding, DialError};
use rustls::ClientConfig;

const SECRET: &[u8] = b"a secret for tests, 32 bytes or more";

type Outcome = Result<Link<TlsStream>, Failure>;

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Replica 2, which accepts once.
fn acceptor(identity: &Identity, bound: bool) -> (SocketAddr, JoinHandle<Outcome>) {
    let ((listener, address), server) = (listen(), identity.server());
    let accepting = thread::spawn(move || {
        let stream = TlsStream::accept(listener.accept().unwrap().0, server, soon())?;
        let binding = if bound { stream.binding()? } else { ChannelBinding::None };
        link::accept(stream, &link::replica(2, SECRET)?, binding)
    });
    (address, accepting)
}

/// Replica 0, which dials.
fn dial(address: SocketAddr, client: &Arc<ClientConfig>, bound: bool) -> Outcome {
    let stream = TlsStream::connect(TcpStream::connect(address)?, Arc::clone(client), soon())?;
    let binding = if bound { stream.binding()? } else { ChannelBinding::None };
    link::dial(stream, &link::replica(0, SECRET)?, ReplicaId(2), binding)
}

/// A relay that terminates TLS towards both ends and passes on what they say, one handshake frame at a
/// time, until one of them ends. How many frames it passed on.
fn relay(identity: &Identity, to: SocketAddr, client: Arc<ClientConfig>) -> (SocketAddr, JoinHandle<usize>) {
    let ((listener, address), server) = (listen(), identity.server());
    let relaying = thread::spawn(move || {
        let dialer = TlsStream::accept(listener.accept().unwrap().0, server, soon()).unwrap();
        let acceptor = TlsStream::connect(TcpStream::connect(to).unwrap(), client, soon()).unwrap();
        assert_ne!(dialer.binding().unwrap(), acceptor.binding().unwrap(), "two sessions, two values");
        let (mut from, mut to, mut passed) = (dialer, acceptor, 0);
        let mut frame = [0; 256];
        while from.read_exact(&mut frame).is_ok() && to.write_all(&frame).is_ok() {
            passed += 1;
            std::mem::swap(&mut from, &mut to);
        }
        from.close();
        to.close();
        passed
    });
    (address, relaying)
}

fn assert_exchange(dialed: Outcome, accepted: Outcome) {
    let (mut dialed, mut accepted) = (dialed.unwrap(), accepted.unwrap());
    assert_eq!((dialed.peer().replica, accepted.peer().replica), (ReplicaId(2), ReplicaId(0)));
    assert_eq!(dialed.exported().bytes(), accepted.exported().bytes());
    dialed.send(&b"there"[..]).unwrap();
    assert_eq!(accepted.receive().unwrap().body, b"there"[..]);
    accepted.send(vec![7; 50_000]).unwrap();
    assert_eq!(dialed.receive().unwrap().body, vec![7; 50_000]);
}

/// The dialer finds the MAC out, and the acceptor never sees a Finish.
fn assert_dialer_refuses(dialed: Outcome, accepted: Outcome) {
    let dialed = dialed.unwrap_err();
    let failure = dialed.downcast_ref::<DialFailure>();
    assert!(matches!(failure, Some(DialFailure::Handshake(DialError::Mac))), "{dialed}");
    assert_eq!(DialError::Mac.status(), Some(Status::MAC_MISMATCH));
    let accepted = accepted.unwrap_err();
    let failure = accepted.downcast_ref::<AcceptFailure>();
    assert!(
        matches!(failure, Some(AcceptFailure::Stream(StreamError::Closed { .. } | StreamError::Io { .. }))),
        "{accepted}"
    );
}

#[test]
fn both_ends_of_one_session_are_linked_and_export_the_same() {
    watched(|| {
        let identity = Identity::generate().unwrap();
        let (address, accepting) = acceptor(&identity, true);
        let dialed = dial(address, &tls::client(&[&identity]).unwrap(), true);
        assert_exchange(dialed, accepting.join().unwrap());
    });
}

#[test]
fn a_relay_that_terminates_tls_on_both_sides_is_refused() {
    watched(|| {
        let (identity, relays) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let (address, accepting) = acceptor(&identity, true);
        let (address, relaying) = relay(&relays, address, tls::client(&[&identity]).unwrap());
        // The worst case: the dialer takes the relay's certificate as well.
        let dialed = dial(address, &tls::client(&[&identity, &relays]).unwrap(), true);
        assert_eq!(relaying.join().unwrap(), 2, "Hello and Challenge went through as they were");
        assert_dialer_refuses(dialed, accepting.join().unwrap());
    });
}

/// The relay would be invisible without the binding: this is what the test above fails on without it.
#[test]
fn the_same_relay_passes_where_nobody_binds() {
    watched(|| {
        let (identity, relays) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let (address, accepting) = acceptor(&identity, false);
        let (address, relaying) = relay(&relays, address, tls::client(&[&identity]).unwrap());
        let dialed = dial(address, &tls::client(&[&relays]).unwrap(), false).unwrap();
        let accepted = accepting.join().unwrap().unwrap();
        assert_eq!(dialed.exported().bytes(), accepted.exported().bytes());
        dialed.into_stream().close();
        accepted.into_stream().close();
        assert_eq!(relaying.join().unwrap(), 3);
    });
}

#[test]
fn a_binding_on_one_side_only_is_refused() {
    for dialer_is_bound in [true, false] {
        watched(move || {
            let identity = Identity::generate().unwrap();
            let (address, accepting) = acceptor(&identity, !dialer_is_bound);
            let dialed = dial(address, &tls::client(&[&identity]).unwrap(), dialer_is_bound);
            assert_dialer_refuses(dialed, accepting.join().unwrap());
        });
    }
}

/// TLS itself refuses a relay whose certificate the dialer does not take.
#[test]
fn a_certificate_that_is_not_trusted_makes_no_session() {
    watched(|| {
        let (identity, relays) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let (address, accepting) = acceptor(&identity, true);
        assert!(dial(address, &tls::client(&[&relays]).unwrap(), true).is_err());
        assert!(accepting.join().unwrap().is_err());
    });
}

#[test]
fn the_example_runs() {
    let output = Command::new(env!("CARGO_BIN_EXE_channel-binding")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("exported keys are equal: true"), "{text}");
}
