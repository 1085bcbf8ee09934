//! A connection over loopback, for what the codecs do with sockets themselves.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use replink_transport::Link;

/// Two ends that do not block. Both are used again and again: a run leaves nothing in them.
pub struct Sockets {
    pub near: Link,
    pub far: Link,
}

thread_local! {
    static SOCKETS: RefCell<Sockets> = RefCell::new(Sockets::new());
}

/// Calls `use_them` with this thread's sockets.
pub fn with<T>(use_them: impl FnOnce(&mut Sockets) -> T) -> T {
    SOCKETS.with_borrow_mut(use_them)
}

/// Repeats what would block.
pub fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            other => return other,
        }
    }
}

impl Sockets {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let far = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        let (near, _) = listener.accept().expect("it was connected to");
        let [near, far] = [near, far].map(|stream| {
            stream.set_nonblocking(true).expect("a socket that works");
            Link::new(stream).expect("connected")
        });
        Self { near, far }
    }

    /// Sends from the far end as much as there is room for.
    pub fn send(&self, bytes: &[u8]) -> usize {
        let mut stream = self.far.stream();
        retry(|| stream.write(bytes)).expect("a socket that works")
    }

    /// Receives at the near end as many bytes as were sent.
    pub fn receive(&self, len: usize) -> Vec<u8> {
        let (mut bytes, mut done) = (vec![0; len], 0);
        let mut stream = self.near.stream();
        while done < len {
            let received = retry(|| stream.read(&mut bytes[done..])).expect("a socket that works");
            assert!(received > 0, "the other end is open");
            done += received;
        }
        bytes
    }
}
