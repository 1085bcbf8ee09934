//! What a shard yields.

use replink_handshake::Peer;

use super::Shard;
use crate::Received;
use crate::driver::{Driver, SystemDriver};
use crate::node::event::Event;

/// What happened on a shard, one thing after the other. What is not taken is there at the next
/// [`Shard::poll`].
#[derive(Debug)]
pub struct Events<'a, D: Driver = SystemDriver> {
    pub(super) shard: &'a mut Shard<D>,
}

impl<D: Driver> Events<'_, D> {
    /// The next event, or `None`: then it is time to poll again.
    #[expect(clippy::should_implement_trait, reason = "frames are lent, which an iterator can't")]
    pub fn next(&mut self) -> Option<Event<'_>> {
        if let Some((id, size)) = self.shard.frame_at_hand() {
            let link = self.shard.links.get_mut(&id)?;
            let Peer { replica: peer, lane, .. } = *link.shared.peer();
            return Some(Event::Frame { link: id, peer, lane, frame: link.inbound.lend(size) });
        }
        let id = loop {
            if let Some(event) = self.shard.events.pop_front() {
                return Some(event);
            }
            if self.shard.let_part() {
                continue;
            }
            match self.shard.next_frame() {
                Some(id) => break id,
                None if self.shard.events.is_empty() => return None,
                None => {}
            }
        };
        let link = self.shard.links.get_mut(&id)?;
        let Peer { replica: peer, lane, .. } = *link.shared.peer();
        match link.inbound.next() {
            Ok(Some(Received::Frame(frame))) => Some(Event::Frame { link: id, peer, lane, frame }),
            _ => None,
        }
    }
}
