//! A link between two replicas with a fixed key, and what the protocol makes of its bytes.

use std::ops::Range;

use arbitrary::Unstructured;
use replink_frame::GoodbyeReason;
use replink_handshake::{ControlError, ControlMessage, PeerReject, Receiving, RecordError, Sending};
use replink_transport::InboundError;
use replink_transport::memory::BLOCK_SIZE;

use super::Reached;
use crate::frame_parse::link_fault;
use crate::link::{self, Dialed};
use crate::mac::{self, same};
use crate::node::{CLUSTER, Draw, Drawer, Knobs, Refusal};
use crate::patch::byte;
use crate::records::{self, Direction, RecordFault};
use crate::wire::{self, Frame, LinkFault};

const DIALER: Knobs =
    Knobs { replica: 1, switches: 0, keys: 0, supported: 0, required: 0, release: 6, incarnation: 0x1001 };
const ACCEPTOR: Knobs = Knobs { replica: 2, release: 7, incarnation: 0x1002, ..DIALER };

/// What codecs are made of.
pub type Halves = (Receiving, Sending);

/// Two ends; the one under test is *near*, its peer *far*.
pub struct Pair {
    v1: bool,
    sealed: bool,
    near_dials: bool,
    /// The frames of the handshake.
    pub hello: Frame,
    pub challenge: Frame,
    pub finish: Frame,
    /// What the far end signs control frames with; none in version 1 (H-13).
    pub signing: Option<[u8; 32]>,
    /// K-4.
    session: [u8; 32],
}

impl Pair {
    pub fn read(input: &mut Unstructured<'_>) -> Self {
        let choice = byte(input);
        Self::new(choice & 1 != 0, false, choice & 2 != 0)
    }

    /// A sealed link of version 2.
    pub fn sealed(near_dials: bool) -> Self {
        Self::new(false, true, near_dials)
    }

    pub fn new(v1: bool, sealed: bool, near_dials: bool) -> Self {
        let (hello, challenge, finish) = ([0; 256], [0; 256], [0; 256]);
        let (signing, session) = (None, [0; 32]);
        let mut pair = Self { v1, sealed, near_dials, hello, challenge, finish, signing, session };
        (pair.hello, pair.challenge, pair.finish) = {
            let (frames, ..) = pair.shake_hands();
            frames
        };
        let key = DIALER.keys().next().expect("a key");
        let frames = [&pair.hello, &pair.challenge, &pair.finish];
        pair.session = key.session(frames, DIALER.binding(), &[0; 32]);
        pair.signing = (!v1).then(|| pair.control_key(true));
        pair
    }

    /// What the records to the near end are made with, or those from there.
    pub fn records(&self, to_near: bool) -> Direction {
        let label = if self.near_dials == to_near { records::FROM_ACCEPTOR } else { records::FROM_DIALER };
        Direction::new(mac::subkey(&self.session, label), 0)
    }

    /// What control frames to the near end are signed with, or those from there. In version 2.
    pub fn control_key(&self, to_near: bool) -> [u8; 32] {
        let from_acceptor = self.near_dials == to_near;
        let label = if from_acceptor { "control acceptor->dialer" } else { "control dialer->acceptor" };
        mac::subkey(&self.session, label)
    }

    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Whether the near end dialed.
    pub fn near_dials(&self) -> bool {
        self.near_dials
    }

    pub fn is_v1(&self) -> bool {
        self.v1
    }

    /// The far end.
    pub fn far(&self) -> Knobs {
        let knobs = if self.near_dials { ACCEPTOR } else { DIALER };
        Knobs { switches: self.v1.into(), ..knobs }
    }

    /// The near end.
    pub fn near(&self) -> Knobs {
        let knobs = if self.near_dials { DIALER } else { ACCEPTOR };
        Knobs { switches: self.v1.into(), ..knobs }
    }

    /// Both halves of the near end's session.
    pub fn halves(&self) -> Halves {
        let (_, (receiving, sending), _) = self.shake_hands();
        (receiving, sending)
    }

    /// What the near end receives with. Every one is of the same session, and new.
    pub fn receiving(&self) -> Receiving {
        let (_, (receiving, _), _) = self.shake_hands();
        receiving
    }

    /// What the far end sends with.
    pub fn sending(&self) -> Sending {
        let (.., (_, sending)) = self.shake_hands();
        sending
    }

    /// The frames, and the halves of the near and of the far end.
    fn shake_hands(&self) -> ((Frame, Frame, Frame), Halves, Halves) {
        let (switches, supported) = (self.v1.into(), if self.sealed { wire::SEALED } else { 0 });
        let dialer = Knobs { switches, supported, ..DIALER };
        let acceptor = Knobs { switches, supported, ..ACCEPTOR };
        let ([hello, challenge, finish], dialed, answered) = link::shake_hands(&dialer, &acceptor);
        let (((), dialed), ((), answered)) = (dialed.into_parts(), answered.into_parts());
        let (near, far) = if self.near_dials { (dialed, answered) } else { (answered, dialed) };
        ((hello, challenge, finish), near.split(), far.split())
    }

    /// The far end's reject of the Finish, as if it were the acceptor.
    pub fn late_reject(&self, refusal: Refusal) -> Frame {
        let key = DIALER.keys().next();
        self.far().reject(&self.hello, refusal, key, Draw::new(Drawer::Acceptor, 1).nonce)
    }

    /// What the near end must make of `stream`.
    pub fn judge(&self, stream: &[u8], limit: u32) -> Expected {
        let (mut items, mut at, mut counter) = (Vec::new(), 0, 0);
        while let Some((header, rest)) = stream[at..].split_first_chunk::<256>() {
            let len = match header[wire::COMMAND] {
                wire::HELLO | wire::CHALLENGE | wire::FINISH => {
                    // In records there is no late reject.
                    let fault = self.judge_handshake(header, at == 0 && !self.sealed);
                    return Expected { items, end: at, fault: Some(fault) };
                }
                wire::PING | wire::PONG | wire::GOODBYE => match self.judge_control(header, &mut counter) {
                    Ok(control) => {
                        items.push(Item::Control(control, at + 256));
                        256
                    }
                    Err(fault) => return Expected { items, end: at, fault: Some(fault) },
                },
                _ => {
                    if let Some(fault) = wire::embedder_fault(header, &CLUSTER, limit, self.v1) {
                        return Expected { items, end: at, fault: Some(Fault::Frame(fault)) };
                    }
                    let size = wire::u32_at(header, wire::SIZE) as usize;
                    if rest.len() < size - 256 {
                        break;
                    }
                    items.push(Item::Frame(at..at + size));
                    size
                }
            };
            at += len;
        }
        Expected { items, end: at, fault: None }
    }

    /// H-9: a handshake frame on the link, or before the records of a sealed one.
    pub fn judge_handshake(&self, header: &Frame, first: bool) -> Fault {
        let reject = if first { self.read_late_reject(header) } else { None };
        reject.map_or(Fault::Handshake(header[wire::COMMAND]), Fault::LateReject)
    }

    /// H-9: only a dialer is refused late.
    fn read_late_reject(&self, frame: &Frame) -> Option<PeerReject> {
        let key = DIALER.keys().next();
        let challenge = Some(self.challenge);
        let dialed = Dialed { hello: self.hello, key, binding: DIALER.binding(), challenge };
        dialed.read_late_reject(frame).filter(|_| self.near_dials)
    }

    fn judge_control(&self, frame: &Frame, counter: &mut u64) -> Result<ControlMessage, Fault> {
        if let Some(fault) = wire::control_fault(frame, &CLUSTER) {
            return Err(Fault::ControlFrame(fault));
        }
        let key = self.signing.as_ref().ok_or(Fault::NotOnThisLink)?;
        if frame[wire::REPLICA] != self.far().replica {
            return Err(Fault::Sender);
        }
        if !same(&frame[wire::CONTROL_MAC], mac::control(key, frame)) {
            return Err(Fault::Mac);
        }
        let number = |field| wire::u64_at(frame, field);
        let (last, found) = (*counter, number(wire::COUNTER));
        if found <= last {
            return Err(Fault::Counter { last, found });
        }
        *counter = found;
        Ok(match frame[wire::COMMAND] {
            wire::PING => ControlMessage::Ping { counter: found },
            wire::PONG => ControlMessage::Pong { echo: number(wire::ECHO) },
            _ => ControlMessage::Goodbye(GoodbyeReason(frame[wire::REASON])),
        })
    }
}

/// What comes out of a stream: these, then nothing or a fault.
pub struct Expected {
    pub items: Vec<Item>,
    /// Where the last item ends.
    pub end: usize,
    /// What is wrong with the header there.
    pub fault: Option<Fault>,
}

pub enum Item {
    /// One of the embedder's frames, and where it lies in the stream.
    Frame(Range<usize>),
    /// A control frame, and where it ends.
    Control(ControlMessage, usize),
}

impl Item {
    pub fn end(&self) -> usize {
        match self {
            Self::Frame(range) => range.end,
            Self::Control(_, end) => *end,
        }
    }
}

/// Why a link ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    Frame(LinkFault),
    ControlFrame(LinkFault),
    NotOnThisLink,
    Sender,
    Mac,
    Counter { last: u64, found: u64 },
    Handshake(u8),
    LateReject(PeerReject),
    Record(RecordFault),
}

impl Fault {
    /// The code's error as a fault; `limit` is the one that must be named.
    pub fn of(error: InboundError, limit: u32) -> Self {
        assert!(!error.to_string().is_empty());
        match error {
            InboundError::Frame(error) => Self::Frame(link_fault(error, limit)),
            InboundError::Control(ControlError::Frame(error)) => Self::ControlFrame(link_fault(error, 256)),
            InboundError::Control(ControlError::NotOnThisLink { .. }) => Self::NotOnThisLink,
            InboundError::Control(ControlError::Sender { .. }) => Self::Sender,
            InboundError::Control(ControlError::Mac) => Self::Mac,
            InboundError::Control(ControlError::Counter { last, found }) => Self::Counter { last, found },
            InboundError::HandshakeFrame { command } => Self::Handshake(command.0),
            InboundError::LateReject(reject) => Self::LateReject(reject),
            InboundError::Record(RecordError::Length { found }) => Self::Record(RecordFault::Length(found)),
            InboundError::Record(RecordError::Tag) => Self::Record(RecordFault::Tag),
            other => panic!("{other} is not known here"),
        }
    }
}

impl Expected {
    pub fn count(&self, stream: &[u8], reached: &mut Reached) {
        for item in &self.items {
            match item {
                Item::Frame(range) => {
                    reached.frames += 1;
                    reached.large += usize::from(range.len() >= 256 + 16 * 1024);
                }
                Item::Control(..) => reached.controls += 1,
            }
        }
        match self.fault {
            Some(Fault::LateReject(_)) => reached.late_rejects += 1,
            Some(_) => reached.violations += 1,
            None => reached.cut += usize::from(self.end < stream.len()),
        }
        reached.long += usize::from(self.end > BLOCK_SIZE);
    }
}
