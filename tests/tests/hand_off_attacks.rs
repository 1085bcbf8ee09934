//! A hand-off with someone in the middle who changes, repeats, swaps and cuts what goes over.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Shutdown, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use replink_frame::ReplicaId;
use replink_handshake::{ControlMessage, TICKET_LEN, TicketError};
use replink_tests::frames::plain;
use replink_tests::links::{
    ACCEPTOR, AUTH, Got, config_with, endpoint, endpoint_with, listen, receive, shake_hands, write_to,
};
use replink_tests::random::Random;
use replink_tests::watchdog::{TEST_TIME_MAX, soon, watched};
use replink_transport::hand_off::{
    DescriptorError, HandOffError, Predecessor, RefusalCode, RefusedLink, StateError, Successor, Taken,
};
use replink_transport::{Endpoint, Inbound, Link, Outbound, OwnedFrame, Received, blocking};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use socket2::{Domain, Socket, Type};

const HEAD_LEN: usize = 16;
const STATE_AT: usize = HEAD_LEN + TICKET_LEN;

type Parts = (Link, Inbound, Outbound);
type Peer = (blocking::Sender, blocking::Receiver);

fn node() -> Endpoint {
    endpoint_with(
        3,
        AUTH,
        "sealed = \"off\"\nforward_secrecy = \"off\"\nmax_frame_size = \"1MiB\"\nsend_queue_bytes = \"1MiB\"",
    )
}

/// A link of the node's, with something to read, something under way and something to send.
fn link() -> (Parts, Peer) {
    let (node, peer) = (node(), endpoint_with(0, AUTH, ""));
    let (dialed, accepted) = shake_hands(&peer, &node);
    let (link, session) = accepted.unwrap().into_parts();
    let (receiving, sending) = session.split();
    let limits = node.outbound_limits();
    let mut inbound = Inbound::new(receiving, limits.frame_size);
    let (header, body) = plain(100_000, 1);
    inbound.push(header.bytes());
    inbound.push(&body[..60_000]);
    assert!(inbound.next().unwrap().is_none(), "under way");
    inbound.push(&body[60_000..90_000]);
    let mut outbound = Outbound::new(sending, limits);
    for len in [10, 20_000] {
        let (header, body) = plain(len, 2);
        outbound.push(&header, body).unwrap();
    }
    let mut slices = [IoSlice::new(&[])];
    outbound.slices(&mut slices);
    link.stream().write_all(&slices[0][..100]).unwrap(); // the first frame is written in part
    outbound.advance(100);
    ((link, inbound, outbound), blocking::open(dialed.unwrap(), peer.outbound_limits()).unwrap())
}

/// One message of the predecessor's.
struct Message {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// Who stands between the two processes.
struct Middle {
    predecessor: UnixStream,
    successor: UnixStream,
}

impl Middle {
    fn message(&self) -> Message {
        let mut head = [0; HEAD_LEN];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut head)];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL;
        let received = rustix::net::recvmsg(&self.predecessor, &mut slices, &mut control, flags).unwrap();
        assert_eq!(received.bytes, HEAD_LEN);
        let descriptors = control
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            })
            .flatten()
            .collect();
        let len = u64::from_le_bytes(head[8..].try_into().unwrap());
        let mut bytes = vec![0; HEAD_LEN + usize::try_from(len).unwrap()];
        bytes[..HEAD_LEN].copy_from_slice(&head);
        (&self.predecessor).read_exact(&mut bytes[HEAD_LEN..]).unwrap();
        Message { bytes, descriptors }
    }

    fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
        }
        let (first, rest) = bytes.split_at(1);
        rustix::net::sendmsg(&self.successor, &[IoSlice::new(first)], &mut control, SendFlags::NOSIGNAL)
            .unwrap();
        // A successor that has had enough closes.
        let _ = (&self.successor).write_all(rest);
    }

    fn forward(&self, message: &Message) {
        let descriptors: Vec<_> = message.descriptors.iter().map(AsFd::as_fd).collect();
        self.send(&message.bytes, &descriptors);
    }

    fn answer(&self) -> [u8; 8] {
        let mut answer = [0; 8];
        (&self.successor).read_exact(&mut answer).unwrap();
        answer
    }

    fn forward_answer(&self) {
        (&self.predecessor).write_all(&self.answer()).unwrap();
    }

    /// Greeting and node.
    fn begin(&self) {
        let mut greeting = [0; 48];
        (&self.successor).read_exact(&mut greeting).unwrap();
        (&self.predecessor).write_all(&greeting).unwrap();
        self.forward(&self.message());
        self.forward_answer();
    }

    /// All that the predecessor still says goes through.
    fn end(&self) {
        loop {
            let message = self.message();
            self.forward(&message);
            self.forward_answer();
            if message.bytes[0] == 4 {
                return;
            }
        }
    }
}

struct Outcome {
    given: Vec<Result<(), HandOffError>>,
    taken: Vec<Taken>,
    end: Result<(), HandOffError>,
}

/// A transfer with someone in the middle, who has begun it.
fn through(links: Vec<Parts>, interfere: impl FnOnce(&Middle)) -> Outcome {
    let (to_predecessor, predecessor) = UnixStream::pair().unwrap();
    let (to_successor, successor) = UnixStream::pair().unwrap();
    let middle = Middle { predecessor: to_predecessor, successor: to_successor };
    for stream in [&middle.predecessor, &middle.successor] {
        stream.set_read_timeout(Some(TEST_TIME_MAX / 2)).unwrap();
        stream.set_write_timeout(Some(TEST_TIME_MAX / 2)).unwrap();
    }
    thread::scope(|scope| {
        let giving = scope.spawn(move || {
            let node = node();
            let mut giving = Predecessor::begin(&predecessor, &node, soon()).unwrap();
            let give = |(link, inbound, outbound)| giving.link(link, inbound, outbound);
            let given = links.into_iter().map(give).collect();
            let _ = giving.finish();
            given
        });
        let taking = scope.spawn(move || {
            let mut taking = Successor::begin(&successor, soon()).unwrap();
            let mut taken = Vec::new();
            loop {
                match taking.next(&node()) {
                    Ok(Some(next)) => taken.push(next),
                    Ok(None) => return (taken, Ok(())),
                    Err(error) => {
                        assert!(matches!(taking.next(&node()), Err(HandOffError::Over)));
                        return (taken, Err(error));
                    }
                }
            }
        });
        middle.begin();
        interfere(&middle);
        drop(middle);
        let (taken, end) = taking.join().unwrap();
        Outcome { given: giving.join().unwrap(), taken, end }
    })
}

fn assert_shut_down(mut peer: Peer) {
    receive(&mut peer.1).unwrap_err();
}

/// The link is whole: what was under way arrives, and what waited.
fn assert_works(taken: Taken, mut peer: Peer) {
    let Taken::Link { link, mut inbound, mut outbound } = taken else { panic!("{taken:?}") };
    assert_eq!(inbound.push(&[1; 10_000]), 10_000);
    let Received::Frame(frame) = inbound.next().unwrap().unwrap() else { panic!("no frame") };
    assert_eq!(frame.into_body(), vec![1; 100_000]);
    let (ping, counter) = (peer.0.ping().unwrap(), outbound.ping());
    assert_eq!((ping, counter), (Some(1), Some(1)));
    while !outbound.is_empty() {
        write_to(&mut outbound, &link).unwrap();
    }
    for len in [10, 20_000] {
        let (header, body) = plain(len, 2);
        assert_eq!(receive(&mut peer.1).unwrap().frame(), OwnedFrame::new(header, body));
    }
    assert!(matches!(receive(&mut peer.1).unwrap(), Got::Control(ControlMessage::Ping { counter: 1 })));
}

fn refused(taken: &Taken) -> &RefusedLink {
    match taken {
        Taken::Refused(refused) => refused,
        taken => panic!("{taken:?} where a refusal was expected"),
    }
}

#[test]
fn who_only_passes_it_on_changes_nothing() {
    watched(|| {
        let (parts, peer) = link();
        let outcome = through(vec![parts], Middle::end);
        assert!(outcome.given[0].is_ok() && outcome.end.is_ok());
        assert_works(outcome.taken.into_iter().next().unwrap(), peer);
    });
}

#[test]
fn a_ticket_with_the_socket_of_another_link_is_refused() {
    watched(|| {
        let ((first, first_peer), (second, second_peer), (third, third_peer)) = (link(), link(), link());
        let outcome = through(vec![first, second, third], |middle| {
            let message = middle.message();
            let (other, _other_peer) = link();
            middle.send(&message.bytes, &[other.0.as_fd()]);
            middle.forward_answer();
            let message = middle.message();
            middle.send(&message.bytes, &[message.descriptors[0].as_fd()]); // its own again
            middle.forward_answer();
            // The socket of a link that has its own ticket.
            let next = middle.message();
            middle.send(&next.bytes, &[message.descriptors[0].as_fd()]);
            middle.forward_answer();
            middle.end();
        });
        assert!(matches!(
            &outcome.given[..],
            [
                Err(HandOffError::Refused(RefusalCode::TICKET)),
                Ok(()),
                Err(HandOffError::Refused(RefusalCode::TICKET))
            ]
        ));
        let [first, second, third] = <[_; 3]>::try_from(outcome.taken).unwrap();
        assert!(matches!(refused(&first), RefusedLink::Ticket(TicketError::Mac)));
        assert!(matches!(refused(&third), RefusedLink::Ticket(TicketError::Mac)));
        assert_shut_down(first_peer);
        assert_works(second, second_peer);
        assert_shut_down(third_peer);
    });
}

#[test]
fn a_message_is_good_once() {
    watched(|| {
        let (parts, peer) = link();
        let mut kept = None;
        let outcome = through(vec![parts], |middle| {
            let message = middle.message();
            middle.forward(&message);
            middle.forward_answer();
            middle.forward(&message);
            assert_eq!(middle.answer(), [1, RefusalCode::TICKET.0, 0, 0, 0, 0, 0, 0]);
            kept = Some(message);
            middle.end();
        });
        assert!(outcome.given[0].is_ok());
        let [taken, again] = <[_; 2]>::try_from(outcome.taken).unwrap();
        assert!(matches!(refused(&again), RefusedLink::Ticket(TicketError::Mac)));

        // With the socket still open, in another transfer.
        let kept = kept.unwrap();
        let outcome = through(Vec::new(), |middle| {
            middle.forward(&kept);
            assert_eq!(middle.answer(), [1, RefusalCode::TICKET.0, 0, 0, 0, 0, 0, 0]);
            middle.end();
        });
        assert!(matches!(refused(&outcome.taken[0]), RefusedLink::Ticket(TicketError::Mac)));
        drop(kept);
        assert_works(taken, peer);
    });
}

#[test]
fn links_in_another_order_are_refused() {
    watched(|| {
        let (parts, peer) = link();
        let outcome = through(vec![parts], |middle| {
            let message = middle.message();
            middle.send(&message.bytes, &[]); // uses the place up
            assert_eq!(middle.answer()[..2], [1, RefusalCode::DESCRIPTOR.0]);
            middle.forward(&message);
            middle.forward_answer();
            middle.end();
        });
        assert!(matches!(outcome.given[0], Err(HandOffError::Refused(RefusalCode::TICKET))));
        assert_shut_down(peer);
    });
}

#[test]
fn descriptors_of_the_wrong_number_or_kind_are_refused() {
    watched(|| {
        let file = File::open("/proc/self/exe").unwrap();
        let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        datagrams.connect(datagrams.local_addr().unwrap()).unwrap();
        let (unix, _unix) = UnixStream::pair().unwrap();
        let listener = listen();
        let unconnected = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let wrong = [file.as_fd(), datagrams.as_fd(), unix.as_fd(), listener.as_fd(), unconnected.as_fd()];
        let (links, peers): (Vec<_>, Vec<_>) = (0..wrong.len() + 4).map(|_| link()).unzip();
        let outcome = through(links, |middle| {
            for descriptor in wrong {
                middle.send(&middle.message().bytes, &[descriptor]);
                middle.forward_answer();
            }
            for count in [0, 2, 8] {
                let message = middle.message();
                middle.send(&message.bytes, &vec![message.descriptors[0].as_fd(); count]);
                middle.forward_answer();
            }
            middle.end();
        });
        let (good, bad) = outcome.taken.split_last().unwrap();
        assert!(matches!(good, Taken::Link { .. }), "after all of this: {good:?}");
        for (index, taken) in bad.iter().enumerate() {
            let RefusedLink::Descriptor(error) = refused(taken) else { panic!("{taken:?}") };
            let is_right = match error {
                DescriptorError::Kind { .. } => index < 4,
                DescriptorError::Io(_) => index == 4,
                DescriptorError::Count { found } => match index {
                    5 => *found == 0,
                    6 => *found == 2,
                    _ => index == 7 && *found > 2,
                },
                _ => false,
            };
            assert!(is_right, "{index}: {error}");
        }
        let (last, rest) = outcome.given.split_last().unwrap();
        assert!(last.is_ok());
        assert!(
            rest.iter().all(|given| matches!(given, Err(HandOffError::Refused(RefusalCode::DESCRIPTOR))))
        );
        let mut peers = peers;
        peers.pop();
        peers.into_iter().for_each(assert_shut_down);
    });
}

/// A byte of the ticket or the state, at every place of its fixed parts and at some of the others.
#[test]
fn what_is_changed_on_the_way_is_refused() {
    watched(|| {
        let mut random = Random::new(5);
        let (parts, peer) = link();
        let mut original = None;
        through(vec![parts], |middle| {
            original = Some(middle.message());
        });
        drop(peer);
        let original = original.unwrap();
        let fixed = STATE_AT..STATE_AT + 32 + 256;
        let mut offsets: Vec<usize> = fixed.collect();
        offsets.extend((0..40).map(|_| random.between(HEAD_LEN, original.bytes.len() - 1)));
        let outcome = through(Vec::new(), |middle| {
            for offset in &offsets {
                let mut bytes = original.bytes.clone();
                bytes[*offset] ^= 1 << random.below(8);
                middle.send(&bytes, &[original.descriptors[0].as_fd()]);
                assert_eq!(middle.answer()[0], 1, "changed at {offset}");
            }
            middle.end();
        });
        assert!(outcome.end.is_ok());
        assert_eq!(outcome.taken.len(), offsets.len());
        outcome.taken.iter().for_each(|taken| {
            refused(taken);
        });
    });
}

/// Lengths that promise far more than there is get no memory.
#[test]
fn sizes_beyond_the_limits_are_refused_before_they_are_read() {
    watched(|| {
        let (parts, _peer) = link();
        let mut original = None;
        through(vec![parts], |middle| original = Some(middle.message()));
        let original = original.unwrap();
        let offsets = [4, 16, 20, 24, 28].map(|offset| STATE_AT + offset + 3);
        let outcome = through(Vec::new(), |middle| {
            for offset in offsets {
                let mut bytes = original.bytes.clone();
                bytes[offset] = 0xff;
                middle.send(&bytes, &[original.descriptors[0].as_fd()]);
                assert_eq!(middle.answer()[..2], [1, RefusalCode::STATE.0]);
            }
            middle.end();
        });
        for taken in &outcome.taken {
            assert!(matches!(refused(taken), RefusedLink::State(StateError::Limit { .. })), "{taken:?}");
        }
    });
}

/// The state's own lengths and the message's.
#[test]
fn a_message_shorter_or_longer_than_its_parts_is_refused() {
    watched(|| {
        let (parts, _peer) = link();
        let mut original = None;
        through(vec![parts], |middle| original = Some(middle.message()));
        let original = original.unwrap();
        let lengths =
            [0, 1, TICKET_LEN, TICKET_LEN + 287, TICKET_LEN + 288, original.bytes.len() - HEAD_LEN - 1];
        let longer = [&original.bytes[..], &[0]].concat();
        let outcome = through(Vec::new(), |middle| {
            for len in lengths.into_iter().chain([longer.len() - HEAD_LEN]) {
                let mut bytes = longer[..HEAD_LEN + len].to_vec();
                bytes[8..16].copy_from_slice(&(len as u64).to_le_bytes());
                middle.send(&bytes, &[original.descriptors[0].as_fd()]);
                assert_eq!(middle.answer()[..2], [1, RefusalCode::STATE.0]);
            }
            middle.end();
        });
        assert_eq!(outcome.taken.len(), lengths.len() + 1);
    });
}

#[test]
fn a_transfer_that_is_cut_closes_the_link() {
    watched(|| {
        for len in [0, 1, HEAD_LEN, HEAD_LEN + 1, STATE_AT, STATE_AT + 100, STATE_AT + 50_000] {
            let ((cut, cut_peer), (never, never_peer)) = (link(), link());
            let outcome = through(vec![cut, never], |middle| {
                let message = middle.message();
                if len > 0 {
                    middle.send(&message.bytes[..len], &[message.descriptors[0].as_fd()]);
                }
            });
            assert!(matches!(outcome.end, Err(HandOffError::Closed)), "{:?}", outcome.end);
            assert!(outcome.taken.is_empty());
            let [Err(HandOffError::Closed), Err(HandOffError::Over)] = &outcome.given[..] else {
                panic!("{:?}", outcome.given)
            };
            assert_shut_down(cut_peer);
            assert_shut_down(never_peer);
        }
    });
}

#[test]
fn an_answer_that_gets_lost_leaves_no_owner() {
    watched(|| {
        let (parts, peer) = link();
        let outcome = through(vec![parts], |middle| {
            middle.forward(&middle.message());
            middle.answer(); // taken
        });
        assert!(matches!(outcome.given[..], [Err(HandOffError::Closed)]));
        assert_eq!(outcome.taken.len(), 1, "for the successor it looked well");
        assert_shut_down(peer);
    });
}

#[test]
fn garbage_ends_the_transfer() {
    watched(|| {
        let mut random = Random::new(9);
        for round in 0..60u8 {
            let outcome = through(Vec::new(), |middle| {
                let mut bytes = random.bytes(HEAD_LEN);
                if round < 30 {
                    bytes[0] = round % 6;
                    bytes[1..8].fill(0);
                }
                if bytes[0] == 3 {
                    bytes[15] = 0xff; // a link of more bytes than there will ever be
                }
                middle.send(&bytes, &[]);
                middle.successor.shutdown(Shutdown::Write).unwrap();
            });
            let error = outcome.end.unwrap_err();
            assert!(matches!(error, HandOffError::Format { .. } | HandOffError::Closed), "{error}");
        }
    });
}

#[test]
fn greetings_that_are_none() {
    watched(|| {
        let mut random = Random::new(10);
        let mut good = [0; 48];
        good[..9].copy_from_slice(b"replhand\x02");
        good[16..].copy_from_slice(&random.bytes(32));
        let with = |change: &dyn Fn(&mut [u8; 48])| {
            let mut greeting = good;
            change(&mut greeting);
            let (ours, theirs) = UnixStream::pair().unwrap();
            (&theirs).write_all(&greeting).unwrap();
            theirs.shutdown(Shutdown::Write).unwrap();
            let node = node();
            Predecessor::begin(&ours, &node, soon()).unwrap_err()
        };
        assert!(matches!(with(&|_| ()), HandOffError::Closed));
        assert!(matches!(with(&|greeting| greeting[0] = b'R'), HandOffError::Format { .. }));
        assert!(matches!(with(&|greeting| greeting[8] = 1), HandOffError::Version { found: 1 }));
        assert!(matches!(with(&|greeting| greeting[15] = 1), HandOffError::Format { .. }));
        assert!(matches!(with(&|greeting| greeting[16..].fill(0)), HandOffError::Format { .. }));
    });
}

#[test]
fn nobody_waits_longer_than_the_deadline() {
    watched(|| {
        let brief = || Instant::now() + Duration::from_millis(20);
        let (ours, theirs) = UnixStream::pair().unwrap();
        let node = node();
        assert!(matches!(Predecessor::begin(&ours, &node, brief()), Err(HandOffError::TimedOut)));
        assert!(matches!(Successor::begin(&theirs, brief()), Err(HandOffError::TimedOut)));
        assert!(matches!(Predecessor::begin(&ours, &node, Instant::now()), Err(HandOffError::TimedOut)));

        // A successor that greets, and then does nothing: the link is closed.
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut greeting = [1; 48];
        greeting[..16].copy_from_slice(b"replhand\x02\0\0\0\0\0\0\0");
        (&theirs).write_all(&greeting).unwrap();
        (&theirs).write_all(&[0; 8]).unwrap();
        let ((link, mut inbound, outbound), peer) = link();
        while inbound.push(&[0; 4096]) > 0 {} // more than the Unix socket holds
        let mut giving =
            Predecessor::begin(&ours, &node, Instant::now() + Duration::from_millis(300)).unwrap();
        assert!(matches!(giving.link(link, inbound, outbound), Err(HandOffError::TimedOut)));
        assert!(giving.is_over());
        assert!(matches!(giving.listener(&listen()), Err(HandOffError::Over)));
        assert_shut_down(peer);
    });
}

/// The successor's own configuration decides.
#[test]
fn a_successor_with_another_configuration_takes_nothing() {
    watched(|| {
        let with = |auth: &str, replica: u8, incarnation: u64| {
            config_with(auth, "").endpoint(ReplicaId(replica), 7, incarnation).unwrap()
        };
        let incarnation = node().local().incarnation;
        let other_key = "shared_secret = \"another secret, which is as long as it must be\"";
        let successors = [
            with(other_key, 3, incarnation),
            with("enabled = false", 3, incarnation),
            with(AUTH, 4, incarnation),
            with(AUTH, 3, incarnation + 1),
            endpoint_with(3, AUTH, "forward_secrecy = \"required\""),
        ];
        for endpoint in successors {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let ((link, inbound, outbound), peer) = link();
            thread::scope(|scope| {
                scope.spawn(|| {
                    let node = node();
                    let mut giving = Predecessor::begin(&ours, &node, soon()).unwrap();
                    let given = giving.link(link, inbound, outbound);
                    assert!(matches!(given, Err(HandOffError::Refused(RefusalCode::TICKET))), "{given:?}");
                    giving.finish().unwrap();
                });
                let mut taking = Successor::begin(&theirs, soon()).unwrap();
                let taken = taking.next(&endpoint).unwrap().unwrap();
                assert!(matches!(refused(&taken), RefusedLink::Ticket(_)));
                assert!(taking.next(&endpoint).unwrap().is_none());
            });
            assert_shut_down(peer);
        }
    });
}

/// A process of another user is told nothing, in either role. (A thread can have a user of its own, and a socket pair is
/// its maker's at both ends.)
#[test]
#[expect(clippy::print_stderr, reason = "who skips a test has to say so")]
fn a_process_of_another_user_is_refused() {
    use rustix::process::{Uid, geteuid};
    use rustix::thread::set_thread_res_uid;
    let nobody = Uid::from_raw(65_534);
    let as_nobody = move || set_thread_res_uid(nobody, nobody, nobody).map(|()| UnixStream::pair().unwrap());
    let Ok((ours, theirs)) = thread::spawn(as_nobody).join().unwrap() else {
        return eprintln!("skipped: this process may not act as another user");
    };
    let endpoint = endpoint(ACCEPTOR, AUTH);
    let expected = geteuid().as_raw();
    for error in [
        Predecessor::begin(&ours, &endpoint, soon()).map(drop).unwrap_err(),
        Successor::begin(&theirs, soon()).map(drop).unwrap_err(),
    ] {
        let refused =
            matches!(error, HandOffError::User { expected: ours, found: 65_534 } if ours == expected);
        assert!(refused, "{error:?}");
    }
}
