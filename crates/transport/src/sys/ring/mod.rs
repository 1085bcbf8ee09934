//! An `io_uring`, and the operations under way on it.
//!
//! What the kernel reads or writes while an operation is under way belongs to that operation: [`Work`]
//! goes in as a whole, and comes out with the last [`Completion`]. So nothing outside of here can free,
//! move or look at such memory, whatever it does. Everything that is unsafe rests on that.

mod faults;
mod in_flight;
mod message;
mod setup;
mod work;

use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::thread::ThreadId;
use std::time::Duration;

use io_uring::{IoUring, cqueue, opcode, squeue, types};

pub(crate) use faults::{Fault, Faults};
pub(crate) use message::RingAddress;
pub(crate) use setup::Features;
pub(crate) use work::Work;

use in_flight::InFlight;

/// User data of completions that belong to no operation: a wake-up, and the answer to a cancellation.
const WOKEN: u64 = u64::MAX;
const CANCELLED: u64 = u64::MAX - 1;

/// Rounds of waiting for what is under way, when the ring goes.
const DRAIN_ROUNDS_MAX: u32 = 50;
const DRAIN_ROUND: Duration = Duration::from_millis(20);

/// Names an operation that is under way. Never used twice within four billion operations in one place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OperationId {
    index: u32,
    generation: u32,
}

/// What has become of an operation.
pub(crate) enum Completion {
    /// It has come to an end. Here is what it was given, and what the kernel says.
    Ended { id: OperationId, work: Work, result: io::Result<u32>, more_to_receive: bool },
    /// A connection was accepted. Unless `more`, no further one will be.
    Accepted { id: OperationId, connection: io::Result<OwnedFd>, more: bool },
    /// What was sent without being copied is needed no longer; or it was copied after all.
    Released { socket: RawFd, copied: bool },
    /// [`RingAddress::wake`] was called.
    Woken,
}

/// How long to wait for something to happen.
#[derive(Clone, Copy)]
pub(crate) enum Wait {
    No,
    For(Duration),
    Forever,
}

pub(crate) struct Ring {
    io_uring: ManuallyDrop<IoUring>,
    features: Features,
    /// The one thread that may submit, once it has.
    issuer: Option<ThreadId>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    under_way: usize,
    /// What was started and is not in the submission queue yet.
    unsubmitted: VecDeque<squeue::Entry>,
    /// What came while something else was waited for.
    completed: VecDeque<Completion>,
    /// Memory of operations that are over, to be used again.
    #[expect(clippy::vec_box, reason = "the kernel knows them by their address")]
    spare: Vec<Box<InFlight>>,
    taken: Vec<(u64, i32, u32)>,
    closing: bool,
    faults: Option<Faults>,
}

struct Slot {
    generation: u32,
    place: Option<NonNull<InFlight>>,
}

// SAFETY: the pointers are to memory that this ring alone owns, and that is as `Send` as what is in it:
// sockets, byte buffers, and raw pointers into those. The ring itself checks which thread submits.
unsafe impl Send for Ring {}

impl Ring {
    /// # Errors
    ///
    /// What is missing of `io_uring` here.
    pub(crate) fn new(features: Features, faults: Option<Faults>) -> io::Result<Self> {
        let ring = setup::build(features)?;
        Ok(Self {
            io_uring: ManuallyDrop::new(ring),
            features,
            issuer: None,
            slots: Vec::new(),
            free: Vec::new(),
            under_way: 0,
            unsubmitted: VecDeque::new(),
            completed: VecDeque::new(),
            spare: Vec::new(),
            taken: Vec::new(),
            closing: false,
            faults,
        })
    }

    pub(crate) fn features(&self) -> Features {
        self.features
    }

    /// How others wake this ring up, where the kernel lets any thread do that.
    pub(crate) fn address(&self) -> io::Result<Option<RingAddress>> {
        if self.features.messages { RingAddress::of(&self.io_uring).map(Some) } else { Ok(None) }
    }

    /// Begins an operation. It is submitted with the next [`Ring::enter`].
    pub(crate) fn start(&mut self, work: Work) -> OperationId {
        let mut place = self.spare.pop().unwrap_or_default();
        place.work = work;
        let fault = self.faults.as_mut().and_then(|faults| faults.next(&place.work));
        let place = NonNull::from(Box::leak(place));
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, place: None });
            u32::try_from(self.slots.len() - 1).expect("there are fewer operations than descriptors")
        });
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.place = Some(place);
        let id = OperationId { index, generation: slot.generation };
        self.under_way += 1;
        if let Some(Fault::Fail(error)) = fault {
            let work = self.finish(id);
            let result = Err(io::Error::from_raw_os_error(error));
            self.completed.push_back(Completion::Ended { id, work, result, more_to_receive: false });
            return id;
        }
        let at_most = match fault {
            Some(Fault::Short(at_most)) => at_most,
            _ => usize::MAX,
        };
        // SAFETY: it was made above, and the kernel does not know of it yet: nobody else has access.
        let entry = unsafe { (*place.as_ptr()).prepare(at_most) };
        self.unsubmitted.push_back(entry.user_data(id.user_data()));
        id
    }

    /// Has an operation end, unless it does anyway. Its completion comes either way.
    pub(crate) fn cancel(&mut self, id: OperationId) {
        let entry = opcode::AsyncCancel::new(id.user_data()).build();
        self.unsubmitted.push_back(entry.user_data(CANCELLED));
    }

    /// Whether something waits to be submitted, or to be taken, that the kernel says nothing of.
    pub(crate) fn has_unsubmitted(&self) -> bool {
        !self.unsubmitted.is_empty() || !self.completed.is_empty()
    }

    /// Whether [`Ring::enter`] has anything to do or to find, as far as can be seen without a system call.
    pub(crate) fn has_something(&mut self) -> bool {
        let flagged = {
            let queue = self.io_uring.submission();
            queue.taskrun() || queue.cq_overflow()
        };
        flagged || self.has_unsubmitted() || !self.io_uring.completion().is_empty()
    }

    /// Submits what was started, and waits for a completion.
    ///
    /// # Errors
    ///
    /// What the system says; being interrupted and having waited in vain are none.
    pub(crate) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        self.claim()?;
        // What was found before is no reason to wait.
        let wait = if self.completed.is_empty() { wait } else { Wait::No };
        loop {
            while let Some(entry) = self.unsubmitted.pop_front() {
                // SAFETY: what the entry points to is in an `InFlight` that stays where it is until the
                // kernel has said that the operation is over, or for ever ([`Ring::finish`], `drop`).
                let pushed = unsafe { self.io_uring.submission().push(&entry) };
                if pushed.is_err() {
                    self.unsubmitted.push_front(entry);
                    break;
                }
            }
            let full = !self.unsubmitted.is_empty();
            let entered = match wait {
                Wait::For(time) if !full => {
                    let time = types::Timespec::from(time);
                    self.io_uring.submitter().submit_with_args(1, &types::SubmitArgs::new().timespec(&time))
                }
                Wait::Forever if !full => self.io_uring.submitter().submit_and_wait(1),
                _ => self.io_uring.submitter().submit(),
            };
            match entered {
                Ok(_) if full => {}
                Ok(_) => return Ok(()),
                Err(error) => {
                    return match error.raw_os_error() {
                        // Too much has completed that nobody has taken: that comes first.
                        Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                        _ => Err(error),
                    };
                }
            }
        }
    }

    /// Has the kernel raise `event` whenever the ring has something to do.
    ///
    /// # Errors
    ///
    /// As [`Ring::enter`].
    pub(crate) fn raise(&mut self, event: BorrowedFd<'_>) -> io::Result<()> {
        self.claim()?;
        self.io_uring.submitter().register_eventfd(event.as_raw_fd())
    }

    /// The next thing that has come to an end.
    pub(crate) fn next(&mut self) -> Option<Completion> {
        if self.completed.is_empty() {
            self.take_completions();
        }
        self.completed.pop_front()
    }

    /// Ends an operation and waits for that. What else comes meanwhile is there afterwards.
    ///
    /// # Errors
    ///
    /// As [`Ring::enter`]; the operation goes on then.
    pub(crate) fn stop(&mut self, id: OperationId) -> io::Result<Option<(Work, io::Result<u32>)>> {
        if self.place(id).is_some() {
            self.cancel(id);
        }
        loop {
            self.take_completions();
            let found = self.completed.iter().position(
                |completion| matches!(completion, Completion::Ended { id: ended, .. } if *ended == id),
            );
            if let Some(Completion::Ended { work, result, .. }) =
                found.and_then(|index| self.completed.remove(index))
            {
                return Ok(Some((work, result)));
            }
            if self.place(id).is_none() {
                return Ok(None);
            }
            // What else has come is no reason not to wait.
            let others = std::mem::take(&mut self.completed);
            let entered = self.enter(Wait::Forever);
            self.completed = others;
            entered?;
        }
    }

    /// Only one thread submits: the first that does.
    fn claim(&mut self) -> io::Result<()> {
        if !self.features.single_issuer {
            return Ok(());
        }
        let current = std::thread::current().id();
        match self.issuer {
            Some(issuer) if issuer == current => Ok(()),
            Some(_) => Err(io::Error::other(
                "a shard that uses io_uring stays with the thread that polled it first; poll it there",
            )),
            None => {
                self.io_uring.submitter().register_enable_rings()?;
                self.issuer = Some(current);
                // A ring that is not enabled takes no message: perhaps there was one.
                self.completed.push_back(Completion::Woken);
                Ok(())
            }
        }
    }

    fn take_completions(&mut self) {
        let mut taken = std::mem::take(&mut self.taken);
        taken.extend(
            self.io_uring.completion().map(|entry| (entry.user_data(), entry.result(), entry.flags())),
        );
        for (user_data, result, flags) in taken.drain(..) {
            let completion = match user_data {
                WOKEN => Some(Completion::Woken),
                CANCELLED => None,
                user_data => self.complete(OperationId::from_user_data(user_data), result, flags),
            };
            self.completed.extend(completion);
        }
        self.taken = taken;
    }

    fn complete(&mut self, id: OperationId, result: i32, flags: u32) -> Option<Completion> {
        let place = self.place(id)?;
        let more = cqueue::more(flags);
        // SAFETY: the place is this ring's, and what is looked at and taken out below is not what the
        // kernel still uses: of an operation that goes on (`more`) that is nothing but, for a send, the
        // bytes that `held` keeps.
        let in_flight = unsafe { &mut *place.as_ptr() };
        if cqueue::notif(flags) {
            let socket = in_flight.sent_on;
            self.finish(id);
            return Some(Completion::Released { socket, copied: setup::was_copied(result) });
        }
        let outcome = u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result));
        match &mut in_flight.work {
            Work::Accept { .. } => {
                if !more {
                    self.finish(id);
                }
                let connection = outcome.map(|descriptor| {
                    let descriptor = RawFd::try_from(descriptor).expect("the kernel gives descriptors");
                    // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
                    unsafe { OwnedFd::from_raw_fd(descriptor) }
                });
                Some(Completion::Accepted { id, connection, more })
            }
            Work::Wakeable { .. } => {
                in_flight.reset_event();
                if !more {
                    let work = self.finish(id);
                    if !self.closing {
                        self.start(work);
                    }
                }
                Some(Completion::Woken)
            }
            Work::Send { .. } if more => {
                let work = std::mem::take(&mut in_flight.work);
                Some(Completion::Ended { id, work, result: outcome, more_to_receive: false })
            }
            Work::Receive { buffers, .. } => {
                if let Ok(received) = outcome {
                    // SAFETY: the kernel has written so many bytes into these very targets, in order.
                    unsafe { super::scatter::filled(buffers.targets(), received as usize) };
                }
                let more_to_receive = cqueue::sock_nonempty(flags);
                let work = self.finish(id);
                Some(Completion::Ended { id, work, result: outcome, more_to_receive })
            }
            _ => {
                let work = self.finish(id);
                Some(Completion::Ended { id, work, result: outcome, more_to_receive: false })
            }
        }
    }

    /// Where one thread alone submits, the kernel works on its operations only while that thread is in
    /// [`Ring::enter`] (`IORING_SETUP_DEFER_TASKRUN`). This ring is going, so no thread ever is again: closing
    /// it fails what is left without another look at its memory. All but what the network still sends from
    /// may be freed.
    fn free_what_nobody_carries_out(&mut self) {
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            let Some(place) = slot.place else { continue };
            let index = u32::try_from(index).expect("as when it was made");
            let id = OperationId { index, generation: slot.generation };
            // SAFETY: the place is this ring's, and the kernel does not write to what is looked at.
            let is_sent_from = unsafe { (*place.as_ptr()).is_sent_from() };
            if !is_sent_from {
                self.finish(id);
            }
        }
    }

    fn place(&self, id: OperationId) -> Option<NonNull<InFlight>> {
        let slot = self.slots.get(id.index as usize)?;
        slot.place.filter(|_| slot.generation == id.generation)
    }

    /// The kernel is done with an operation: its memory is ours again.
    fn finish(&mut self, id: OperationId) -> Work {
        let slot = &mut self.slots[id.index as usize];
        let place = slot.place.take().expect("only an operation that is under way is finished");
        self.free.push(id.index);
        self.under_way -= 1;
        // SAFETY: it comes from a box, left it in `start`, and is out of its slot now. The kernel has no
        // further use for it.
        let mut place = unsafe { Box::from_raw(place.as_ptr()) };
        let work = place.clear();
        self.spare.push(place);
        work
    }
}

impl OperationId {
    fn user_data(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    fn from_user_data(user_data: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "it is put together of these halves")]
        Self { index: user_data as u32, generation: (user_data >> 32) as u32 }
    }
}

impl Drop for Ring {
    /// Ends all that is under way and waits for it, for it uses memory of ours.
    fn drop(&mut self) {
        self.closing = true;
        // What was not submitted is not under way: the kernel has not seen it.
        for entry in std::mem::take(&mut self.unsubmitted) {
            let id = OperationId::from_user_data(entry.get_user_data());
            if self.place(id).is_some() {
                self.finish(id);
            }
        }
        for (index, slot) in (0..).zip(&self.slots) {
            if slot.place.is_some() {
                let id = OperationId { index, generation: slot.generation };
                let entry = opcode::AsyncCancel::new(id.user_data()).build();
                self.unsubmitted.push_back(entry.user_data(CANCELLED));
            }
        }
        for _ in 0..DRAIN_ROUNDS_MAX {
            self.completed.clear();
            // An error: this is not the thread that may submit.
            let entered = self.under_way == 0 || self.enter(Wait::For(DRAIN_ROUND)).is_err();
            self.take_completions();
            if entered {
                break;
            }
        }
        if self.under_way > 0 && self.features.single_issuer {
            self.free_what_nobody_carries_out();
        }
        if self.under_way > 0 {
            // The kernel may still use their memory, so it is never freed. Closing the ring cancels them,
            // at some later time.
            tracing::debug!(operations = self.under_way, "operations outlive their ring");
        }
        // SAFETY: dropped here and nowhere else, and not used again.
        unsafe { ManuallyDrop::drop(&mut self.io_uring) };
    }
}
