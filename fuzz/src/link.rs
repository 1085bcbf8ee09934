//! One end of an established link: what it exports, signs and opens, and how it reads a late
//! reject (K-5, section 4, H-9).

use std::ops::Range;

use arbitrary::Unstructured;
use replink_frame::{GenericHeader, GoodbyeReason, ReplicaId, ReplicatedHeader, Status, Version};
use replink_handshake::{
    Authenticated, Availability, ChannelBinding, ControlError, ControlMessage, DialTarget, Peer, PeerReject,
    Receiving, Sending, Side,
};

use crate::frame_parse::link_fault;
use crate::mac::{self, Binding, Keys, same};
use crate::node::{CLUSTER, Draw, Drawer, Knobs};
use crate::patch::byte;
use crate::wire::{self, Frame, LinkFault};

/// What a dialer needs to read a reject: its Hello, its key if it has one, and on an established
/// link the challenge that brought it up.
#[derive(Clone, Copy)]
pub struct Dialed {
    pub hello: Frame,
    pub key: Option<Keys>,
    pub binding: Binding,
    pub challenge: Option<Frame>,
}

impl Dialed {
    /// H-7: a challenge as a reject.
    pub fn read_reject(&self, frame: &Frame) -> Option<PeerReject> {
        let v2 = frame[wire::VERSION] == 2;
        let fault = wire::handshake_fault(frame, wire::CHALLENGE);
        if fault.is_some() || frame[wire::VERSION] != self.hello[wire::VERSION] || frame[wire::STATUS] == 0 {
            return None;
        }
        let proved = |key: Keys| same(&frame[wire::MAC], key.acceptor(&self.hello, frame, self.binding));
        Some(PeerReject::new(
            ReplicaId(frame[wire::REPLICA]),
            Status(frame[wire::STATUS]),
            wire::u32_at(frame, wire::RETRY_AFTER),
            v2 && !wire::is_zero(&frame[wire::NONCE]) && self.key.is_some_and(proved),
        ))
    }

    /// H-9: a challenge as the late reject of one who has proved himself. He is still the same,
    /// and his proof is about the same handshake; in version 2 there is one.
    pub fn read_late_reject(&self, frame: &Frame) -> Option<PeerReject> {
        let mut reject = self.read_reject(frame)?;
        if let Some(challenge) = &self.challenge {
            let same = |field: Range<usize>| frame[field.clone()] == challenge[field];
            if !same(wire::CLUSTER) || !same(wire::REPLICA..wire::REPLICA + 1) {
                return None;
            }
            reject.authenticated &= same(wire::NONCE);
            if frame[wire::VERSION] == 2 && !reject.authenticated {
                return None;
            }
        }
        Some(reject)
    }
}

/// A handshake between two nodes that goes well: its frames, and the link of either.
pub fn shake_hands(dialer: &Knobs, acceptor: &Knobs) -> ([Frame; 3], Authenticated<()>, Authenticated<()>) {
    let (theirs, ours) = (Draw::new(Drawer::Acceptor, 1), Draw::new(Drawer::Dialer, 1));
    let to = DialTarget::new(ReplicaId(acceptor.replica));
    let begun = dialer.dialer().begin((), to, ChannelBinding::None, ours.fresh());
    let (dialing, hello) = begun.expect("a target to dial");
    let answering = acceptor.acceptor().begin((), ChannelBinding::None);
    let received = answering.receive(hello.bytes(), Availability::Open, theirs.fresh());
    let (answering, challenge) = received.expect("a genuine Hello");
    let (dialed, finish) = dialing.receive(challenge.bytes()).expect("a genuine challenge");
    let answered = answering.receive(finish.bytes()).expect("a genuine Finish").admit();
    ([*hello.bytes(), *challenge.bytes(), *finish.bytes()], dialed, answered)
}

/// Why a control frame ends the link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Violation {
    Frame(LinkFault),
    NotOnThisLink,
    Sender,
    Mac,
    Counter { last: u64, found: u64 },
}

/// The end under test, and what must be true of it.
pub struct End {
    knobs: Knobs,
    peer: Peer,
    keys: Option<Subkeys>,
    dialed: Option<Dialed>,
    sent: u64,
    received: u64,
    receiving: Receiving,
    sending: Sending,
}

struct Subkeys {
    send: [u8; 32],
    receive: [u8; 32],
}

impl End {
    /// `session` is the key of K-4, if there is one.
    pub fn new(
        link: Authenticated<()>,
        knobs: &Knobs,
        peer: Peer,
        session: Option<[u8; 32]>,
        dialed: Option<Dialed>,
    ) -> Self {
        assert_eq!(link.peer(), &peer);
        let ((), opened) = link.into_parts();
        assert_eq!(opened.peer(), &peer);
        assert_eq!(opened.cluster().0, *CLUSTER);
        for label in ["", "state-transfer"] {
            let expected = session.map(|session| mac::subkey(&session, &format!("export {label}")));
            assert_eq!(opened.export(label).ok().map(|key| *key.bytes()), expected);
        }
        let (from_dialer, from_acceptor) = ("control dialer->acceptor", "control acceptor->dialer");
        let (send, receive) = match peer.side {
            Side::Dialer => (from_dialer, from_acceptor),
            Side::Acceptor => (from_acceptor, from_dialer),
        };
        let keys = session.map(|session| Subkeys {
            send: mac::subkey(&session, send),
            receive: mac::subkey(&session, receive),
        });
        let (receiving, sending) = opened.split();
        Self { knobs: *knobs, peer, keys, dialed, sent: 0, received: 0, receiving, sending }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The counter of the last control frame that was opened.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// A control frame from this end, as the input chooses; none in version 1.
    pub fn send(&mut self, input: &mut Unstructured<'_>) -> Option<Frame> {
        let number: u64 = input.arbitrary().unwrap_or(0);
        let (frame, command, echo, reason) = match byte(input) % 3 {
            0 => {
                let ping = self.sending.control_mut().ping();
                if let Some((counter, _)) = ping {
                    assert_eq!(counter, self.sent + 1);
                }
                (ping.map(|(_, frame)| frame), wire::PING, 0, 0)
            }
            1 => (self.sending.control_mut().pong(number), wire::PONG, number, 0),
            _ => {
                let [reason, ..] = number.to_le_bytes();
                (self.sending.control_mut().goodbye(GoodbyeReason(reason)), wire::GOODBYE, 0, reason)
            }
        };
        assert_eq!(frame.is_some(), self.keys.is_some(), "H-13");
        let (frame, keys) = (frame?, self.keys.as_ref()?);
        self.sent += 1;
        let mut expected = control(&self.knobs, command, self.sent);
        expected[wire::ECHO].copy_from_slice(&echo.to_le_bytes());
        expected[wire::REASON] = reason;
        sign(&mut expected, &keys.send);
        assert_eq!(frame.header().bytes(), &expected);
        Some(expected)
    }

    /// Signs what the peer is to have sent, if there is a key to sign with.
    pub fn sign_as_peer(&self, frame: &mut Frame) {
        if let Some(keys) = &self.keys {
            sign(frame, &keys.receive);
        }
    }

    /// Hands a frame to everything on this end that reads frames; whether a control frame was
    /// opened.
    pub fn deliver(&mut self, frame: &Frame) -> bool {
        let header = GenericHeader::view(frame);
        let fault = wire::embedder_fault(frame, &CLUSTER, 4096, self.peer.version == Version::V1);
        let checked = ReplicatedHeader::check(header, self.receiving.cluster(), 4096, self.peer.version);
        assert_eq!(checked.err().map(|error| link_fault(error, 4096)), fault);

        let expected = self.judge(frame);
        match self.receiving.control_mut().open_control(header) {
            Ok(control) => {
                assert_eq!(expected, Ok(control));
                let counter = wire::u64_at(frame, wire::COUNTER);
                assert!(counter > self.received, "counters strictly increase");
                self.received = counter;
                true
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                let error = match error {
                    ControlError::Frame(error) => Violation::Frame(link_fault(error, 256)),
                    ControlError::NotOnThisLink { version } => {
                        assert_eq!(version, Version::V1);
                        Violation::NotOnThisLink
                    }
                    ControlError::Sender { expected, found } => {
                        assert_eq!((expected, found.0), (self.peer.replica, frame[wire::REPLICA]));
                        Violation::Sender
                    }
                    ControlError::Mac => Violation::Mac,
                    ControlError::Counter { last, found } => Violation::Counter { last, found },
                    other => panic!("{other} is not known here"),
                };
                assert_eq!(expected, Err(error));
                false
            }
        }
    }

    fn judge(&self, frame: &Frame) -> Result<ControlMessage, Violation> {
        if let Some(fault) = wire::control_fault(frame, &CLUSTER) {
            return Err(Violation::Frame(fault));
        }
        let keys = self.keys.as_ref().ok_or(Violation::NotOnThisLink)?;
        if frame[wire::REPLICA] != self.peer.replica.0 {
            return Err(Violation::Sender);
        }
        if !same(&frame[wire::CONTROL_MAC], mac::control(&keys.receive, frame)) {
            return Err(Violation::Mac);
        }
        let number = |field: Range<usize>| wire::u64_at(frame, field);
        let (last, found) = (self.received, number(wire::COUNTER));
        if found <= last {
            return Err(Violation::Counter { last, found });
        }
        Ok(match frame[wire::COMMAND] {
            wire::PING => ControlMessage::Ping { counter: found },
            wire::PONG => ControlMessage::Pong { echo: number(wire::ECHO) },
            _ => ControlMessage::Goodbye(GoodbyeReason(frame[wire::REASON])),
        })
    }

    /// Hands a frame to this end as the first on the link (H-9).
    pub fn late_reject(&self, frame: &Frame) -> Option<PeerReject> {
        let expected = self.dialed.as_ref().and_then(|dialed| dialed.read_late_reject(frame));
        let read = self.receiving.control().late_reject(frame);
        assert_eq!(read, expected);
        if let Some(reject) = read {
            assert!(!reject.to_string().is_empty());
        }
        read
    }
}

/// A control frame of `knobs`'s node, not yet signed.
pub fn control(knobs: &Knobs, command: u8, counter: u64) -> Frame {
    let mut frame = knobs.said(command, false).frame();
    frame[wire::RELEASE].copy_from_slice(&knobs.release.to_le_bytes());
    frame[wire::COUNTER].copy_from_slice(&counter.to_le_bytes());
    frame
}

fn sign(frame: &mut Frame, key: &[u8; 32]) {
    let mac = mac::control(key, frame);
    frame[wire::CONTROL_MAC].copy_from_slice(&mac);
}
