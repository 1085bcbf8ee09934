//! One virtual connection.

use std::io;
use std::net::SocketAddr;

use replink_transport::driver::Token;

use super::acknowledging::Answers;
use super::pipe::Pipe;
use super::{DriverId, HostId, ProcessId};

/// Who is at one end, and what is left of it.
#[derive(Debug)]
pub(in crate::simulation) struct End {
    pub(in crate::simulation) host: HostId,
    /// `None` for an attacker, and for a connection that nobody has accepted.
    pub(in crate::simulation) process: Option<ProcessId>,
    pub(super) address: SocketAddr,
    /// When something came from the other end.
    pub(super) heard: u64,
    pub(super) watched: Option<(DriverId, Token)>,
    /// The end is in nobody's hands any more: what arrives is answered with a reset.
    pub(super) gone: bool,
    /// Its socket was dropped: it is closed when no driver has it either.
    pub(super) dropped: bool,
    /// Ended in both directions by this end.
    pub(super) shut: bool,
    /// Why it is no more: by a reset, or because nobody answered.
    pub(super) failed: Option<io::ErrorKind>,
    pub(super) answers: Answers,
}

impl End {
    pub(super) fn new(host: HostId, process: Option<ProcessId>, address: SocketAddr) -> Self {
        Self {
            host,
            process,
            address,
            heard: 0,
            watched: None,
            gone: false,
            dropped: false,
            shut: false,
            failed: None,
            answers: Answers::default(),
        }
    }
}

/// How far the attempt to connect has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    Connecting,
    Failed(io::ErrorKind),
    Connected,
}

/// End 0 connected, end 1 accepts. Pipe `n` carries what end `n` sends.
#[derive(Debug)]
pub(in crate::simulation) struct Connection {
    pub(in crate::simulation) ends: [End; 2],
    pub(super) pipes: [Pipe; 2],
    pub(super) progress: Progress,
}

impl Connection {
    pub(super) fn is_readable(&self, side: usize) -> bool {
        let (end, pipe) = (&self.ends[side], &self.pipes[1 - side]);
        end.failed.is_some() || end.shut || pipe.end_arrived || !pipe.arrived.is_empty()
    }
}
