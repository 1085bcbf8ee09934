use std::io;
use std::os::fd::AsFd;

use bytes::BytesMut;
use socket2::{MaybeUninitSlice, SockRef};

/// Where received bytes go: the spare capacity of a buffer, at most `limit` bytes of it.
pub(crate) struct Target<'a> {
    pub(crate) buffer: &'a mut BytesMut,
    pub(crate) limit: usize,
}

/// One `recvmsg` into the spare capacity of two buffers, the first one first. The buffers grow by
/// what was received, without having been zeroed before. Returns the bytes received; 0 is the end
/// of the stream (or no room at all).
pub(crate) fn receive(socket: &impl AsFd, targets: [Target<'_>; 2]) -> io::Result<usize> {
    let [first, second] = targets;
    let first_room = first.limit.min(first.buffer.capacity() - first.buffer.len());
    let second_room = second.limit.min(second.buffer.capacity() - second.buffer.len());
    let mut slices = [
        MaybeUninitSlice::new(&mut first.buffer.spare_capacity_mut()[..first_room]),
        MaybeUninitSlice::new(&mut second.buffer.spare_capacity_mut()[..second_room]),
    ];
    let (received, _) = SockRef::from(socket).recv_vectored(&mut slices)?;

    let in_first = received.min(first_room);
    let in_second = received - in_first;
    assert!(in_second <= second_room, "the kernel received more than there was room for");
    // SAFETY: `recvmsg` fills its targets in order, so it wrote the `in_first` bytes behind the
    // first buffer's length and the `in_second` bytes behind the second's. Both counts are at most
    // the spare capacity, by `min` above and by the assertion.
    unsafe {
        first.buffer.set_len(first.buffer.len() + in_first);
        second.buffer.set_len(second.buffer.len() + in_second);
    }
    Ok(received)
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
            receive(&reader, [first, Target { buffer: &mut second, limit: 5 }]).unwrap()
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
