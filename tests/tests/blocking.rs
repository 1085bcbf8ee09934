//! The blocking driver over real sockets.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use replink_frame::{Flags, GoodbyeReason, ReplicaId, Status, Version};
use replink_handshake::{Authentication, Availability, ControlMessage, DialError, DialTarget, Side};
use replink_tests::frames::{Ends, LinkKind, plain, wire};
use replink_tests::links::{
    ACCEPTOR, AUTH, Event, Server, endpoint, endpoint_with, listen, open_link, read_from, receive,
    shake_hands, sockets,
};
use replink_tests::random::Random;
use replink_tests::watchdog::{TEST_TIME_MAX, soon, watched};
use replink_transport::blocking::{self, LinkEnd, SendFailure};
use replink_transport::exchange::{AcceptFailure, DialFailure};
use replink_transport::memory::BLOCK_SIZE;
use replink_transport::{Inbound, Link, OutboundLimits, SendCause};

const V1: &str = "shared_secret = \"a secret for tests, 32 bytes or more\"\nversion = 1\nmin_version = 1";
const OTHER: &str = "shared_secret = \"another secret, which is as long as it must be\"";
const DISABLED: &str = "enabled = false";

#[test]
fn both_ends_know_each_other_in_both_versions() {
    watched(|| {
        let default = Flags::SEALED | Flags::EPHEMERAL;
        for (auth, version, flags) in [(AUTH, Version::V2, default), (V1, Version::V1, Flags::NONE)] {
            let (dialed, accepted) = shake_hands(&endpoint(0, auth), &endpoint(ACCEPTOR, auth));
            let (dialed, accepted) = (dialed.unwrap(), accepted.unwrap());
            let (theirs, ours) = (dialed.peer(), accepted.peer());
            assert_eq!((theirs.replica, theirs.side), (ReplicaId(ACCEPTOR), Side::Dialer));
            assert_eq!((ours.replica, ours.side), (ReplicaId(0), Side::Acceptor));
            // The handshake's deadline is not the link's.
            for link in [dialed.link(), accepted.link()] {
                let stream = link.stream();
                assert_eq!((stream.read_timeout().unwrap(), stream.write_timeout().unwrap()), (None, None));
            }
            for peer in [theirs, ours] {
                assert_eq!((peer.version, peer.flags, peer.lane), (version, flags, 0));
                assert!(matches!(peer.authentication, Authentication::PreSharedKey(_)));
                assert_eq!(peer.release, if version == Version::V2 { 7 } else { 0 });
            }
        }
    });
}

#[test]
fn forward_secrecy_is_selected_where_both_want_it() {
    watched(|| {
        let with = |replica, policy| endpoint_with(replica, AUTH, &format!("forward_secrecy = \"{policy}\""));
        for (dialer, acceptor, selected) in [
            ("required", "required", Flags::EPHEMERAL),
            ("optional", "required", Flags::EPHEMERAL),
            ("required", "optional", Flags::EPHEMERAL),
            ("optional", "optional", Flags::EPHEMERAL),
            ("optional", "off", Flags::NONE),
            ("off", "optional", Flags::NONE),
        ] {
            let (dialer, acceptor) = (with(0, dialer), with(ACCEPTOR, acceptor));
            let [(mut sender, dialing), (_, mut receiver)] = open_link(&dialer, &acceptor);
            let selected = selected | Flags::SEALED; // the default of both
            assert_eq!(dialing.peer().flags, selected);
            assert_eq!(receiver.peer().flags, selected);
            // The session keys agree: control frames verify.
            sender.ping().unwrap();
            assert!(matches!(receive(&mut receiver).unwrap().control(), ControlMessage::Ping { .. }));
        }

        let (dialed, accepted) = shake_hands(&with(0, "off"), &with(ACCEPTOR, "required"));
        assert!(matches!(dialed, Err(DialFailure::Handshake(DialError::Rejected(reject)))
            if reject.status == Status::POLICY_MISMATCH && reject.authenticated));
        assert!(matches!(accepted, Err(AcceptFailure::Rejected(rejection))
            if rejection.status == Status::POLICY_MISMATCH));
        let (dialed, accepted) = shake_hands(&with(0, "required"), &with(ACCEPTOR, "off"));
        assert!(matches!(dialed, Err(DialFailure::Handshake(DialError::Policy { .. }))));
        assert!(matches!(accepted, Err(AcceptFailure::RejectedByPeer(reject))
            if reject.status == Status::POLICY_MISMATCH && reject.authenticated)); // D-12
    });
}

#[test]
fn without_authentication_only_where_both_say_so() {
    watched(|| {
        let (authenticating, disabled) = (|id| endpoint(id, AUTH), |id| endpoint(id, DISABLED));
        let [(mut sender, _), (_, mut receiver)] = open_link(&disabled(0), &disabled(ACCEPTOR));
        assert_eq!(receiver.peer().authentication, Authentication::Disabled);
        let (header, body) = plain(10, 1);
        sender.send(&header, body.clone()).unwrap();
        assert_eq!(receive(&mut receiver).unwrap().frame().body, body);

        // H-12: both ends learn of a mismatch at once.
        let (dialed, accepted) = shake_hands(&authenticating(0), &disabled(ACCEPTOR));
        let Err(DialFailure::Handshake(DialError::Rejected(reject))) = dialed else { panic!("{dialed:?}") };
        assert_eq!((reject.status, reject.authenticated), (Status::POLICY_MISMATCH, false));
        assert!(matches!(accepted, Err(AcceptFailure::Rejected(rejection))
            if rejection.status == Status::POLICY_MISMATCH));

        let (dialed, accepted) = shake_hands(&disabled(0), &authenticating(ACCEPTOR));
        assert!(matches!(accepted, Err(AcceptFailure::Rejected(rejection))
            if rejection.status == Status::AUTH_REQUIRED));
        let (_sender, mut receiver) = blocking::open(dialed.unwrap(), disabled(0).outbound_limits()).unwrap();
        let end = receive(&mut receiver).unwrap_err();
        assert!(matches!(&end, LinkEnd::Violation(replink_transport::InboundError::LateReject(reject))
            if reject.status == Status::AUTH_REQUIRED));
        assert!(end.to_string().contains("rejected us with auth_required"), "{end}");
    });
}

#[test]
fn a_dialer_tries_its_keys_until_one_is_known() {
    // K-2
    watched(|| {
        let ring = format!(
            "{OTHER}\naccept_secrets = [\"a third secret, that is long enough too\", \"a secret for tests, 32 bytes or more\"]"
        );
        let server = Server::start(endpoint(ACCEPTOR, AUTH), Duration::from_secs(20));
        let dialer = endpoint(0, &ring);
        assert_eq!(dialer.key_count(ReplicaId(ACCEPTOR)), 3);
        let target = DialTarget::new(ReplicaId(ACCEPTOR));
        let link = blocking::connect(&dialer, target, &[server.address()], soon()).unwrap();
        for _ in 0..2 {
            let refusal = server.refusal();
            assert!(matches!(refusal, AcceptFailure::Rejected(rejection)
                if rejection.status == Status::UNKNOWN_KEY && !rejection.authenticated));
        }
        assert!(matches!(server.event(), Event::Up(_)));
        drop(link);
        assert!(matches!(server.end(), LinkEnd::Closed));

        // With none that fits, the last refusal is the answer.
        let failed = blocking::connect(&endpoint(0, OTHER), target, &[server.address()], soon()).unwrap_err();
        assert!(matches!(failed, DialFailure::Handshake(DialError::Rejected(reject))
            if reject.status == Status::UNKNOWN_KEY));
        server.refusal();
    });
}

#[test]
fn connecting_goes_through_the_addresses() {
    watched(|| {
        let server = Server::start(endpoint(ACCEPTOR, AUTH), Duration::from_secs(20));
        // A port that was just free: nobody answers there.
        let nobody = listen().local_addr().unwrap();
        let dialer = endpoint(0, AUTH);
        let target = DialTarget::new(ReplicaId(ACCEPTOR));
        let connect = |addresses: &[SocketAddr]| blocking::connect(&dialer, target, addresses, soon());
        connect(&[nobody, server.address()]).unwrap();
        assert!(matches!(server.event(), Event::Up(_)));
        server.end();

        let failed = connect(&[nobody]).unwrap_err();
        assert!(failed.to_string().starts_with(&format!("can't connect to {nobody}: ")), "{failed}");
        assert!(matches!(connect(&[]), Err(DialFailure::NoAddress)));
        let late = Instant::now();
        let failed = blocking::connect(&dialer, target, &[server.address()], late).unwrap_err();
        assert!(
            matches!(failed, DialFailure::Connect { source, .. } if source.kind() == io::ErrorKind::TimedOut)
        );
    });
}

/// What somebody else does at the first address, once the Hello is there.
type Stranger = fn(TcpStream);

#[test]
fn the_next_address_is_tried_after_any_failure_before_a_proof() {
    let strangers: [Stranger; 4] = [
        drop,                                                                               // closes
        |stream| socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(), // resets
        |mut stream| {
            let _ = stream.read(&mut [0; 1]); // is silent until the dialer has enough
        },
        |mut stream| {
            let _ = stream.write_all(&b"HTTP/1.1 400 Bad Request\r\n\r\n".repeat(10));
        },
    ];
    watched(move || {
        for stranger in strangers {
            let server = Server::start(endpoint(ACCEPTOR, AUTH), Duration::from_secs(20));
            let listener = listen();
            let first = listener.local_addr().unwrap();
            let occupied = thread::spawn(move || {
                let mut stream = listener.accept().unwrap().0;
                stream.read_exact(&mut [0; 256]).unwrap();
                stranger(stream);
            });
            let target = DialTarget::new(ReplicaId(ACCEPTOR));
            let deadline = Instant::now() + Duration::from_secs(4);
            let addresses = [first, server.address()];
            let link = blocking::connect(&endpoint(0, AUTH), target, &addresses, deadline).unwrap();
            assert_eq!(link.link().peer_address(), server.address());
            // The share of an address is not the link's.
            assert_eq!(link.link().stream().read_timeout().unwrap(), None);
            occupied.join().unwrap();
            assert!(matches!(server.event(), Event::Up(_)));
            drop(link);
            server.end();
        }
    });
}

#[test]
fn a_proof_ends_the_moving_on() {
    watched(|| {
        let server =
            Server::start(endpoint_with(ACCEPTOR, AUTH, "forward_secrecy = \"required\""), TEST_TIME_MAX);
        let other = listen();
        let addresses = [server.address(), other.local_addr().unwrap()];
        let target = DialTarget::new(ReplicaId(ACCEPTOR));
        let dialer = endpoint_with(0, AUTH, "forward_secrecy = \"off\"");
        let failed = blocking::connect(&dialer, target, &addresses, soon()).unwrap_err();
        assert!(matches!(failed, DialFailure::Handshake(DialError::Rejected(reject))
            if reject.status == Status::POLICY_MISMATCH && reject.authenticated));
        server.refusal();
        other.set_nonblocking(true).unwrap();
        assert_eq!(other.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "nobody else was asked");
    });
}

#[test]
fn frames_of_every_size_go_both_ways_at_once() {
    watched(|| {
        for auth in [AUTH, V1, DISABLED] {
            let ends = open_link(&endpoint(0, auth), &endpoint(ACCEPTOR, auth));
            thread::scope(|scope| {
                for (seed, (mut sender, mut receiver)) in (0..).zip(ends) {
                    let sizes = [0, 1, 16 * 1024, 5 << 20, 300, 300_000, 0, 70_000];
                    scope.spawn(move || {
                        let mut random = Random::new(seed);
                        for size in sizes {
                            let (header, body) = replink_tests::frames::frame(&mut random, size);
                            sender.send(&header, body).unwrap();
                        }
                        sender.goodbye(GoodbyeReason::OPERATOR).unwrap();
                    });
                    scope.spawn(move || {
                        let mut random = Random::new(1 - seed);
                        for size in sizes {
                            let (header, body) = replink_tests::frames::frame(&mut random, size);
                            let got = receive(&mut receiver).unwrap().frame();
                            assert!(got.header == header && got.body == body);
                        }
                        if receiver.peer().version == Version::V2 {
                            let control = receive(&mut receiver).unwrap().control();
                            assert_eq!(control, ControlMessage::Goodbye(GoodbyeReason::OPERATOR));
                        }
                        let end = receive(&mut receiver).unwrap_err();
                        assert!(matches!(end, LinkEnd::Closed | LinkEnd::Left(_)));
                        assert!(receiver.received_bytes() > 5 << 20);
                    });
                }
            });
        }
    });
}

#[test]
fn a_link_that_was_left_is_not_one_that_was_lost() {
    // Section 4
    watched(|| {
        let ends = || open_link(&endpoint(0, AUTH), &endpoint(ACCEPTOR, AUTH));
        let frame = plain(10, 1);

        let [(mut sender, _), (_, mut receiver)] = ends();
        sender.queue(&frame.0, frame.1.clone()).unwrap();
        sender.goodbye(GoodbyeReason::KEY_RETIRED).unwrap();
        assert_eq!(receive(&mut receiver).unwrap().frame().body, frame.1);
        assert_eq!(
            receive(&mut receiver).unwrap().control(),
            ControlMessage::Goodbye(GoodbyeReason::KEY_RETIRED)
        );
        let end = receive(&mut receiver).unwrap_err();
        assert!(matches!(end, LinkEnd::Left(GoodbyeReason::KEY_RETIRED)));
        assert_eq!(end.to_string(), "peer left: key_retired");

        let [(sender, other_half), (_, mut receiver)] = ends();
        drop((sender, other_half));
        let end = receive(&mut receiver).unwrap_err();
        assert!(matches!(end, LinkEnd::Closed));
        assert_eq!(end.to_string(), "peer closed the connection without a goodbye");

        // In the middle of a header, of a small body, and of a large one.
        let in_clear = "sealed = \"off\"";
        let ends = || open_link(&endpoint_with(0, AUTH, in_clear), &endpoint_with(ACCEPTOR, AUTH, in_clear));
        for (body, cut) in [(10, 1), (10, 255), (10, 256), (10, 265), (1 << 20, 256), (1 << 20, 700_000)] {
            let [(sender, _other_half), (_, mut receiver)] = ends();
            let bytes = wire(&plain(body, 1));
            let raw = sender.link().stream().try_clone().unwrap();
            let writing = thread::spawn(move || {
                (&raw).write_all(&bytes[..cut]).unwrap();
                raw.shutdown(Shutdown::Write).unwrap();
            });
            let end = receive(&mut receiver).unwrap_err();
            assert!(matches!(end, LinkEnd::Truncated), "{end:?}");
            assert_eq!(end.to_string(), "peer closed the connection in the middle of a frame");
            writing.join().unwrap();
        }

        let [(sender, other_half), (_, mut receiver)] = ends();
        socket2::SockRef::from(sender.link()).set_linger(Some(Duration::ZERO)).unwrap();
        drop((sender, other_half));
        let end = receive(&mut receiver).unwrap_err();
        assert!(matches!(&end, LinkEnd::Io(error) if error.kind() == io::ErrorKind::ConnectionReset));
        assert!(end.to_string().starts_with("connection failed: "));
    });
}

#[test]
fn a_ping_is_answered_with_its_counter() {
    watched(|| {
        let [(mut sender, mut receiver), (mut their_sender, mut their_receiver)] =
            open_link(&endpoint(0, AUTH), &endpoint(ACCEPTOR, AUTH));
        for round in 1..=3 {
            let counter = sender.ping().unwrap().unwrap();
            assert_eq!(counter, round);
            assert_eq!(receive(&mut their_receiver).unwrap().control(), ControlMessage::Ping { counter });
            their_sender.pong(counter).unwrap();
            assert_eq!(receive(&mut receiver).unwrap().control(), ControlMessage::Pong { echo: counter });
        }
        let [(mut sender, _), _] = open_link(&endpoint(0, V1), &endpoint(ACCEPTOR, V1));
        assert_eq!(sender.ping().unwrap(), None); // H-13
    });
}

#[test]
fn waiting_is_bounded_when_asked_to_be() {
    watched(|| {
        let [_dialer, (_, mut receiver)] = open_link(&endpoint(0, AUTH), &endpoint(ACCEPTOR, AUTH));
        receiver.set_timeout(Some(Duration::from_millis(1))).unwrap();
        assert!(receiver.receive().unwrap().is_none());
        assert!(receiver.set_timeout(Some(Duration::ZERO)).is_err());
    });
}

#[test]
fn a_second_handle_is_closed_on_exec_and_of_the_same_socket() {
    watched(|| {
        let (ours, theirs) = sockets();
        let link = Link::new(ours).unwrap();
        let clone = link.try_clone().unwrap();
        let fd = clone.as_fd().as_raw_fd();
        assert_ne!(fd, link.as_fd().as_raw_fd());
        let close_on_exec = |fd: i32| {
            let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
            i64::from_str_radix(flags.trim(), 8).unwrap() & 0o2_000_000 != 0
        };
        if cfg!(target_os = "linux") {
            assert!(close_on_exec(fd) && close_on_exec(link.as_fd().as_raw_fd()));
        }
        assert_eq!(link.peer_address(), clone.peer_address());
        drop(link);
        assert_eq!((&theirs).write(b"x").unwrap(), 1, "the clone keeps the connection up");
        clone.shutdown();
        clone.shutdown(); // twice is fine
        assert!((&theirs).write(b"x").is_ok() || (&theirs).write(b"x").is_err());
    });
}

#[test]
fn frames_that_no_link_carries_leave_the_link_as_it_is() {
    watched(|| {
        let [(mut sender, _), (_, mut receiver)] = open_link(&endpoint(0, AUTH), &endpoint(ACCEPTOR, AUTH));
        let (mut header, body) = plain(10, 1);
        header.cluster.0[0] ^= 1;
        let SendFailure::Refused(refused) = sender.send(&header, body.clone()).unwrap_err() else {
            panic!("the socket failed");
        };
        assert!(matches!(refused.cause(), SendCause::Frame(_)));
        assert_eq!(refused.into_frame(), (header, body.clone()));
        let (header, _) = plain(10, 1);
        sender.send(&header, body).unwrap();
        assert_eq!(receive(&mut receiver).unwrap().frame().header, header);
    });
}

#[test]
fn a_silent_peer_costs_the_deadline_and_no_more() {
    watched(|| {
        let (ours, theirs) = sockets();
        let started = Instant::now();
        let deadline = started + Duration::from_millis(50);
        let failed = blocking::accept(
            Link::new(theirs).unwrap(),
            &endpoint(ACCEPTOR, AUTH),
            Availability::Open,
            deadline,
        )
        .unwrap_err();
        assert!(matches!(
            failed,
            AcceptFailure::Stream(replink_transport::exchange::StreamError::TimedOut {
                step: replink_transport::exchange::Step::Hello,
                received: 0
            })
        ));
        assert!(started.elapsed() >= Duration::from_millis(50));
        drop(ours);

        let (ours, _theirs) = sockets();
        let target = DialTarget::new(ReplicaId(ACCEPTOR));
        let deadline = Instant::now() + Duration::from_millis(50);
        let failed =
            blocking::dial(Link::new(ours).unwrap(), &endpoint(0, AUTH), target, deadline).unwrap_err();
        assert_eq!(
            failed.to_string(),
            "timed out after 0 of 256 bytes of the peer's challenge; is it a replica at all?"
        );
    });
}

#[test]
fn a_busy_replica_says_when_to_come_back() {
    watched(|| {
        let (ours, theirs) = sockets();
        let acceptor = endpoint(ACCEPTOR, AUTH);
        let accepting = thread::spawn(move || {
            let busy = Availability::Busy { retry_after_ms: 250 };
            blocking::accept(Link::new(theirs).unwrap(), &acceptor, busy, soon()).unwrap_err()
        });
        let target = DialTarget::new(ReplicaId(ACCEPTOR));
        let failed =
            blocking::dial(Link::new(ours).unwrap(), &endpoint(0, AUTH), target, soon()).unwrap_err();
        let DialFailure::Handshake(DialError::Rejected(reject)) = &failed else { panic!("{failed:?}") };
        assert_eq!((reject.status, reject.retry_after_ms, reject.authenticated), (Status::BUSY, 250, true));
        assert!(failed.to_string().contains("come back in 250 ms"), "{failed}");
        assert!(matches!(accepting.join().unwrap(), AcceptFailure::Rejected(_)));
    });
}

#[test]
fn several_frames_go_out_together() {
    watched(|| {
        let [(mut sender, _), (_, mut receiver)] = open_link(&endpoint(0, AUTH), &endpoint(ACCEPTOR, AUTH));
        for len in 0..200 {
            let (header, _) = plain(len, 1);
            sender.queue(&header, Bytes::from(vec![1; len])).unwrap();
        }
        sender.flush().unwrap();
        for len in 0..200 {
            assert_eq!(receive(&mut receiver).unwrap().frame().body.len(), len);
        }
    });
}

/// The kernel gives a connection up whose peer stopped taking bytes; that is no mere "nothing yet",
/// and the peer did not close it.
#[cfg(target_os = "linux")]
#[test]
fn a_connection_that_the_kernel_gave_up_has_failed() {
    watched(|| {
        let listener = listen();
        // A window that is soon full.
        socket2::SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let theirs = listener.accept().unwrap().0;
        let (dialer, acceptor) = (endpoint(0, AUTH), endpoint(ACCEPTOR, AUTH));
        let limits = dialer.outbound_limits();
        let accepting = thread::spawn(move || {
            blocking::accept(Link::new(theirs).unwrap(), &acceptor, Availability::Open, soon()).unwrap()
        });
        let target = DialTarget::new(ReplicaId(ACCEPTOR));
        let link = blocking::dial(Link::new(ours).unwrap(), &dialer, target, soon()).unwrap();
        let _never_read_from = accepting.join().unwrap();
        let socket = socket2::SockRef::from(link.link());
        socket.set_tcp_user_timeout(Some(Duration::from_millis(100))).unwrap();
        socket.set_send_buffer_size(1 << 20).unwrap();
        let (mut sender, mut receiver) = blocking::open(link, limits).unwrap();
        let (header, body) = plain(100_000, 1);
        sender.send(&header, body).unwrap(); // into the socket, and no further
        let end = receive(&mut receiver).unwrap_err();
        assert!(matches!(&end, LinkEnd::Io(error) if error.kind() == io::ErrorKind::TimedOut), "{end:?}");
    });
}

#[test]
fn a_full_queue_is_flushed_by_a_blocking_send_and_not_refused() {
    watched(|| {
        let (dialed, accepted) = shake_hands(&endpoint(0, AUTH), &endpoint(ACCEPTOR, AUTH));
        let limits = OutboundLimits { frame_size: 1 << 20, queue_frames: 2, queue_bytes: 1 << 20 };
        let (mut sender, _other_half) = blocking::open(dialed.unwrap(), limits).unwrap();
        let (_, mut receiver) = blocking::open(accepted.unwrap(), limits).unwrap();
        let (header, body) = plain(10, 1);
        sender.queue(&header, body.clone()).unwrap();
        sender.queue(&header, body.clone()).unwrap();
        assert!(matches!(
            sender.queue(&header, body.clone()).unwrap_err().cause(),
            SendCause::Backpressure { frames: 2, .. }
        ));
        // Nobody but this call could make room, so it does.
        sender.send(&header, body.clone()).unwrap();
        for _ in 0..3 {
            assert_eq!(receive(&mut receiver).unwrap().frame().body, body);
        }
    });
}

#[test]
fn a_socket_that_does_not_block_is_made_to() {
    watched(|| {
        let (ours, theirs) = sockets();
        // As a runtime hands them over.
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let (dialer, acceptor) = (endpoint(0, AUTH), endpoint(ACCEPTOR, AUTH));
        let limits = dialer.outbound_limits();
        let accepting = thread::spawn(move || {
            let link =
                blocking::accept(Link::new(theirs).unwrap(), &acceptor, Availability::Open, soon()).unwrap();
            let (_sender, mut receiver) = blocking::open(link, limits).unwrap();
            // Nothing has come yet, most likely, and far more comes than a socket holds.
            receive(&mut receiver).unwrap().frame().body.len()
        });
        let target = DialTarget::new(ReplicaId(ACCEPTOR));
        let link = blocking::dial(Link::new(ours).unwrap(), &dialer, target, soon()).unwrap();
        let (mut sender, _receiver) = blocking::open(link, limits).unwrap();
        let (header, body) = plain(16 << 20, 1);
        sender.send(&header, body).unwrap();
        assert_eq!(accepting.join().unwrap(), 16 << 20);
    });
}

/// One address that swallows everything must not use the time of all.
#[cfg(target_os = "linux")]
#[test]
fn a_silent_address_leaves_time_for_the_next() {
    use socket2::{Domain, Socket, Type};
    watched(|| {
        let server = Server::start(endpoint(ACCEPTOR, AUTH), Duration::from_secs(20));
        // A listener whose queue is full answers no one.
        let silent = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        silent.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        silent.listen(0).unwrap();
        let address = silent.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            queued.push(stream);
        }
        let dialer = endpoint(0, AUTH);
        let target = DialTarget::new(ReplicaId(ACCEPTOR));
        let deadline = Instant::now() + Duration::from_secs(4);
        blocking::connect(&dialer, target, &[address, server.address()], deadline).unwrap();
        assert!(matches!(server.event(), Event::Up(_)));
        server.end();
    });
}

#[test]
fn no_room_to_receive_is_not_the_end_of_the_stream() {
    watched(|| {
        let (_, receiving) = Ends::new(LinkKind::V1).direction(true);
        let (ours, theirs) = sockets();
        let link = Link::new(theirs).unwrap();
        let mut inbound = Inbound::new(receiving, 1 << 20);
        let count = 3 * BLOCK_SIZE / 256;
        let writing = thread::spawn(move || (&ours).write_all(&wire(&plain(0, 0)).repeat(count)).unwrap());
        // Reads on and on without taking a frame out.
        let refused = loop {
            match read_from(&mut inbound, &link) {
                Ok(received) => assert!(received > 0, "the stream has not ended"),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        // Taking them makes room again, and nothing is lost.
        let mut frames = 0;
        loop {
            while inbound.next().unwrap().is_some() {
                frames += 1;
            }
            if read_from(&mut inbound, &link).unwrap() == 0 {
                break;
            }
        }
        assert_eq!(frames, count);
        writing.join().unwrap();
    });
}

#[test]
fn no_room_beside_a_whole_large_body_is_not_the_end_of_the_stream_either() {
    watched(|| {
        let (_, receiving) = Ends::new(LinkKind::V1).direction(true);
        let (ours, theirs) = sockets();
        let link = Link::new(theirs).unwrap();
        let mut inbound = Inbound::new(receiving, 1 << 20);
        let count = 2 * BLOCK_SIZE / 256;
        let stream = [wire(&plain(BLOCK_SIZE, 1)), wire(&plain(0, 0)).repeat(count)].concat();
        let writing = thread::spawn(move || (&ours).write_all(&stream).unwrap());
        // The first frame's header is there, and not all of its body.
        let mut received = 0;
        while received < 256 {
            received += read_from(&mut inbound, &link).unwrap();
        }
        assert!(inbound.next().unwrap().is_none());
        let refused = loop {
            match read_from(&mut inbound, &link) {
                Ok(received) => assert!(received > 0, "the stream has not ended"),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        let mut frames = 0;
        loop {
            while inbound.next().unwrap().is_some() {
                frames += 1;
            }
            if read_from(&mut inbound, &link).unwrap() == 0 {
                break;
            }
        }
        assert_eq!(frames, 1 + count);
        writing.join().unwrap();
    });
}
