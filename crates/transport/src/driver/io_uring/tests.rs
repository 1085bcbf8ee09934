use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use super::{Driver, IoUringDriver, Readiness, Token};
use crate::Link;

const LISTENER: Token = Token(0);

/// A machine without `io_uring` has nothing to test here; what it does instead is the poll driver's test.
fn drivers() -> Vec<IoUringDriver> {
    let Ok(newest) = IoUringDriver::new(Duration::ZERO) else { return Vec::new() };
    let looking = IoUringDriver::new(Duration::from_micros(50)).unwrap();
    vec![newest, looking, IoUringDriver::as_on_the_oldest_kernel().unwrap()]
}

fn wait_for(driver: &mut IoUringDriver, mut done: impl FnMut(&mut IoUringDriver, Readiness) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut ready = Vec::new();
    loop {
        driver.wait(Some(Duration::from_millis(50)), &mut ready).unwrap();
        for readiness in ready.drain(..) {
            if done(driver, readiness) {
                return;
            }
        }
        assert!(Instant::now() < deadline, "nothing happens");
    }
}

/// Connects, accepts, and watches both ends.
fn pair(driver: &mut IoUringDriver) -> (Link, Link) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    driver.watch_listener(LISTENER, &listener).unwrap();
    let dialed = driver.connect(listener.local_addr().unwrap()).unwrap();
    driver.watch(Token(1), &dialed).unwrap();
    assert_eq!(driver.connected(&dialed).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(driver.accept(&listener).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let (mut accepted, mut connected) = (None, false);
    wait_for(driver, |driver, readiness| {
        match readiness.token {
            LISTENER => accepted = driver.accept(&listener).ok(),
            _ => connected = driver.connected(&dialed).is_ok(),
        }
        accepted.is_some() && connected
    });
    driver.unwatch_listener(&listener);
    let (accepted, address) = accepted.unwrap();
    assert_eq!(address, dialed.stream().local_addr().unwrap());
    assert!(accepted.stream().nodelay().unwrap() && dialed.stream().nodelay().unwrap());
    driver.watch(Token(2), &accepted).unwrap();
    (dialed, accepted)
}

#[test]
fn connects_accepts_reads_and_sees_the_end() {
    for mut driver in drivers() {
        let (dialed, accepted) = pair(&mut driver);
        let mut buffer = [0; 100];
        assert_eq!(driver.read(&accepted, &mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        dialed.stream().write_all(b"0123").unwrap();
        let mut read = Vec::new();
        wait_for(&mut driver, |driver, readiness| {
            assert!(readiness.token == Token(2) && readiness.readable);
            match driver.read(&accepted, &mut buffer) {
                Ok(count) => read.push(count),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            if read == [4] {
                assert_eq!(&buffer[..4], b"0123");
                let begun = driver.read(&accepted, &mut buffer).unwrap_err();
                assert_eq!(begun.kind(), io::ErrorKind::WouldBlock);
                dialed.stream().shutdown(std::net::Shutdown::Write).unwrap();
            }
            read == [4, 0]
        });
        // Something to be ended with the driver.
        assert_eq!(driver.read(&dialed, &mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}

#[test]
fn a_connection_that_nobody_takes_fails() {
    for mut driver in drivers() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let dialed = driver.connect(nobody).unwrap();
        driver.watch(Token(1), &dialed).unwrap();
        wait_for(&mut driver, |driver, _| {
            driver.connected(&dialed).unwrap_err().kind() == io::ErrorKind::ConnectionRefused
        });
    }
}

#[test]
fn more_is_under_way_than_one_submission_takes() {
    for mut driver in drivers() {
        let (dialed, accepted) = pair(&mut driver);
        let mut second = [0; 1];
        // Each is one operation more: another handle to the same socket is another stream to the driver.
        let handles: Vec<Link> = (0..600).map(|_| accepted.try_clone().unwrap()).collect();
        for (token, handle) in (10..).zip(&handles) {
            driver.watch(Token(token), handle).unwrap();
            driver.read(handle, &mut second).unwrap_err();
        }
        dialed.stream().write_all(&[1; 600]).unwrap();
        let mut read = 0;
        wait_for(&mut driver, |driver, readiness| {
            let handle = &handles[usize::try_from(readiness.token.0 - 10).unwrap()];
            read += driver.read(handle, &mut second).unwrap();
            read == handles.len()
        });
        for handle in &handles {
            driver.unwatch(handle);
        }
    }
}

#[test]
fn one_thread_waits_and_no_other_may() {
    let Some(mut driver) = drivers().into_iter().next() else { return };
    let waker = driver.waker();
    // Before it is in use, and from another thread.
    waker();
    driver.wait(None, &mut Vec::new()).unwrap();
    thread::spawn(move || {
        let error = driver.wait(Some(Duration::ZERO), &mut Vec::new());
        // Without anything to do there is nothing wrong either.
        assert!(error.is_ok());
        let error = driver.wait(None, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("polled it first"), "{error}");
    })
    .join()
    .unwrap();
}

#[test]
fn a_driver_may_go_on_another_thread_than_it_was_used_on() {
    for driver in drivers() {
        let mut driver = driver;
        let peer = thread::spawn(move || {
            let (dialed, accepted) = pair(&mut driver);
            driver.read(&accepted, &mut [0; 256]).unwrap_err();
            driver.wait(Some(Duration::ZERO), &mut Vec::new()).unwrap();
            // Another handle, to see when the last one is closed.
            let peer: TcpStream = dialed.as_fd().try_clone_to_owned().unwrap().into();
            driver.unwatch(&dialed);
            drop(dialed);
            (driver, accepted, peer)
        });
        let (driver, accepted, peer) = peer.join().unwrap();
        drop((driver, accepted));
        peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The kernel interrupts whoever closes a ring; this is read on.
        let end = io::Read::read_to_end(&mut &peer, &mut Vec::new());
        assert!(matches!(end, Ok(0)), "the operation has let its socket go: {end:?}");
    }
}
