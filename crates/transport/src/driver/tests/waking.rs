use std::os::fd::{AsFd, AsRawFd};

use super::*;

#[test]
fn a_wake_ends_the_wait_that_is_under_way_or_comes_next() {
    on_every_driver(|mut rig| {
        let waker = rig.driver.waker();
        // Before it is in use.
        waker();
        rig.driver.wait(Some(DEADLINE), &mut rig.arrived).unwrap();
        for round in 0..200 {
            let began = Instant::now();
            if round % 2 == 0 {
                waker();
                waker();
            }
            let waker = rig.driver.waker();
            let other = thread::spawn(move || {
                thread::yield_now();
                waker();
            });
            rig.driver.wait(Some(DEADLINE), &mut rig.arrived).unwrap();
            if round % 2 != 0 {
                other.join().unwrap();
            }
            assert!(began.elapsed() < DEADLINE / 2, "the wake was lost");
        }
    });
}

/// Two threads hand each other a turn, so that each wake is needed.
#[test]
fn no_wake_is_lost() {
    on_every_driver(|mut rig| {
        use std::sync::mpsc;
        let waker = rig.driver.waker();
        let (turns, turn) = mpsc::channel();
        let (answers, answer) = mpsc::channel();
        let other = thread::spawn(move || {
            for number in 0..5000 {
                turns.send(number).unwrap();
                waker();
                answer.recv_timeout(DEADLINE).unwrap();
            }
        });
        let began = Instant::now();
        for number in 0..5000 {
            let taken = loop {
                match turn.try_recv() {
                    Ok(taken) => break taken,
                    Err(_) => rig.driver.wait(Some(DEADLINE), &mut rig.arrived).unwrap(),
                }
                assert!(began.elapsed() < DEADLINE, "a wake was lost");
            };
            assert_eq!(taken, number);
            answers.send(()).unwrap();
        }
        other.join().unwrap();
    });
}

#[test]
fn a_driver_may_go_to_another_thread_before_it_is_used() {
    on_every_driver(|mut rig| {
        let (end, mut peer) = rig.connection();
        rig.driver.receive(end.token, None, 100);
        let faults = rig.has_faults();
        let moved = thread::spawn(move || {
            peer.write_all(b"moved").unwrap();
            let mut got = Vec::new();
            while got.len() < 5 {
                let (_, memory, received) = rig.received();
                got.extend(bytes_of(&memory, received));
                rig.driver.receive(end.token, None, 100);
            }
            assert!(got == b"moved" || faults);
        });
        moved.join().unwrap();
    });
}

/// What is under way then lets go of its socket.
#[test]
fn a_driver_may_be_dropped_on_another_thread_than_it_was_used_on() {
    on_every_driver(|mut rig| {
        let (end, mut peer) = rig.connection();
        let (second, mut second_peer) = rig.connection();
        rig.driver.receive(end.token, None, 100);
        rig.driver.receive(second.token, Some(ReceiveMemory::with_len(100)), 100);
        rig.driver.wait(Some(Duration::ZERO), &mut rig.arrived).unwrap();
        thread::spawn(move || drop((rig, end, second))).join().unwrap();
        for peer in [&mut peer, &mut second_peer] {
            // The kernel interrupts whoever closes a ring; this is read on.
            let end = peer.read_to_end(&mut Vec::new());
            assert!(matches!(end, Ok(0)), "the operation has let its socket go: {end:?}");
        }
    });
}

#[cfg(all(feature = "io-uring", target_os = "linux"))]
#[test]
fn a_ring_stays_with_the_thread_that_waited_first() {
    let Ok(mut driver) = IoUringDriver::new(Duration::ZERO) else { return };
    driver.waker()();
    driver.wait(None, &mut Vec::new()).unwrap();
    thread::spawn(move || {
        // Without anything to do there is nothing wrong either.
        driver.wait(Some(Duration::ZERO), &mut Vec::new()).unwrap();
        let error = driver.wait(None, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("polled it first"), "{error}");
    })
    .join()
    .unwrap();
}

/// What an event loop of the embedder's does: it waits for the descriptor unless the driver is busy.
#[test]
fn an_outer_event_loop_waits_for_the_descriptor() {
    on_every_driver(|mut rig| {
        let descriptor = rig.driver.as_raw_fd();
        let mut outer = mio::Poll::new().unwrap();
        let mut source = mio::unix::SourceFd(&descriptor);
        outer.registry().register(&mut source, mio::Token(0), mio::Interest::READABLE).unwrap();
        let (end, mut peer) = rig.connection();
        let waker = rig.driver.waker();
        let (mut written, mut got) = (0, 0);
        rig.driver.receive(end.token, None, 100);
        while got < 100 {
            rig.driver.wait(Some(Duration::ZERO), &mut rig.arrived).unwrap();
            while let Some(completion) = any(&mut rig.driver) {
                let Completion::Received { memory, result, .. } = completion else { panic!() };
                got += result.unwrap();
                rig.recycle(memory);
                rig.driver.receive(end.token, None, 100);
            }
            if rig.driver.is_busy() {
                continue;
            }
            if written > got {
                wait_outside(&mut outer, "what has come is not seen");
            } else if written % 2 == 0 {
                // A wake alone is seen as well.
                let waker = waker.clone();
                let other = thread::spawn(move || waker());
                wait_outside(&mut outer, "the wake is not seen");
                other.join().unwrap();
                peer.write_all(&[1]).unwrap();
                written += 1;
            } else {
                peer.write_all(&[1]).unwrap();
                written += 1;
            }
        }
    });
}

fn wait_outside(outer: &mut mio::Poll, unless: &str) {
    let mut events = mio::Events::with_capacity(8);
    loop {
        match outer.poll(&mut events, Some(DEADLINE)) {
            // An older ring has the kernel interrupt its thread.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            result => {
                result.unwrap();
                assert!(!events.is_empty(), "{unless}");
                return;
            }
        }
    }
}

/// Sockets of a driver that was there before may be in either mode.
#[test]
fn the_mode_of_a_socket_makes_no_difference() {
    on_every_driver(|mut rig| {
        for blocking in [true, false] {
            let (end, mut peer) = rig.connection();
            drop(end.registration);
            end.link.stream().set_nonblocking(!blocking).unwrap();
            let token = rig.token();
            let registration = rig.driver.register(token, &end.link).unwrap();
            let end = End { token, registration, link: end.link };
            rig.driver.receive(token, None, 100);
            rig.driver.wait(Some(Duration::ZERO), &mut rig.arrived).unwrap();
            assert!(any(&mut rig.driver).is_none());
            peer.write_all(&[1]).unwrap();
            assert_eq!(rig.received().2, 1);
            assert!(end.link.as_fd().as_raw_fd() >= 0);
        }
    });
}

/// A connection that answers at once is looked at, by some drivers in ways of its own. It is none the worse for
/// it when it has nothing to say for a while, or others have.
#[test]
fn what_was_looked_at_is_waited_for_again() {
    on_every_driver(|mut rig| {
        let (mut busy, mut busy_peer) = rig.connection();
        let (calm, mut calm_peer) = rig.connection();
        rig.driver.receive(calm.token, None, 100);
        for round in 0..12 {
            for number in 0..100 {
                rig.driver.receive(busy.token, None, 100);
                busy_peer.write_all(&[number]).unwrap();
                let (token, memory, received) = rig.received();
                assert_eq!((token, bytes_of(&memory, received)), (busy.token, vec![number]));
                rig.recycle(memory);
            }
            rig.driver.receive(busy.token, None, 100);
            match round % 4 {
                0 => rig.nothing_comes(),
                1 => {
                    calm_peer.write_all(&[1]).unwrap();
                    assert_eq!(rig.received().0, calm.token);
                    rig.driver.receive(calm.token, None, 100);
                }
                2 => {
                    let released = rig.driver.release(busy.registration);
                    assert!(released.received.is_none());
                    busy.registration = rig.driver.register(busy.token, &busy.link).unwrap();
                    rig.driver.receive(busy.token, None, 100);
                }
                _ => {
                    // An outer event loop need not wait for long, either.
                    rig.driver.wait(Some(Duration::ZERO), &mut rig.arrived).unwrap();
                    assert!(rig.driver.next().is_none());
                }
            }
            let late = thread::spawn(move || {
                busy_peer.write_all(&[200]).unwrap();
                busy_peer
            });
            let (token, _, received) = rig.received();
            assert_eq!((token, received), (busy.token, 1));
            busy_peer = late.join().unwrap();
        }
        drop(busy_peer);
        rig.driver.receive(busy.token, None, 100);
        let (token, _, received) = rig.received();
        assert_eq!((token, received), (busy.token, 0));
    });
}

/// A connection that is looked at, and finds no room to write.
#[test]
fn what_is_looked_at_finds_room_to_write() {
    on_every_driver(|mut rig| {
        let (end, mut peer) = rig.connection();
        for _ in 0..100 {
            peer.write_all(&[1]).unwrap();
            assert_eq!(rig.receive_all(&end, 1), [1]);
        }
        rig.driver.receive(end.token, None, 100);
        let len = 16 << 20;
        let reader = thread::spawn(move || {
            let mut all = vec![0; len];
            peer.read_exact(&mut all).unwrap();
            (all, peer)
        });
        rig.driver.send(end.token, numbered(len).into());
        rig.wait_for(|driver, completion| {
            let Completion::Sent { mut batch, result, .. } = completion else { panic!("{completion:?}") };
            batch.advance(result.unwrap());
            if batch.is_empty() {
                return Some(());
            }
            driver.send(end.token, batch);
            None
        });
        let (all, _peer) = reader.join().unwrap();
        assert!(all == numbered(len));
    });
}
