use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use replink_frame::HEADER_SIZE;

use crate::outbound::Batch;
use crate::sys::ReceiveBuffers;

/// What an operation does, and all that it needs for that until it is over. It holds its socket open:
/// the descriptor is this socket's as long as an operation names it.
#[derive(Default)]
pub(crate) enum Work {
    /// Nothing.
    #[default]
    None,
    /// Accepts one connection after the other.
    Accept {
        listener: TcpListener,
    },
    Connect {
        socket: Arc<TcpStream>,
        address: SocketAddr,
    },
    /// Receives into both buffers. `poll_first`: there is most likely nothing yet.
    Receive {
        socket: Arc<TcpStream>,
        buffers: ReceiveBuffers,
        poll_first: bool,
    },
    /// Reads at most `len` bytes, and no more than a frame's header.
    Read {
        socket: Arc<TcpStream>,
        bytes: Box<[u8; HEADER_SIZE]>,
        len: usize,
    },
    /// Sends what comes first. `zero_copy`: from where it is, if the network can.
    Send {
        socket: Arc<TcpStream>,
        batch: Batch,
        zero_copy: bool,
    },
    /// Waits until there is room to write.
    AwaitWritable {
        socket: Arc<TcpStream>,
    },
    /// Waits until others wake the ring by this event.
    Wakeable {
        event: Arc<OwnedFd>,
    },
}

impl Work {
    /// The connection that it is about.
    pub(crate) fn socket(&self) -> Option<&Arc<TcpStream>> {
        match self {
            Self::Connect { socket, .. }
            | Self::Receive { socket, .. }
            | Self::Read { socket, .. }
            | Self::Send { socket, .. }
            | Self::AwaitWritable { socket } => Some(socket),
            Self::None | Self::Accept { .. } | Self::Wakeable { .. } => None,
        }
    }
}
