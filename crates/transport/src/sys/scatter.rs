use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use bytes::BytesMut;
use socket2::{MaybeUninitSlice, SockRef};

/// Where received bytes go: the spare capacity of a buffer, at most `limit` bytes of it.
pub(crate) struct Target<'a> {
    pub(crate) buffer: &'a mut BytesMut,
    pub(crate) limit: usize,
}

/// Two such buffers, owned by an operation for as long as it is under way.
#[cfg(target_os = "linux")]
pub(crate) struct ReceiveBuffers {
    pub(crate) direct: BytesMut,
    pub(crate) direct_limit: usize,
    pub(crate) ahead: BytesMut,
    pub(crate) ahead_limit: usize,
}

#[cfg(target_os = "linux")]
impl ReceiveBuffers {
    pub(super) fn targets(&mut self) -> [Target<'_>; 2] {
        [
            Target { buffer: &mut self.direct, limit: self.direct_limit },
            Target { buffer: &mut self.ahead, limit: self.ahead_limit },
        ]
    }
}

/// One `recvmsg` into the spare capacity of two buffers, the first one first. The buffers grow by
/// what was received, without having been zeroed before. Returns the bytes received; 0 is the end
/// of the stream (or no room at all).
pub(crate) fn receive(socket: &impl AsFd, targets: [Target<'_>; 2], flags: libc::c_int) -> io::Result<usize> {
    let [mut first, mut second] = targets;
    let mut slices = [MaybeUninitSlice::new(first.room()), MaybeUninitSlice::new(second.room())];
    let (received, _) = SockRef::from(socket).recv_vectored_with_flags(&mut slices, flags)?;
    // SAFETY: `recvmsg` fills its targets in order, and says how many bytes it wrote.
    unsafe { filled([first, second], received) };
    Ok(received)
}

/// One `recv`.
pub(crate) fn receive_some(socket: &impl AsFd, buffer: &mut [u8], flags: libc::c_int) -> io::Result<usize> {
    // SAFETY: bytes that are initialized may be looked at as if they were not; `recv` writes none
    // that are not.
    let buffer = unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) };
    SockRef::from(socket).recv_with_flags(buffer, flags)
}

impl Target<'_> {
    /// The memory that bytes may be put in.
    pub(super) fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        let room = self.limit.min(self.buffer.capacity() - self.buffer.len());
        &mut self.buffer.spare_capacity_mut()[..room]
    }
}

/// Has the buffers grow by `received` bytes that were put in their [`Target::room`].
///
/// # Safety
///
/// That many bytes were written there, in order, the first buffer's room first.
pub(super) unsafe fn filled(targets: [Target<'_>; 2], received: usize) {
    let [mut first, mut second] = targets;
    let in_first = received.min(first.room().len());
    let in_second = received - in_first;
    assert!(in_second <= second.room().len(), "the kernel received more than there was room for");
    // SAFETY: the caller says that the bytes behind both lengths were written. Both counts are at most
    // the spare capacity, by `min` above and by the assertion.
    unsafe {
        first.buffer.set_len(first.buffer.len() + in_first);
        second.buffer.set_len(second.buffer.len() + in_second);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Shutdown, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn fills_the_first_target_then_the_second_then_reports_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut writer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (reader, _) = listener.accept().unwrap();
        writer.write_all(b"0123456789").unwrap();
        writer.shutdown(Shutdown::Write).unwrap();

        let mut first = BytesMut::with_capacity(64);
        first.extend_from_slice(b"before ");
        let mut second = BytesMut::with_capacity(64);
        let mut read = || {
            let first = Target { buffer: &mut first, limit: 4 };
            receive(&reader, [first, Target { buffer: &mut second, limit: 5 }], 0).unwrap()
        };
        let mut total = 0;
        loop {
            match read() {
                0 => break,
                received => total += received,
            }
        }
        assert_eq!(total, 10);
        assert!(first.starts_with(b"before 0123"));
        assert_eq!(first.len() + second.len(), 17);
    }
}
