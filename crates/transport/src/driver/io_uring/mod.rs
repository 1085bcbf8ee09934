//! The driver of Linux's `io_uring`: operations that the kernel carries out, and whose ends it reports.
//!
//! What an operation under way reads or writes belongs to it: a receive has the memory that it was given
//! until it has ended, a send has its batch. A receive without memory has none while it waits: the kernel
//! picks a block when there is something to put into it.
//!
//! What was begun goes into the kernel with the next wait. Sends of other threads are system calls of their
//! own, as with any driver: a ring is one thread's.

mod connection;
mod failures;
mod listening;
mod looking;
mod outer_loop;
mod waker;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use replink_handshake::Fresh;

use super::active::Active;
use super::busy_poll::BusyPoll;
use super::completed::Completed;
use super::tokens::Table;
use super::{Completion, Departures, Driver, Registration, Released, Token, system_calls};
use crate::entropy::Jitter;
use crate::memory::{Block, ReceiveMemory, SendBatch};
use crate::sys::ring::{self, Faults, Features, OperationId, Ring, Wait, Work};
use crate::{EntropyError, Link, fresh};
use connection::Connection;
use failures::Failures;
use listening::Listening;
use outer_loop::OuterLoop;
use waker::Waker;

/// Receives, sends, accepts and connects by operations of a ring.
///
/// It belongs to the thread that waits first: from then on no other may.
pub struct IoUringDriver {
    ring: Ring,
    departures: Arc<Departures>,
    registered: Table<Registered>,
    /// What of that are listeners; most often one.
    listeners: Vec<Token>,
    completed: Completed<Link>,
    /// Whether it is the listeners' turn, if they have something.
    accepts_next: bool,
    waker: Waker,
    outer_loop: OuterLoop,
    busy_poll: BusyPoll,
    active: Active,
    /// What is received from by looking, and not by an operation.
    looked_at: Vec<Token>,
    jitter: Jitter,
}

enum Registered {
    Listening(Listening),
    Connecting(Connecting),
    Connected(Connection),
}

struct Connecting {
    link: Link,
    id: OperationId,
    failures: Failures,
}

impl IoUringDriver {
    /// A driver that has nothing registered yet. It looks for `busy_poll` before it sleeps.
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

    /// One that has no block picked by the kernel, as where it is not allowed to.
    ///
    /// # Errors
    ///
    /// As [`IoUringDriver::new`].
    #[doc(hidden)]
    pub fn without_provided_blocks() -> io::Result<Self> {
        let features = Features { provided_blocks: false, ..Features::find()? };
        Self::with_features(features, Duration::ZERO, None)
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
        Ok(Self {
            ring,
            departures: Arc::default(),
            registered: Table::default(),
            listeners: Vec::new(),
            completed: Completed::default(),
            accepts_next: false,
            waker,
            outer_loop: OuterLoop::new()?,
            busy_poll: BusyPoll::new(busy_poll),
            active: Active::default(),
            looked_at: Vec::new(),
            jitter: Jitter::new(),
        })
    }

    fn insert(&mut self, token: Token, registered: Registered) -> Registration {
        let before = self.registered.insert(token, registered);
        debug_assert!(before.is_none(), "a token names two things at once");
        Registration::new(token, &self.departures)
    }

    fn unregister_departed(&mut self) {
        let departed = self.departures.take();
        if departed.is_empty() {
            return;
        }
        for token in &departed {
            match self.registered.remove(token) {
                Some(Registered::Listening(listening)) => listening.abandon(&mut self.ring),
                Some(Registered::Connecting(connecting)) => self.ring.cancel(connecting.id),
                Some(Registered::Connected(connection)) => connection.abandon(&mut self.ring),
                None => {}
            }
        }
        let is_there = |token: &Token| !departed.contains(token);
        self.listeners.retain(is_there);
        self.looked_at.retain(is_there);
        self.completed.forget(&departed);
    }

    fn connection(&mut self, token: Token) -> Option<(&mut Connection, &mut Ring)> {
        match self.registered.get_mut(&token)? {
            Registered::Connected(connection) => Some((connection, &mut self.ring)),
            Registered::Listening(_) | Registered::Connecting(_) => None,
        }
    }

    fn listening(&mut self, token: Token) -> Option<(&mut Listening, &mut Ring)> {
        match self.registered.get_mut(&token)? {
            Registered::Listening(listening) => Some((listening, &mut self.ring)),
            Registered::Connected(_) | Registered::Connecting(_) => None,
        }
    }

    /// What has come to an end since the last time.
    fn take_note(&mut self, arrived: &mut Vec<Token>) {
        while let Some(completion) = self.ring.next() {
            match completion {
                ring::Completion::Woken => self.waker.take_note(),
                ring::Completion::Accepted { owner, id, connection } => {
                    if let Some((listening, ring)) = self.listening(Token(owner)) {
                        listening.ended(ring, id, connection);
                    }
                }
                ring::Completion::Released { owner, copied } => {
                    if let Some((connection, _)) = self.connection(Token(owner)).filter(|_| copied) {
                        connection.copies = true;
                    }
                }
                ring::Completion::Ended { owner, id, work, result, more_to_receive } => {
                    let token = Token(owner);
                    let completion = self.ended(token, id, work, result, more_to_receive);
                    let Some(completion) = completion else { continue };
                    if matches!(completion, Completion::Received { .. }) {
                        arrived.push(token);
                        self.active.note(token);
                    }
                    self.completed.push(completion);
                }
            }
        }
    }

    fn ended(
        &mut self,
        token: Token,
        id: OperationId,
        work: Work,
        result: io::Result<u32>,
        more_to_receive: bool,
    ) -> Option<Completion<Link>> {
        match work {
            Work::Receive { .. } | Work::ReceiveProvided { .. } | Work::AwaitReadable { .. } => {
                let Some((connection, ring)) = self.connection(token) else {
                    self.ring.blocks().put_memory(work.into_memory()?);
                    return None;
                };
                let (memory, result) = connection.received(ring, id, work, result, more_to_receive)?;
                Some(Completion::Received { token, memory, result })
            }
            Work::Send { batch, .. } => {
                let (connection, ring) = self.connection(token)?;
                let (batch, result) = connection.sent(ring, id, batch, result)?;
                Some(Completion::Sent { token, batch, result })
            }
            Work::Connect { .. } => self.connected(token, id, result),
            Work::None | Work::Accept { .. } | Work::Wakeable { .. } => None,
        }
    }

    fn connected(
        &mut self,
        token: Token,
        id: OperationId,
        result: io::Result<u32>,
    ) -> Option<Completion<Link>> {
        match self.registered.get_mut(&token)? {
            Registered::Connecting(connecting) if connecting.id == id => {
                if let Err(error) = result {
                    if let Err(error) = connecting.failures.failed(error) {
                        self.registered.remove(&token);
                        return Some(Completion::Connected { token, result: Err(error) });
                    }
                    connecting.id = start_connecting(&mut self.ring, token, &connecting.link);
                    return None;
                }
            }
            _ => return None,
        }
        let Some(Registered::Connecting(Connecting { link, .. })) = self.registered.remove(&token) else {
            return None;
        };
        let result = system_calls::refuse_own_end(link.stream()).map(|()| {
            let connection = Connection::new(token, link.socket());
            self.registered.insert(token, Registered::Connected(connection));
            link
        });
        Some(Completion::Connected { token, result })
    }

    fn next_accepted(&mut self) -> Option<Completion<Link>> {
        for index in 0..self.listeners.len() {
            let token = self.listeners[index];
            let Some((listening, ring)) = self.listening(token) else { continue };
            if let Some(result) = listening.take(ring) {
                return Some(Completion::Accepted { token, result });
            }
        }
        None
    }

    fn has_accepted(&self) -> bool {
        self.listeners.iter().any(|token| match self.registered.get(token) {
            Some(Registered::Listening(listening)) => listening.has_some(),
            _ => false,
        })
    }

    fn has_completed(&self) -> bool {
        !self.completed.is_empty() || self.has_accepted()
    }

    #[cfg(test)]
    pub(super) fn blocks_held(&self) -> usize {
        self.ring.blocks_held()
    }

    #[cfg(test)]
    pub(super) fn accepted_and_not_taken(&self) -> usize {
        let not_taken = |registered: &Registered| match registered {
            Registered::Listening(listening) => listening.not_taken(),
            _ => 0,
        };
        self.registered.values().map(not_taken).sum()
    }
}

fn start_connecting(ring: &mut Ring, token: Token, link: &Link) -> OperationId {
    let (socket, address) = (Arc::clone(link.socket()), link.peer_address());
    ring.start(token.0, Work::Connect { socket, address })
}

impl Driver for IoUringDriver {
    type Socket = Link;
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

    fn listen(&mut self, token: Token, listener: &TcpListener) -> io::Result<Registration> {
        self.unregister_departed();
        system_calls::prepare_listener(listener)?;
        // As with a connection.
        listener.set_nonblocking(false)?;
        let listening = Listening::new(token, listener.try_clone()?);
        self.listeners.push(token);
        Ok(self.insert(token, Registered::Listening(listening)))
    }

    fn accept(&mut self, token: Token, at_most: usize) {
        if let Some((listening, ring)) = self.listening(token) {
            listening.accept(ring, at_most);
        }
    }

    fn connect(
        &mut self,
        token: Token,
        address: SocketAddr,
        source: Option<IpAddr>,
    ) -> io::Result<Registration> {
        self.unregister_departed();
        let link = Link::unconnected(address, source)?;
        let id = start_connecting(&mut self.ring, token, &link);
        let connecting = Connecting { link, id, failures: Failures::default() };
        Ok(self.insert(token, Registered::Connecting(connecting)))
    }

    fn register(&mut self, token: Token, link: &Link) -> io::Result<Registration> {
        self.unregister_departed();
        // An operation on a socket that does not block is not waited for by the kernel either. One that
        // another driver had may be such.
        link.stream().set_nonblocking(false)?;
        let connection = Connection::new(token, link.socket());
        Ok(self.insert(token, Registered::Connected(connection)))
    }

    fn receive(&mut self, token: Token, memory: Option<ReceiveMemory>, at_most: usize) {
        let is_active = self.is_active(token);
        let Some((connection, ring)) = self.connection(token) else { return };
        if is_active {
            connection.receive_by_looking(memory, at_most);
            self.looked_at.push(token);
        } else {
            connection.receive(ring, memory, at_most);
        }
    }

    fn send(&mut self, token: Token, batch: SendBatch) {
        let is_active = self.is_active(token);
        let Some((connection, ring)) = self.connection(token) else { return };
        if is_active {
            if let Some((batch, result)) = connection.send_at_once(ring, batch) {
                self.completed.push(Completion::Sent { token, batch, result });
            }
        } else {
            connection.send(ring, batch);
        }
    }

    fn recycle(&mut self, block: Block) {
        self.ring.blocks().put(block);
    }

    fn wait(&mut self, timeout: Option<Duration>, arrived: &mut Vec<Token>) -> io::Result<()> {
        self.unregister_departed();
        self.outer_loop.begin(&mut self.ring)?;
        if timeout == Some(Duration::ZERO) || self.has_completed() {
            if self.outer_loop.is_wanted() {
                self.stop_looking();
            } else {
                self.try_active(arrived);
            }
            if self.ring.has_something() {
                self.ring.enter(Wait::No)?;
                self.take_note(arrived);
            }
            return Ok(());
        }
        let wait = timeout.map_or(Wait::Forever, Wait::For);
        if self.busy_poll.is_off() {
            self.ring.enter(wait)?;
            self.take_note(arrived);
            return Ok(());
        }
        self.look_before_sleeping(timeout, arrived)
    }

    fn next(&mut self) -> Option<Completion<Link>> {
        self.unregister_departed();
        // In turn, so that neither strangers nor links keep the others from being looked at.
        self.accepts_next = !self.accepts_next;
        if (self.accepts_next || !self.completed.has_next())
            && let Some(accepted) = self.next_accepted()
        {
            return Some(accepted);
        }
        self.completed.next()
    }

    fn next_received(&mut self) -> Option<Completion<Link>> {
        self.unregister_departed();
        self.completed.next_received()
    }

    fn release(&mut self, registration: Registration) -> Released {
        self.unregister_departed();
        let token = registration.into_token();
        self.looked_at.retain(|&looked_at| looked_at != token);
        let mut released = match self.registered.remove(&token) {
            Some(Registered::Connected(connection)) => connection.release(&mut self.ring),
            Some(Registered::Listening(listening)) => {
                self.listeners.retain(|&listener| listener != token);
                listening.release(&mut self.ring);
                Released::default()
            }
            Some(Registered::Connecting(connecting)) => {
                self.ring.cancel(connecting.id);
                Released::default()
            }
            None => Released::default(),
        };
        self.completed.release(token, &mut released);
        released
    }

    fn is_busy(&self) -> bool {
        self.ring.has_unsubmitted()
            || self.outer_loop.is_due()
            || self.has_completed()
            || !self.looked_at.is_empty()
            || self.departures.any()
    }
}

/// Readable when something has come to an end. It is from the first wait on after this was asked for.
impl AsFd for IoUringDriver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.outer_loop.descriptor()
    }
}

/// As [`AsFd`].
impl AsRawFd for IoUringDriver {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for IoUringDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoUringDriver").field("features", &self.ring.features()).finish_non_exhaustive()
    }
}
