//! The same scenarios on every driver of the system.

mod connecting;
mod receiving;
mod releasing;
mod sending;
mod waking;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

#[cfg(all(feature = "io-uring", target_os = "linux"))]
use super::io_uring::IoUringDriver;
use super::poll::PollDriver;
use super::{Completion, Driver, Registration, SystemDriver, Token};
use crate::Link;
use crate::memory::ReceiveMemory;

/// When a wait has been in vain. Only a broken build gets there.
const DEADLINE: Duration = Duration::from_secs(20);

const LISTENER: Token = Token(0);

/// A driver to be tested.
struct Rig {
    name: &'static str,
    driver: SystemDriver,
    arrived: Vec<Token>,
    next_token: u64,
}

/// One end of a connection.
struct End {
    token: Token,
    link: Link,
    registration: Registration,
}

/// Runs `test` on every driver, each on a thread that has the driver's name.
fn on_every_driver(test: fn(Rig)) {
    let drivers = drivers();
    for (name, driver) in drivers {
        let rig = Rig { name, driver, arrived: Vec::new(), next_token: 1 };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || test(rig)).unwrap();
        assert!(thread.join().is_ok(), "failed with {name}");
    }
}

fn drivers() -> Vec<(&'static str, SystemDriver)> {
    let looking = Duration::from_micros(50);
    let poll = |busy_poll| SystemDriver::Poll(PollDriver::new(busy_poll).unwrap());
    #[allow(unused_mut, reason = "only Linux has more")]
    let mut drivers = vec![("poll", poll(Duration::ZERO)), ("poll, looking", poll(looking))];
    // A machine without `io_uring` has nothing more to test here.
    #[cfg(all(feature = "io-uring", target_os = "linux"))]
    if let Ok(newest) = IoUringDriver::new(Duration::ZERO) {
        let rings = [
            ("io_uring", newest),
            ("io_uring, looking", IoUringDriver::new(looking).unwrap()),
            ("io_uring, oldest", IoUringDriver::as_on_the_oldest_kernel().unwrap()),
            ("io_uring, no blocks provided", IoUringDriver::without_provided_blocks().unwrap()),
            ("io_uring, faults 1", IoUringDriver::with_faults(1).unwrap()),
            ("io_uring, faults 2", IoUringDriver::with_faults(0x5EED_0F00).unwrap()),
        ];
        drivers.extend(rings.map(|(name, driver)| (name, SystemDriver::IoUring(Box::new(driver)))));
    }
    drivers
}

impl Rig {
    /// Whether operations of this driver do less than they were asked to.
    fn has_faults(&self) -> bool {
        self.name.contains("faults")
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    /// Takes what completes, until `take` has what it wants.
    fn wait_for<T>(&mut self, mut take: impl FnMut(&mut SystemDriver, Completion<Link>) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            while let Some(completion) = any(&mut self.driver) {
                if let Some(taken) = take(&mut self.driver, completion) {
                    return taken;
                }
            }
            assert!(began.elapsed() < DEADLINE, "nothing happens");
            self.driver.wait(Some(DEADLINE), &mut self.arrived).unwrap();
        }
    }

    /// Waits without anything coming of it.
    fn nothing_comes(&mut self) {
        for _ in 0..3 {
            self.driver.wait(Some(Duration::from_millis(5)), &mut self.arrived).unwrap();
            if let Some(completion) = any(&mut self.driver) {
                panic!("nothing was to come, and not {completion:?}");
            }
        }
    }

    /// The next connection that comes in.
    fn accepted(&mut self) -> (Link, SocketAddr) {
        self.wait_for(|_, completion| match completion {
            Completion::Accepted { token: LISTENER, result } => Some(result.unwrap()),
            other => panic!("{other:?}"),
        })
    }

    /// A registered connection, and its other end, which is not.
    fn connection(&mut self) -> (End, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, address) = listener.accept().unwrap();
        peer.set_read_timeout(Some(DEADLINE)).unwrap();
        peer.set_nodelay(true).unwrap();
        let (link, token) = (Link::accepted(stream, address), self.token());
        let registration = self.driver.register(token, &link).unwrap();
        (End { token, link, registration }, peer)
    }

    /// What is received next, on whichever connection.
    fn received(&mut self) -> (Token, ReceiveMemory, usize) {
        self.wait_for(|_, completion| match completion {
            Completion::Received { token, memory, result } => Some((token, memory, result.unwrap())),
            other => panic!("{other:?}"),
        })
    }

    /// Receives `len` bytes with as many receives as that takes.
    fn receive_all(&mut self, end: &End, len: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < len {
            self.driver.receive(end.token, None, len - all.len());
            let (token, memory, received) = self.received();
            assert!(token == end.token && received > 0);
            memory.received(received).for_each(|bytes| all.extend_from_slice(bytes));
            self.recycle(memory);
        }
        all
    }

    fn recycle(&mut self, memory: ReceiveMemory) {
        if let Some(block) = memory.into_block() {
            self.driver.recycle(block);
        }
    }
}

/// Whatever has completed.
fn any(driver: &mut SystemDriver) -> Option<Completion<Link>> {
    driver.next().or_else(|| driver.next_received())
}

/// `len` bytes that tell where they belong.
fn numbered(len: usize) -> Bytes {
    let mut bytes = (0..251).collect::<Vec<u8>>().repeat(len / 251 + 1);
    bytes.truncate(len);
    bytes.into()
}

/// What was received into a memory.
fn bytes_of(memory: &ReceiveMemory, received: usize) -> Vec<u8> {
    memory.received(received).flatten().copied().collect()
}
