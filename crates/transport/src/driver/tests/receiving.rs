use super::*;
use crate::memory::BLOCK_SIZE;

#[test]
fn no_more_is_received_than_was_asked_for() {
    on_every_driver(|mut rig| {
        let (end, mut peer) = rig.connection();
        peer.write_all(&numbered(1000)).unwrap();
        let mut got = Vec::new();
        for memory in [true, false, true, false] {
            let before = got.len();
            while got.len() < before + 250 {
                let missing = before + 250 - got.len();
                let memory = memory.then(|| ReceiveMemory::with_len(5000));
                rig.driver.receive(end.token, memory, missing);
                let (_, memory, received) = rig.received();
                assert!(received <= missing, "{received} instead of {missing}");
                got.extend(bytes_of(&memory, received));
                rig.recycle(memory);
            }
        }
        assert_eq!(got, numbered(1000));
    });
}

#[test]
fn memory_of_two_places_is_filled_in_order() {
    on_every_driver(|mut rig| {
        let (end, mut peer) = rig.connection();
        peer.write_all(&numbered(10_000)).unwrap();
        let mut got = Vec::new();
        while got.len() < 10_000 {
            rig.driver.receive(end.token, Some(ReceiveMemory::in_two_places(700, 3000)), usize::MAX);
            let (_, memory, received) = rig.received();
            assert_eq!(memory.room(), 3700);
            got.extend(bytes_of(&memory, received));
        }
        assert_eq!(got, numbered(10_000));
    });
}

#[test]
fn a_receive_waits_for_what_comes_later() {
    on_every_driver(|mut rig| {
        let (end, mut peer) = rig.connection();
        for round in 0..50 {
            rig.driver.receive(end.token, None, BLOCK_SIZE);
            if round % 2 == 0 {
                rig.driver.wait(Some(Duration::ZERO), &mut rig.arrived).unwrap();
                assert!(any(&mut rig.driver).is_none());
            }
            rig.arrived.clear();
            peer.write_all(&[round]).unwrap();
            let (_, memory, received) = rig.received();
            assert_eq!(bytes_of(&memory, received), [round]);
            // Who looks may find it before it is reported.
            if !rig.name.contains("looking") {
                assert_eq!(rig.arrived, [end.token]);
            }
            assert!(memory.received(received).count() <= 2);
            rig.recycle(memory);
        }
        // What has come before the receive.
        peer.write_all(b"before").unwrap();
        assert_eq!(rig.receive_all(&end, 6), b"before");
        drop(peer);
        rig.driver.receive(end.token, None, BLOCK_SIZE);
        let (_, memory, received) = rig.received();
        assert_eq!(received, 0);
        assert_eq!(memory.room(), BLOCK_SIZE, "an end comes with a block as well");
    });
}

/// A receive that got all bytes does not find the end behind them.
#[test]
fn an_end_that_came_with_bytes_is_found() {
    on_every_driver(|mut rig| {
        for memory in [true, false] {
            let (end, mut peer) = rig.connection();
            peer.write_all(b"last words").unwrap();
            drop(peer);
            assert_eq!(rig.receive_all(&end, 10), b"last words");
            rig.driver.receive(end.token, memory.then(|| ReceiveMemory::with_len(100)), 100);
            let (token, _, received) = rig.received();
            assert_eq!((token, received), (end.token, 0));
        }
    });
}

#[test]
fn a_connection_that_is_reset_fails() {
    on_every_driver(|mut rig| {
        let (end, peer) = rig.connection();
        rig.driver.receive(end.token, None, 100);
        rig.driver.wait(Some(Duration::ZERO), &mut rig.arrived).unwrap();
        socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        let error = rig.wait_for(|_, completion| match completion {
            Completion::Received { result, .. } => Some(result.unwrap_err()),
            other => panic!("{other:?}"),
        });
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn more_is_under_way_than_one_submission_takes() {
    on_every_driver(|mut rig| {
        let (end, mut peer) = rig.connection();
        // Each is one operation more: another handle to the same socket is another connection to the driver.
        let handles: Vec<_> = (0..600)
            .map(|_| {
                let (link, token) = (end.link.try_clone().unwrap(), rig.token());
                let registration = rig.driver.register(token, &link).unwrap();
                rig.driver.receive(token, None, 1);
                (link, registration)
            })
            .collect();
        rig.driver.wait(Some(Duration::ZERO), &mut rig.arrived).unwrap();
        peer.write_all(&[1; 600]).unwrap();
        for _ in &handles {
            let (_, memory, received) = rig.received();
            assert_eq!(received, 1);
            rig.recycle(memory);
        }
    });
}

#[test]
fn connections_take_turns() {
    on_every_driver(|mut rig| {
        if rig.has_faults() {
            return; // which fail at random
        }
        let (busy, mut busy_peer) = rig.connection();
        let (calm, mut calm_peer) = rig.connection();
        busy_peer.write_all(&[1; 5000]).unwrap();
        calm_peer.write_all(&[2]).unwrap();
        rig.driver.receive(busy.token, None, 1);
        rig.driver.receive(calm.token, None, 1);
        let mut turns = 0;
        rig.wait_for(|driver, completion| match completion {
            Completion::Received { token, .. } if token == calm.token => Some(()),
            Completion::Received { token, .. } => {
                turns += 1;
                driver.receive(token, None, 1);
                assert!(turns < 1000, "one connection keeps another from its turn");
                None
            }
            other => panic!("{other:?}"),
        });
    });
}

/// Two connections have something at any time, and are looked at by the drivers that do that; a third has
/// something once in a while. Whoever it is, has its turn.
#[test]
fn who_always_has_something_keeps_nobody_from_his_turn() {
    on_every_driver(|mut rig| {
        let (first, mut first_peer) = rig.connection();
        let (second, mut second_peer) = rig.connection();
        for _ in 0..100 {
            for (end, peer) in [(&first, &mut first_peer), (&second, &mut second_peer)] {
                peer.write_all(&[1]).unwrap();
                assert_eq!(rig.receive_all(end, 1), [1]);
            }
        }
        let (calm, mut calm_peer) = rig.connection();
        for end in [&first, &second, &calm] {
            rig.driver.receive(end.token, None, 1);
        }
        rig.driver.wait(Some(Duration::ZERO), &mut rig.arrived).unwrap();
        for peer in [&mut first_peer, &mut second_peer] {
            peer.write_all(&numbered(20_000)).unwrap();
        }
        for _ in 0..5 {
            calm_peer.write_all(&[2]).unwrap();
            let mut waiting = vec![first.token, second.token, calm.token];
            for turn in 0..500 {
                // As a shard does, which waits again after so many.
                if turn % 16 == 0 {
                    rig.driver.wait(Some(DEADLINE), &mut rig.arrived).unwrap();
                }
                let (token, memory, received) = rig.received();
                assert_eq!(received, 1);
                rig.recycle(memory);
                rig.driver.receive(token, None, 1);
                waiting.retain(|&waiting| waiting != token);
                if waiting.is_empty() {
                    break;
                }
            }
            assert_eq!(waiting, [], "these had no turn");
        }
    });
}

#[test]
fn idle_connections_hold_no_blocks() {
    on_every_driver(|mut rig| {
        let mut ends: Vec<_> = (0..200).map(|_| rig.connection()).collect();
        for (end, _) in &ends {
            rig.driver.receive(end.token, None, BLOCK_SIZE);
        }
        for _ in 0..3 {
            rig.driver.wait(Some(Duration::ZERO), &mut rig.arrived).unwrap();
        }
        let faults = rig.has_faults();
        let limit = if faults { 200 } else { 4 };
        assert!(rig.driver.blocks_held() <= limit, "{} blocks", rig.driver.blocks_held());
        // All at once: some have to wait for a block, and none is lost.
        for (_, peer) in &mut ends {
            peer.write_all(&numbered(1000)).unwrap();
        }
        let sent = numbered(1000);
        let mut got = vec![0; 300];
        rig.wait_for(|driver, completion| match completion {
            Completion::Received { token, memory, result } => {
                let index = usize::try_from(token.0).unwrap();
                let received = result.unwrap();
                let from = got[index];
                assert_eq!(bytes_of(&memory, received), sent[from..from + received]);
                got[index] += received;
                driver.receive(token, None, BLOCK_SIZE);
                driver.recycle(memory.into_block().unwrap());
                (got.iter().sum::<usize>() == 200 * 1000).then_some(())
            }
            other => panic!("{other:?}"),
        });
        // The burst is over, and most of what it took is given back with time.
        let (end, peer) = &mut ends[0];
        for _ in 0..12_000 {
            peer.write_all(&[7]).unwrap();
            let (_, memory, received) = rig.received();
            assert_eq!(bytes_of(&memory, received), [7]);
            rig.recycle(memory);
            rig.driver.receive(end.token, None, BLOCK_SIZE);
            if faults {
                return;
            }
        }
        // A ring that is looked at itself has the kernel pick none of those that it was given.
        let limit = if rig.name.contains("looking") { 72 } else { 16 };
        assert!(rig.driver.blocks_held() <= limit, "{} blocks", rig.driver.blocks_held());
    });
}
