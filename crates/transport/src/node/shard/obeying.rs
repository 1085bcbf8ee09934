//! What a shard does when it is told something.

use std::mem;

use super::Shard;
use crate::driver::Driver;
use crate::node::control::Control;
use crate::node::event::Event;
use crate::node::inbox::Message;
use crate::node::link::Place;

impl<D: Driver> Shard<D> {
    /// Does what this shard was told. Whether that was anything but to write.
    pub(super) fn take_messages(&mut self) -> bool {
        let mut other = false;
        let mut messages = mem::take(&mut self.messages);
        self.shared.post.take(self.index, &mut messages);
        for message in messages.drain(..) {
            other |= !matches!(message, Message::Attend(_));
            self.obey(message);
        }
        self.messages = messages;
        other | self.take_local()
    }

    /// What this shard has told itself so far; what it says while it listens is for the next time.
    fn take_local(&mut self) -> bool {
        let mut other = false;
        for _ in 0..self.local.len() {
            let Some(message) = self.local.pop_front() else { break };
            other |= !matches!(message, Message::Attend(_));
            self.obey(message);
        }
        other
    }

    pub(super) fn obey(&mut self, message: Message<D::Socket>) {
        // What is about a link goes to its owner, behind the link itself.
        if let Some(owner) = message.link().map(Place::owner).filter(|&owner| owner != self.index) {
            return self.shared.post.send(owner, message);
        }
        match message {
            Message::Adopt { link, from } => self.adopt(*link, from),
            Message::Attend(place) => {
                place.take_attention();
                self.flush(place.link);
            }
            Message::Down { link, end } => self.take_down(&link, end),
            Message::Deliver(link) => self.deliver(&link),
            Message::Close(link) => drop(self.take_out(link.id())),
            Message::Move { link, to } => self.part_with(link, to),
            Message::Surrender { link, collector } => self.surrender(link, collector),
            Message::Stop => {
                self.stopped = true;
                self.events.push_back(Event::Stopped);
            }
            Message::Report { link, report } => {
                self.with_control(|control, turn| control.report(link, report, turn));
            }
            Message::Reload(settings) => self.with_control(|control, turn| control.reload(settings, turn)),
            Message::LookUp => self.with_control(|control, turn| control.look_up_all(turn)),
            Message::LookedUp(looked_up) => {
                self.with_control(|control, turn| control.looked_up(*looked_up, turn));
            }
            Message::Shutdown => self.with_control(Control::shutdown),
            Message::HandOver(collector) => {
                self.with_control(|control, turn| control.hand_over(collector, turn));
            }
        }
    }
}
