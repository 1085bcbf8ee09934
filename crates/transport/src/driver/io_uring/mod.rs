//! The driver of Linux's `io_uring`: operations that the kernel carries out, and whose ends it reports.
//!
//! What an operation under way reads or writes belongs to it: a receive has the codec's buffers until it
//! has ended, a send has its batch. So a link that ends or moves waits for what is under way.
//!
//! Sends of the link's owner are operations too, and go into the kernel with the next wait. Those of other
//! threads are system calls of their own, as with any driver: a ring is one thread's.

mod outer_loop;
#[cfg(test)]
mod tests;
mod waker;
mod watched;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use replink_frame::HEADER_SIZE;
use replink_handshake::Fresh;

use super::busy_poll::BusyPoll;
use super::poll::prepare_listener;
use super::{Driver, Readiness, Reception, Token};
use crate::entropy::Jitter;
use crate::outbound::Begun;
use crate::sys;
use crate::sys::ring::{Completion, Faults, Features, OperationId, Ring, Wait, Work};
use crate::{EntropyError, Flushed, Inbound, Link, SharedOutbound, fresh};
use outer_loop::OuterLoop;
use waker::Waker;
use watched::{Operation, Streams, Watched};

/// Bytes from which on a send is made without a copy, where the network does that: below it, keeping track
/// of the pages costs more than the copy.
const ZERO_COPY_MIN: u64 = 128 * 1024;

/// Connections that wait to be taken, after which no more are accepted.
const ACCEPTED_MAX: usize = 1024;

/// How often an operation is made again that failed through no fault of its connection.
const FAILURES_MAX: u32 = 1000;

/// Reads, writes, accepts and connects by operations of a ring.
///
/// It belongs to the thread that waits first: from then on no other may.
pub struct IoUringDriver {
    ring: Ring,
    streams: Streams,
    listening: Option<Listening>,
    waker: Waker,
    outer_loop: OuterLoop,
    busy_poll: BusyPoll,
    jitter: Jitter,
}

struct Listening {
    token: Token,
    /// The same listener as the node's, by a descriptor of its own.
    listener: TcpListener,
    accepting: Option<OperationId>,
    accepted: VecDeque<io::Result<OwnedFd>>,
}

impl IoUringDriver {
    /// A driver that watches nothing yet. It looks for `busy_poll` before it sleeps.
    ///
    /// # Errors
    ///
    /// Why this process can't have one: the kernel is older than Linux 5.19, or something forbids it (a
    /// container's seccomp profile, `kernel.io_uring_disabled`), or the process is out of descriptors.
    pub fn new(busy_poll: Duration) -> io::Result<Self> {
        Self::with_features(Features::find()?, busy_poll, None)
    }

    /// One that uses nothing of `io_uring` that Linux 5.19 does not have.
    ///
    /// # Errors
    ///
    /// As [`IoUringDriver::new`].
    #[doc(hidden)]
    pub fn as_on_the_oldest_kernel() -> io::Result<Self> {
        Self::with_features(Features::OLDEST, Duration::ZERO, None)
    }

    /// One whose operations fail, or do less than they could, as `seed` says: for tests.
    ///
    /// # Errors
    ///
    /// As [`IoUringDriver::new`].
    #[doc(hidden)]
    pub fn with_faults(seed: u64) -> io::Result<Self> {
        Self::with_features(Features::find()?, Duration::ZERO, Some(Faults::new(seed)))
    }

    fn with_features(features: Features, busy_poll: Duration, faults: Option<Faults>) -> io::Result<Self> {
        let mut ring = Ring::new(features, faults)?;
        let waker = Waker::new(&mut ring)?;
        let (outer_loop, busy_poll) = (OuterLoop::new()?, BusyPoll::new(busy_poll));
        Ok(Self {
            ring,
            streams: Streams::default(),
            listening: None,
            waker,
            outer_loop,
            busy_poll,
            jitter: Jitter::new(),
        })
    }

    /// What has come to an end since the last time.
    fn take_note(&mut self, ready: &mut Vec<Readiness>) {
        while let Some(completion) = self.ring.next() {
            match completion {
                Completion::Woken => self.waker.take_note(),
                Completion::Accepted { id, connection, more } => {
                    ready.extend(self.accepted(id, connection, more));
                }
                Completion::Released { socket, copied } => {
                    if let Some(watched) = self.streams.get(socket).filter(|_| copied) {
                        watched.copies = true;
                    }
                }
                Completion::Ended { id, work, result, more_to_receive } => {
                    ready.extend(self.ended(id, work, result, more_to_receive));
                }
            }
        }
    }

    fn ended(
        &mut self,
        id: OperationId,
        work: Work,
        result: io::Result<u32>,
        more_to_receive: bool,
    ) -> Option<Readiness> {
        let descriptor = work.socket()?.as_raw_fd();
        let watched = self.streams.get(descriptor)?;
        let token = watched.token;
        let readable = Some(Readiness::readable(token));
        let writable = Some(Readiness::writable(token));
        match &work {
            Work::Receive { .. } | Work::Read { .. } => {
                watched.more_to_receive = more_to_receive;
                readable.filter(|_| watched.reading.end(id, work, result))
            }
            Work::Send { .. } => writable.filter(|_| watched.sending.end(id, work, result)),
            Work::Connect { .. } => writable.filter(|_| watched.connecting.end(id, work, result)),
            Work::AwaitWritable { .. } if watched.writable == Some(id) => {
                watched.writable = None;
                writable
            }
            _ => None,
        }
    }

    fn accepted(
        &mut self,
        id: OperationId,
        connection: io::Result<OwnedFd>,
        more: bool,
    ) -> Option<Readiness> {
        let listening = self.listening.as_mut().filter(|listening| listening.accepting == Some(id))?;
        if !more {
            listening.accepting = None;
        }
        if connection.as_ref().is_err_and(is_passing) {
            // It was ended by us, or is to be made again.
            return Some(Readiness::readable(listening.token));
        }
        listening.accepted.push_back(connection);
        if more && listening.accepted.len() == ACCEPTED_MAX {
            self.ring.cancel(id);
        }
        Some(Readiness::readable(listening.token))
    }

    /// What is under way for a stream is to end, and nobody wants to know how.
    fn abandon(&mut self, watched: &Watched) {
        let operations =
            [watched.reading.id(), watched.sending.id(), watched.connecting.id(), watched.writable];
        operations.into_iter().flatten().for_each(|id| self.ring.cancel(id));
    }

    /// Waits for the end of what is under way, and gives it back as if it had just ended.
    fn stop(&mut self, operation: Operation) -> Operation {
        let Operation::UnderWay(id) = operation else { return operation };
        match self.ring.stop(id) {
            Ok(Some((work, result))) => Operation::Ended(work, result),
            Ok(None) => Operation::None,
            Err(error) => {
                // Only by a fault of ours: the ring is another thread's.
                tracing::error!("an operation could not be ended: {error}");
                Operation::None
            }
        }
    }
}

impl Driver for IoUringDriver {
    type Stream = Link;
    type Listener = TcpListener;

    fn waker(&self) -> super::Waker {
        self.waker.handle()
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn random(&mut self) -> u64 {
        self.jitter.next()
    }

    fn fresh(&mut self) -> Result<Fresh, EntropyError> {
        fresh()
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        self.outer_loop.begin(&mut self.ring)?;
        if timeout == Some(Duration::ZERO) {
            if self.ring.has_something() {
                self.ring.enter(Wait::No)?;
                self.take_note(ready);
            }
            return Ok(());
        }
        let wait = timeout.map_or(Wait::Forever, Wait::For);
        if self.busy_poll.is_off() {
            self.ring.enter(wait)?;
            self.take_note(ready);
            return Ok(());
        }
        let began = self.now();
        // What was started is under way while we look.
        self.ring.enter(Wait::No)?;
        let found = self.busy_poll.look(began, timeout, || self.ring.has_something());
        self.ring.enter(if found { Wait::No } else { wait })?;
        self.take_note(ready);
        let after = (found || !ready.is_empty()).then(|| began.elapsed());
        self.busy_poll.learn(after);
        Ok(())
    }

    fn watch(&mut self, token: Token, link: &Link) -> io::Result<()> {
        let mut watched = Watched::new(token);
        if link.begins_to_connect() {
            let (socket, address) = (Arc::clone(link.socket()), link.peer_address());
            let id = self.ring.start(Work::Connect { socket, address });
            watched.connecting = Operation::UnderWay(id);
        } else {
            // An operation on a socket that does not block is not waited for by the kernel either. One
            // that another driver had may be such.
            link.stream().set_nonblocking(false)?;
        }
        let before = self.streams.insert(link.as_fd().as_raw_fd(), watched);
        debug_assert!(before.is_none(), "a stream was dropped that was still watched");
        Ok(())
    }

    fn unwatch(&mut self, link: &Link) {
        if let Some(watched) = self.streams.remove(link.as_fd().as_raw_fd()) {
            self.abandon(&watched);
        }
    }

    fn release(&mut self, link: &Link, inbound: &mut Inbound, outbound: &SharedOutbound<Link>) {
        let Some(watched) = self.streams.remove(link.as_fd().as_raw_fd()) else { return };
        let Watched { reading, sending, connecting, writable, .. } = *watched;
        if let Operation::Ended(Work::Receive { buffers, .. }, result) = self.stop(reading) {
            inbound.take_back(buffers, result.map_or(0, |received| received as usize));
        }
        if let Operation::Ended(Work::Send { batch, .. }, result) = self.stop(sending) {
            outbound.end_batch(batch, written(result));
        }
        self.stop(connecting);
        if let Some(id) = writable {
            self.ring.cancel(id);
        }
    }

    fn watch_listener(&mut self, token: Token, listener: &TcpListener) -> io::Result<()> {
        prepare_listener(listener)?;
        // As with a stream.
        listener.set_nonblocking(false)?;
        let listener = listener.try_clone()?;
        self.listening = Some(Listening { token, listener, accepting: None, accepted: VecDeque::new() });
        Ok(())
    }

    fn unwatch_listener(&mut self, _: &TcpListener) {
        let Some(listening) = self.listening.take() else { return };
        if let Some(id) = listening.accepting {
            // Whoever listens next is to get what comes from here on.
            self.stop(Operation::UnderWay(id));
        }
    }

    fn accept(&mut self, _: &TcpListener) -> io::Result<(Link, SocketAddr)> {
        let Some(listening) = &mut self.listening else { return Err(io::ErrorKind::NotConnected.into()) };
        let Some(connection) = listening.accepted.pop_front() else {
            if listening.accepting.is_none() {
                let listener = listening.listener.try_clone()?;
                listening.accepting = Some(self.ring.start(Work::Accept { listener }));
            }
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let stream = TcpStream::from(connection?);
        let address = sys::peer_name(&stream)?;
        Ok((Link::accepted(stream, address), address))
    }

    fn connect(&mut self, address: SocketAddr) -> io::Result<Link> {
        Link::unconnected(address)
    }

    fn connected(&mut self, link: &Link) -> io::Result<()> {
        let Some(watched) = self.streams.get(link.as_fd().as_raw_fd()) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        match std::mem::take(&mut watched.connecting) {
            Operation::Ended(_, Err(error)) => {
                watched.count_failure(error)?;
                let (socket, address) = (Arc::clone(link.socket()), link.peer_address());
                let id = self.ring.start(Work::Connect { socket, address });
                watched.connecting = Operation::UnderWay(id);
                Err(io::ErrorKind::WouldBlock.into())
            }
            under_way @ Operation::UnderWay(_) => {
                watched.connecting = under_way;
                Err(io::ErrorKind::WouldBlock.into())
            }
            // It has just succeeded, or had before.
            Operation::Ended(_, Ok(_)) | Operation::None => Ok(()),
        }
    }

    fn read(&mut self, link: &Link, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(watched) = self.streams.get(link.as_fd().as_raw_fd()) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        match std::mem::take(&mut watched.reading) {
            Operation::Ended(Work::Read { bytes, .. }, Ok(read)) => {
                watched.failures = 0;
                let read = read as usize;
                buffer[..read].copy_from_slice(&bytes[..read]);
                return Ok(read);
            }
            Operation::Ended(_, Err(error)) => watched.count_failure(error)?,
            under_way @ Operation::UnderWay(_) => {
                watched.reading = under_way;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Operation::Ended(_, Ok(_)) | Operation::None => {}
        }
        let (socket, len) = (Arc::clone(link.socket()), buffer.len());
        let id = self.ring.start(Work::Read { socket, bytes: Box::new([0; HEADER_SIZE]), len });
        watched.reading = Operation::UnderWay(id);
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn receive(&mut self, link: &Link, inbound: &mut Inbound) -> io::Result<Reception> {
        let Some(watched) = self.streams.get(link.as_fd().as_raw_fd()) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        match std::mem::take(&mut watched.reading) {
            Operation::Ended(Work::Receive { buffers, .. }, result) => {
                inbound.take_back(buffers, result.as_ref().map_or(0, |&received| received as usize));
                match result {
                    Ok(received) => {
                        watched.failures = 0;
                        // The next read is another operation, and has to be begun.
                        return Ok(Reception { bytes: received as usize, drained: false });
                    }
                    Err(error) => watched.count_failure(error)?,
                }
            }
            under_way @ Operation::UnderWay(_) => {
                watched.reading = under_way;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Operation::Ended(..) | Operation::None => {}
        }
        let buffers = inbound.lend_buffers()?;
        let (socket, poll_first) = (Arc::clone(link.socket()), !watched.more_to_receive);
        let id = self.ring.start(Work::Receive { socket, buffers, poll_first });
        watched.reading = Operation::UnderWay(id);
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self, link: &Link, outbound: &SharedOutbound<Link>) -> io::Result<Flushed> {
        let Some(watched) = self.streams.get(link.as_fd().as_raw_fd()) else { return outbound.flush() };
        match std::mem::take(&mut watched.sending) {
            Operation::Ended(Work::Send { batch, .. }, result) => {
                let result = match result {
                    Err(error) => Err(watched.count_failure(error).err()),
                    Ok(written) => {
                        watched.failures = 0;
                        Ok(written)
                    }
                };
                // Without an error of its own, it is made again.
                let result = result.map_err(|error| error.unwrap_or(io::ErrorKind::Interrupted.into()));
                outbound.end_batch(batch, written(result));
            }
            under_way @ Operation::UnderWay(_) => watched.sending = under_way,
            Operation::Ended(..) | Operation::None => {}
        }
        match outbound.begin_batch()? {
            Begun::Nothing(flushed) => Ok(flushed),
            Begun::Batch(batch) => {
                let zero_copy = self.ring.features().zero_copy
                    && !watched.copies
                    && outbound.stats().queued_bytes >= ZERO_COPY_MIN;
                let socket = Arc::clone(link.socket());
                watched.sending =
                    Operation::UnderWay(self.ring.start(Work::Send { socket, batch, zero_copy }));
                Ok(Flushed::Elsewhere)
            }
        }
    }

    fn want_writable(&mut self, link: &Link) {
        if let Some(watched) = self.streams.get(link.as_fd().as_raw_fd()) {
            if watched.writable.is_none() {
                let socket = Arc::clone(link.socket());
                watched.writable = Some(self.ring.start(Work::AwaitWritable { socket }));
            }
        }
    }

    fn reports_writable(&self) -> bool {
        false
    }

    fn has_unsubmitted(&self) -> bool {
        self.ring.has_unsubmitted() || self.outer_loop.is_due()
    }
}

impl Watched {
    /// An operation has failed. `Ok` where it is to be made again: its connection is not to blame.
    fn count_failure(&mut self, error: io::Error) -> io::Result<()> {
        self.failures += 1;
        if is_passing(&error) && self.failures < FAILURES_MAX { Ok(()) } else { Err(error) }
    }
}

/// Whether an operation failed because it was ended or interrupted, or for want of memory.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECANCELED | libc::EINTR | libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM)
    )
}

/// What a send has done; one that failed without fault of its connection has written nothing.
fn written(result: io::Result<u32>) -> io::Result<usize> {
    match result {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        Ok(written) => Ok(written as usize),
        Err(error) if is_passing(&error) => Err(io::ErrorKind::Interrupted.into()),
        Err(error) => Err(error),
    }
}

/// Readable when something has come to an end. It is from the first wait on after this was asked for.
impl AsRawFd for IoUringDriver {
    fn as_raw_fd(&self) -> RawFd {
        self.outer_loop.descriptor()
    }
}

impl fmt::Debug for IoUringDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoUringDriver").field("features", &self.ring.features()).finish_non_exhaustive()
    }
}
