use std::net::TcpStream;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::AsRawFd;
use std::time::Duration;

/// For how long the peer's machine has owed an answer: to bytes that were sent, or to the question whether its
/// window is open again. `None` where it owes none, or the system can't say.
///
/// A window that stays shut is no silence: the peer's machine answers each question about it, as long as it is
/// there.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn unacknowledged_for(stream: &TcpStream) -> Option<Duration> {
    let info = tcp_info(stream)?;
    // What is in flight is sent again and again: only what came after the last time is an answer to it. (With
    // the window shut that may be two minutes apart, and the answer as old.)
    let owed = info.tcpi_unacked > 0 && info.tcpi_last_ack_recv > info.tcpi_last_data_sent;
    // One lost question about the window is no silence either: the next may come two minutes later.
    if !owed && info.tcpi_probes < 2 {
        return None;
    }
    let silent = info.tcpi_last_ack_recv.min(info.tcpi_last_data_recv);
    Some(Duration::from_millis(silent.into()))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn unacknowledged_for(_: &TcpStream) -> Option<Duration> {
    None
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn tcp_info(stream: &TcpStream) -> Option<libc::tcp_info> {
    // SAFETY: it consists of numbers, for which zeros are fine.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
    let place = (&raw mut info).cast();
    // SAFETY: the kernel fills at most `len` bytes of `info`. Both are ours, and outlive the call.
    let got = unsafe {
        libc::getsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, place, &raw mut len)
    };
    (got == 0).then_some(info)
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::sleep;
    use std::time::Instant;

    use socket2::SockRef;

    use super::*;

    /// The peer's machine is there, although nobody there reads. (One that is gone takes a network of its own:
    /// `tests/tests/vanished.rs`.)
    #[test]
    fn a_window_that_is_shut_is_no_silence() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        assert_eq!(unacknowledged_for(&ours), None, "nothing was sent");
        ours.set_nonblocking(true).unwrap();
        while ours.write(&[0; 4096]).is_ok() {}
        // The receiver answers no more than two probes a second, and the first come faster.
        sleep(Duration::from_secs(2));
        let (mut longest, began) = (Duration::ZERO, Instant::now());
        while began.elapsed() < Duration::from_secs(2) {
            longest = longest.max(unacknowledged_for(&ours).unwrap_or_default());
            sleep(Duration::from_millis(20));
        }
        assert!(tcp_info(&ours).unwrap().tcpi_backoff > 1, "it is asked");
        assert!(longest < Duration::from_secs(1), "an answer was owed for {longest:?}");
        assert!(theirs.read(&mut [0; 100]).unwrap() > 0);
    }
}
