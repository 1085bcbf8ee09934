//! What has come to an end and was not taken.

use std::collections::VecDeque;

use super::{Completion, Released, SHORT_RECEIVE_MAX, Token};

/// Completions, in the two orders in which a shard takes them.
pub(super) struct Completed<S> {
    /// For [`Driver::next`](super::Driver::next).
    quick: VecDeque<Completion<S>>,
    /// For [`Driver::next_received`](super::Driver::next_received).
    received: VecDeque<Completion<S>>,
}

impl<S> Default for Completed<S> {
    fn default() -> Self {
        Self { quick: VecDeque::new(), received: VecDeque::new() }
    }
}

impl<S> Completed<S> {
    pub(super) fn push(&mut self, completion: Completion<S>) {
        let is_long = match &completion {
            Completion::Received { memory, .. } => memory.room() > SHORT_RECEIVE_MAX,
            _ => false,
        };
        let queue = if is_long { &mut self.received } else { &mut self.quick };
        queue.push_back(completion);
    }

    pub(super) fn next(&mut self) -> Option<Completion<S>> {
        self.quick.pop_front()
    }

    pub(super) fn next_received(&mut self) -> Option<Completion<S>> {
        self.received.pop_front()
    }

    /// Whether [`Completed::next`] gives something.
    pub(super) fn has_next(&self) -> bool {
        !self.quick.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.quick.is_empty() && self.received.is_empty()
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Completion<S>> {
        self.quick.iter().chain(&self.received)
    }

    /// Nobody wants to know any more what has become of these.
    pub(super) fn forget(&mut self, departed: &[Token]) {
        let is_there = |completion: &Completion<S>| !departed.contains(&completion.token());
        self.quick.retain(is_there);
        self.received.retain(is_there);
    }

    /// Takes out what there is of one, which is released.
    pub(super) fn release(&mut self, token: Token, released: &mut Released) {
        for queue in [&mut self.quick, &mut self.received] {
            for completion in std::mem::take(queue) {
                match completion {
                    completion if completion.token() != token => queue.push_back(completion),
                    Completion::Received { memory, result, .. } => {
                        released.received = Some((memory, result.unwrap_or(0)));
                    }
                    Completion::Sent { batch, result, .. } => released.sent = Some((batch, result)),
                    Completion::Accepted { .. } | Completion::Connected { .. } => {}
                }
            }
        }
    }
}
