//! Who sends on the link: the sending codec, in all the ways in which it is written; or someone with its keys who
//! cuts records anywhere and puts into them what no honest end would.

use arbitrary::Unstructured;
use bytes::Bytes;
use replink_frame::{GenericHeader, GoodbyeReason};
use replink_handshake::{RecordSealer, SendingControl};
use replink_transport::{Outbound, OutboundLimits};

use super::FRAME_LIMIT;
use crate::inbound::pair::Pair;
use crate::link;
use crate::mac;
use crate::node::{CLUSTER, Refusal};
use crate::patch::{self, byte};
use crate::records::{CIPHERTEXT_MAX, OVERHEAD};
use crate::wire::{self, Frame};
use crate::writing::Writing;

const STEPS_MAX: usize = 48;
const PLAINTEXT_MAX: usize = 384 * 1024;
/// Records of a single byte: more than one secret is for.
const TINY_RECORDS: usize = 1100;

pub struct Sender<'a, 'b> {
    pair: &'a Pair,
    input: &'a mut Unstructured<'b>,
    end: End,
    sent: Sent,
    frames: usize,
    controls: u64,
}

#[expect(clippy::large_enum_variant, reason = "there is one of them")]
enum End {
    Codec { outbound: Outbound, writing: Writing },
    Cutting { control: SendingControl, sealer: RecordSealer, cuts: [usize; 3], sealed: usize, count: usize },
}

/// What was sent, as frames and as records.
#[derive(Default)]
pub struct Sent {
    pub plaintext: Vec<u8>,
    pub bytes: Vec<u8>,
}

impl<'a, 'b> Sender<'a, 'b> {
    pub fn new(pair: &'a Pair, cuts_anywhere: bool, input: &'a mut Unstructured<'b>) -> Self {
        let sending = pair.sending();
        let end = if cuts_anywhere {
            let cuts =
                [0; 3].map(|_| (1 + (usize::from(byte(input)) << (byte(input) % 10))).min(CIPHERTEXT_MAX));
            let (control, sealer) = sending.into_parts();
            End::Cutting { control, sealer: sealer.expect("a sealed link"), cuts, sealed: 0, count: 0 }
        } else {
            let (queue_frames, queue_bytes) = (u32::MAX, u64::MAX);
            let limits = OutboundLimits { frame_size: FRAME_LIMIT, queue_frames, queue_bytes };
            End::Codec { outbound: Outbound::new(sending, limits), writing: Writing::default() }
        };
        Self { pair, input, end, sent: Sent::default(), frames: 0, controls: 0 }
    }

    pub fn play(mut self) -> Sent {
        for _ in 0..STEPS_MAX {
            if self.input.is_empty() {
                break;
            }
            match byte(self.input) % 9 {
                0..=2 => self.send(),
                3 => self.control(wire::PING, 0),
                4 => {
                    let echo = byte(self.input);
                    self.control(wire::PONG, echo);
                }
                5 => {
                    let reason = byte(self.input) % 4;
                    self.control(wire::GOODBYE, reason);
                }
                6 => {
                    let most = usize::from(byte(self.input)) << (byte(self.input) % 12);
                    let slots = byte(self.input);
                    self.write(slots / 65, 1 + usize::from(slots % 65), most);
                }
                7 => self.stray(),
                _ => break,
            }
        }
        while self.waits() {
            self.write(0, 32, usize::MAX);
        }
        self.sent
    }

    fn waits(&self) -> bool {
        match &self.end {
            End::Codec { outbound, .. } => !outbound.is_empty(),
            End::Cutting { sealed, .. } => *sealed < self.sent.plaintext.len(),
        }
    }

    fn send(&mut self) {
        let len = usize::from(byte(self.input)) << (byte(self.input) % 11);
        let near = byte(self.input) & 7 == 0;
        // Near the size from which on a body has memory, and records, of its own.
        let len = if near { len + 16 * 1024 - 128 } else { len }.min(FRAME_LIMIT as usize - 256);
        let times = [1, 1, 1, 2, 7, 40, 100, 300][usize::from(byte(self.input) % 8)];
        for _ in 0..times {
            if self.sent.plaintext.len() + len + 256 > PLAINTEXT_MAX {
                break;
            }
            let number = self.frames as u8;
            self.frames += 1;
            let mut header = [number; 256];
            header[wire::CLUSTER].copy_from_slice(&*CLUSTER);
            header[wire::SIZE].copy_from_slice(&(256 + len as u32).to_le_bytes());
            header[wire::COMMAND] = 6;
            header[wire::RESERVED_FRAME].fill(0);
            let body: Bytes = (0..len).map(|at| number ^ at as u8 ^ (at >> 8) as u8).collect();
            if let End::Codec { outbound, .. } = &mut self.end {
                outbound.push(GenericHeader::view(&header), body.clone()).expect("there is room");
            }
            self.sent.plaintext.extend_from_slice(&header);
            self.sent.plaintext.extend_from_slice(&body);
        }
    }

    fn control(&mut self, command: u8, value: u8) {
        let frame = match &mut self.end {
            // What it makes is compared with a second opinion by the target `inbound`; here it is what verifies.
            End::Codec { outbound, .. } => {
                let mut frame = link::control(&self.pair.far(), command, 0);
                let queued = outbound.queued_frames();
                match command {
                    wire::PING => _ = outbound.ping(),
                    wire::PONG => outbound.pong(value.into()),
                    _ => outbound.goodbye(GoodbyeReason(value)),
                }
                assert_eq!(outbound.queued_frames(), queued + 1, "no limit is reached");
                self.controls += 1;
                frame[wire::COUNTER].copy_from_slice(&self.controls.to_le_bytes());
                match command {
                    wire::PONG => frame[wire::ECHO.start] = value,
                    wire::GOODBYE => frame[wire::REASON] = value,
                    _ => {}
                }
                let key = self.pair.signing.as_ref().expect("version 2");
                let mac = mac::control(key, &frame);
                frame[wire::CONTROL_MAC].copy_from_slice(&mac);
                frame
            }
            End::Cutting { control, .. } => {
                let frame = match command {
                    wire::PING => control.ping().map(|(_, frame)| frame),
                    wire::PONG => control.pong(value.into()),
                    _ => control.goodbye(GoodbyeReason(value)),
                };
                *frame.expect("version 2").header().bytes()
            }
        };
        self.sent.plaintext.extend_from_slice(&frame);
    }

    /// One write that takes `most` bytes at most, or records of so many bytes.
    fn write(&mut self, way: u8, slots: usize, most: usize) {
        match &mut self.end {
            End::Codec { outbound, writing } => {
                self.sent.bytes.extend(writing.write(outbound, way, slots, most));
            }
            End::Cutting { sealer, cuts, sealed, count, .. } => {
                let until = sealed.saturating_add(most.max(1)).min(self.sent.plaintext.len());
                while *sealed < until {
                    let len = cuts[*count % cuts.len()].min(until - *sealed);
                    // Not more tiny ones than it takes to step.
                    let len = if *count < TINY_RECORDS { len } else { len.max(4096).min(until - *sealed) };
                    let from = self.sent.bytes.len();
                    self.sent.bytes.resize(from + len + OVERHEAD, 0xaa);
                    let (first, second) =
                        self.sent.plaintext[*sealed..][..len].split_at(len / (1 + slots % 3));
                    sealer.seal([first, second], &mut self.sent.bytes[from..]).expect("numbers are left");
                    *sealed += len;
                    *count += 1;
                }
            }
        }
    }

    /// What no honest end puts into a record: a handshake frame, a header that is changed, a few bytes of anything.
    fn stray(&mut self) {
        let pair = self.pair;
        let pool = [pair.hello, pair.challenge, pair.finish, reject(pair)];
        let choice = byte(self.input);
        let End::Cutting { .. } = &self.end else { return };
        if choice & 0x80 != 0 {
            let garbage = self.input.bytes(usize::from(choice & 0x1f)).unwrap_or_default();
            self.sent.plaintext.extend_from_slice(garbage);
            return;
        }
        let mut frame: Frame = match choice % 5 {
            4 => self.sent.plaintext.first_chunk().copied().unwrap_or(pool[0]),
            index => pool[usize::from(index)],
        };
        patch::change(self.input, &mut frame, &pool);
        self.sent.plaintext.extend_from_slice(&frame);
    }
}

/// The refusal that the far end sends as an acceptor, behind the Finish.
pub fn reject(pair: &Pair) -> Frame {
    pair.late_reject(Refusal { status: 11, retry_after: 0 })
}
