//! What the far end sends: frames, valid and not, as the input has them.

use arbitrary::Unstructured;
use bytes::Bytes;
use replink_transport::OutboundLimits;
use replink_transport::memory::BLOCK_SIZE;

use super::Reached;
use super::pair::Pair;
use super::queue::{ControlKind, Queue};
use crate::link;
use crate::mac;
use crate::node::{CLUSTER, Refusal};
use crate::patch::{self, byte, change};
use crate::wire::{self, Frame};

/// Longest stream, in bytes: more than the read-ahead holds twice.
const STREAM_MAX: usize = 640 * 1024;
const STEPS_MAX: usize = 64;

/// From this size on a body may get memory of its own.
const LARGE_BODY: usize = 16 * 1024;

/// The frame limits; the last but seldom, for what it costs.
const LIMITS: [u32; 8] =
    [256, 300, 4096, 256 + LARGE_BODY as u32, 64 * 1024, 64 * 1024, 64 * 1024, 512 * 1024];

pub struct Script<'a, 'b> {
    pair: &'a Pair,
    input: &'a mut Unstructured<'b>,
    reached: &'a mut Reached,
    limit: u32,
    queue: Queue,
    stream: Vec<u8>,
    /// The highest counter that was signed, through the queue or by hand.
    counter: u64,
    /// What was sent, to be sent again or spliced.
    pool: Vec<Frame>,
    last: Option<(Frame, Bytes)>,
}

impl<'a, 'b> Script<'a, 'b> {
    pub fn new(pair: &'a Pair, input: &'a mut Unstructured<'b>, reached: &'a mut Reached) -> Self {
        let limit = LIMITS[usize::from(byte(input)) % LIMITS.len()];
        let limits = byte(input);
        let limits = OutboundLimits {
            frame_size: if limits & 1 == 0 { limit } else { 1024 },
            queue_frames: [1024, 1, 3, 16][usize::from(limits >> 1 & 3)],
            queue_bytes: [u64::MAX, 0, 1000, 100_000][usize::from(limits >> 3 & 3)],
        };
        Self {
            pair,
            input,
            reached,
            limit,
            queue: Queue::new(pair, limits),
            stream: Vec::new(),
            counter: 0,
            pool: vec![pair.hello, pair.challenge, pair.finish],
            last: None,
        }
    }

    pub fn play(&mut self) {
        for _ in 0..STEPS_MAX {
            if self.input.is_empty() || self.stream.len() >= STREAM_MAX {
                break;
            }
            self.step();
        }
    }

    /// The bytes that arrive at the near end, and its frame limit.
    pub fn finish(mut self, over_sockets: bool) -> (Vec<u8>, u32) {
        self.queue.drain(over_sockets);
        (self.stream, self.limit)
    }

    fn step(&mut self) {
        let choice = byte(self.input);
        match choice % 10 {
            0..=2 => {
                let mut header = self.embedder_frame();
                let body = self.body(&mut header);
                if choice % 10 == 2 {
                    change(self.input, &mut header, &self.pool);
                }
                self.send(header, body);
            }
            3 => {
                let kind = match byte(self.input) % 3 {
                    0 => ControlKind::Ping,
                    1 => ControlKind::Pong { echo: self.input.arbitrary().unwrap_or(0) },
                    _ => ControlKind::Goodbye { reason: byte(self.input) },
                };
                // Now and then more than a peer has to put up with.
                let times = if choice / 10 == 7 { 80 } else { 1 };
                for _ in 0..times {
                    if let Some(frame) = self.queue.control(kind) {
                        self.counter = self.counter.max(self.queue.counter());
                        self.append(&frame, &[]);
                    }
                }
            }
            4 => {
                let frame = self.control_by_hand();
                self.append(&frame, &[]);
            }
            5 => {
                let mut frame = match byte(self.input) {
                    0 => {
                        let refusal = Refusal {
                            status: byte(self.input).max(1),
                            retry_after: self.input.arbitrary().unwrap_or(0),
                        };
                        self.pair.late_reject(refusal)
                    }
                    index => self.pool[usize::from(index) % self.pool.len()],
                };
                change(self.input, &mut frame, &self.pool);
                self.append(&frame, &[]);
            }
            6 => {
                let len = byte(self.input).into();
                let garbage = self.input.bytes(len).unwrap_or_default();
                self.stream.extend_from_slice(garbage);
            }
            7 => {
                let Some((header, body)) = self.last.clone() else { return };
                for _ in 0..byte(self.input) {
                    if self.stream.len() + 256 + body.len() > STREAM_MAX {
                        break;
                    }
                    self.send(header, body.clone());
                }
            }
            8 => {
                let slots = byte(self.input);
                let len: u16 = self.input.arbitrary().unwrap_or(u16::MAX);
                self.queue.write(slots / 70, usize::from(slots % 70), usize::from(len) << (choice / 10 % 8));
            }
            _ => {
                let len = self.stream.len().saturating_sub(byte(self.input).into());
                self.stream.truncate(len);
            }
        }
    }

    /// A valid header without a body, each byte that is the embedder's set.
    fn embedder_frame(&mut self) -> Frame {
        let command = byte(self.input);
        let mut frame = [0; 256];
        fill(&mut frame, command.into());
        frame[wire::CLUSTER].copy_from_slice(&*CLUSTER);
        let reserved = matches!(command, 0 | wire::HELLO..=wire::FINISH | 248..);
        frame[wire::COMMAND] = if reserved { 6 } else { command };
        frame[wire::RESERVED_FRAME].fill(0);
        frame
    }

    /// A body for `header`, which is told of it.
    fn body(&mut self, header: &mut Frame) -> Bytes {
        let fine = usize::from(byte(self.input));
        let most = self.limit as usize - 256;
        let len = match byte(self.input) % 9 {
            0 => 0,
            1 => fine,
            2 => fine << 8,
            3 => LARGE_BODY - 128 + fine,
            4 => most.saturating_sub(fine),
            5 => most + fine,
            6 => BLOCK_SIZE / 4 - 128 - 256 + fine,
            7 => BLOCK_SIZE - 128 - 256 + fine,
            _ => 4096 - 128 + fine,
        };
        let mut body = vec![0; len.min(STREAM_MAX - 256)];
        fill(&mut body, (self.stream.len() + len) as u64);
        let size = u32::try_from(256 + body.len()).expect("a small body");
        header[wire::SIZE].copy_from_slice(&size.to_le_bytes());
        body.into()
    }

    fn send(&mut self, header: Frame, body: Bytes) {
        self.queue.push(&header, &body, self.reached);
        self.append(&header, &body);
        self.last = Some((header, body));
    }

    fn append(&mut self, header: &Frame, body: &[u8]) {
        self.stream.extend_from_slice(header);
        self.stream.extend_from_slice(body);
        if self.pool.len() < 32 {
            self.pool.push(*header);
        }
    }

    /// A control frame that is changed before it is signed, and perhaps after that.
    fn control_by_hand(&mut self) -> Frame {
        let command = wire::PING.saturating_add(byte(self.input) % 4);
        let counter = self.counter.wrapping_add((byte(self.input) % 4).into());
        let mut frame = link::control(&self.pair.far(), command, counter);
        change(self.input, &mut frame, &self.pool);
        if let Some(key) = &self.pair.signing {
            let mac = mac::control(key, &frame);
            frame[wire::CONTROL_MAC].copy_from_slice(&mac);
        }
        self.counter = self.counter.max(wire::u64_at(&frame, wire::COUNTER));
        patch::change(self.input, &mut frame, &self.pool);
        frame
    }
}

/// Bytes that tell where in which body they belong.
fn fill(bytes: &mut [u8], seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for word in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
    }
}
