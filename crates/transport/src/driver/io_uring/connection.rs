use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use super::failures::{Failures, is_passing};
use crate::driver::{Released, Token, system_calls};
use crate::memory::{BLOCK_SIZE, ReceiveMemory, SendBatch};
use crate::sys::ring::{OperationId, Ring, Work};

/// Bytes from which on a send is made without a copy, where the network does that: below it, keeping track
/// of the pages costs more than the copy.
const ZERO_COPY_MIN: usize = 128 * 1024;

/// Where a receive needs memory of its own, it gets no block for fewer bytes than this: whoever asks for so
/// few may be a stranger, and there may be many of them.
const SMALL_RECEIVE_MAX: usize = 4096;

/// A connection, and what is under way on it.
pub(super) struct Connection {
    token: Token,
    socket: Arc<TcpStream>,
    receiving: Option<Receiving>,
    sending: Option<OperationId>,
    /// Whether the last receive has left something in the socket.
    more_to_receive: bool,
    /// Whether the network copies what is sent without a copy: then it is better sent as usual.
    pub(super) copies: bool,
    receive_failures: Failures,
    send_failures: Failures,
}

struct Receiving {
    by: By,
    at_most: usize,
    /// Whether its memory was given to us.
    is_lent: bool,
}

/// How something is received.
enum By {
    Operation(OperationId),
    /// Nothing is under way yet: the driver looks for itself as long as it does not sleep.
    Looking(Option<ReceiveMemory>),
}

impl Receiving {
    fn id(&self) -> Option<OperationId> {
        match self.by {
            By::Operation(id) => Some(id),
            By::Looking(_) => None,
        }
    }
}

impl Connection {
    pub(super) fn new(token: Token, socket: &Arc<TcpStream>) -> Self {
        Self {
            token,
            socket: Arc::clone(socket),
            receiving: None,
            sending: None,
            more_to_receive: false,
            copies: false,
            receive_failures: Failures::default(),
            send_failures: Failures::default(),
        }
    }

    /// Begins to receive.
    pub(super) fn receive(&mut self, ring: &mut Ring, memory: Option<ReceiveMemory>, at_most: usize) {
        debug_assert!(self.receiving.is_none(), "one receive at a time");
        let is_lent = memory.is_some();
        self.start_receive(ring, memory, at_most, is_lent);
    }

    /// As [`Connection::receive`], by [`Connection::look`] until [`Connection::stop_looking`].
    pub(super) fn receive_by_looking(&mut self, memory: Option<ReceiveMemory>, at_most: usize) {
        debug_assert!(self.receiving.is_none(), "one receive at a time");
        let is_lent = memory.is_some();
        self.receiving = Some(Receiving { by: By::Looking(memory), at_most, is_lent });
    }

    /// What has come, if it is looked for.
    pub(super) fn look(&mut self, ring: &mut Ring) -> Option<(ReceiveMemory, io::Result<usize>)> {
        let Receiving { by: By::Looking(memory), at_most, is_lent } = self.receiving.as_mut()? else {
            return None;
        };
        let mut looking = memory.take().unwrap_or_else(|| ring.blocks().take());
        match system_calls::receive(&self.socket, &mut looking, *at_most) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if *is_lent {
                    *memory = Some(looking);
                } else {
                    ring.blocks().put_memory(looking);
                }
                self.more_to_receive = false;
                None
            }
            result => {
                self.receiving = None;
                Some((looking, result))
            }
        }
    }

    /// What is looked for is received by an operation from here on.
    pub(super) fn stop_looking(&mut self, ring: &mut Ring) {
        if let Some(Receiving { by: By::Looking(_), .. }) = self.receiving
            && let Some(Receiving { by: By::Looking(memory), at_most, is_lent }) = self.receiving.take()
        {
            self.start_receive(ring, memory, at_most, is_lent);
        }
    }

    fn start_receive(
        &mut self,
        ring: &mut Ring,
        memory: Option<ReceiveMemory>,
        at_most: usize,
        is_lent: bool,
    ) {
        let socket = Arc::clone(&self.socket);
        let poll_first = !self.more_to_receive;
        let work = match memory {
            Some(memory) => Work::Receive { socket, memory, at_most, poll_first },
            None if ring.features().provided_blocks => Work::ReceiveProvided { socket, at_most, poll_first },
            None => Work::AwaitReadable { socket },
        };
        let id = ring.start(self.token.0, work);
        self.receiving = Some(Receiving { by: By::Operation(id), at_most, is_lent });
    }

    /// A receive has ended. What has come of it, unless it is made again or is not this one's.
    pub(super) fn received(
        &mut self,
        ring: &mut Ring,
        id: OperationId,
        work: Work,
        result: io::Result<u32>,
        more_to_receive: bool,
    ) -> Option<(ReceiveMemory, io::Result<usize>)> {
        let Some(Receiving { at_most, is_lent, .. }) =
            self.receiving.take_if(|receiving| receiving.id() == Some(id))
        else {
            ring.blocks().put_memory(work.into_memory()?);
            return None;
        };
        let is_wait = matches!(work, Work::AwaitReadable { .. });
        let memory = work.into_memory();
        let result = match result {
            Ok(received) if !is_wait => {
                self.receive_failures.succeeded();
                self.more_to_receive = more_to_receive;
                Ok(received as usize)
            }
            Ok(_) => {
                self.more_to_receive = true;
                let memory = own_memory(ring, at_most);
                self.start_receive(ring, Some(memory), at_most, is_lent);
                return None;
            }
            Err(error) => {
                let no_block = memory.is_none() && error.raw_os_error() == Some(libc::ENOBUFS);
                match self.receive_failures.failed(error) {
                    Ok(()) => {
                        // Something has come, and all blocks are picked: it gets one by itself.
                        self.more_to_receive |= no_block;
                        let memory = memory.or_else(|| no_block.then(|| own_memory(ring, at_most)));
                        self.start_receive(ring, memory, at_most, is_lent);
                        return None;
                    }
                    Err(error) => Err(error),
                }
            }
        };
        Some((memory.unwrap_or_else(|| ring.blocks().take()), result))
    }

    /// Sends at once, with a system call; what finds no room becomes an operation.
    pub(super) fn send_at_once(
        &mut self,
        ring: &mut Ring,
        batch: SendBatch,
    ) -> Option<(SendBatch, io::Result<usize>)> {
        if !is_large(&batch) {
            match system_calls::send(&self.socket, &batch) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Some((batch, result)),
            }
        }
        self.send(ring, batch);
        None
    }

    /// Begins to send.
    pub(super) fn send(&mut self, ring: &mut Ring, batch: SendBatch) {
        debug_assert!(self.sending.is_none(), "one send at a time");
        let zero_copy = ring.features().zero_copy && !self.copies && is_large(&batch);
        let socket = Arc::clone(&self.socket);
        self.sending = Some(ring.start(self.token.0, Work::Send { socket, batch, zero_copy }));
    }

    /// A send has ended. What has come of it, unless it is made again or is not this one's.
    pub(super) fn sent(
        &mut self,
        ring: &mut Ring,
        id: OperationId,
        batch: SendBatch,
        result: io::Result<u32>,
    ) -> Option<(SendBatch, io::Result<usize>)> {
        self.sending.take_if(|sending| *sending == id)?;
        let result = match result {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(sent) => {
                self.send_failures.succeeded();
                Ok(sent as usize)
            }
            Err(error) => match self.send_failures.failed(error) {
                Ok(()) => {
                    self.send(ring, batch);
                    return None;
                }
                Err(error) => Err(error),
            },
        };
        Some((batch, result))
    }

    /// What is under way is to end, and nobody wants to know how.
    pub(super) fn abandon(self, ring: &mut Ring) {
        let receiving = self.receiving.as_ref().and_then(Receiving::id);
        receiving.into_iter().chain(self.sending).for_each(|id| ring.cancel(id));
        if let Some(Receiving { by: By::Looking(Some(memory)), .. }) = self.receiving {
            ring.blocks().put_memory(memory);
        }
    }

    /// Ends what is under way, and waits for that.
    pub(super) fn release(self, ring: &mut Ring) -> Released {
        let mut released = Released::default();
        match self.receiving {
            Some(Receiving { by: By::Operation(id), is_lent, .. }) => {
                released.received = stop_receive(ring, id, is_lent);
            }
            Some(Receiving { by: By::Looking(memory), .. }) => {
                released.received = memory.map(|memory| (memory, 0));
            }
            None => {}
        }
        if let Some(id) = self.sending
            && let Some((work, result)) = stop(ring, id)
        {
            let result = match result {
                Ok(sent) => Ok(sent as usize),
                // One that failed without fault of its connection has sent nothing.
                Err(error) if is_passing(&error) => Ok(0),
                Err(error) => Err(error),
            };
            released.sent = work.into_batch().map(|batch| (batch, result));
        }
        released
    }
}

/// Ends a receive. What has come of it is to be given back, and so is memory that is not ours.
fn stop_receive(ring: &mut Ring, id: OperationId, is_lent: bool) -> Option<(ReceiveMemory, usize)> {
    let (work, result) = stop(ring, id)?;
    let received = result.map_or(0, |received| received as usize);
    let memory = work.into_memory()?;
    if is_lent || received > 0 {
        return Some((memory, received));
    }
    ring.blocks().put_memory(memory);
    None
}

/// Waits for the end of what is under way.
pub(super) fn stop(ring: &mut Ring, id: OperationId) -> Option<(Work, io::Result<u32>)> {
    ring.stop(id).unwrap_or_else(|error| {
        // Only by a fault of ours: the ring is another thread's.
        tracing::error!("an operation could not be ended: {error}");
        None
    })
}

/// Memory for a receive that has something to receive, and no memory.
fn own_memory(ring: &mut Ring, at_most: usize) -> ReceiveMemory {
    if at_most <= SMALL_RECEIVE_MAX { ReceiveMemory::with_len(at_most) } else { ring.blocks().take() }
}

fn is_large(batch: &SendBatch) -> bool {
    let mut len = 0;
    batch.can_be_shared()
        && batch.iter().any(|bytes| {
            len += bytes.len();
            len >= ZERO_COPY_MIN
        })
}

const _: () = assert!(SMALL_RECEIVE_MAX < BLOCK_SIZE);
