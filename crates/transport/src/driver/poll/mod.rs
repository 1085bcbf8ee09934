//! The portable driver: readiness from the operating system (`epoll`, `kqueue`), and plain system calls
//! that carry out what is ready.
//!
//! Readiness is edge-triggered, so what is ready is kept in mind until a system call finds that it is not.
//! Receives are carried out one at a time, when the shard asks for the next completion. So it works on what
//! has come before the next receive is made, and one block of memory, hot in the processor's cache, serves
//! all connections.

mod looking;
mod registered;
mod waker;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use replink_handshake::Fresh;

use super::active::Active;
use super::busy_poll::BusyPoll;
use super::completed::Completed;
use super::tokens::Table;
use super::{Completion, Departures, Driver, Registration, Released, Token, system_calls};
use crate::entropy::Jitter;
use crate::memory::{Block, ReceiveMemory, SendBatch, SpareBlocks};
use crate::{EntropyError, Link, fresh};
use registered::{Connection, Listening, Ready, Receive, Registered};
use waker::{WOKEN, Waker};

/// What is taken from the system at once.
const EVENTS_MAX: usize = 1024;

/// Waits with the operating system's poller, and moves bytes with plain system calls.
pub struct PollDriver {
    poll: Poll,
    events: Events,
    waker: Waker,
    departures: Arc<Departures>,
    registered: Table<Registered>,
    ready: Ready,
    completed: Completed<Link>,
    blocks: SpareBlocks,
    active: Active,
    /// Rounds of looking, of all waits.
    looks: u32,
    /// Connections that the poller does not know at the moment.
    unwatched: Vec<Token>,
    /// Whether the last wait asked the system what is ready.
    asked: bool,
    busy_poll: BusyPoll,
    jitter: Jitter,
}

impl PollDriver {
    /// A driver that has nothing registered yet. It looks for `busy_poll` before it sleeps.
    ///
    /// # Errors
    ///
    /// When the process is out of file descriptors.
    pub fn new(busy_poll: Duration) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry())?;
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            waker,
            departures: Arc::default(),
            registered: Table::default(),
            ready: Ready::default(),
            completed: Completed::default(),
            blocks: SpareBlocks::default(),
            active: Active::default(),
            looks: 0,
            unwatched: Vec::new(),
            asked: false,
            busy_poll: BusyPoll::new(busy_poll),
            jitter: Jitter::new(),
        })
    }

    fn insert(
        &mut self,
        token: Token,
        registered: Registered,
        interest: Interest,
    ) -> io::Result<Registration> {
        self.unregister_departed();
        self.watch(token, registered.descriptor(), interest)?;
        let before = self.registered.insert(token, registered);
        debug_assert!(before.is_none(), "a token names two things at once");
        Ok(Registration::new(token, &self.departures))
    }

    fn watch(&self, token: Token, descriptor: RawFd, interest: Interest) -> io::Result<()> {
        let number = usize::try_from(token.0).ok().map(mio::Token).filter(|&number| number != WOKEN);
        let number = number.ok_or(io::ErrorKind::InvalidInput)?;
        self.poll.registry().register(&mut SourceFd(&descriptor), number, interest)
    }

    fn remove(&mut self, token: Token) -> Option<Registered> {
        let registered = self.registered.remove(&token)?;
        // Fails only where it is not registered, which is what is wanted.
        let _ = self.poll.registry().deregister(&mut SourceFd(&registered.descriptor()));
        Some(registered)
    }

    fn unregister_departed(&mut self) {
        let departed = self.departures.take();
        if departed.is_empty() {
            return;
        }
        for &token in &departed {
            let memory = match self.remove(token) {
                Some(Registered::Connected(connection)) => connection.release().received,
                _ => None,
            };
            if let Some((memory, _)) = memory {
                self.blocks.put_memory(memory);
            }
        }
        self.completed.forget(&departed);
    }

    /// Asks the system what is ready, and waits at most for `timeout`.
    fn ask(&mut self, timeout: Option<Duration>, arrived: &mut Vec<Token>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in events.iter().filter(|event| event.token() != WOKEN) {
            self.take_note(Token(event.token().0 as u64), event, arrived);
        }
        self.events = events;
        Ok(())
    }

    fn take_note(&mut self, token: Token, event: &Event, arrived: &mut Vec<Token>) {
        let writable = event.is_writable() || event.is_write_closed() || event.is_error();
        let Some(registered) = self.registered.get_mut(&token) else { return };
        if writable && matches!(registered, Registered::Connecting(_)) {
            self.finish_connecting(token);
        }
        match self.registered.get_mut(&token) {
            Some(Registered::Listening(listening)) => {
                listening.readable = true;
                listening.queue(token, &mut self.ready);
            }
            Some(Registered::Connected(connection)) => {
                connection.ended |= event.is_read_closed() || event.is_error();
                if event.is_readable() || connection.ended {
                    connection.readable = true;
                    connection.queue(token, &mut self.ready);
                    arrived.push(token);
                }
                if writable
                    && let Some(batch) = connection.sending.take()
                    && let Some((batch, result)) = connection.send(batch)
                {
                    self.completed.push(Completion::Sent { token, batch, result });
                }
            }
            Some(Registered::Connecting(_)) | None => {}
        }
    }

    fn finish_connecting(&mut self, token: Token) {
        let Some(Registered::Connecting(link)) = self.registered.get(&token) else { return };
        let result = match system_calls::connected(link.stream()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => {
                self.remove(token);
                Err(error)
            }
            Ok(()) => {
                let connection = Connection::new(link.socket());
                match self.registered.insert(token, Registered::Connected(connection)) {
                    Some(Registered::Connecting(link)) => Ok(link),
                    _ => return,
                }
            }
        };
        self.completed.push(Completion::Connected { token, result });
    }

    /// Has what is first in turn do what it waits for; `None` where that comes to nothing.
    fn try_ready(&mut self, token: Token) -> Option<Completion<Link>> {
        match self.registered.get_mut(&token)? {
            Registered::Listening(listening) => {
                if !std::mem::take(&mut listening.queued) || listening.room == 0 {
                    return None;
                }
                let result = listening.accept();
                listening.queue(token, &mut self.ready);
                result.map(|result| Completion::Accepted { token, result })
            }
            Registered::Connected(connection) => {
                if !std::mem::take(&mut connection.queued) {
                    return None;
                }
                let (memory, result) = connection.receive(&mut self.blocks)?;
                self.active.note(token);
                Some(Completion::Received { token, memory, result })
            }
            Registered::Connecting(_) => None,
        }
    }

    #[cfg(test)]
    pub(super) fn blocks_held(&self) -> usize {
        self.blocks.len()
    }

    #[cfg(test)]
    pub(super) fn accepted_and_not_taken(&self) -> usize {
        let accepted = |completion: &&Completion<_>| matches!(completion, Completion::Accepted { .. });
        self.completed.iter().filter(accepted).count()
    }

    fn has_work(&self) -> bool {
        !self.completed.is_empty() || !self.ready.is_empty()
    }
}

impl Driver for PollDriver {
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
        listener.set_nonblocking(true)?;
        system_calls::prepare_listener(listener)?;
        let listening = Listening::new(listener.try_clone()?);
        self.insert(token, Registered::Listening(listening), Interest::READABLE)
    }

    fn accept(&mut self, token: Token, at_most: usize) {
        if let Some(Registered::Listening(listening)) = self.registered.get_mut(&token) {
            listening.room = at_most;
            listening.queue(token, &mut self.ready);
        }
    }

    fn connect(
        &mut self,
        token: Token,
        address: SocketAddr,
        source: Option<IpAddr>,
    ) -> io::Result<Registration> {
        let link = Link::begin_connect(address, source)?;
        self.insert(token, Registered::Connecting(link), Interest::READABLE | Interest::WRITABLE)
    }

    fn register(&mut self, token: Token, link: &Link) -> io::Result<Registration> {
        let connection = Connection::new(link.socket());
        self.insert(token, Registered::Connected(connection), Interest::READABLE | Interest::WRITABLE)
    }

    fn receive(&mut self, token: Token, memory: Option<ReceiveMemory>, at_most: usize) {
        let Some(connection) = self.registered.get_mut(&token).and_then(Registered::connection) else {
            return;
        };
        debug_assert!(connection.receiving.is_none(), "one receive at a time");
        connection.receiving = Some(Receive { memory, at_most });
        connection.queue(token, &mut self.ready);
    }

    fn send(&mut self, token: Token, batch: SendBatch) {
        let Some(connection) = self.registered.get_mut(&token).and_then(Registered::connection) else {
            return;
        };
        debug_assert!(connection.sending.is_none(), "one send at a time");
        if let Some((batch, result)) = connection.send(batch) {
            self.completed.push(Completion::Sent { token, batch, result });
        } else {
            // Room to write is reported by the poller alone.
            self.watch_again(token);
        }
    }

    fn recycle(&mut self, block: Block) {
        self.blocks.put(block);
    }

    fn wait(&mut self, timeout: Option<Duration>, arrived: &mut Vec<Token>) -> io::Result<()> {
        self.unregister_departed();
        // A shard that has sent waits next, and takes what has come of that before it really waits. To ask the
        // system both times would be once in vain; never to ask it would leave it with what has come.
        if self.completed.has_next() && std::mem::take(&mut self.asked) {
            self.waker.wake_up();
            return Ok(());
        }
        self.asked = true;
        let timeout = if self.has_work() { Some(Duration::ZERO) } else { timeout };
        let waited = if self.busy_poll.is_off() || timeout == Some(Duration::ZERO) {
            self.ask_all(timeout, arrived)
        } else {
            self.look_before_sleeping(timeout, arrived)
        };
        self.waker.wake_up();
        waited
    }

    fn next(&mut self) -> Option<Completion<Link>> {
        self.unregister_departed();
        if let Some(completion) = self.completed.next() {
            return Some(completion);
        }
        loop {
            let token = self.ready.short.pop_front()?;
            if let Some(completion) = self.try_ready(token) {
                return Some(completion);
            }
        }
    }

    fn next_received(&mut self) -> Option<Completion<Link>> {
        self.unregister_departed();
        if let Some(completion) = self.completed.next_received() {
            return Some(completion);
        }
        loop {
            let token = self.ready.long.pop_front()?;
            if let Some(completion) = self.try_ready(token) {
                return Some(completion);
            }
        }
    }

    fn release(&mut self, registration: Registration) -> Released {
        self.unregister_departed();
        let token = registration.into_token();
        let mut released = match self.remove(token) {
            Some(Registered::Connected(connection)) => connection.release(),
            Some(Registered::Listening(_) | Registered::Connecting(_)) | None => Released::default(),
        };
        self.completed.release(token, &mut released);
        released
    }

    fn is_busy(&self) -> bool {
        let is_looking = !self.unwatched.is_empty() && self.waker.may_be_waited_for_elsewhere();
        self.has_work() || self.waker.was_woken() || self.departures.any() || is_looking
    }
}

/// Readable when there is something to do.
impl AsRawFd for PollDriver {
    fn as_raw_fd(&self) -> RawFd {
        self.waker.is_waited_for_elsewhere();
        self.poll.as_raw_fd()
    }
}

impl fmt::Debug for PollDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollDriver").field("registered", &self.registered.len()).finish_non_exhaustive()
    }
}
