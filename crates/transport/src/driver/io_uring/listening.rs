use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::connection::stop;
use super::failures::Failures;
use crate::driver::Token;
use crate::sys::ring::{OperationId, Ring, Work};
use crate::{Link, sys};

/// Operations under way that accept one connection each. One operation that accepts all that come would know
/// no bound: while the shard is kept from running, strangers could have it hold as many descriptors as
/// they like.
const UNDER_WAY_MAX: usize = 32;

/// A listener, and what is under way on it.
pub(super) struct Listening {
    token: Token,
    /// The same listener as the node's, by a descriptor of its own.
    listener: Arc<TcpListener>,
    /// How many connections the shard takes.
    room: usize,
    under_way: Vec<OperationId>,
    /// Whether all that is under way was told to end.
    ending: bool,
    /// What the shard has not taken yet: at most what was under way.
    accepted: VecDeque<io::Result<OwnedFd>>,
    failures: Failures,
}

impl Listening {
    pub(super) fn new(token: Token, listener: TcpListener) -> Self {
        Self {
            token,
            listener: Arc::new(listener),
            room: 0,
            under_way: Vec::new(),
            ending: false,
            accepted: VecDeque::new(),
            failures: Failures::default(),
        }
    }

    pub(super) fn accept(&mut self, ring: &mut Ring, at_most: usize) {
        self.room = at_most;
        self.balance(ring);
    }

    /// Has as much under way as there is room for, but for what waits to be taken.
    fn balance(&mut self, ring: &mut Ring) {
        let wanted = self.room.saturating_sub(self.accepted.len()).min(UNDER_WAY_MAX);
        if self.under_way.is_empty() {
            self.ending = false;
        }
        if self.ending {
            return;
        }
        if self.under_way.len() > wanted {
            // All of them, and as many as are wanted begin anew then. The kernel tells of a connection to one
            // operation alone: if it is that which was ended, the others do not know that there is one.
            self.ending = true;
            self.under_way.iter().for_each(|&id| ring.cancel(id));
            return;
        }
        // What fails (for want of descriptors, say) fails again at once. So that has to be taken first.
        if self.accepted.back().is_some_and(Result::is_err) {
            return;
        }
        while self.under_way.len() < wanted {
            let listener = Arc::clone(&self.listener);
            self.under_way.push(ring.start(self.token.0, Work::Accept { listener }));
        }
    }

    /// An operation has ended.
    pub(super) fn ended(&mut self, ring: &mut Ring, id: OperationId, connection: io::Result<OwnedFd>) {
        let Some(index) = self.under_way.iter().position(|&under_way| under_way == id) else { return };
        self.under_way.swap_remove(index);
        match connection {
            Ok(connection) => {
                self.failures.succeeded();
                self.accepted.push_back(Ok(connection));
            }
            Err(error) if self.ending && error.raw_os_error() == Some(libc::ECANCELED) => {}
            Err(error) => {
                // One failure is as good as many of the same.
                let is_first = self.accepted.back().is_none_or(Result::is_ok);
                if let Some(error) = self.failures.failed(error).err().filter(|_| is_first) {
                    self.accepted.push_back(Err(error));
                }
            }
        }
        self.balance(ring);
    }

    /// Whether [`Listening::take`] gives something.
    pub(super) fn has_some(&self) -> bool {
        self.room > 0 && !self.accepted.is_empty()
    }

    /// The next connection, if there is room for one.
    pub(super) fn take(&mut self, ring: &mut Ring) -> Option<io::Result<(Link, SocketAddr)>> {
        if self.room == 0 {
            return None;
        }
        let connection = self.accepted.pop_front()?;
        self.room -= 1;
        self.balance(ring);
        Some(connection.and_then(|descriptor| {
            let stream = TcpStream::from(descriptor);
            let address = sys::peer_name(&stream)?;
            Ok((Link::accepted(stream, address), address))
        }))
    }

    /// What is under way is to end. What comes of it all the same is closed.
    pub(super) fn abandon(self, ring: &mut Ring) {
        self.under_way.iter().for_each(|&id| ring.cancel(id));
    }

    /// Ends what is under way, and waits for that: whoever listens next is to get what comes from here on.
    pub(super) fn release(self, ring: &mut Ring) {
        self.under_way.iter().for_each(|&id| ring.cancel(id));
        for id in self.under_way {
            stop(ring, id);
        }
    }

    #[cfg(test)]
    pub(super) fn not_taken(&self) -> usize {
        self.accepted.len()
    }
}
