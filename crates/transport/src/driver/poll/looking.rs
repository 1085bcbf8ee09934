use std::io;
use std::time::{Duration, Instant};

use super::{PollDriver, Registered};
use crate::driver::{Completion, SHORT_RECEIVE_MAX, Token};

/// Connections that are looked at by themselves. With more the system's poller, which knows all of them, is
/// asked sooner.
const ACTIVE_MAX: usize = 2;

/// Rounds of looking between two glances at the poller: at what is not looked at by itself.
const GLANCE_EVERY: u32 = 8;

/// The connections that something came from last, the very last one first. What comes next is most likely
/// theirs: while a peer's answer is waited for, they are asked directly, which takes one system call until it
/// is here instead of two.
#[derive(Default)]
pub(super) struct Active([Option<Token>; ACTIVE_MAX]);

impl Active {
    /// Something came from it.
    pub(super) fn note(&mut self, token: Token) {
        if self.0[0] != Some(token) {
            let before = self.0.iter().position(|&active| active == Some(token));
            self.0[..=before.unwrap_or(ACTIVE_MAX - 1)].rotate_right(1);
            self.0[0] = Some(token);
        }
    }
}

impl PollDriver {
    /// Waits at most for `timeout`, and looks for a while before that.
    pub(super) fn look_before_sleeping(
        &mut self,
        timeout: Option<Duration>,
        arrived: &mut Vec<Token>,
    ) -> io::Result<()> {
        let began = Instant::now();
        let (busy_poll, before) = (self.busy_poll, arrived.len());
        let mut round = 0;
        let mut looked = Ok(());
        let mut found = busy_poll.look(began, timeout, || {
            if self.waker.was_woken() || self.try_active(arrived) {
                return true;
            }
            if round % GLANCE_EVERY == 0 {
                looked = self.ask(Some(Duration::ZERO), arrived);
            }
            round += 1;
            looked.is_err() || self.has_work() || arrived.len() > before
        });
        looked?;
        if !found {
            let timeout = self.waker.fall_asleep(timeout);
            self.ask(timeout, arrived)?;
            found = self.has_work() || arrived.len() > before || self.waker.was_woken();
        }
        self.busy_poll.learn(found.then(|| began.elapsed()));
        Ok(())
    }

    /// Receives from the first active connection that something has come on.
    fn try_active(&mut self, arrived: &mut Vec<Token>) -> bool {
        for token in self.active.0.into_iter().flatten() {
            let Some(Registered::Connected(connection)) = self.registered.get_mut(&token) else { continue };
            if let Some((memory, result)) = connection.receive(&mut self.blocks) {
                arrived.push(token);
                let is_short = memory.room() <= SHORT_RECEIVE_MAX;
                let queue = if is_short { &mut self.completed } else { &mut self.received };
                queue.push_back(Completion::Received { token, memory, result });
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_active_each_once() {
        let mut active = Active::default();
        let mut tokens = |token| {
            active.note(Token(token));
            active.0.map(|active| active.map(|active| active.0))
        };
        assert_eq!(tokens(1), [Some(1), None]);
        assert_eq!(tokens(1), [Some(1), None]);
        assert_eq!(tokens(2), [Some(2), Some(1)]);
        assert_eq!(tokens(1), [Some(1), Some(2)]);
        assert_eq!(tokens(3), [Some(3), Some(1)]);
    }
}
