//! An `io_uring`, and the operations under way on it.
//!
//! What the kernel reads or writes while an operation is under way belongs to that operation: [`Work`]
//! goes in as a whole, and comes out with the last [`Completion`]. So nothing outside of here can free,
//! move or look at such memory, whatever it does. Everything that is unsafe rests on that.

mod closing;
mod completing;
mod faults;
mod in_flight;
mod message;
mod provided;
mod setup;
mod work;

use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::thread::ThreadId;
use std::time::Duration;

use io_uring::{IoUring, opcode, squeue, types};

pub(crate) use faults::{Fault, Faults};
pub(crate) use message::RingAddress;
pub(crate) use setup::Features;
pub(crate) use work::Work;

use crate::memory::SpareBlocks;
use in_flight::InFlight;
use provided::ProvidedBlocks;

/// User data of completions that belong to no operation: a wake-up, and the answer to a cancellation.
const WOKEN: u64 = u64::MAX;
const CANCELLED: u64 = u64::MAX - 1;

/// Names an operation that is under way. Never used twice within four billion operations in one place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OperationId {
    index: u32,
    generation: u32,
}

/// What has become of an operation.
pub(crate) enum Completion {
    /// It has come to an end. Here is what it was given, and what the kernel says.
    Ended { owner: u64, id: OperationId, work: Work, result: io::Result<u32>, more_to_receive: bool },
    /// A connection was accepted, or not.
    Accepted { owner: u64, id: OperationId, connection: io::Result<OwnedFd> },
    /// What was sent without being copied is needed no longer; or it was copied after all.
    Released { owner: u64, copied: bool },
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
    /// Dropped only when the ring is closed.
    provided: ManuallyDrop<Option<ProvidedBlocks>>,
    blocks: SpareBlocks,
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
        let provided = if features.provided_blocks { Some(ProvidedBlocks::register(&ring)?) } else { None };
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
            provided: ManuallyDrop::new(provided),
            blocks: SpareBlocks::default(),
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

    /// Blocks that nobody uses at the moment.
    pub(crate) fn blocks(&mut self) -> &mut SpareBlocks {
        &mut self.blocks
    }

    #[cfg(test)]
    pub(crate) fn blocks_held(&self) -> usize {
        self.blocks.len() + self.provided.as_ref().map_or(0, ProvidedBlocks::waiting)
    }

    /// Begins an operation of `owner`. It is submitted with the next [`Ring::enter`].
    pub(crate) fn start(&mut self, owner: u64, work: Work) -> OperationId {
        if let (Work::ReceiveProvided { .. }, Some(provided)) = (&work, &mut *self.provided) {
            provided.fill(&mut self.blocks);
        }
        let mut place = self.spare.pop().unwrap_or_default();
        place.work = work;
        place.owner = owner;
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
            let more_to_receive = false;
            self.completed.push_back(Completion::Ended { owner, id, work, result, more_to_receive });
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
