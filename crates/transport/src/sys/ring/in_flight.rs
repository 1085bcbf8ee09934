use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

use bytes::Bytes;
use io_uring::{opcode, squeue, types};
use socket2::SockAddr;

use super::Work;
use super::setup::{POLL_FIRST, REPORT_USAGE};
use crate::outbound::SLICES_MAX;

/// The memory of one operation under way. Its address does not change, and nothing in it is touched
/// until the kernel is done with it.
pub(super) struct InFlight {
    pub(super) work: Work,
    header: libc::msghdr,
    slices: Vec<libc::iovec>,
    address: Option<SockAddr>,
    /// Bytes that are sent without being copied: needed for longer than the send takes.
    held: Vec<Bytes>,
    /// Where they are sent on.
    pub(super) sent_on: RawFd,
}

impl Default for Box<InFlight> {
    fn default() -> Self {
        Box::new(InFlight {
            work: Work::None,
            // SAFETY: a header of null pointers and zero lengths is a valid one.
            header: unsafe { std::mem::zeroed() },
            slices: Vec::new(),
            address: None,
            held: Vec::new(),
            sent_on: -1,
        })
    }
}

/// Flags of the C library, as those of an entry.
fn bits(flags: libc::c_int) -> u32 {
    u32::try_from(flags).expect("flags are small numbers")
}

impl InFlight {
    /// The entry that has the kernel do the work, with `at_most` bytes to receive or to send. It points
    /// to memory of this operation and of nothing else.
    pub(super) fn prepare(&mut self, at_most: usize) -> squeue::Entry {
        match &mut self.work {
            Work::None => opcode::Nop::new().build(),
            Work::Accept { listener } => {
                opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd())).flags(libc::SOCK_CLOEXEC).build()
            }
            Work::Connect { socket, address } => {
                let address = self.address.insert((*address).into());
                let socket = types::Fd(socket.as_raw_fd());
                opcode::Connect::new(socket, address.as_ptr().cast(), address.len()).build()
            }
            Work::Receive { socket, buffers, poll_first } => {
                let flags = if *poll_first { POLL_FIRST } else { 0 };
                let mut left = at_most;
                for mut target in buffers.targets() {
                    let room = target.room();
                    let len = room.len().min(left);
                    left -= len;
                    if len > 0 {
                        self.slices.push(libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: len });
                    }
                }
                let socket = types::Fd(socket.as_raw_fd());
                if let [only] = self.slices[..] {
                    let len = u32::try_from(only.iov_len).unwrap_or(u32::MAX);
                    return opcode::Recv::new(socket, only.iov_base.cast(), len).ioprio(flags).build();
                }
                self.point_to_slices();
                opcode::RecvMsg::new(socket, &raw mut self.header).ioprio(flags).build()
            }
            Work::Read { socket, bytes, len } => {
                let len = u32::try_from((*len).min(bytes.len()).min(at_most)).unwrap_or(0);
                opcode::Recv::new(types::Fd(socket.as_raw_fd()), bytes.as_mut_ptr(), len).build()
            }
            Work::Send { socket, batch, zero_copy } => {
                let (zero_copy, socket) = (*zero_copy, socket.as_raw_fd());
                if zero_copy {
                    self.held = batch.share(SLICES_MAX);
                    self.sent_on = socket;
                }
                let mut left = at_most;
                self.slices.extend(batch.iter().take(SLICES_MAX).map(|slice| {
                    let len = slice.len().min(left);
                    left -= len;
                    libc::iovec { iov_base: slice.as_ptr().cast_mut().cast(), iov_len: len }
                }));
                self.point_to_slices();
                let (socket, header) = (types::Fd(socket), &raw const self.header);
                let flags = bits(libc::MSG_NOSIGNAL);
                if zero_copy {
                    opcode::SendMsgZc::new(socket, header).flags(flags).ioprio(REPORT_USAGE).build()
                } else {
                    opcode::SendMsg::new(socket, header).flags(flags).build()
                }
            }
            Work::AwaitWritable { socket } => {
                let events = bits(libc::POLLOUT.into());
                opcode::PollAdd::new(types::Fd(socket.as_raw_fd()), events).build()
            }
            Work::Wakeable { event } => {
                let events = bits(libc::POLLIN.into());
                opcode::PollAdd::new(types::Fd(event.as_raw_fd()), events).multi(true).build()
            }
        }
    }

    fn point_to_slices(&mut self) {
        self.header.msg_iov = self.slices.as_mut_ptr();
        #[allow(clippy::unnecessary_cast, reason = "its type differs from libc to libc")]
        {
            self.header.msg_iovlen = self.slices.len() as _;
        }
    }

    /// What woke us is to wake us again.
    pub(super) fn reset_event(&self) {
        if let Work::Wakeable { event } = &self.work {
            // Fails only where it is reset already.
            let _ = rustix::io::read(event, &mut [0; 8]);
        }
    }

    /// Whether the network may send from its memory when the operation is over.
    pub(super) fn is_sent_from(&self) -> bool {
        !self.held.is_empty()
    }

    /// It is over: the next one has nothing of it.
    pub(super) fn clear(&mut self) -> Work {
        self.header.msg_iov = ptr::null_mut();
        self.slices.clear();
        self.held.clear();
        self.address = None;
        std::mem::take(&mut self.work)
    }
}
