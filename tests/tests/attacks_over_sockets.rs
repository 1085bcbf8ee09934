//! Peers that do everything wrong, over real sockets. After each of them the error says what it
//! was, and the next honest peer is served.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::{self, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use replink_frame::{Command, Flags, FrameError, HandshakeFrameError, ReplicaId, Status, Version};
use replink_handshake::{Authenticated, ControlError, ControlMessage, DialError, DialTarget, Rejection};
use replink_tests::fixtures::{OTHER_SECRET, SECRET};
use replink_tests::links::{ACCEPTOR, AUTH, Event, Server, endpoint, endpoint_with, listen, receive};
use replink_tests::random::Random;
use replink_tests::raw_peer::{Frame, RawLink, RawPeer, at, command, put};
use replink_tests::watchdog::{TEST_TIME_MAX, soon, watched};
use replink_transport::blocking::{self, LinkEnd};
use replink_transport::exchange::{AcceptFailure, DialFailure, LINGER_BYTES_MAX, Step, StreamError};
use replink_transport::{Endpoint, InboundError, Link};

/// What a handshake may take where a peer uses up all of it.
const HANDSHAKE_TIME: Duration = Duration::from_secs(1);

const V1: &str = "shared_secret = \"a secret for tests, 32 bytes or more\"\nversion = 1\nmin_version = 1";

/// Who attacks: an insider that holds the secret, unless it breaks that too.
fn insider() -> RawPeer<'static> {
    RawPeer::new(1, SECRET)
}

/// A server under attack, and an honest peer that it must serve after each.
struct Target {
    server: Server,
    honest: Endpoint,
}

impl Target {
    fn new() -> Self {
        Self::of(AUTH)
    }

    fn of(auth: &str) -> Self {
        let server = Server::start(endpoint(ACCEPTOR, auth), HANDSHAKE_TIME);
        Self { server, honest: endpoint(0, auth) }
    }

    fn is_well(&self) {
        if self.honest.version() == Version::V2 {
            self.server.serves(&self.honest);
            return;
        }
        let target = DialTarget::new(ReplicaId(ACCEPTOR));
        drop(blocking::connect(&self.honest, target, &[self.server.address()], soon()).unwrap());
        assert!(matches!(self.server.event(), Event::Up(_)));
        assert!(matches!(self.server.end(), LinkEnd::Closed));
    }

    /// The attack fails in the handshake.
    fn refuses(&self, attack: impl FnOnce(&mut RawLink)) -> AcceptFailure {
        let mut link = RawLink(self.server.connect());
        attack(&mut link);
        let failure = self.server.refusal();
        assert!(link.is_over(), "the connection is closed");
        self.is_well();
        failure
    }

    /// The attack is turned away, and told so with `told`, which is `status` or what version 1 has
    /// for it.
    fn rejects(&self, told: Status, status: Status, attack: impl FnOnce(&mut RawLink)) -> Rejection {
        let failure = self.refuses(|link| {
            attack(link);
            let reject = link.read();
            assert_eq!(reject[at::COMMAND], command::CHALLENGE);
            assert_eq!(Status(reject[at::STATUS]), told);
            assert!(link.is_over(), "nothing but the reject");
            link.stop_sending(); // the acceptor waits for this, for a while
        });
        let text = failure.to_string();
        let AcceptFailure::Rejected(rejection) = failure else { panic!("{failure:?}") };
        assert_eq!(rejection.status, status);
        assert!(text.starts_with("turned away a peer"), "{text}");
        assert!(text.contains(&status.to_string()), "{text}");
        rejection
    }

    /// A connection that is up, made by hand; the session key.
    fn link(&self) -> (RawLink, [u8; 32]) {
        let peer = insider();
        let mut link = RawLink(self.server.connect());
        let hello = peer.hello();
        link.send(&hello);
        let challenge = link.read();
        assert_eq!(challenge[at::STATUS], 0);
        let finish = peer.finish(&hello, &challenge);
        link.send(&finish);
        assert!(matches!(self.server.event(), Event::Up(up) if up.replica == ReplicaId(1)));
        (link, peer.session(&hello, &challenge, &finish))
    }

    /// The attack ends a link that is up.
    fn ends(&self, attack: impl FnOnce(&mut RawLink, &[u8; 32])) -> LinkEnd {
        let (mut link, session) = self.link();
        attack(&mut link, &session);
        let end = self.server.end();
        drop(link);
        self.is_well();
        end
    }
}

fn changed(mut frame: Frame, offset: usize, bytes: &[u8]) -> Frame {
    put(&mut frame, offset, bytes);
    frame
}

#[test]
fn a_peer_by_hand_is_a_peer() {
    // The attacks below are only worth something if the same peer gets in when it does all right.
    watched(|| {
        let target = Target::new();
        let (mut link, session) = target.link();
        link.send(&insider().control(&session, "dialer->acceptor", command::PING, 1, 0));
        assert!(matches!(target.server.event(), Event::Control(ControlMessage::Ping { counter: 1 })));
        // Its pong is byte for byte what section 4 says, from replica 3 of release 7.
        let pong = link.read();
        let acceptor = RawPeer::new(ACCEPTOR, SECRET);
        let expected = acceptor.control_of(&session, "acceptor->dialer", command::PONG, 1, 1, 7);
        assert_eq!(pong, expected);
        drop(link);
        assert!(matches!(target.server.end(), LinkEnd::Closed));
        target.is_well();
    });
}

#[test]
fn a_peer_that_stops_in_the_middle() {
    watched(|| {
        let target = Target::new();
        let hello = insider().hello();
        for sent in [0, 1, 255] {
            // It closes.
            let failure = target.refuses(|link| {
                link.send(&hello[..sent]);
                link.stop_sending();
            });
            assert!(
                matches!(failure, AcceptFailure::Stream(StreamError::Closed { step: Step::Hello, received })
                if received == sent)
            );
            assert_eq!(
                failure.to_string(),
                format!(
                    "peer closed the connection after {sent} of 256 bytes of its hello; its log says why"
                )
            );
            // It just says nothing more.
            let failure = target.refuses(|link| {
                link.send(&hello[..sent]);
                assert!(link.is_over());
            });
            assert!(
                matches!(failure, AcceptFailure::Stream(StreamError::TimedOut { step: Step::Hello, received })
                if received == sent)
            );
            assert!(
                failure
                    .to_string()
                    .starts_with(&format!("timed out after {sent} of 256 bytes of the peer's hello"))
            );
        }
    });
}

#[test]
fn a_peer_that_stops_after_the_challenge() {
    watched(|| {
        let target = Target::new();
        let peer = insider();
        for sent in [0, 1, 255] {
            let begin = |link: &mut RawLink| {
                let hello = peer.hello();
                link.send(&hello);
                let challenge = link.read();
                link.send(&peer.finish(&hello, &challenge)[..sent]);
            };
            let failure = target.refuses(|link| {
                begin(link);
                link.stop_sending();
            });
            assert!(
                matches!(failure, AcceptFailure::Stream(StreamError::Closed { step: Step::Finish, received })
                if received == sent)
            );
            let failure = target.refuses(|link| {
                begin(link);
                assert!(link.is_over());
            });
            assert!(
                matches!(failure, AcceptFailure::Stream(StreamError::TimedOut { step: Step::Finish, received })
                if received == sent)
            );
            assert!(failure.to_string().contains("of the peer's finish"), "{failure}");
        }
    });
}

#[test]
fn a_peer_that_drips_is_cut_by_the_one_deadline() {
    watched(|| {
        let target = Target::new();
        let peer = insider();
        let pause = Duration::from_millis(20);
        let in_time = |started: Instant| started.elapsed() < HANDSHAKE_TIME + Duration::from_secs(5);

        let started = Instant::now();
        let failure = target.refuses(|link| assert!(link.drip(&peer.hello(), pause) < 256));
        assert!(matches!(
            failure,
            AcceptFailure::Stream(StreamError::TimedOut { step: Step::Hello, received: 1..=254 })
        ));
        assert!(in_time(started));

        // The time that the Hello took is not given back to the Finish.
        let started = Instant::now();
        let failure = target.refuses(|link| {
            let hello = peer.hello();
            link.drip(&hello[..20], pause);
            link.send(&hello[20..]);
            assert!(link.drip(&[0; 256], pause) < 256);
        });
        assert!(matches!(failure, AcceptFailure::Stream(StreamError::TimedOut { step: Step::Finish, .. })));
        assert!(in_time(started));
    });
}

#[test]
fn garbage_is_told_that_it_is_no_handshake() {
    watched(|| {
        let target = Target::new();
        let mut random = Random::new(1);
        for len in [256, 257, 1000, 100_000] {
            let mut garbage = random.bytes(len);
            garbage[at::COMMAND] = 99;
            let unknown = Status::UNKNOWN_COMMAND;
            let rejection = target.rejects(unknown, unknown, |link| link.send(&garbage));
            assert_eq!(rejection.claimed, None);
            let (expected, found) = (Command::REPLICA_HELLO, Command(99));
            let error = HandshakeFrameError::UnexpectedCommand { expected, found };
            assert_eq!(rejection.frame_error, Some(error));
        }
        // What others send to a port that they take for theirs.
        let http = b"GET / HTTP/1.1\r\nHost: replica-3.example.com\r\n\r\n";
        let failure = target.refuses(|link| {
            link.send(http);
            link.stop_sending();
        });
        assert!(matches!(failure, AcceptFailure::Stream(StreamError::Closed { step: Step::Hello, received })
            if received == http.len()));
    });
}

#[test]
fn a_frame_of_the_embedders_without_a_handshake() {
    watched(|| {
        let target = Target::new();
        let unknown = Status::UNKNOWN_COMMAND;
        let largest = if cfg!(target_os = "linux") { 12 << 20 } else { 0 };
        for body in [0, 1000, LINGER_BYTES_MAX - 256, largest] {
            let size = u32::try_from(256 + body).unwrap();
            let prepare = changed(insider().frame(command::PREPARE), at::SIZE, &size.to_le_bytes());
            let rejection = target.rejects(unknown, unknown, |link| {
                // All of it is written before anything is read: the acceptor has to take it for
                // the reject to arrive. Of the largest it takes a part, and the system gives us
                // the reject all the same; others would lose it with the reset.
                let written = link.0.write_all(&[&prepare[..], &vec![7; body]].concat());
                assert!(written.is_ok() || body > LINGER_BYTES_MAX, "{written:?}");
            });
            let (expected, found) = (Command::REPLICA_HELLO, Command::PREPARE);
            let error = HandshakeFrameError::UnexpectedCommand { expected, found };
            assert_eq!(rejection.frame_error, Some(error));
            assert!(rejection.to_string().contains("peer sent Prepare (6)"), "{rejection}");
        }
    });
}

#[test]
fn a_body_announced_before_authentication() {
    // F-2
    watched(|| {
        let target = Target::new();
        let malformed = Status::MALFORMED_FRAME;
        for found in [0, 255, 257, 1000, 64 << 20, u32::MAX] {
            let hello = changed(insider().hello(), at::SIZE, &found.to_le_bytes());
            let rejection = target.rejects(malformed, malformed, |link| {
                link.send(&hello);
                link.send(&[7; 1000]);
            });
            assert_eq!(rejection.frame_error, Some(HandshakeFrameError::Size { found }));
            assert!(rejection.to_string().contains(&format!("a handshake frame of {found} bytes")));
        }
        // In the Finish.
        let rejection = target.rejects(malformed, malformed, |link| {
            let (peer, hello) = (insider(), insider().hello());
            link.send(&hello);
            let challenge = link.read();
            let finish = peer.finish(&hello, &challenge);
            link.send(&changed(finish, at::SIZE, &1256u32.to_le_bytes()));
            link.send(&[7; 1000]);
        });
        assert_eq!(rejection.frame_error, Some(HandshakeFrameError::Size { found: 1256 }));
    });
}

#[test]
fn bytes_that_must_be_zero() {
    // H-10
    watched(|| {
        let target = Target::new();
        let malformed = Status::MALFORMED_FRAME;
        for offset in
            [0, 16, 31, 52, 62, 79, 80, 127, at::MAC, at::STATUS, at::RETRY_AFTER, at::EPHEMERAL, 250, 255]
        {
            let hello = changed(insider().hello(), offset, &[1]);
            let rejection = target.rejects(malformed, malformed, |link| link.send(&hello));
            assert_eq!(rejection.frame_error, Some(HandshakeFrameError::UnusedByte { offset }));
            assert!(rejection.authenticated, "H-7: the Hello names a key that the acceptor holds");
            assert!(
                rejection.to_string().contains(&format!("peer set byte {offset} of the handshake frame"))
            );
        }
        for offset in [0, 62, 127, at::NONCE, at::STATUS, at::EPHEMERAL, 255] {
            let rejection = target.rejects(malformed, malformed, |link| {
                let (peer, hello) = (insider(), insider().hello());
                link.send(&hello);
                let challenge = link.read();
                link.send(&changed(peer.finish(&hello, &challenge), offset, &[1]));
            });
            assert_eq!(rejection.frame_error, Some(HandshakeFrameError::UnusedByte { offset }));
        }
    });
}

#[test]
fn a_hello_of_someone_else() {
    watched(|| {
        let target = Target::new();
        let reject = |told, status, hello: Frame| target.rejects(told, status, |link| link.send(&hello));
        let same = |status, hello| reject(status, status, hello);

        let rejection = same(Status::CLUSTER_MISMATCH, changed(insider().hello(), at::CLUSTER, &[0; 16]));
        assert!(rejection.authenticated && rejection.claimed == Some(ReplicaId(1)));
        // H-1: the acceptor itself, one above it, and one that is not in the cluster.
        for id in [ACCEPTOR, 4, 255] {
            same(Status::DIRECTIONAL_RULE, RawPeer::new(id, SECRET).hello());
        }
        let rejection = same(Status::NOT_ALLOWED, RawPeer::new(2, SECRET).hello());
        assert!(rejection.to_string().contains("claims to be replica 2"), "{rejection}");
        // H-2
        same(Status::AUTH_REQUIRED, changed(insider().hello(), at::NONCE, &[0; 32]));
        // K-2
        let rejection = same(Status::UNKNOWN_KEY, RawPeer::new(1, OTHER_SECRET).hello());
        assert!(!rejection.authenticated);
        // H-6
        for version in [1, 3, 255] {
            let rejection =
                same(Status::UNSUPPORTED_VERSION, changed(insider().hello(), at::VERSION, &[version]));
            let error = HandshakeFrameError::UnsupportedVersion { found: version };
            assert_eq!(rejection.frame_error, Some(error));
        }
        let old = RawPeer { version: 1, ..insider() };
        reject(Status::UNKNOWN_COMMAND, Status::UNSUPPORTED_VERSION, old.hello());
        // H-8
        for command in [command::CHALLENGE, command::FINISH] {
            same(Status::UNKNOWN_COMMAND, changed(insider().hello(), at::COMMAND, &[command]));
        }
    });
}

#[test]
fn a_finish_that_proves_nothing() {
    watched(|| {
        let target = Target::new();
        let finish = |status, make: &dyn Fn(&Frame, &Frame) -> Frame| {
            target.rejects(status, status, |link| {
                let hello = insider().hello();
                link.send(&hello);
                let challenge = link.read();
                link.send(&make(&hello, &challenge));
            })
        };
        let mismatch = Status::MAC_MISMATCH;
        finish(mismatch, &|hello, challenge| changed(insider().finish(hello, challenge), at::MAC, &[0; 32]));
        finish(mismatch, &|hello, challenge| {
            let right = insider().finish(hello, challenge);
            changed(right, at::MAC + 31, &[right[at::MAC + 31] ^ 1])
        });
        finish(mismatch, &|hello, challenge| RawPeer::new(1, OTHER_SECRET).finish(hello, challenge));
        // The acceptor's own proof, given back.
        let rejection = finish(mismatch, &|hello, challenge| {
            changed(insider().finish(hello, challenge), at::MAC, &challenge[at::MAC..at::STATUS])
        });
        assert!(rejection.authenticated, "H-9: the late reject is the acceptor's");
        // What the MAC covers, changed on the way.
        for offset in [56, at::FLAGS, at::KEY_ID, at::INCARNATION, at::LANE] {
            finish(mismatch, &|hello, challenge| changed(insider().finish(hello, challenge), offset, &[9]));
        }
        // A proof of one that is not what it said in its Hello.
        let malformed = Status::MALFORMED_FRAME;
        finish(malformed, &|hello, challenge| {
            let other = changed(insider().finish(hello, challenge), at::LANE, &[1]);
            insider().sign_finish(hello, challenge, other)
        });
        finish(Status::DIRECTIONAL_RULE, &|hello, challenge| {
            RawPeer::new(0, SECRET).finish(hello, challenge)
        });
        finish(Status::CLUSTER_MISMATCH, &|hello, challenge| {
            changed(insider().finish(hello, challenge), at::CLUSTER, &[0; 16])
        });
        finish(Status::UNSUPPORTED_VERSION, &|hello, challenge| {
            RawPeer { version: 1, ..insider() }.finish(hello, challenge)
        });
        // H-8: a reflected challenge, and a second Hello.
        let rejection = finish(Status::UNKNOWN_COMMAND, &|_, challenge| *challenge);
        let (expected, found) = (Command::REPLICA_FINISH, Command::REPLICA_CHALLENGE);
        assert_eq!(rejection.frame_error, Some(HandshakeFrameError::UnexpectedCommand { expected, found }));
        finish(Status::UNKNOWN_COMMAND, &|hello, _| *hello);
        // An embedder's frame instead of the proof.
        finish(Status::UNKNOWN_COMMAND, &|_, _| insider().frame(command::PREPARE));
    });
}

#[test]
fn a_handshake_replayed() {
    watched(|| {
        let target = Target::new();
        // What an eavesdropper heard of a good one.
        let peer = insider();
        let mut link = RawLink(target.server.connect());
        let hello = peer.hello();
        link.send(&hello);
        let challenge = link.read();
        let finish = peer.finish(&hello, &challenge);
        link.send(&finish);
        assert!(matches!(target.server.event(), Event::Up(_)));
        drop(link);
        assert!(matches!(target.server.end(), LinkEnd::Closed));

        target.rejects(Status::MAC_MISMATCH, Status::MAC_MISMATCH, |link| {
            link.send(&hello);
            let fresh = link.read();
            assert_ne!(fresh[at::NONCE..at::MAC], challenge[at::NONCE..at::MAC], "H-2");
            link.send(&finish);
        });
        target.rejects(Status::UNKNOWN_COMMAND, Status::UNKNOWN_COMMAND, |link| link.send(&finish));
    });
}

#[test]
fn version_1_keeps_the_same_people_out() {
    watched(|| {
        let target = Target::of(V1);
        let peer = RawPeer { version: 1, ..insider() };
        let finish = |told, status, make: &dyn Fn(&Frame, &Frame) -> Frame| {
            target.rejects(told, status, |link| {
                let hello = peer.hello();
                link.send(&hello);
                let challenge = link.read();
                link.send(&make(&hello, &challenge));
            })
        };
        let mismatch = Status::MAC_MISMATCH;
        let other = RawPeer { version: 1, ..RawPeer::new(1, OTHER_SECRET) };
        finish(mismatch, mismatch, &|hello, challenge| other.finish(hello, challenge));
        // Reflected: `dir` tells the two proofs apart.
        finish(mismatch, mismatch, &|hello, challenge| {
            changed(peer.finish(hello, challenge), at::MAC, &challenge[at::MAC..at::STATUS])
        });
        let (unknown, malformed) = (Status::UNKNOWN_COMMAND, Status::MALFORMED_FRAME);
        finish(unknown, malformed, &|hello, challenge| changed(peer.finish(hello, challenge), 255, &[1]));
        // A good one, to see that these were bad for their own sake.
        let mut link = RawLink(target.server.connect());
        let hello = peer.hello();
        link.send(&hello);
        let challenge = link.read();
        assert_eq!(challenge[at::VERSION..], [0; 63]);
        link.send(&peer.finish(&hello, &challenge));
        assert!(matches!(target.server.event(), Event::Up(up) if up.version == Version::V1));
        // H-13
        link.send(&peer.frame(command::PING));
        let end = target.server.end();
        assert!(matches!(end, LinkEnd::Violation(InboundError::Control(ControlError::NotOnThisLink { .. }))));
    });
}

#[test]
fn a_reset_at_each_step() {
    watched(|| {
        let target = Target::new();
        let peer = insider();
        let is_reset = |failure: &AcceptFailure, expected: Step| match failure {
            AcceptFailure::Stream(StreamError::Io { step, source }) => {
                let kinds = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
                kinds.contains(&source.kind()) && *step == expected
            }
            _ => false,
        };
        for sent in [0, 1, 255] {
            let mut link = RawLink(target.server.connect());
            link.send(&peer.hello()[..sent]);
            link.reset();
            match target.server.event() {
                Event::Refused(failure) => assert!(is_reset(&failure, Step::Hello), "{failure:?}"),
                Event::Dead(error) => assert_eq!(error.kind(), io::ErrorKind::NotConnected),
                event => panic!("{event:?}"),
            }
            target.is_well();
        }
        for sent in [0, 1, 255] {
            let mut link = RawLink(target.server.connect());
            let hello = peer.hello();
            link.send(&hello);
            let challenge = link.read();
            link.send(&peer.finish(&hello, &challenge)[..sent]);
            link.reset();
            let failure = target.server.refusal();
            assert!(is_reset(&failure, Step::Finish), "{failure:?}");
            assert!(failure.to_string().starts_with("connection failed at the finish: "));
            target.is_well();
        }
        // Without reading the challenge: it may come while the challenge goes out, or after.
        let mut link = RawLink(target.server.connect());
        link.send(&peer.hello());
        link.reset();
        match target.server.event() {
            Event::Refused(failure) => assert!(
                [Step::Hello, Step::Challenge, Step::Finish].iter().any(|step| is_reset(&failure, *step)),
                "{failure:?}"
            ),
            Event::Dead(_) => {}
            event => panic!("{event:?}"),
        }
        target.is_well();
        // And once the link is up.
        let (link, _) = target.link();
        link.reset();
        let end = target.server.end();
        assert!(
            matches!(&end, LinkEnd::Io(error) if error.kind() == io::ErrorKind::ConnectionReset),
            "{end:?}"
        );
        target.is_well();
    });
}

#[test]
fn an_insider_that_breaks_the_protocol_loses_the_link() {
    watched(|| {
        let target = Target::new();
        let frame = || insider().frame(command::PREPARE);
        let violates = |bytes: Frame| match target.ends(|link, _| link.send(&bytes)) {
            LinkEnd::Violation(error) => {
                assert!(error.to_string().starts_with("peer broke the protocol: "), "{error}");
                error
            }
            end => panic!("{end:?}"),
        };
        let limit = 64 << 20;
        for found in [0, 255, limit + 1, u32::MAX] {
            let error = violates(changed(frame(), at::SIZE, &found.to_le_bytes()));
            assert_eq!(error, InboundError::Frame(FrameError::Size { found, limit }));
        }
        let error = violates(changed(frame(), at::CLUSTER, &[0; 16]));
        assert!(matches!(error, InboundError::Frame(FrameError::Cluster { .. })));
        for found in [0, 248, 255] {
            let error = violates(changed(frame(), at::COMMAND, &[found]));
            assert_eq!(error, InboundError::Frame(FrameError::Command { found: Command(found) }));
        }
        for offset in [62, 80, 127] {
            let error = violates(changed(frame(), offset, &[1]));
            assert_eq!(error, InboundError::Frame(FrameError::UnusedByte { offset }));
        }
        for found in [command::HELLO, command::CHALLENGE, command::FINISH] {
            let error = violates(changed(frame(), at::COMMAND, &[found]));
            assert_eq!(error, InboundError::HandshakeFrame { command: Command(found) });
        }

        let control = |label, counters: [u64; 2], sender| {
            let end = target.ends(|link, session| {
                for counter in counters {
                    link.send(&RawPeer::new(sender, SECRET).control(
                        session,
                        label,
                        command::PONG,
                        counter,
                        0,
                    ));
                }
                if sender == 1 && label == "dialer->acceptor" {
                    assert!(matches!(target.server.event(), Event::Control(ControlMessage::Pong { .. })));
                }
            });
            match end {
                LinkEnd::Violation(InboundError::Control(error)) => error,
                end => panic!("{end:?}"),
            }
        };
        let replayed = control("dialer->acceptor", [5, 5], 1);
        assert_eq!(replayed, ControlError::Counter { last: 5, found: 5 });
        assert_eq!(control("dialer->acceptor", [5, 4], 1), ControlError::Counter { last: 5, found: 4 });
        assert_eq!(control("acceptor->dialer", [1, 2], 1), ControlError::Mac);
        let sender = ControlError::Sender { expected: ReplicaId(1), found: ReplicaId(0) };
        assert_eq!(control("dialer->acceptor", [1, 2], 0), sender);
        // A counter of zero was never one.
        let end = target.ends(|link, session| {
            link.send(&insider().control(session, "dialer->acceptor", command::PING, 0, 0));
        });
        let counter = ControlError::Counter { last: 0, found: 0 };
        assert!(matches!(end, LinkEnd::Violation(InboundError::Control(error)) if error == counter));

        let end = target.ends(|link, _| {
            link.send(&changed(frame(), at::SIZE, &100_000u32.to_le_bytes()));
            link.stop_sending();
        });
        assert!(matches!(end, LinkEnd::Truncated), "{end:?}");
    });
}

// ---- The same against a dialer.

/// An acceptor written by hand that the dialer meets instead of replica 3.
fn dial(
    dialer: &Endpoint,
    handshake_time: Duration,
    acceptor: impl FnOnce(&mut RawLink) + Send,
) -> Result<Authenticated<Link>, DialFailure> {
    let listener = listen();
    let address = listener.local_addr().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(TEST_TIME_MAX / 2)).unwrap();
            let mut link = RawLink(stream);
            acceptor(&mut link);
        });
        let target = DialTarget::new(ReplicaId(ACCEPTOR));
        blocking::connect(dialer, target, &[address], Instant::now() + handshake_time)
    })
}

fn good() -> RawPeer<'static> {
    RawPeer { nonce: [0xa5; 32], ..RawPeer::new(ACCEPTOR, SECRET) }
}

/// The dialer's error when its Hello is answered with what `answer` makes of it.
fn dial_error(answer: impl Fn(&Frame) -> Frame + Sync) -> DialError {
    let failure = dial(&endpoint(0, AUTH), TEST_TIME_MAX / 2, |link| {
        let hello = link.read();
        link.send(&answer(&hello));
    });
    match failure.unwrap_err() {
        DialFailure::Handshake(error) => error,
        failure => panic!("{failure:?}"),
    }
}

#[test]
fn an_acceptor_by_hand_is_an_acceptor() {
    watched(|| {
        let link = dial(&endpoint(0, AUTH), TEST_TIME_MAX / 2, |link| {
            let hello = link.read();
            assert_eq!(hello, changed(hello, at::COMMAND, &[command::HELLO, 0]));
            let challenge = good().challenge(&hello);
            link.send(&challenge);
            let finish = link.read();
            let expected = RawPeer::new(0, SECRET).sign_finish(&hello, &challenge, finish);
            assert_eq!(finish, expected, "the dialer's proof verifies by hand");
            let session = good().session(&hello, &challenge, &finish);
            link.send(&good().control(&session, "acceptor->dialer", command::PING, 1, 0));
        });
        let (_sender, mut receiver) =
            blocking::open(link.unwrap(), endpoint(0, AUTH).outbound_limits()).unwrap();
        assert_eq!(receive(&mut receiver).unwrap().control(), ControlMessage::Ping { counter: 1 });
        assert!(matches!(receive(&mut receiver), Err(LinkEnd::Closed)));
    });
}

#[test]
fn an_acceptor_that_stops_drips_or_resets() {
    watched(|| {
        let dialer = endpoint(0, AUTH);
        let challenge = |link: &mut RawLink| {
            let hello = link.read();
            good().challenge(&hello)
        };
        for sent in [0, 1, 255] {
            let failure = dial(&dialer, TEST_TIME_MAX / 2, |link| {
                let challenge = challenge(link);
                link.send(&challenge[..sent]);
            });
            let failure = failure.unwrap_err();
            assert!(
                matches!(failure, DialFailure::Stream(StreamError::Closed { step: Step::Challenge, received })
                if received == sent)
            );
            assert!(failure.to_string().contains("of its challenge; its log says why"), "{failure}");

            let failure = dial(&dialer, Duration::from_millis(300), |link| {
                let challenge = challenge(link);
                link.send(&challenge[..sent]);
                assert!(link.is_over());
            });
            let failure = failure.unwrap_err();
            assert!(
                matches!(failure, DialFailure::Stream(StreamError::TimedOut { step: Step::Challenge, received })
                if received == sent)
            );

            let failure = dial(&dialer, TEST_TIME_MAX / 2, |link| {
                let challenge = challenge(link);
                link.send(&challenge[..sent]);
                socket2::SockRef::from(&link.0).set_linger(Some(Duration::ZERO)).unwrap();
                // The last handle goes, and with it a reset.
                link.0 = replink_tests::links::sockets().0;
            });
            let failure = failure.unwrap_err();
            assert!(
                matches!(&failure, DialFailure::Stream(StreamError::Io { step: Step::Challenge, source })
                if source.kind() == io::ErrorKind::ConnectionReset),
                "{failure:?}"
            );
            assert!(failure.to_string().starts_with("connection failed at the challenge: "));
        }
        let started = Instant::now();
        let failure = dial(&dialer, Duration::from_millis(500), |link| {
            let challenge = challenge(link);
            assert!(link.drip(&challenge, Duration::from_millis(20)) < 256);
        });
        assert!(matches!(
            failure,
            Err(DialFailure::Stream(StreamError::TimedOut { step: Step::Challenge, received: 1.. }))
        ));
        assert!(started.elapsed() < Duration::from_secs(6));
    });
}

#[test]
fn an_acceptor_that_answers_something_else() {
    watched(|| {
        let frame_error = |answer: &(dyn Fn(&Frame) -> Frame + Sync)| match dial_error(answer) {
            DialError::Frame(error) => error,
            error => panic!("{error:?}"),
        };
        let expected = Command::REPLICA_CHALLENGE;
        let unexpected = |found| HandshakeFrameError::UnexpectedCommand { expected, found };
        // H-8: a reflected Hello, a Finish, and what an embedder sends.
        assert_eq!(frame_error(&|hello| *hello), unexpected(Command::REPLICA_HELLO));
        assert_eq!(frame_error(&|_| good().frame(command::FINISH)), unexpected(Command::REPLICA_FINISH));
        assert_eq!(frame_error(&|_| good().frame(command::PREPARE)), unexpected(Command::PREPARE));
        assert_eq!(frame_error(&|_| [b'H'; 256]), unexpected(Command(b'H')));
        // F-2, H-10
        for found in [0, 255, 257, u32::MAX] {
            let size = frame_error(&|hello| changed(good().challenge(hello), at::SIZE, &found.to_le_bytes()));
            assert_eq!(size, HandshakeFrameError::Size { found });
        }
        for offset in [0, 52, 62, 127, at::RETRY_AFTER, at::EPHEMERAL, 250, 255] {
            let unused = frame_error(&|hello| changed(good().challenge(hello), offset, &[1]));
            assert_eq!(unused, HandshakeFrameError::UnusedByte { offset });
        }
        // H-6
        for found in [1, 3] {
            let version = frame_error(&|hello| changed(good().challenge(hello), at::VERSION, &[found]));
            assert_eq!(version, HandshakeFrameError::UnsupportedVersion { found });
        }
        let old = RawPeer { version: 1, ..good() };
        let error = dial_error(|hello| old.challenge(hello));
        assert_eq!(error, DialError::Version { asked: Version::V2, answered: Version::V1 });
        assert!(error.to_string().contains("we asked for version 2, the peer answered in version 1"));
    });
}

#[test]
fn an_acceptor_that_is_not_the_one() {
    watched(|| {
        let sign = |hello: &Frame, offset: usize, bytes: &[u8]| {
            good().sign_challenge(hello, changed(good().challenge(hello), offset, bytes))
        };
        let error = dial_error(|hello| sign(hello, at::CLUSTER, &[0; 16]));
        assert!(matches!(error, DialError::Cluster { .. }));
        assert!(
            error.to_string().starts_with("the peer belongs to cluster 00000000000000000000000000000000")
        );
        let error = dial_error(|hello| RawPeer { replica: 4, ..good() }.challenge(hello));
        assert_eq!(error, DialError::WrongPeer { expected: ReplicaId(ACCEPTOR), found: ReplicaId(4) });
        let error = dial_error(|hello| RawPeer { nonce: [0; 32], ..good() }.challenge(hello));
        assert_eq!(error, DialError::ZeroNonce);
        // H-5: no proof, another's, the dialer's, or one of other frames.
        let zero = dial_error(|hello| changed(good().challenge(hello), at::MAC, &[0; 32]));
        let other = dial_error(|hello| {
            let impostor = RawPeer { forge: RawPeer::new(3, OTHER_SECRET).forge, ..good() };
            changed(impostor.challenge(hello), at::KEY_ID, &hello[at::KEY_ID..at::EPHEMERAL])
        });
        let direction = dial_error(|hello| {
            let challenge = good().challenge(hello);
            let mac = &RawPeer::new(0, SECRET).finish(hello, &challenge)[at::MAC..at::STATUS];
            changed(challenge, at::MAC, mac)
        });
        let flags = dial_error(|hello| changed(good().challenge(hello), at::FLAGS, &[1]));
        let lane = dial_error(|hello| changed(good().challenge(hello), at::LANE, &[1]));
        assert_eq!([zero, other, direction, flags, lane], [const { DialError::Mac }; 5]);
        // Proved, and wrong: an insider's mistakes.
        let error = dial_error(|hello| sign(hello, at::LANE, &[1]));
        assert_eq!(error, DialError::NotRepeated { field: "lane" });
        let error = dial_error(|hello| sign(hello, at::KEY_ID, &[1; 8]));
        assert_eq!(error, DialError::NotRepeated { field: "key_id" });
        let error = dial_error(|hello| sign(hello, at::FLAGS, &[2]));
        let offered = Flags::SEALED | Flags::EPHEMERAL;
        assert_eq!(error, DialError::NotOffered { selected: Flags(2), offered });
    });
}

#[test]
fn an_acceptor_that_replays_a_challenge() {
    watched(|| {
        // Recorded from a good handshake.
        let (mut recorded, dialer) = (None, endpoint(0, AUTH));
        let link = dial(&dialer, TEST_TIME_MAX / 2, |link| {
            let challenge = good().challenge(&link.read());
            link.send(&challenge);
            link.read();
            recorded = Some(challenge);
        });
        link.unwrap();
        let recorded = recorded.unwrap();
        assert_eq!(dial_error(|_| recorded), DialError::Mac);
    });
}

#[test]
fn a_low_order_share_is_refused() {
    // K-4
    watched(|| {
        let dialer = endpoint_with(0, AUTH, "forward_secrecy = \"required\"");
        for share in [[0; 32], changed([0; 256], 0, &[1])[..32].try_into().unwrap()] {
            let failure = dial(&dialer, TEST_TIME_MAX / 2, |link| {
                let hello = link.read();
                let mut challenge = changed(good().challenge(&hello), at::FLAGS, &[4]);
                put(&mut challenge, at::EPHEMERAL, &share);
                link.send(&good().sign_challenge(&hello, challenge));
            });
            assert!(matches!(failure, Err(DialFailure::Handshake(DialError::LowOrderShare))), "{failure:?}");
        }
        // One that selects no share where one is required.
        let failure = dial(&dialer, TEST_TIME_MAX / 2, |link| {
            let hello = link.read();
            link.send(&good().challenge(&hello));
        });
        assert!(matches!(failure, Err(DialFailure::Handshake(DialError::Policy { .. }))));

        // And the acceptor refuses the same of a dialer.
        let server =
            Server::start(endpoint_with(ACCEPTOR, AUTH, "forward_secrecy = \"optional\""), HANDSHAKE_TIME);
        let mut link = RawLink(server.connect());
        let peer = insider();
        let hello = changed(peer.hello(), at::FLAGS, &[4]);
        link.send(&hello);
        let challenge = link.read();
        let finish = changed(peer.finish(&hello, &challenge), at::FLAGS, &[4]);
        link.send(&peer.sign_finish(&hello, &challenge, finish));
        assert_eq!(link.read()[at::STATUS], Status::MALFORMED_FRAME.0);
        assert!(matches!(server.refusal(), AcceptFailure::Rejected(rejection)
            if rejection.status == Status::MALFORMED_FRAME));
        server.serves(&endpoint(0, AUTH));
    });
}

#[test]
fn a_reject_with_a_status_of_another_time() {
    // H-7, section 2.1
    watched(|| {
        for (status, authenticated) in [(15, false), (77, true), (255, false)] {
            let error = dial_error(|hello| {
                let mut reject = changed(good().reject(status), at::RETRY_AFTER, &1234u32.to_le_bytes());
                if authenticated {
                    put(&mut reject, at::NONCE, &good().nonce);
                    put(&mut reject, at::KEY_ID, &hello[at::KEY_ID..at::EPHEMERAL]);
                    reject = good().sign_challenge(hello, reject);
                }
                reject
            });
            let DialError::Rejected(reject) = error else { panic!("{error:?}") };
            assert_eq!(reject.status, Status(status));
            assert_eq!(reject.authenticated, authenticated);
            assert_eq!((reject.from, reject.retry_after_ms), (ReplicaId(ACCEPTOR), 1234));
            let text = reject.to_string();
            assert!(text.contains(&format!("unknown status ({status})")), "{text}");
            assert_eq!(text.contains("a hint, not authenticated"), !authenticated, "{text}");
        }
        // A forged one says no more than it proves.
        let forged = dial_error(|_| {
            let reject = changed(good().reject(Status::DUPLICATE_REPLICA.0), at::NONCE, &[7; 32]);
            changed(reject, at::MAC, &[7; 32])
        });
        assert!(matches!(forged, DialError::Rejected(reject) if !reject.authenticated));
    });
}

/// What comes after the handshake, made of Hello, challenge and session key.
type After<'a> = &'a (dyn Fn(&Frame, &Frame, &[u8; 32]) -> Vec<u8> + Sync);

#[test]
fn an_acceptor_that_breaks_the_protocol_once_the_link_is_up() {
    watched(|| {
        let dialer = endpoint(0, AUTH);
        let end = |after: After<'_>| {
            let link = dial(&dialer, TEST_TIME_MAX / 2, |link| {
                let hello = link.read();
                let challenge = good().challenge(&hello);
                link.send(&challenge);
                let session = good().session(&hello, &challenge, &link.read());
                link.send(&after(&hello, &challenge, &session));
            });
            let (_sender, mut receiver) = blocking::open(link.unwrap(), dialer.outbound_limits()).unwrap();
            loop {
                if let Err(end) = receive(&mut receiver) {
                    break end;
                }
            }
        };
        let frame = |size: u32| changed(good().frame(command::PREPARE), at::SIZE, &size.to_le_bytes());

        let late = |status| {
            move |hello: &Frame, challenge: &Frame| {
                let mut reject = good().reject(status);
                put(&mut reject, at::NONCE, &challenge[at::NONCE..at::MAC]);
                put(&mut reject, at::KEY_ID, &hello[at::KEY_ID..at::EPHEMERAL]);
                good().sign_challenge(hello, reject).to_vec()
            }
        };
        // H-9
        let rejected = end(&|hello, challenge, _| late(11)(hello, challenge));
        let LinkEnd::Violation(InboundError::LateReject(reject)) = rejected else { panic!("{rejected:?}") };
        assert_eq!((reject.status, reject.authenticated), (Status::DUPLICATE_REPLICA, true));
        let too_late = end(&|hello, challenge, _| [frame(256).to_vec(), late(11)(hello, challenge)].concat());
        let command = Command::REPLICA_CHALLENGE;
        assert!(
            matches!(too_late, LinkEnd::Violation(InboundError::HandshakeFrame { command: found }) if found == command)
        );
        let again = end(&|_, challenge, _| challenge.to_vec());
        assert!(matches!(again, LinkEnd::Violation(InboundError::HandshakeFrame { .. })));

        let cluster = end(&|_, _, _| changed(frame(256), at::CLUSTER, &[9; 16]).to_vec());
        assert!(matches!(cluster, LinkEnd::Violation(InboundError::Frame(FrameError::Cluster { .. }))));
        let size = end(&|_, _, _| frame(u32::MAX).to_vec());
        assert!(matches!(size, LinkEnd::Violation(InboundError::Frame(FrameError::Size { .. }))));
        let truncated = end(&|_, _, _| frame(100_000).to_vec());
        assert!(matches!(truncated, LinkEnd::Truncated));
        // What this dialer sent itself comes back as if the acceptor had sent it.
        let reflected = end(&|_, _, session| {
            RawPeer::new(0, SECRET).control(session, "dialer->acceptor", command::PING, 1, 0).to_vec()
        });
        assert!(matches!(reflected, LinkEnd::Violation(InboundError::Control(ControlError::Sender { .. }))));
    });
}

#[test]
fn a_dialer_is_none_the_worse_for_it() {
    // An endpoint holds nothing of a handshake that failed.
    watched(|| {
        let target = Target::new();
        for answer in [0u8, 1, 14, 15, 16, 255] {
            let failure = dial(&target.honest, TEST_TIME_MAX / 2, |link| {
                link.0.read_exact(&mut [0; 256]).unwrap();
                link.send(&[answer; 300]);
            });
            assert!(matches!(failure, Err(DialFailure::Handshake(_))), "{failure:?}");
            target.is_well();
        }
    });
}
