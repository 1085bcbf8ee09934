//! One shard: the links that it owns, and the work of one thread.

mod events;
mod links;
mod moving;
mod obeying;
mod working;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use replink_frame::{GenericHeader, ReplicaId};

use crate::driver::{Driver, SystemDriver, Token, Waker};
use crate::mesh::{DownReason, LinkId};
use crate::node::Handle;
use crate::node::control::{Control, Turn};
use crate::node::event::Event;
use crate::node::inbox::{Message, Report};
use crate::node::link::{OwnedLink, SharedLink};
use crate::node::shared::Shared;
use crate::{SendError, Sent};

/// What is received on links in one [`Shard::poll`], after which timers and messages have their turn.
const RECEIVES_PER_POLL: u32 = 64;

pub use events::Events;
use links::{Links, Place};

/// One thread's part of a [`Node`](super::Node): it owns some of the links, and yields what comes
/// on them. Shard 0 also lets connections in and dials.
///
/// A shard works only inside [`Shard::poll`] and [`Events::next`]; all shards of a node have to be
/// polled. It starts no thread. Which thread polls it is known when it is polled first: it has to be
/// the same ever after, for an `io_uring` belongs to one.
///
/// To wait for other things as well, wait until its file descriptor is readable, at most for
/// [`Shard::timeout`], then poll with a timeout of zero. The wait may be interrupted (`EINTR`), as any may.
pub struct Shard<D: Driver = SystemDriver> {
    index: usize,
    driver: D,
    shared: Arc<Shared<D::Socket>>,
    control: Option<Box<Control<D>>>,
    links: Links<D::Socket>,
    /// Links whose codec may have a frame, the one that is looked at first.
    looking: VecDeque<Place>,
    receives_left: u32,
    events: VecDeque<Event<'static>>,
    /// Links that are to go to another shard, behind the events.
    parting: VecDeque<(Arc<SharedLink<D::Socket>>, usize)>,
    /// What this shard tells itself.
    local: VecDeque<Message<D::Socket>>,
    messages: Vec<Message<D::Socket>>,
    arrived: Vec<Token>,
    /// When it was last polled, in nanoseconds of the node's time.
    now: u64,
    lane: u16,
    stopped: bool,
}

impl<D: Driver> Shard<D> {
    pub(super) fn new(
        index: usize,
        driver: D,
        shared: Arc<Shared<D::Socket>>,
        control: Option<Control<D>>,
    ) -> Self {
        let lanes = usize::from(shared.settings().mesh.lanes);
        Self {
            index,
            driver,
            shared,
            control: control.map(Box::new),
            links: Links::new(),
            looking: VecDeque::new(),
            receives_left: 0,
            events: VecDeque::new(),
            parting: VecDeque::new(),
            local: VecDeque::new(),
            messages: Vec::new(),
            arrived: Vec::new(),
            now: 0,
            lane: u16::try_from(index % lanes).unwrap_or(0),
            stopped: false,
        }
    }

    /// Which of the node's shards it is, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Waits until something happens, at most for `timeout` (`None`: without end), and returns what
    /// did. Does not wait while there are events that were not taken.
    ///
    /// # Errors
    ///
    /// What the system says of its poller. The shard can be polled again.
    pub fn poll(&mut self, timeout: Option<Duration>) -> io::Result<Events<'_, D>> {
        self.shared.post.attend_here(self.index);
        // What this thread has queued goes out with the wait. Whatever else it was told may have
        // consequences, which don't wait.
        let timeout = if self.take_messages() { Some(Duration::ZERO) } else { timeout };
        let now = self.driver.now();
        let due = self.due(now);
        let wait = match (timeout, due) {
            (Some(timeout), Some(due)) => Some(timeout.min(due)),
            (timeout, due) => timeout.or(due),
        };
        let clock = &self.shared.clocks[self.index];
        clock.looked.store(self.shared.nanos(now), Ordering::Relaxed);
        clock.waits.store(true, Ordering::Relaxed);
        let mut arrived = mem::take(&mut self.arrived);
        // What there is then came while the embedder was at work, or comes just as it is looked at.
        let at_work = self.shared.nanos(now).saturating_sub(self.now);
        let waited = self.driver.wait(wait, &mut arrived);
        self.now = self.shared.nanos(self.driver.now());
        for token in arrived.drain(..) {
            if let Some(link) = self.links.get_mut(LinkId(token.0)) {
                link.shared.place.arrived(self.now.saturating_sub(at_work));
            }
        }
        self.arrived = arrived;
        let clock = &self.shared.clocks[self.index];
        clock.looked.store(self.now, Ordering::Relaxed);
        clock.waits.store(false, Ordering::Relaxed);
        waited?;
        self.take_completions();
        self.take_messages();
        if self.control.is_some() {
            self.with_control(Control::turn);
            // What control told this shard.
            self.take_messages();
        }
        self.receives_left = RECEIVES_PER_POLL;
        Ok(Events { shard: self })
    }

    /// How long there is nothing to do unless something happens: zero when there is something now,
    /// `None` when there is no end.
    pub fn timeout(&self) -> Option<Duration> {
        if self.driver.is_busy() { Some(Duration::ZERO) } else { self.due(self.driver.now()) }
    }

    /// The same, for a wait of the driver's.
    fn due(&self, now: Instant) -> Option<Duration> {
        let pending = !self.events.is_empty()
            || !self.parting.is_empty()
            || !self.looking.is_empty()
            || !self.local.is_empty()
            || self.shared.post.has_message(self.index);
        if pending {
            return Some(Duration::ZERO);
        }
        let due = self.control.as_ref().and_then(|control| control.next_timeout(now));
        due.map(|due| due.saturating_duration_since(now))
    }

    /// Sends a frame to `peer`, on this shard's lane: its index modulo the number of lanes. The
    /// link may be any shard's.
    ///
    /// # Errors
    ///
    /// [`SendError`] gives the frame back: [`Backpressure`](crate::SendCause::Backpressure) when the
    /// link's queue is full, and [`Event::Drained`] then says when it is empty;
    /// [`NotConnected`](crate::SendCause::NotConnected) when no such link is up.
    pub fn send(
        &self,
        peer: ReplicaId,
        header: &GenericHeader,
        body: impl Into<Bytes>,
    ) -> Result<Sent, SendError> {
        self.shared.send(peer, self.lane, header, body.into())
    }

    /// Queues a frame to `peer`, as [`Handle::queue`] does, on this shard's lane.
    ///
    /// # Errors
    ///
    /// [`SendError`], as [`Shard::send`].
    pub fn queue(
        &self,
        peer: ReplicaId,
        header: &GenericHeader,
        body: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        self.shared.queue(peer, self.lane, header, body.into())
    }

    /// The lane that [`Shard::send`] takes.
    pub fn lane(&self) -> u16 {
        self.lane
    }

    /// What any thread may use of the node; sends by it go out on this shard's lane.
    pub fn handle(&self) -> Handle<D::Socket> {
        Handle::new(Arc::clone(&self.shared), self.lane)
    }

    /// Ends [`Shard::poll`], from any thread.
    pub fn waker(&self) -> Waker {
        let (shared, index) = (Arc::clone(&self.shared), self.index);
        Arc::new(move || shared.post.wake(index))
    }

    /// Whether [`Event::Stopped`] was said: there is nothing more to do.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// The link that [`Shard::find_frame`] has found a frame on.
    fn looked_at(&mut self) -> Option<&mut OwnedLink<D::Socket>> {
        self.links.at_mut(*self.looking.front()?)
    }

    fn with_control(&mut self, work: impl FnOnce(&mut Control<D>, &mut Turn<'_, D>)) {
        if let Some(control) = &mut self.control {
            let mut turn = Turn { driver: &mut self.driver, events: &mut self.events };
            work(control, &mut turn);
        }
    }

    /// Tells shard 0 what happened on a link.
    pub(super) fn report(&mut self, link: LinkId, report: Report) {
        let message = Message::Report { link, report };
        if self.index == 0 {
            self.local.push_back(message);
        } else {
            self.shared.post.send(0, message);
        }
    }

    /// The link is of no more use.
    pub(super) fn end(&mut self, id: LinkId, reason: DownReason) {
        if let Some(link) = self.take_out(id) {
            link.shared.sever();
            self.report(id, Report::Ended(reason));
        }
    }

    /// Takes a link out of this shard. It stays registered as long as the link lives.
    pub(super) fn take_out(&mut self, id: LinkId) -> Option<OwnedLink<D::Socket>> {
        let (place, link) = self.links.remove(id)?;
        self.looking.retain(|&looking| looking != place);
        Some(link)
    }
}

impl<D: Driver> Drop for Shard<D> {
    /// Ends the links that it owns. Without shard 0 none are made anew.
    fn drop(&mut self) {
        let mut links: Vec<_> = self.links.drain().map(|link| link.shared).collect();
        for message in self.shared.post.close(self.index).into_iter().chain(self.local.drain(..)) {
            match message {
                Message::Adopt { link, .. } => links.push(link.shared),
                Message::Surrender { collector, .. } => {
                    collector.put(None);
                }
                Message::HandOver(collector) => collector.expect(0),
                Message::Down { link, .. } => {
                    let report = Message::Report { link: link.id(), report: Report::Quiet };
                    self.shared.post.send(0, report);
                }
                _ => {}
            }
        }
        // In one order every time, so that a simulation can repeat itself.
        links.sort_unstable_by_key(|link| link.id());
        for link in links {
            self.shared.end(&link);
        }
    }
}

impl<D: Driver + AsRawFd> AsRawFd for Shard<D> {
    /// Readable when there is something to do besides what [`Shard::timeout`] says. It stays the
    /// shard's, and is good for as long as the shard is.
    fn as_raw_fd(&self) -> RawFd {
        self.driver.as_raw_fd()
    }
}

impl<D: Driver> fmt::Debug for Shard<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard")
            .field("index", &self.index)
            .field("links", &self.links.ids().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
