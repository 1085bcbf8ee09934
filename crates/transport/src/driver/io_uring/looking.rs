use std::io;
use std::time::{Duration, Instant};

use super::{IoUringDriver, Registered};
use crate::driver::{Completion, Token};
use crate::sys::ring::Wait;

impl IoUringDriver {
    /// Whether an answer is expected from it, which is worth looking for.
    ///
    /// Then no operation is begun: that the kernel is told to poll the socket, finds it readable, tells us, and
    /// receives once we have asked it to, takes longer than asking for the bytes themselves. Nor does a send
    /// wait for the others of its turn.
    pub(super) fn is_active(&self, token: Token) -> bool {
        !self.busy_poll.is_off() && self.active.contains(token)
    }

    /// Waits at most for `timeout`, and looks for a while before that.
    pub(super) fn look_before_sleeping(
        &mut self,
        timeout: Option<Duration>,
        arrived: &mut Vec<Token>,
    ) -> io::Result<()> {
        let began = Instant::now();
        // What was started is under way while we look.
        if self.ring.has_something() {
            self.ring.enter(Wait::No)?;
        }
        let busy_poll = self.busy_poll;
        let found = busy_poll.look(began, timeout, || self.try_active(arrived) || self.ring.has_something());
        if !found {
            self.stop_looking();
            self.ring.enter(timeout.map_or(Wait::Forever, Wait::For))?;
        } else if self.ring.has_something() {
            self.ring.enter(Wait::No)?;
        }
        self.take_note(arrived);
        let after = (found || self.has_completed()).then(|| began.elapsed());
        self.busy_poll.learn(after);
        Ok(())
    }

    /// Receives from the first connection that is looked at and has something.
    pub(super) fn try_active(&mut self, arrived: &mut Vec<Token>) -> bool {
        for index in 0..self.looked_at.len() {
            let token = self.looked_at[index];
            let Some(Registered::Connected(connection)) = self.registered.get_mut(&token) else { continue };
            if let Some((memory, result)) = connection.look(&mut self.ring) {
                // In order: when it receives again, it comes behind the others.
                self.looked_at.remove(index);
                arrived.push(token);
                self.active.note(token);
                self.completed.push(Completion::Received { token, memory, result });
                return true;
            }
        }
        false
    }

    /// From here on the kernel looks.
    pub(super) fn stop_looking(&mut self) {
        for token in self.looked_at.drain(..) {
            if let Some(Registered::Connected(connection)) = self.registered.get_mut(&token) {
                connection.stop_looking(&mut self.ring);
            }
        }
    }
}
