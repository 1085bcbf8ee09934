use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use io_uring::{IoUring, opcode, types};

use super::WOKEN;

/// `IORING_REGISTER_SEND_MSG_RING`: a message to a ring, from a thread that has none. Linux 6.13.
const SEND_MESSAGE: libc::c_uint = 31;

/// By which any thread wakes a ring up.
pub(crate) struct RingAddress {
    /// A descriptor of its own: it stays the ring's when that is gone.
    ring: OwnedFd,
}

impl RingAddress {
    pub(super) fn of(ring: &IoUring) -> io::Result<Self> {
        // SAFETY: the ring is open for as long as it is borrowed.
        let ring = unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) };
        Ok(Self { ring: ring.as_fd().try_clone_to_owned()? })
    }

    /// Puts a completion into the ring.
    ///
    /// # Errors
    ///
    /// `EINVAL` where the kernel can't do that, `EBADFD` where the ring is not in use yet.
    pub(crate) fn wake(&self) -> io::Result<()> {
        let message = opcode::MsgRingData::new(types::Fd(self.ring.as_raw_fd()), 0, WOKEN, None).build();
        // SAFETY: the kernel reads one submission queue entry of 64 bytes, which is what `Entry` is, and
        // keeps nothing of it.
        let sent =
            unsafe { libc::syscall(libc::SYS_io_uring_register, -1, SEND_MESSAGE, &raw const message, 1) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
