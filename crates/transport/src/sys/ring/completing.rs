use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use io_uring::cqueue;

use super::{CANCELLED, Completion, OperationId, Ring, WOKEN, Work, setup};

impl Ring {
    /// Takes what the kernel has put into the completion queue.
    pub(super) fn take_completions(&mut self) {
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
        let owner = in_flight.owner;
        if cqueue::notif(flags) {
            self.finish(id);
            return Some(Completion::Released { owner, copied: setup::was_copied(result) });
        }
        let result = u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result));
        let more_to_receive = cqueue::sock_nonempty(flags);
        let work = match &mut in_flight.work {
            Work::Accept { .. } => {
                self.finish(id);
                let connection = result.map(|descriptor| {
                    let descriptor = RawFd::try_from(descriptor).expect("the kernel gives descriptors");
                    // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
                    unsafe { OwnedFd::from_raw_fd(descriptor) }
                });
                return Some(Completion::Accepted { owner, id, connection });
            }
            Work::Wakeable { .. } => {
                in_flight.reset_event();
                if !more {
                    let work = self.finish(id);
                    if !self.closing {
                        self.start(owner, work);
                    }
                }
                return Some(Completion::Woken);
            }
            Work::Send { .. } if more => std::mem::take(&mut in_flight.work),
            Work::ReceiveProvided { .. } => self.finish_provided(id, &result, flags),
            _ => self.finish(id),
        };
        Some(Completion::Ended { owner, id, work, result, more_to_receive })
    }

    /// As [`Ring::finish`]. Where the kernel has picked a block, the work is that of a receive into this.
    fn finish_provided(&mut self, id: OperationId, result: &io::Result<u32>, flags: u32) -> Work {
        let mut work = self.finish(id);
        let Some(provided) = &mut *self.provided else { return work };
        let picked = cqueue::buffer_select(flags).and_then(|number| provided.picked(number));
        let ran_out = result.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::ENOBUFS));
        if ran_out {
            provided.ran_out();
        }
        provided.fill(&mut self.blocks);
        if let (Work::ReceiveProvided { socket, at_most, poll_first }, Some(memory)) = (&work, picked) {
            let (socket, at_most, poll_first) = (socket.clone(), *at_most, *poll_first);
            work = Work::Receive { socket, memory, at_most, poll_first };
        }
        work
    }
}
