//! Opening the port.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use replink_frame::ReplicaId;

/// For how long it is tried again where the port is in use. A process that was killed may hold it for a moment: its
/// `io_uring` is taken down by the system after it.
const IN_USE_MAX: Duration = Duration::from_secs(2);

/// The time between two attempts.
const WAIT: Duration = Duration::from_millis(20);

/// Opens the first of `addresses` that can be opened.
pub(super) fn bind(addresses: &[SocketAddr], replica: ReplicaId) -> io::Result<TcpListener> {
    let until = Instant::now() + IN_USE_MAX;
    let mut said = false;
    loop {
        match TcpListener::bind(addresses) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                if !std::mem::replace(&mut said, true) {
                    let seconds = IN_USE_MAX.as_secs();
                    tracing::warn!(%replica, ?addresses, "the port is in use; trying again for {seconds} seconds");
                }
                thread::sleep(WAIT);
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_becomes_free_is_opened_and_one_that_does_not_is_given_up() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        thread::scope(|scope| {
            let began = Instant::now();
            let opening = scope.spawn(|| bind(&[address], ReplicaId(0)));
            thread::sleep(Duration::from_millis(200));
            drop(held);
            assert_eq!(opening.join().unwrap().unwrap().local_addr().unwrap(), address);
            assert!(began.elapsed() < IN_USE_MAX);
        });
        let _held = TcpListener::bind(address).unwrap();
        let began = Instant::now();
        assert_eq!(bind(&[address], ReplicaId(0)).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert!(began.elapsed() >= IN_USE_MAX);
    }
}
