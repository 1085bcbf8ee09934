//! Sections 1, 2 and 4 of the protocol by their offsets.

use std::ops::Range;

/// A header, which is all that a handshake or control frame has.
pub type Frame = [u8; 256];

pub const CHECKSUM: Range<usize> = 0..16;
pub const CHECKSUM_BODY: Range<usize> = 16..32;
pub const CLUSTER: Range<usize> = 32..48;
pub const SIZE: Range<usize> = 48..52;
pub const VIEW: Range<usize> = 52..56;
pub const RELEASE: Range<usize> = 56..60;
pub const COMMAND: usize = 60;
pub const REPLICA: usize = 61;
pub const RESERVED_FRAME: Range<usize> = 62..128;

pub const NONCE: Range<usize> = 128..160;
pub const MAC: Range<usize> = 160..192;
pub const STATUS: usize = 192;
pub const VERSION: usize = 193;
pub const FLAGS: Range<usize> = 194..196;
pub const RETRY_AFTER: Range<usize> = 196..200;
pub const KEY_ID: Range<usize> = 200..208;
pub const EPHEMERAL: Range<usize> = 208..240;
pub const INCARNATION: Range<usize> = 240..248;
pub const LANE: Range<usize> = 248..250;

pub const COUNTER: Range<usize> = 128..136;
pub const ECHO: Range<usize> = 136..144;
pub const REASON: usize = 144;
pub const CONTROL_MAC: Range<usize> = 160..192;

pub const HELLO: u8 = 14;
pub const CHALLENGE: u8 = 15;
pub const FINISH: u8 = 16;
pub const PING: u8 = 250;
pub const PONG: u8 = 251;
pub const GOODBYE: u8 = 252;

pub const SHARE: u16 = 4;
pub const SEALED: u16 = 8;

/// Every field that a fuzzed frame is changed in: the header's, the handshake's, the control
/// frame's, and parts of what is reserved.
pub const FIELDS: [Range<usize>; 26] = [
    CHECKSUM,
    CHECKSUM_BODY,
    CLUSTER,
    SIZE,
    VIEW,
    RELEASE,
    COMMAND..COMMAND + 1,
    REPLICA..REPLICA + 1,
    62..63,
    64..80,
    80..128,
    NONCE,
    MAC,
    STATUS..STATUS + 1,
    VERSION..VERSION + 1,
    FLAGS,
    RETRY_AFTER,
    KEY_ID,
    EPHEMERAL,
    INCARNATION,
    LANE,
    250..256,
    COUNTER,
    ECHO,
    REASON..REASON + 1,
    0..256,
];

pub fn array<const N: usize>(frame: &Frame, at: Range<usize>) -> [u8; N] {
    frame[at].try_into().expect("the field's length")
}

pub fn u16_at(frame: &Frame, at: Range<usize>) -> u16 {
    u16::from_le_bytes(array(frame, at))
}

pub fn u32_at(frame: &Frame, at: Range<usize>) -> u32 {
    u32::from_le_bytes(array(frame, at))
}

pub fn u64_at(frame: &Frame, at: Range<usize>) -> u64 {
    u64::from_le_bytes(array(frame, at))
}

pub fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// The frame with its mac field zeroed: `zero(f)` of H-5.
pub fn without_mac(frame: &Frame) -> Frame {
    let mut copy = *frame;
    copy[MAC].fill(0);
    copy
}

/// What a handshake frame says; [`Said::frame`] writes it down.
#[derive(Clone, Copy, Default, Debug)]
pub struct Said {
    pub command: u8,
    pub v2: bool,
    pub cluster: [u8; 16],
    pub sender: u8,
    pub nonce: [u8; 32],
    pub mac: [u8; 32],
    pub status: u8,
    /// From here on version 2 only.
    pub release: u32,
    pub flags: u16,
    pub retry_after: u32,
    pub key_id: [u8; 8],
    pub ephemeral: [u8; 32],
    pub incarnation: u64,
    pub lane: u16,
}

impl Said {
    pub fn frame(&self) -> Frame {
        let mut frame = [0; 256];
        frame[CLUSTER].copy_from_slice(&self.cluster);
        frame[SIZE].copy_from_slice(&256u32.to_le_bytes());
        frame[COMMAND] = self.command;
        frame[REPLICA] = self.sender;
        frame[NONCE].copy_from_slice(&self.nonce);
        frame[MAC].copy_from_slice(&self.mac);
        frame[STATUS] = self.status;
        if self.v2 {
            frame[VERSION] = 2;
            frame[RELEASE].copy_from_slice(&self.release.to_le_bytes());
            frame[FLAGS].copy_from_slice(&self.flags.to_le_bytes());
            frame[RETRY_AFTER].copy_from_slice(&self.retry_after.to_le_bytes());
            frame[KEY_ID].copy_from_slice(&self.key_id);
            frame[EPHEMERAL].copy_from_slice(&self.ephemeral);
            frame[INCARNATION].copy_from_slice(&self.incarnation.to_le_bytes());
            frame[LANE].copy_from_slice(&self.lane.to_le_bytes());
        }
        frame
    }
}

/// The offset of the first byte that is set where `may_be_set` has nothing.
fn first_stray(frame: &Frame, may_be_set: &[Range<usize>]) -> Option<usize> {
    let mut left = *frame;
    for range in may_be_set {
        left[range.clone()].fill(0);
    }
    left.iter().position(|&byte| byte != 0)
}

/// What is wrong with a handshake frame, in the order in which H-11 asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandshakeFault {
    Command(u8),
    Size(u32),
    Version(u8),
    Unused(usize),
}

impl HandshakeFault {
    /// Section 2.1.
    pub fn status(self) -> u8 {
        match self {
            Self::Command(_) => 1,
            Self::Version(_) => 6,
            Self::Size(_) | Self::Unused(_) => 14,
        }
    }
}

/// H-10: the table of section 2 for `command`, one of the three.
pub fn handshake_fault(frame: &Frame, command: u8) -> Option<HandshakeFault> {
    if frame[COMMAND] != command {
        return Some(HandshakeFault::Command(frame[COMMAND]));
    }
    if u32_at(frame, SIZE) != 256 {
        return Some(HandshakeFault::Size(u32_at(frame, SIZE)));
    }
    let v2 = match frame[VERSION] {
        0 => false,
        2 => true,
        other => return Some(HandshakeFault::Version(other)),
    };
    let status = frame[STATUS];
    let shares = u16_at(frame, FLAGS) & SHARE != 0;
    let mut used = vec![CLUSTER, SIZE, COMMAND..REPLICA + 1, VERSION..VERSION + 1];
    if v2 {
        used.extend([RELEASE, KEY_ID, INCARNATION, LANE]);
    }
    match command {
        HELLO => {
            used.push(NONCE);
            if v2 {
                used.push(FLAGS);
            }
            if v2 && shares {
                used.push(EPHEMERAL);
            }
        }
        CHALLENGE if status == 0 => {
            used.extend([NONCE, MAC]);
            if v2 {
                used.push(FLAGS);
            }
            if v2 && shares {
                used.push(EPHEMERAL);
            }
        }
        // A reject: H-7, H-11.
        CHALLENGE => {
            used.push(STATUS..STATUS + 1);
            if v2 {
                used.extend([NONCE, MAC]);
            }
            // Busy, Draining, and the codes that a later version may give a delay.
            if v2 && (status == 9 || status == 10 || status > 14) {
                used.push(RETRY_AFTER);
            }
        }
        FINISH => {
            used.push(MAC);
            if v2 {
                used.push(FLAGS);
            }
        }
        _ => unreachable!("not a handshake command"),
    }
    first_stray(frame, &used).map(HandshakeFault::Unused)
}

/// Whether it is a reject: H-7.
pub fn is_reject(frame: &Frame) -> bool {
    frame[COMMAND] == CHALLENGE && frame[STATUS] != 0
}

/// D-12: what is wrong with a reject in the place of a Finish. It has no nonce.
pub fn dialer_reject_fault(frame: &Frame) -> Option<HandshakeFault> {
    let nonce = || NONCE.clone().find(|&at| frame[at] != 0).map(HandshakeFault::Unused);
    handshake_fault(frame, CHALLENGE).or_else(nonce)
}

/// What is wrong with a frame of an established link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkFault {
    Size(u32),
    Cluster,
    Command(u8),
    Unused(usize),
}

/// Section 4.
pub fn control_fault(frame: &Frame, cluster: &[u8; 16]) -> Option<LinkFault> {
    let command = frame[COMMAND];
    if u32_at(frame, SIZE) != 256 {
        return Some(LinkFault::Size(u32_at(frame, SIZE)));
    }
    if &frame[CLUSTER] != cluster {
        return Some(LinkFault::Cluster);
    }
    if !matches!(command, PING | PONG | GOODBYE) {
        return Some(LinkFault::Command(command));
    }
    let mut used = vec![CLUSTER, SIZE, RELEASE, COMMAND..REPLICA + 1, COUNTER, CONTROL_MAC];
    match command {
        PONG => used.push(ECHO),
        GOODBYE => used.push(REASON..REASON + 1),
        _ => {}
    }
    first_stray(frame, &used).map(LinkFault::Unused)
}

/// Section 1, for the embedder's frames: F-1, F-3, the commands and F-4.
pub fn embedder_fault(frame: &Frame, cluster: &[u8; 16], limit: u32, v1: bool) -> Option<LinkFault> {
    let (command, size) = (frame[COMMAND], u32_at(frame, SIZE));
    if size < 256 || size > limit {
        return Some(LinkFault::Size(size));
    }
    if &frame[CLUSTER] != cluster {
        return Some(LinkFault::Cluster);
    }
    if matches!(command, 0 | HELLO | CHALLENGE | FINISH | 248..=255) {
        return Some(LinkFault::Command(command));
    }
    RESERVED_FRAME.clone().find(|&at| !v1 && frame[at] != 0).map(LinkFault::Unused)
}
