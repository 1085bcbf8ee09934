use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::Interest;
use mio::unix::SourceFd;

use super::{PollDriver, Registered};
use crate::driver::{Completion, Token};

/// Rounds of looking between two glances at the poller: at what is not looked at by itself.
const GLANCE_EVERY: u32 = 8;

/// How often in a row a connection has something while it is looked at, until the poller need not know it.
const UNWATCH_AFTER: u32 = 32;

impl PollDriver {
    /// Waits at most for `timeout`, and looks for a while before that.
    pub(super) fn look_before_sleeping(
        &mut self,
        timeout: Option<Duration>,
        arrived: &mut Vec<Token>,
    ) -> io::Result<()> {
        let began = Instant::now();
        let (busy_poll, before) = (self.busy_poll, arrived.len());
        self.watch_what_is_not_looked_at();
        let mut looked = Ok(());
        let mut found = busy_poll.look(began, timeout, || {
            // Counted from one wait to the next: an active connection may have something each time.
            self.looks = self.looks.wrapping_add(1);
            if self.looks.is_multiple_of(GLANCE_EVERY) {
                looked = self.ask(Some(Duration::ZERO), arrived);
            }
            self.waker.was_woken()
                || self.try_active(arrived)
                || looked.is_err()
                || self.has_work()
                || arrived.len() > before
        });
        looked?;
        if !found {
            self.ask_all(timeout, arrived)?;
            found = self.has_work() || arrived.len() > before || self.waker.was_woken();
        }
        self.busy_poll.learn(found.then(|| began.elapsed()));
        Ok(())
    }

    /// As [`PollDriver::ask`], also about what the poller does not know; with a `timeout` it knows all of them
    /// from here on.
    pub(super) fn ask_all(&mut self, timeout: Option<Duration>, arrived: &mut Vec<Token>) -> io::Result<()> {
        if timeout != Some(Duration::ZERO) || self.waker.may_be_waited_for_elsewhere() {
            while let Some(&token) = self.unwatched.last() {
                self.watch_again(token);
            }
        } else if !self.unwatched.is_empty() {
            self.try_active(arrived);
        }
        let timeout = self.waker.fall_asleep(timeout);
        self.ask(timeout, arrived)
    }

    /// Receives from the first active connection that something has come on.
    fn try_active(&mut self, arrived: &mut Vec<Token>) -> bool {
        for token in self.active.in_turn() {
            let Some(Registered::Connected(connection)) = self.registered.get_mut(&token) else { continue };
            if let Some((memory, result)) = connection.receive(&mut self.blocks) {
                self.active.had_its_turn(token);
                connection.found += 1;
                if connection.found >= UNWATCH_AFTER {
                    self.unwatch(token);
                }
                arrived.push(token);
                self.completed.push(Completion::Received { token, memory, result });
                return true;
            }
        }
        false
    }

    /// Takes a connection that is looked at all the time out of the poller: otherwise each arrival of something
    /// has the system note in the poller what nobody asks it for, while the peer waits.
    fn unwatch(&mut self, token: Token) {
        let Some(Registered::Connected(connection)) = self.registered.get_mut(&token) else { return };
        let is_needed = connection.sending.is_some() || self.waker.may_be_waited_for_elsewhere();
        if !connection.is_unwatched && !is_needed {
            let descriptor = connection.socket.as_raw_fd();
            if self.poll.registry().deregister(&mut SourceFd(&descriptor)).is_ok() {
                connection.is_unwatched = true;
                self.unwatched.push(token);
            }
        }
    }

    /// Has the poller know a connection again: it reports what there is already.
    pub(super) fn watch_again(&mut self, token: Token) {
        self.unwatched.retain(|&unwatched| unwatched != token);
        let Some(Registered::Connected(connection)) = self.registered.get_mut(&token) else { return };
        if !std::mem::take(&mut connection.is_unwatched) {
            return;
        }
        connection.found = 0;
        let descriptor = connection.socket.as_raw_fd();
        if let Err(error) = self.watch(token, descriptor, Interest::READABLE | Interest::WRITABLE) {
            // It was known before, so only for want of memory. Its next receive and send find that out.
            tracing::error!("a connection can't be waited for any more: {error}");
            self.fail(token);
        }
    }

    /// What nobody looks at is the poller's to look at.
    fn watch_what_is_not_looked_at(&mut self) {
        for index in (0..self.unwatched.len()).rev() {
            let token = self.unwatched[index];
            let is_looked_at = self.active.contains(token)
                && match self.registered.get(&token) {
                    Some(Registered::Connected(connection)) => connection.receiving.is_some(),
                    _ => false,
                };
            if !is_looked_at {
                self.watch_again(token);
            }
        }
    }

    /// Ends a connection, so that its operations come to an end.
    fn fail(&mut self, token: Token) {
        if let Some(Registered::Connected(connection)) = self.registered.get_mut(&token) {
            let _ = connection.socket.shutdown(std::net::Shutdown::Both);
            connection.ended = true;
            connection.readable = true;
            connection.queue(token, &mut self.ready);
        }
    }
}
