//! What a shard yields.

use replink_handshake::Peer;

use super::Shard;
use crate::Received;
use crate::driver::{Driver, SystemDriver};
use crate::mesh::LinkId;
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
        loop {
            if self.shard.has_events() {
                return self.shard.events.pop_front();
            }
            if self.shard.let_part() {
                continue;
            }
            if self.shard.find_frame() {
                break;
            }
            if !self.shard.has_events() {
                return None;
            }
        }
        let link = self.shard.looked_at()?;
        let Peer { replica: peer, lane, .. } = *link.shared.peer();
        let id: LinkId = link.shared.id();
        match link.inbound.take() {
            Some(Received::Frame(frame)) => Some(Event::Frame { link: id, peer, lane, frame }),
            _ => None,
        }
    }
}
