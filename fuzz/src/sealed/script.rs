//! What the honest end sends, and what someone on the way makes of it.

use arbitrary::Unstructured;
use bytes::Bytes;
use replink_frame::{GenericHeader, GoodbyeReason, ReplicaId};
use replink_handshake::Sending;
use replink_transport::{Outbound, OutboundLimits};

use super::FRAME_LIMIT;
use super::reading::Reading;
use crate::node::CLUSTER;
use crate::patch::byte;
use crate::wire::{self, Frame};
use crate::writing::Writing;

const STEPS_MAX: usize = 48;
const STREAM_MAX: usize = 768 * 1024;
const EDITS_MAX: u8 = 3;

pub struct Script {
    outbound: Outbound,
    writing: Writing,
    stream: Vec<u8>,
    embedder: Vec<(Frame, Bytes)>,
    queued: usize,
}

/// What was sent.
pub struct Sent {
    pub bytes: Vec<u8>,
    embedder: Vec<(Frame, Bytes)>,
}

impl Script {
    /// `peer` is the other end.
    pub fn new(sending: Sending, peer: ReplicaId) -> Self {
        let limits =
            OutboundLimits { frame_size: FRAME_LIMIT, queue_frames: u32::MAX, queue_bytes: u64::MAX };
        let outbound = Outbound::new(sending, limits);
        assert_eq!(outbound.peer().replica, peer);
        Self { outbound, writing: Writing::default(), stream: Vec::new(), embedder: Vec::new(), queued: 0 }
    }

    pub fn play(&mut self, input: &mut Unstructured<'_>) {
        for _ in 0..STEPS_MAX {
            if input.is_empty() {
                break;
            }
            match byte(input) % 8 {
                0..=2 => self.send(input),
                3 => _ = self.outbound.ping(),
                4 => self.outbound.pong(byte(input).into()),
                5 => self.outbound.goodbye(GoodbyeReason(byte(input) % 4)),
                6 => {
                    let most = usize::from(byte(input)) << (byte(input) % 12);
                    let slots = byte(input);
                    self.write(slots / 65, 1 + usize::from(slots % 65), most);
                }
                _ => break,
            }
        }
    }

    pub fn finish(mut self) -> Sent {
        while !self.outbound.is_empty() {
            self.write(0, 32, usize::MAX);
        }
        Sent { bytes: self.stream, embedder: self.embedder }
    }

    fn send(&mut self, input: &mut Unstructured<'_>) {
        let len = usize::from(byte(input)) << (byte(input) % 11);
        let len = if byte(input) & 7 == 0 { len + 1024 - 128 } else { len }.min(FRAME_LIMIT as usize - 256);
        let times = [1, 1, 1, 2, 7, 40, 300, 1100][usize::from(byte(input) % 8)];
        for _ in 0..times {
            if self.queued + len + 256 > STREAM_MAX {
                break;
            }
            let number = self.embedder.len() as u8;
            let mut header = [number; 256];
            header[wire::CLUSTER].copy_from_slice(&*CLUSTER);
            header[wire::SIZE].copy_from_slice(&(256 + len as u32).to_le_bytes());
            header[wire::COMMAND] = 6;
            header[wire::RESERVED_FRAME].fill(0);
            let body: Bytes = (0..len).map(|at| number ^ at as u8 ^ (at >> 8) as u8).collect();
            self.outbound.push(GenericHeader::view(&header), body.clone()).expect("there is room");
            self.queued += len + 256;
            self.embedder.push((header, body));
        }
    }

    /// One write that takes `most` bytes at most.
    fn write(&mut self, way: u8, slots: usize, most: usize) {
        let bytes = self.writing.write(&mut self.outbound, way, slots, most);
        self.stream.extend_from_slice(&bytes);
    }
}

impl Sent {
    /// What the embedder sent is what is proved, control frames left out.
    pub fn check(&self, reading: &Reading) {
        let proved = reading.items.iter().filter(|item| item.header[wire::COMMAND] < wire::PING);
        let proved: Vec<_> = proved.map(|item| (item.header, &item.body[..])).collect();
        let sent: Vec<_> = self.embedder.iter().map(|(header, body)| (*header, &body[..])).collect();
        assert!(proved == sent, "all that was sent is proved, in its order");
    }
}

/// What arrives instead: nothing changed, or bits flipped, bytes or frames left out, repeated, exchanged.
pub fn tamper(input: &mut Unstructured<'_>, sent: &[u8], honest: &Reading) -> Vec<u8> {
    let mut stream = sent.to_vec();
    for _ in 0..byte(input) % (EDITS_MAX + 1) {
        if stream.is_empty() {
            break;
        }
        let kind = byte(input);
        let mut place = || {
            let at: u32 = input.arbitrary().unwrap_or(0);
            let at = at as usize;
            let frame = honest.frames.get(at % honest.frames.len().max(1)).copied().unwrap_or(0);
            // At a frame, within its header, or anywhere.
            let at = [frame, frame + (at >> 16) % 256, at % stream.len()][usize::from(kind >> 4) % 3];
            at.min(stream.len() - 1)
        };
        let (from, to) = (place(), place());
        let (from, to) = (from.min(to), from.max(to));
        match kind % 5 {
            0 => stream[from] ^= 1 << (kind >> 5),
            1 => _ = stream.drain(from..to),
            2 => {
                let again = stream[from..to].to_vec();
                stream.splice(to..to, again);
            }
            3 => stream[from..].rotate_left(to - from),
            _ => stream.truncate(from),
        }
    }
    stream
}
