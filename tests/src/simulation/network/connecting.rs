//! How connections come to be.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use super::connection::{Connection, End, Progress};
use super::happening::News;
use super::pipe::Pipe;
use super::{EndId, HostId, Listener, ProcessId, RESEND, State, address_of, host_at};

/// Connections that wait at one listener.
const BACKLOG_MAX: usize = 16;

/// How often one that knocks at a full or dark door tries again, on average.
const KNOCKS: usize = 3;

/// Why a connection is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::simulation) enum AcceptError {
    /// The process has too many open files.
    OutOfFiles,
    /// The connection was gone before.
    Aborted,
}

/// `EMFILE`, which has no [`io::ErrorKind`].
const EMFILE: i32 = 24;

impl State {
    /// Begins to connect.
    pub(in crate::simulation) fn connect(
        &mut self,
        process: Option<ProcessId>,
        from: HostId,
        to: SocketAddr,
    ) -> io::Result<EndId> {
        if process.is_some() && self.weather.refuses > 0 && self.random.once_in(self.weather.refuses) {
            self.trace.count("connect fails at once");
            return Err(Self::error(io::ErrorKind::AddrNotAvailable));
        }
        let id = self.next_connection;
        self.next_connection += 1;
        let port = 10_000 + u16::try_from(id % 50_000).unwrap_or(0);
        let own = SocketAddr::new(address_of(from).ip(), port);
        let ends = [End::new(from, process, own), End::new(host_at(to), None, to)];
        let pipes = [Pipe::new(self.capacity), Pipe::new(self.capacity)];
        self.connections.insert(id, Connection { ends, pipes, progress: Progress::Connecting });
        if process.is_some() && self.weather.swallows > 0 && self.random.once_in(self.weather.swallows) {
            self.trace.count("connect is never answered");
        } else {
            let at = self.after_delay();
            self.schedule(at, News::Knocks { connection: id });
        }
        Ok(EndId { connection: id, side: 0 })
    }

    /// How the attempt to connect has ended.
    pub(in crate::simulation) fn connected(&self, end: EndId) -> io::Result<()> {
        let Some(connection) = self.connections.get(&end.connection) else {
            return Err(Self::error(io::ErrorKind::NotConnected));
        };
        if let Some(kind) = connection.ends[end.side].failed {
            return Err(Self::error(kind));
        }
        match connection.progress {
            Progress::Connecting => Err(Self::error(io::ErrorKind::WouldBlock)),
            Progress::Failed(kind) => Err(Self::error(kind)),
            Progress::Connected => Ok(()),
        }
    }

    pub(super) fn knock(&mut self, id: u64) {
        let Some(connection) = self.connections.get(&id) else { return };
        if connection.ends[0].gone {
            return;
        }
        let host = connection.ends[1].host;
        if self.dark.contains(&host) {
            return self.knock_again(id);
        }
        let at = self.after_delay();
        let Some(listener) = self.listeners.get_mut(&host) else {
            return self.schedule(at, News::Answered { connection: id, refused: true });
        };
        if listener.backlog.len() >= BACKLOG_MAX {
            self.trace.count("backlog is full");
            return self.knock_again(id);
        }
        let was_empty = listener.backlog.is_empty();
        listener.backlog.push_back(id);
        let watched = listener.watched;
        if let Some((driver, token)) = watched.filter(|_| was_empty || self.random.once_in(2)) {
            self.becomes_ready(driver, token, true, false);
        }
        self.schedule(at, News::Answered { connection: id, refused: false });
    }

    fn knock_again(&mut self, id: u64) {
        if !self.random.once_in(KNOCKS) {
            let again = self.now + RESEND;
            self.schedule(again, News::Knocks { connection: id });
        }
    }

    pub(super) fn answer(&mut self, id: u64, refused: bool) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let end = &connection.ends[0];
        if end.gone {
            // Nobody waits for it any more, and the other end is told so.
            if !refused && !self.dark.contains(&end.host) {
                self.send_reset(EndId { connection: id, side: 0 });
            }
            return;
        }
        connection.progress =
            if refused { Progress::Failed(io::ErrorKind::ConnectionRefused) } else { Progress::Connected };
        if refused {
            self.trace.count("connection refused");
        }
        self.report(EndId { connection: id, side: 0 }, refused, true);
    }

    /// Opens the port of `host`. The number tells this listener from later ones.
    pub(in crate::simulation) fn listen(&mut self, host: HostId, process: Option<ProcessId>) -> u64 {
        self.next_listener += 1;
        let number = self.next_listener;
        let listener =
            Listener { number, process, backlog: VecDeque::new(), errors: VecDeque::new(), watched: None };
        if let Some(before) = self.listeners.insert(host, listener) {
            self.drop_backlog(before);
        }
        number
    }

    /// Takes the next connection that waits at `host`.
    pub(in crate::simulation) fn accept(&mut self, host: HostId) -> io::Result<(EndId, SocketAddr)> {
        let Some(listener) = self.listeners.get_mut(&host) else {
            return Err(Self::error(io::ErrorKind::NotConnected));
        };
        if let Some(&id) = listener.backlog.front() {
            if let Some(error) = listener.errors.pop_front() {
                if error == AcceptError::OutOfFiles {
                    self.trace.count("accept: out of files");
                    return Err(io::Error::from_raw_os_error(EMFILE));
                }
                listener.backlog.pop_front();
                self.trace.count("accept: aborted");
                self.close(EndId { connection: id, side: 1 });
                return Err(Self::error(io::ErrorKind::ConnectionAborted));
            }
            listener.backlog.pop_front();
            let process = listener.process;
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.ends[1].process = process;
                return Ok((EndId { connection: id, side: 1 }, connection.ends[0].address));
            }
        }
        Err(Self::error(io::ErrorKind::WouldBlock))
    }

    /// Whether anyone listens at `host`.
    pub(in crate::simulation) fn is_listening(&self, host: HostId) -> bool {
        self.listeners.contains_key(&host)
    }

    /// Makes the next attempts to accept fail.
    pub(in crate::simulation) fn break_accept(&mut self, host: HostId, error: AcceptError, times: usize) {
        if let Some(listener) = self.listeners.get_mut(&host) {
            listener.errors.extend(std::iter::repeat_n(error, times));
        }
    }

    /// The system is well again.
    pub(in crate::simulation) fn mend_accept(&mut self) {
        self.listeners.values_mut().for_each(|listener| listener.errors.clear());
    }

    /// Closes a listener, if it is still the one of that number.
    pub(in crate::simulation) fn close_listener(&mut self, host: HostId, number: u64) {
        let is_another = self.listeners.get(&host).is_none_or(|listener| listener.number != number);
        if is_another {
            return;
        }
        if let Some(listener) = self.listeners.remove(&host) {
            self.drop_backlog(listener);
        }
    }

    fn drop_backlog(&mut self, listener: Listener) {
        for connection in listener.backlog {
            self.close(EndId { connection, side: 1 });
        }
    }
}
