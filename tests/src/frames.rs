//! Frames and sessions for the codecs, without a socket.

use bytes::Bytes;
use replink_frame::{Command, CommandClass, Flags, GenericHeader, ReplicaId, Status, Version};
use replink_handshake::{Authenticated, Receiving, Sending, Session, disabled};
use replink_transport::OutboundLimits;
use replink_transport::memory::BLOCK_SIZE;

use crate::fixtures::{Sides, acceptor_config, local};
use crate::random::Random;

/// What a link can be, as far as its codecs are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkKind {
    /// Version 2: with control frames.
    V2,
    /// Version 2, and every frame is sealed.
    Sealed,
    /// Version 1.
    V1,
    /// Authentication disabled (H-12).
    Disabled,
}

/// Those whose frames go over the wire as they are.
pub const LINK_KINDS: [LinkKind; 3] = [LinkKind::V2, LinkKind::V1, LinkKind::Disabled];

/// All that there are.
pub const EVERY_KIND: [LinkKind; 4] = [LinkKind::V2, LinkKind::Sealed, LinkKind::V1, LinkKind::Disabled];

/// The two ends of a link, ready for codecs. Replica 0 dialed replica 2.
#[derive(Debug)]
pub struct Ends {
    /// The dialer's halves.
    pub dialer: (Receiving, Sending),
    /// The acceptor's halves.
    pub acceptor: (Receiving, Sending),
}

impl Ends {
    /// After a handshake.
    pub fn new(kind: LinkKind) -> Self {
        let (lower, higher) = match kind {
            LinkKind::V2 => shake(&Sides::new(Version::V2)),
            LinkKind::Sealed => shake(&Sides::with_flags(Flags::SEALED)),
            LinkKind::V1 => shake(&Sides::new(Version::V1)),
            LinkKind::Disabled => {
                let (lower, hello) = disabled::dial((), &local(0), ReplicaId(2)).unwrap();
                let waiting = disabled::accept((), &local(2), acceptor_config(2).roster);
                (lower, waiting.receive(hello.bytes()).unwrap())
            }
        };
        Self { dialer: split(lower), acceptor: split(higher) }
    }

    /// One direction: what sends, and what receives from it.
    pub fn direction(self, from_dialer: bool) -> (Sending, Receiving) {
        if from_dialer { (self.dialer.1, self.acceptor.0) } else { (self.acceptor.1, self.dialer.0) }
    }
}

fn shake(sides: &Sides) -> (Authenticated<()>, Authenticated<()>) {
    let run = sides.run();
    (run.dialed, run.verified.admit())
}

fn split(link: Authenticated<()>) -> (Receiving, Sending) {
    let ((), session): ((), Session) = link.into_parts();
    session.split()
}

/// A dialer whose Finish the acceptor refused with `status`, and the late reject (H-9).
pub fn late_reject(version: Version, status: Status) -> (Receiving, [u8; 256]) {
    let run = Sides::new(version).run();
    let ((), reply, _) = run.verified.refuse(status, 250).into_parts();
    (split(run.dialed).0, reply)
}

/// Room for everything.
pub const ROOMY: OutboundLimits =
    OutboundLimits { frame_size: 8 << 20, queue_frames: 1 << 20, queue_bytes: 1 << 40 };

/// A valid frame of the embedder's: every byte that is its own is random.
pub fn frame(random: &mut Random, body_len: usize) -> (GenericHeader, Bytes) {
    let command = loop {
        let command = Command(random.array::<1>()[0]);
        if command.class() == CommandClass::Embedder {
            break command;
        }
    };
    let mut header = GenericHeader::new(local(0).cluster, command, body_len);
    header.checksum = random.array();
    header.checksum_body = random.array();
    header.view = u32::from_le_bytes(random.array()).into();
    header.release = u32::from_le_bytes(random.array()).into();
    header.replica = ReplicaId(random.array::<1>()[0]);
    header.reserved_command = random.array();
    (header, random.bytes(body_len).into())
}

/// A plain frame with a body of `body_len` times `fill`.
pub fn plain(body_len: usize, fill: u8) -> (GenericHeader, Bytes) {
    let header = GenericHeader::new(local(0).cluster, Command::PREPARE, body_len);
    (header, vec![fill; body_len].into())
}

/// Its bytes as they go over the wire.
pub fn wire((header, body): &(GenericHeader, Bytes)) -> Vec<u8> {
    [&header.bytes()[..], body].concat()
}

/// Body lengths where something changes: nothing, what is copied into a gathered write, what gets
/// a buffer of its own, and what does not fit the read-ahead.
pub fn body_len(random: &mut Random) -> usize {
    let near = |random: &mut Random, len: usize| len - 2 + random.below(5);
    match random.below(16) {
        0..=2 => 0,
        3..=6 => random.between(1, 600),
        7 => near(random, 4096),
        8 | 9 => near(random, 16 * 1024),
        10 => near(random, 64 * 1024 - 256),
        11 => near(random, BLOCK_SIZE - 256),
        12 => near(random, BLOCK_SIZE),
        13 => random.between(BLOCK_SIZE, 2 * BLOCK_SIZE),
        _ => random.between(600, 40_000),
    }
}
