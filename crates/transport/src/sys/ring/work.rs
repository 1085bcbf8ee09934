use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::memory::{ReceiveMemory, SendBatch};

/// What an operation does, and all that it needs for that until it is over. It holds its socket open:
/// the descriptor is this socket's as long as an operation names it.
#[derive(Default)]
pub(crate) enum Work {
    /// Nothing.
    #[default]
    None,
    /// Accepts one connection.
    Accept {
        listener: Arc<TcpListener>,
    },
    Connect {
        socket: Arc<TcpStream>,
        address: SocketAddr,
    },
    /// Receives at most `at_most` bytes. `poll_first`: there is most likely nothing yet.
    Receive {
        socket: Arc<TcpStream>,
        memory: ReceiveMemory,
        at_most: usize,
        poll_first: bool,
    },
    /// As [`Work::Receive`], into a block that the kernel picks once there is something; it comes back as that
    /// then.
    ReceiveProvided {
        socket: Arc<TcpStream>,
        at_most: usize,
        poll_first: bool,
    },
    /// Waits until there is something to receive.
    AwaitReadable {
        socket: Arc<TcpStream>,
    },
    /// Sends what comes first. `zero_copy`: from where it is, if the network can.
    Send {
        socket: Arc<TcpStream>,
        batch: SendBatch,
        zero_copy: bool,
    },
    /// Waits until others wake the ring by this event.
    Wakeable {
        event: Arc<OwnedFd>,
    },
}

impl Work {
    /// The memory of a receive.
    pub(crate) fn into_memory(self) -> Option<ReceiveMemory> {
        match self {
            Self::Receive { memory, .. } => Some(memory),
            _ => None,
        }
    }

    /// The batch of a send.
    pub(crate) fn into_batch(self) -> Option<SendBatch> {
        match self {
            Self::Send { batch, .. } => Some(batch),
            _ => None,
        }
    }
}
