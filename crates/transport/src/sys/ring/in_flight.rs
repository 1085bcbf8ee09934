use std::os::fd::AsRawFd;
use std::ptr;

use bytes::Bytes;
use io_uring::{opcode, squeue, types};
use socket2::SockAddr;

use super::setup::{POLL_FIRST, REPORT_USAGE};
use super::{Work, provided};
use crate::memory::{BLOCK_SIZE, SEND_MAX, SLICES_MAX};

/// The memory of one operation under way. Its address does not change, and nothing in it is touched
/// until the kernel is done with it.
pub(super) struct InFlight {
    pub(super) work: Work,
    /// Whose it is; told with its end.
    pub(super) owner: u64,
    header: libc::msghdr,
    slices: Vec<libc::iovec>,
    address: Option<SockAddr>,
    /// Bytes that are sent without being copied: needed for longer than the send takes.
    held: Vec<Bytes>,
}

impl Default for Box<InFlight> {
    fn default() -> Self {
        Box::new(InFlight {
            work: Work::None,
            owner: 0,
            // SAFETY: a header of null pointers and zero lengths is a valid one.
            header: unsafe { std::mem::zeroed() },
            slices: Vec::new(),
            address: None,
            held: Vec::new(),
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
                // Where it comes from is asked for when it is here.
                let listener = types::Fd(listener.as_raw_fd());
                opcode::Accept::new(listener, ptr::null_mut(), ptr::null_mut())
                    .flags(libc::SOCK_CLOEXEC)
                    .build()
            }
            Work::Connect { socket, address } => {
                let address = self.address.insert((*address).into());
                let socket = types::Fd(socket.as_raw_fd());
                opcode::Connect::new(socket, address.as_ptr().cast(), address.len()).build()
            }
            Work::Receive { socket, memory, at_most: asked_for, poll_first } => {
                let flags = if *poll_first { POLL_FIRST } else { 0 };
                let mut left = at_most.min(*asked_for);
                for bytes in memory.slices() {
                    let len = bytes.len().min(left);
                    left -= len;
                    if len > 0 {
                        self.slices.push(libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: len });
                    }
                }
                // To receive nothing would look like the end of the stream.
                assert!(!self.slices.is_empty(), "a receive has room for a byte at least");
                let socket = types::Fd(socket.as_raw_fd());
                if let [only] = self.slices[..] {
                    let len = u32::try_from(only.iov_len).unwrap_or(u32::MAX);
                    return opcode::Recv::new(socket, only.iov_base.cast(), len).ioprio(flags).build();
                }
                self.point_to_slices();
                opcode::RecvMsg::new(socket, &raw mut self.header).ioprio(flags).build()
            }
            Work::ReceiveProvided { socket, at_most: asked_for, poll_first } => {
                let flags = if *poll_first { POLL_FIRST } else { 0 };
                let len = at_most.min(*asked_for).min(BLOCK_SIZE);
                // With zero as the length a whole block would be filled.
                assert!(len > 0, "a receive has room for a byte at least");
                let len = u32::try_from(len).expect("a block is small");
                opcode::Recv::new(types::Fd(socket.as_raw_fd()), ptr::null_mut(), len)
                    .buf_group(provided::GROUP)
                    .ioprio(flags)
                    .build()
                    .flags(squeue::Flags::BUFFER_SELECT)
            }
            Work::AwaitReadable { socket } => {
                let events = bits(libc::POLLIN.into()) | bits(libc::POLLRDHUP.into());
                opcode::PollAdd::new(types::Fd(socket.as_raw_fd()), events).build()
            }
            Work::Send { socket, batch, zero_copy } => {
                let socket = types::Fd(socket.as_raw_fd());
                if *zero_copy {
                    self.held = batch.share(SLICES_MAX);
                }
                let mut left = at_most.min(SEND_MAX);
                for bytes in batch.iter().take(SLICES_MAX) {
                    let len = bytes.len().min(left);
                    left -= len;
                    if len > 0 {
                        let iov_base = bytes.as_ptr().cast_mut().cast();
                        self.slices.push(libc::iovec { iov_base, iov_len: len });
                    }
                }
                let zero_copy = *zero_copy;
                self.point_to_slices();
                let (header, flags) = (&raw const self.header, bits(libc::MSG_NOSIGNAL));
                if zero_copy {
                    opcode::SendMsgZc::new(socket, header).flags(flags).ioprio(REPORT_USAGE).build()
                } else {
                    opcode::SendMsg::new(socket, header).flags(flags).build()
                }
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
