//! One shard: the links that it owns, and the work of one thread.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use replink_frame::{GenericHeader, ReplicaId};
use replink_handshake::Control as ControlFrame;

use super::Handle;
use super::control::{Control, Turn};
use super::event::{Event, LinkDown, LinkUp};
use super::inbox::{Message, Report};
use super::link::{OwnedLink, SharedLink};
use super::shared::Shared;
use crate::driver::poll::PollDriver;
use crate::driver::{Driver, Readiness, Stream, Token, Waker};
use crate::mesh::{DownReason, Ending, LinkId};
use crate::{Flushed, InboundError, Received, SendCause, SendError, Sent};

/// Reads of one link before the next one has its turn.
const READS_PER_LINK: u32 = 4;

/// Reads in one [`Shard::poll`], after which timers and messages have their turn.
const READS_PER_POLL: u32 = 64;

/// One thread's part of a [`Node`](super::Node): it owns some of the links, and yields what comes
/// on them. Shard 0 also lets connections in and dials.
///
/// A shard works only inside [`Shard::poll`] and [`Events::next`]; all shards of a node have to be
/// polled, each by one thread at a time. It starts no thread.
///
/// To wait for other things as well, wait until its file descriptor is readable, at most for
/// [`Shard::timeout`], then poll with a timeout of zero.
pub struct Shard<D: Driver = PollDriver> {
    index: usize,
    driver: D,
    shared: Arc<Shared<D::Stream>>,
    control: Option<Box<Control<D>>>,
    links: HashMap<LinkId, OwnedLink<D::Stream>>,
    /// Links that may have something to read, in turn.
    reading: VecDeque<LinkId>,
    /// How often the first of them was read in its turn.
    reads_of_first: u32,
    reads_left: u32,
    events: VecDeque<Event<'static>>,
    /// What this shard tells itself.
    local: VecDeque<Message<D::Stream>>,
    messages: Vec<Message<D::Stream>>,
    ready: Vec<Readiness>,
    lanes: u16,
    stopped: bool,
}

impl<D: Driver> Shard<D> {
    pub(super) fn new(
        index: usize,
        driver: D,
        shared: Arc<Shared<D::Stream>>,
        control: Option<Control<D>>,
    ) -> Self {
        let lanes = shared.settings().mesh().lanes;
        Self {
            index,
            driver,
            shared,
            control: control.map(Box::new),
            links: HashMap::new(),
            reading: VecDeque::new(),
            reads_of_first: 0,
            reads_left: 0,
            events: VecDeque::new(),
            local: VecDeque::new(),
            messages: Vec::new(),
            ready: Vec::new(),
            lanes,
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
        let now = self.driver.now();
        let due = self.timeout();
        let wait = match (timeout, due) {
            (Some(timeout), Some(due)) => Some(timeout.min(due)),
            (timeout, due) => timeout.or(due),
        };
        let clock = &self.shared.clocks[self.index];
        clock.looked.store(self.shared.nanos(now), Ordering::Relaxed);
        clock.waits.store(true, Ordering::Relaxed);
        let mut ready = mem::take(&mut self.ready);
        let waited = self.driver.wait(wait, &mut ready);
        let now = self.driver.now();
        for readiness in ready.drain(..) {
            self.take_note(readiness, now);
        }
        self.ready = ready;
        clock_of(&self.shared, self.index, now);
        waited?;
        self.take_messages();
        if let Some(control) = &mut self.control {
            let mut turn =
                Turn { driver: &mut self.driver, events: &mut self.events, local: &mut self.local };
            control.turn(&mut turn);
            // What control told this shard.
            self.take_local();
        }
        self.reads_left = READS_PER_POLL;
        Ok(Events { shard: self })
    }

    /// How long there is nothing to do unless something happens: zero when there is something now,
    /// `None` when there is no end.
    pub fn timeout(&self) -> Option<Duration> {
        let pending = !self.events.is_empty() || !self.reading.is_empty() || !self.local.is_empty();
        if pending {
            return Some(Duration::ZERO);
        }
        let now = self.driver.now();
        let due = self.control.as_ref().and_then(|control| control.next_timeout(now));
        due.map(|due| due.saturating_duration_since(now))
    }

    /// Sends a frame to `peer`, on this shard's lane: its index modulo the number of lanes. The
    /// link may be any shard's.
    ///
    /// # Errors
    ///
    /// [`SendError`] gives the frame back: [`SendCause::Backpressure`] when the link's queue is
    /// full, and [`Event::Drained`] then says when it is empty; [`SendCause::NotConnected`] when no
    /// such link is up.
    pub fn send(&self, peer: ReplicaId, header: &GenericHeader, body: Bytes) -> Result<Sent, SendError> {
        self.shared.send(peer, self.lane(), header, body)
    }

    /// The lane that [`Shard::send`] takes.
    pub fn lane(&self) -> u16 {
        u16::try_from(self.index % usize::from(self.lanes)).unwrap_or(0)
    }

    /// What any thread may use of the node; sends by it go out on this shard's lane.
    pub fn handle(&self) -> Handle<D::Stream> {
        Handle::new(Arc::clone(&self.shared), self.lane())
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

    fn take_note(&mut self, readiness: Readiness, now: Instant) {
        let id = LinkId(readiness.token.0);
        let Some(link) = self.links.get_mut(&id) else {
            self.control_ready(readiness.token);
            return;
        };
        if readiness.readable {
            link.shared.place.hear(self.shared.nanos(now));
            link.readable = true;
            queue_reading(&mut self.reading, id, link);
        }
        if readiness.writable {
            self.flush(id);
        }
    }

    fn control_ready(&mut self, token: Token) {
        if let Some(control) = &mut self.control {
            let mut turn =
                Turn { driver: &mut self.driver, events: &mut self.events, local: &mut self.local };
            control.ready(token, &mut turn);
        }
    }

    fn take_messages(&mut self) {
        let mut messages = mem::take(&mut self.messages);
        self.shared.post.take(self.index, &mut messages);
        for message in messages.drain(..) {
            self.obey(message);
        }
        self.messages = messages;
        self.take_local();
    }

    /// What this shard has told itself so far; what it says while it listens is for the next time.
    fn take_local(&mut self) {
        for _ in 0..self.local.len() {
            let Some(message) = self.local.pop_front() else { return };
            self.obey(message);
        }
    }

    fn obey(&mut self, message: Message<D::Stream>) {
        match message {
            Message::Adopt { link, from } => self.adopt(*link, from),
            Message::Attend(place) => {
                place.take_attention();
                if self.links.contains_key(&place.link) {
                    self.flush(place.link);
                } else if place.owner() != self.index && place.want_attention() {
                    self.shared.post.send(place.owner(), Message::Attend(place));
                }
            }
            Message::Down { link, reason } => match self.elsewhere(&link) {
                Some(owner) => self.shared.post.send(owner, Message::Down { link, reason }),
                None => self.take_down(&link, reason),
            },
            Message::Close(link) => match self.elsewhere(&link) {
                Some(owner) => self.shared.post.send(owner, Message::Close(link)),
                None => self.drop_link(link.id()),
            },
            Message::Move { link, to } => match self.elsewhere(&link) {
                Some(owner) => self.shared.post.send(owner, Message::Move { link, to }),
                None => self.give_away(link.id(), to),
            },
            Message::Stop => {
                self.stopped = true;
                self.events.push_back(Event::Stopped);
            }
            Message::Report { link, report } => {
                self.with_control(|control, turn| control.report(link, report, turn));
            }
            Message::Reload(reload) => self.with_control(|control, turn| control.reload(*reload, turn)),
            Message::Addresses(addresses) => {
                self.with_control(|control, _| control.set_addresses(addresses));
            }
            Message::Shutdown => self.with_control(Control::shutdown),
        }
    }

    fn with_control(&mut self, work: impl FnOnce(&mut Control<D>, &mut Turn<'_, D>)) {
        if let Some(control) = &mut self.control {
            let mut turn =
                Turn { driver: &mut self.driver, events: &mut self.events, local: &mut self.local };
            work(control, &mut turn);
        }
    }

    /// The shard that has `link` now, if that is another one.
    fn elsewhere(&self, link: &SharedLink<D::Stream>) -> Option<usize> {
        let owner = link.place.owner();
        (owner != self.index).then_some(owner)
    }

    fn adopt(&mut self, mut link: OwnedLink<D::Stream>, from: Option<usize>) {
        let shared = Arc::clone(&link.shared);
        let (id, peer, address) = (shared.id(), *shared.peer(), shared.address);
        if let Err(error) = self.driver.watch(Token(id.0), shared.stream()) {
            tracing::warn!(peer = %peer.replica, %address, "link lost: {error}");
            link.over = true;
            shared.outbound.close();
            shared.stream().shutdown();
            self.report(id, Report::Ended(Ending::Stream));
        }
        if link.delivers {
            self.events.push_back(match from {
                Some(from) => Event::Adopted { link: id, peer: peer.replica, from },
                None => Event::Up(LinkUp { link: id, peer, address }),
            });
        }
        // What was ready before it was watched here is not reported again.
        link.readable = true;
        link.queued = false;
        queue_reading(&mut self.reading, id, &mut link);
        self.links.insert(id, link);
        self.flush(id);
    }

    fn give_away(&mut self, id: LinkId, to: usize) {
        if to == self.index || to >= self.shared.post.shards() || !self.shared.post.is_open(to) {
            return;
        }
        let Some(link) = self.links.remove(&id) else { return };
        self.driver.unwatch(link.shared.stream());
        if link.delivers {
            let peer = link.shared.peer().replica;
            self.events.push_back(Event::Released { link: id, peer, to });
        }
        link.shared.place.set_owner(to);
        // Whoever reads the new owner from here on is behind this.
        let adopt = Message::Adopt { link: Box::new(link), from: Some(self.index) };
        if let Err(adopt) = self.shared.post.try_send(to, adopt) {
            self.shared.end_unheard(adopt);
        }
    }

    fn take_down(&mut self, link: &Arc<SharedLink<D::Stream>>, reason: DownReason) {
        if let Some(owned) = self.links.get_mut(&link.id()) {
            owned.delivers = false;
        }
        let (id, peer, address) = (link.id(), *link.peer(), link.address);
        self.events.push_back(Event::Down(LinkDown { link: id, peer, address, reason }));
    }

    fn drop_link(&mut self, id: LinkId) {
        if let Some(link) = self.links.remove(&id) {
            self.driver.unwatch(link.shared.stream());
        }
    }

    /// Writes what waits, and does what the queue wants done.
    fn flush(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let shared = &link.shared;
        match shared.outbound.flush() {
            Ok(Flushed::Empty) => {
                if shared.outbound.ended() == Some(SendCause::Leaving) && !link.finished {
                    // Our goodbye is out: it was the last.
                    link.finished = true;
                    shared.stream().finish();
                }
                if shared.wants_room.swap(false, Ordering::AcqRel) && link.delivers {
                    let peer = shared.peer();
                    let drained = Event::Drained { link: id, peer: peer.replica, lane: peer.lane };
                    self.events.push_back(drained);
                }
            }
            Ok(Flushed::More) => {
                if shared.place.want_attention() {
                    self.local.push_back(Message::Attend(Arc::clone(&shared.place)));
                }
            }
            Ok(Flushed::Blocked | Flushed::Elsewhere) => {}
            // How it failed shows when it is read, behind what the peer has sent.
            Err(_) => queue_reading(&mut self.reading, id, link),
        }
    }

    /// Tells shard 0 what happened on a link.
    fn report(&mut self, link: LinkId, report: Report) {
        let message = Message::Report { link, report };
        if self.index == 0 {
            self.local.push_back(message);
        } else {
            self.shared.post.send(0, message);
        }
    }

    /// The link's stream is of no more use.
    fn end(&mut self, id: LinkId, ending: Ending) {
        if let Some(link) = self.links.remove(&id) {
            self.driver.unwatch(link.shared.stream());
            link.shared.outbound.close();
            link.shared.stream().shutdown();
            self.report(id, Report::Ended(ending));
        }
    }

    /// Goes on with the link whose turn it is, until it has a frame for the embedder. `None` when
    /// no link has.
    fn next_frame(&mut self) -> Option<LinkId> {
        while let Some(&id) = self.reading.front() {
            match self.step(id) {
                Step::Frame => return Some(id),
                Step::Again => {}
                Step::Rotate => {
                    self.reads_of_first = 0;
                    self.reading.rotate_left(1);
                    if self.reads_left == 0 {
                        return None;
                    }
                }
                Step::Done => {
                    self.reads_of_first = 0;
                    self.reading.pop_front();
                    if let Some(link) = self.links.get_mut(&id) {
                        link.queued = false;
                    }
                }
            }
            if !self.events.is_empty() {
                return None;
            }
        }
        None
    }

    fn step(&mut self, id: LinkId) -> Step {
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.over) else { return Step::Done };
        match link.inbound.is_ready() {
            Ok(true) => {
                let command = link.inbound.ready_command();
                let Some(command) = command else { return self.control_frame(id) };
                if !link.delivers {
                    let _ = link.inbound.next();
                    return Step::Again;
                }
                if self.shared.restricts(link.shared.peer().replica, command) {
                    link.over = true;
                    link.delivers = false;
                    self.report(id, Report::Denied(command));
                    return Step::Done;
                }
                link.shared.received.count_frame();
                return Step::Frame;
            }
            Ok(false) => {}
            Err(InboundError::LateReject(reject)) => {
                self.end(id, Ending::Rejected(reject));
                return Step::Done;
            }
            Err(error) => {
                tracing::warn!(
                    peer = %link.shared.peer().replica,
                    address = %link.shared.address,
                    "link ended: {error}"
                );
                self.end(id, Ending::Violation);
                return Step::Done;
            }
        }
        if !link.readable {
            if matches!(link.shared.outbound.ended(), Some(SendCause::Failed(_))) {
                self.end(id, Ending::Stream);
            }
            return Step::Done;
        }
        if self.reads_of_first >= READS_PER_LINK || self.reads_left == 0 {
            return Step::Rotate;
        }
        self.reads_of_first += 1;
        self.reads_left -= 1;
        match link.shared.stream().receive(&mut link.inbound) {
            Ok(0) => {
                self.end(id, Ending::Stream);
                Step::Done
            }
            Ok(count) => {
                link.shared.received.count_read(count);
                Step::Again
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                link.readable = false;
                Step::Again
            }
            Err(_) => {
                self.end(id, Ending::Stream);
                Step::Done
            }
        }
    }

    fn control_frame(&mut self, id: LinkId) -> Step {
        let Some(link) = self.links.get_mut(&id) else { return Step::Done };
        let Ok(Some(Received::Control(control))) = link.inbound.next() else { return Step::Again };
        match control {
            ControlFrame::Ping { counter } => {
                link.shared.outbound.pong(counter);
                Step::Again
            }
            ControlFrame::Pong { echo } => {
                self.report(id, Report::Pong { echo });
                Step::Again
            }
            ControlFrame::Goodbye(reason) => {
                link.over = true;
                if link.delivers {
                    self.report(id, Report::Goodbye(reason));
                } else {
                    // Both ends have left.
                    self.end(id, Ending::Stream);
                }
                Step::Done
            }
        }
    }
}

/// What became of one step with a link.
enum Step {
    /// It has a frame for the embedder.
    Frame,
    /// It may have more.
    Again,
    /// It may have more, but others have their turn.
    Rotate,
    /// It has nothing more for now.
    Done,
}

fn clock_of<S: Stream>(shared: &Shared<S>, index: usize, now: Instant) {
    let clock = &shared.clocks[index];
    clock.looked.store(shared.nanos(now), Ordering::Relaxed);
    clock.waits.store(false, Ordering::Relaxed);
}

fn queue_reading<S>(reading: &mut VecDeque<LinkId>, id: LinkId, link: &mut OwnedLink<S>) {
    if !mem::replace(&mut link.queued, true) {
        reading.push_back(id);
    }
}

impl<D: Driver> Drop for Shard<D> {
    /// Ends the links that it owns. Without shard 0 none are made anew.
    fn drop(&mut self) {
        let mut links: Vec<_> = self.links.drain().map(|(_, link)| link.shared).collect();
        for message in self.shared.post.close(self.index).into_iter().chain(self.local.drain(..)) {
            if let Message::Adopt { link, .. } = message {
                links.push(link.shared);
            }
        }
        for link in links {
            self.driver.unwatch(link.stream());
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
            .field("links", &self.links.keys())
            .finish_non_exhaustive()
    }
}

/// What happened on a shard, one thing after the other. What is not taken is there at the next
/// [`Shard::poll`].
#[derive(Debug)]
pub struct Events<'a, D: Driver = PollDriver> {
    shard: &'a mut Shard<D>,
}

impl<D: Driver> Events<'_, D> {
    /// The next event, or `None`: then it is time to poll again.
    #[expect(clippy::should_implement_trait, reason = "frames are lent, which an iterator can't")]
    pub fn next(&mut self) -> Option<Event<'_>> {
        let id = loop {
            if let Some(event) = self.shard.events.pop_front() {
                return Some(event);
            }
            match self.shard.next_frame() {
                Some(id) => break id,
                None if self.shard.events.is_empty() => return None,
                None => {}
            }
        };
        let link = self.shard.links.get_mut(&id)?;
        let peer = link.shared.peer();
        let (peer, lane) = (peer.replica, peer.lane);
        match link.inbound.next() {
            Ok(Some(Received::Frame(frame))) => Some(Event::Frame { link: id, peer, lane, frame }),
            _ => None,
        }
    }
}
