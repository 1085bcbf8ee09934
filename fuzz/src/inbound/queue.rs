//! The sending codec under test, and what must wait in it.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;
use replink_frame::{GenericHeader, GoodbyeReason};
use replink_transport::{GatherWrite, Outbound, OutboundLimits, SendCause};

use super::Reached;
use super::pair::Pair;
use super::sockets;
use crate::frame_parse::link_fault;
use crate::link;
use crate::mac;
use crate::node::{CLUSTER, Knobs};
use crate::wire::{self, Frame};
use crate::writing::Writing;

/// Control frames that may wait beyond the limits.
const CONTROL_FRAMES_MAX: usize = 64;

pub struct Queue {
    outbound: Outbound,
    writing: Writing,
    limits: OutboundLimits,
    far: Knobs,
    signing: Option<[u8; 32]>,
    /// The counter of the last control frame, and how many of them were goodbyes.
    counter: u64,
    goodbyes: usize,
    /// Every byte that was ever queued, and how many of them are written.
    bytes: Vec<u8>,
    written: usize,
    /// Where in `bytes` each waiting frame ends.
    ends: VecDeque<usize>,
}

#[derive(Clone, Copy)]
pub enum ControlKind {
    Ping,
    Pong { echo: u64 },
    Goodbye { reason: u8 },
}

impl Queue {
    pub fn new(pair: &Pair, limits: OutboundLimits) -> Self {
        let outbound = Outbound::new(pair.sending(), limits);
        Self {
            outbound,
            writing: Writing::default(),
            limits,
            far: pair.far(),
            signing: pair.signing,
            counter: 0,
            goodbyes: 0,
            bytes: Vec::new(),
            written: 0,
            ends: VecDeque::new(),
        }
    }

    /// The counter of the last control frame.
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// One of the embedder's frames.
    pub fn push(&mut self, header: &Frame, body: &Bytes, reached: &mut Reached) {
        let (frames, waiting) = (self.ends.len(), (self.bytes.len() - self.written) as u64);
        let size = wire::u32_at(header, wire::SIZE);
        let full = frames >= self.limits.queue_frames as usize
            || waiting.saturating_add(size.into()) > self.limits.queue_bytes;
        let fault = wire::embedder_fault(header, &CLUSTER, self.limits.frame_size, self.signing.is_none());
        let fits = size as usize == 256 + body.len();
        match self.outbound.push(GenericHeader::view(header), body.clone()) {
            Ok(()) => {
                assert_eq!(fault, None);
                assert!(fits && !(full && frames > 0));
                self.bytes.extend_from_slice(header);
                self.bytes.extend_from_slice(body);
                self.ends.push_back(self.bytes.len());
                reached.queued += 1;
                reached.behind += usize::from(self.writing.has_some());
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                match error.cause() {
                    SendCause::Frame(error) => {
                        assert_eq!(Some(link_fault(error, self.limits.frame_size)), fault);
                        reached.refused += 1;
                    }
                    SendCause::BodyLength { announced, given } => {
                        assert!(fault.is_none() && !fits);
                        assert_eq!((announced, given), (size as usize - 256, body.len()));
                        reached.refused += 1;
                    }
                    SendCause::Backpressure { frames: named, bytes } => {
                        assert!(fault.is_none() && fits && full && frames > 0);
                        assert_eq!((named, bytes), (frames, waiting));
                        reached.backpressure += 1;
                    }
                    other => panic!("{other} is not known here"),
                }
                let (given_back, same_body) = error.into_frame();
                assert_eq!(given_back.bytes(), header);
                assert_eq!((same_body.as_ptr(), same_body.len()), (body.as_ptr(), body.len()));
            }
        }
        self.check();
    }

    /// A control frame; what goes over the wire, if anything does.
    pub fn control(&mut self, kind: ControlKind) -> Option<Frame> {
        let before = self.outbound.queued_frames();
        let mut frame = match kind {
            ControlKind::Ping => {
                let counter = self.outbound.ping();
                let queued = self.outbound.queued_frames() > before;
                assert_eq!(counter, queued.then_some(self.counter + 1));
                link::control(&self.far, wire::PING, self.counter + 1)
            }
            ControlKind::Pong { echo } => {
                self.outbound.pong(echo);
                let mut frame = link::control(&self.far, wire::PONG, self.counter + 1);
                frame[wire::ECHO].copy_from_slice(&echo.to_le_bytes());
                frame
            }
            ControlKind::Goodbye { reason } => {
                self.outbound.goodbye(GoodbyeReason(reason));
                let mut frame = link::control(&self.far, wire::GOODBYE, self.counter + 1);
                frame[wire::REASON] = reason;
                frame
            }
        };
        let queued = self.outbound.queued_frames() > before;
        let goodbye = matches!(kind, ControlKind::Goodbye { .. });
        let Some(key) = &self.signing else {
            assert!(!queued, "H-13");
            return None;
        };
        let room = self.limits.queue_frames as usize + CONTROL_FRAMES_MAX + self.goodbyes;
        assert!(queued || !goodbye && before >= self.limits.queue_frames as usize);
        assert!(!queued || goodbye || before < room, "a peer that does not read makes nothing grow");
        if !queued {
            return None;
        }
        self.goodbyes += usize::from(goodbye);
        self.counter += 1;
        let mac = mac::control(key, &frame);
        frame[wire::CONTROL_MAC].copy_from_slice(&mac);
        self.bytes.extend_from_slice(&frame);
        self.ends.push_back(self.bytes.len());
        self.check();
        Some(frame)
    }

    /// Writes up to `len` bytes of what `slots` slices show.
    pub fn write(&mut self, way: u8, slots: usize, len: usize) {
        let bytes = self.writing.write(&mut self.outbound, way, slots, len);
        assert!(self.bytes[self.written..].starts_with(&bytes), "what is written is what was queued");
        self.wrote(bytes.len());
    }

    /// Writes all that waits, to a socket as well as to memory.
    pub fn drain(&mut self, over_sockets: bool) {
        while self.written < self.bytes.len() {
            if over_sockets && !self.writing.has_some() {
                self.write_to_socket();
            } else {
                self.write(0, 16, usize::MAX);
            }
        }
        assert!(self.outbound.is_empty());
    }

    fn write_to_socket(&mut self) {
        let len = sockets::with(|sockets| {
            let mut slices = [IoSlice::new(&[]); 64];
            let count = self.outbound.slices(&mut slices);
            let write = || sockets.far.write_gathered(&slices[..count]);
            let len = sockets::retry(write).expect("a socket that works");
            let received = sockets.receive(len);
            assert!(len > 0 && self.bytes[self.written..].starts_with(&received), "what was queued");
            self.outbound.advance(len);
            len
        });
        self.wrote(len);
    }

    fn wrote(&mut self, len: usize) {
        self.written += len;
        while self.ends.front().is_some_and(|&end| end <= self.written) {
            self.ends.pop_front();
        }
        self.check();
    }

    fn check(&self) {
        assert_eq!(self.outbound.queued_frames(), self.ends.len());
        assert_eq!(self.outbound.queued_bytes(), (self.bytes.len() - self.written) as u64);
        assert_eq!(self.outbound.is_empty(), self.bytes.len() == self.written);
    }
}
