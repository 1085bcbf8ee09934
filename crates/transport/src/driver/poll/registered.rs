use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use crate::Link;
use crate::driver::{Released, SHORT_RECEIVE_MAX, Token, system_calls};
use crate::memory::{ReceiveMemory, SendBatch, SpareBlocks};

/// What is registered with a driver.
pub(super) enum Registered {
    Listening(Listening),
    Connecting(Link),
    Connected(Connection),
}

/// What may be received from or accepted on, one after the other. May name what is registered no more.
#[derive(Default)]
pub(super) struct Ready {
    /// Listeners, and connections with a short receive under way.
    pub(super) short: VecDeque<Token>,
    pub(super) long: VecDeque<Token>,
}

impl Ready {
    pub(super) fn is_empty(&self) -> bool {
        self.short.is_empty() && self.long.is_empty()
    }
}

/// A listener, by a descriptor of its own.
pub(super) struct Listening {
    pub(super) listener: TcpListener,
    /// How many connections may be accepted.
    pub(super) room: usize,
    pub(super) readable: bool,
    pub(super) queued: bool,
}

/// A connection, and what is under way on it.
#[expect(clippy::struct_excessive_bools, reason = "each is known and changes by itself")]
pub(super) struct Connection {
    pub(super) socket: Arc<TcpStream>,
    pub(super) receiving: Option<Receive>,
    /// Waits for room to write.
    pub(super) sending: Option<SendBatch>,
    /// Whether there may be something to receive.
    pub(super) readable: bool,
    /// The peer has ended its direction, or the connection has failed. Behind the last byte that comes the
    /// end, which is not reported once more.
    pub(super) ended: bool,
    /// How often in a row something came while it was looked at.
    pub(super) found: u32,
    /// Whether the system's poller does not know it at the moment.
    pub(super) is_unwatched: bool,
    /// Whether it has its turn to be received from.
    pub(super) queued: bool,
}

/// What [`Driver::receive`](crate::driver::Driver::receive) was called with.
pub(super) struct Receive {
    pub(super) memory: Option<ReceiveMemory>,
    pub(super) at_most: usize,
}

impl Registered {
    pub(super) fn descriptor(&self) -> RawFd {
        match self {
            Self::Listening(listening) => listening.listener.as_raw_fd(),
            Self::Connecting(link) => link.stream().as_raw_fd(),
            Self::Connected(connection) => connection.socket.as_raw_fd(),
        }
    }

    pub(super) fn connection(&mut self) -> Option<&mut Connection> {
        match self {
            Self::Connected(connection) => Some(connection),
            Self::Listening(_) | Self::Connecting(_) => None,
        }
    }
}

impl Listening {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, room: 0, readable: false, queued: false }
    }

    /// Has it wait for its turn, if it has anything to do then.
    pub(super) fn queue(&mut self, token: Token, ready: &mut Ready) {
        if self.readable && self.room > 0 && !self.queued {
            self.queued = true;
            ready.short.push_back(token);
        }
    }

    /// Accepts the next connection; `None` when there is none.
    pub(super) fn accept(&mut self) -> Option<io::Result<(Link, SocketAddr)>> {
        match system_calls::accept(&self.listener) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                None
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            accepted => {
                self.room -= 1;
                Some(accepted.map(|(stream, address)| (Link::accepted(stream, address), address)))
            }
        }
    }
}

impl Connection {
    pub(super) fn new(socket: &Arc<TcpStream>) -> Self {
        Self {
            socket: Arc::clone(socket),
            receiving: None,
            sending: None,
            readable: false,
            ended: false,
            found: 0,
            is_unwatched: false,
            queued: false,
        }
    }

    /// Has it wait for its turn, if it has anything to do then.
    pub(super) fn queue(&mut self, token: Token, ready: &mut Ready) {
        let Some(receive) = self.receiving.as_ref().filter(|_| self.readable && !self.queued) else { return };
        self.queued = true;
        if receive.at_most <= SHORT_RECEIVE_MAX {
            ready.short.push_back(token);
        } else {
            ready.long.push_back(token);
        }
    }

    /// Carries out the receive that is under way; `None` where it goes on waiting.
    pub(super) fn receive(&mut self, blocks: &mut SpareBlocks) -> Option<(ReceiveMemory, io::Result<usize>)> {
        let Receive { memory, at_most } = self.receiving.take()?;
        let is_own = memory.is_none();
        let mut memory = memory.unwrap_or_else(|| blocks.take());
        match system_calls::receive(&self.socket, &mut memory, at_most) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                let memory = if is_own {
                    blocks.put_memory(memory);
                    None
                } else {
                    Some(memory)
                };
                self.receiving = Some(Receive { memory, at_most });
                None
            }
            result => {
                let asked_for = at_most.min(memory.room());
                let is_all = result.as_ref().is_ok_and(|&received| received < asked_for);
                // What comes from here on is reported. The end is not, where it was before.
                if is_all && !self.ended {
                    self.readable = false;
                }
                Some((memory, result))
            }
        }
    }

    /// Sends; `None` where there is no room to write, and it goes on waiting for that.
    pub(super) fn send(&mut self, batch: SendBatch) -> Option<(SendBatch, io::Result<usize>)> {
        match system_calls::send(&self.socket, &batch) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.sending = Some(batch);
                None
            }
            result => Some((batch, result)),
        }
    }

    /// What was under way, which has moved no byte.
    pub(super) fn release(self) -> Released {
        let received = self.receiving.and_then(|receive| receive.memory).map(|memory| (memory, 0));
        Released { received, sent: self.sending.map(|batch| (batch, Ok(0))) }
    }
}
