use super::*;

#[test]
fn memory_comes_back_with_what_it_was_for() {
    on_every_driver(|mut rig| {
        for wait in [false, true] {
            let (end, _peer) = rig.connection();
            let mut memory = ReceiveMemory::with_len(1234);
            memory.slices()[1][0] = 99;
            rig.driver.receive(end.token, Some(memory), 1000);
            if wait {
                rig.driver.wait(Some(Duration::ZERO), &mut rig.arrived).unwrap();
            }
            let released = rig.driver.release(end.registration);
            let (mut memory, received) = released.received.unwrap();
            assert_eq!((memory.room(), received), (1234, 0));
            assert_eq!(memory.slices()[1][0], 99);
            assert!(released.sent.is_none());
        }
        rig.nothing_comes();
    });
}

/// A connection goes from one owner to the next over and over again, while bytes come in all the time: they
/// come in order, whether they were received, under way or not received yet.
#[test]
fn what_was_received_comes_back_in_order() {
    on_every_driver(|mut rig| {
        let (mut end, mut peer) = rig.connection();
        let all = numbered(2_000_000);
        let writer = {
            let all = all.clone();
            thread::spawn(move || all.chunks(997).for_each(|chunk| peer.write_all(chunk).unwrap()))
        };
        let mut got = Vec::new();
        let began = Instant::now();
        for round in 0_usize.. {
            let memory = (round % 2 == 0).then(|| ReceiveMemory::in_two_places(100, 5000));
            rig.driver.receive(end.token, memory, 10_000);
            if round % 3 != 0 {
                rig.driver.wait(Some(Duration::from_millis(1)), &mut rig.arrived).unwrap();
            }
            if round % 5 == 0
                && let Some(completion) = any(&mut rig.driver)
            {
                let Completion::Received { memory, result, .. } = completion else { panic!() };
                got.extend(bytes_of(&memory, result.unwrap()));
            }
            let released = rig.driver.release(end.registration);
            if let Some((memory, received)) = released.received {
                got.extend(bytes_of(&memory, received));
            }
            if got.len() == all.len() {
                break;
            }
            assert!(began.elapsed() < DEADLINE, "nothing more comes");
            end.token = rig.token();
            end.registration = rig.driver.register(end.token, &end.link).unwrap();
            if round % 7 == 0 {
                // As it goes on when nobody disturbs it.
                let len = (all.len() - got.len()).min(20_000);
                got.extend(rig.receive_all(&end, len));
            }
        }
        assert!(got == all);
        writer.join().unwrap();
    });
}

#[test]
fn a_send_comes_back_with_how_much_was_taken() {
    on_every_driver(|mut rig| {
        let (mut end, mut peer) = rig.connection();
        let len = 20 << 20;
        let all = numbered(len);
        let mut batch = all.clone().into();
        let reader = thread::spawn(move || {
            let mut got = vec![0; len];
            peer.read_exact(&mut got).unwrap();
            got
        });
        let began = Instant::now();
        for round in 0_u32.. {
            rig.driver.send(end.token, batch);
            if round % 3 != 0 {
                rig.driver.wait(Some(Duration::from_millis(1)), &mut rig.arrived).unwrap();
            }
            let released = rig.driver.release(end.registration);
            let (mut returned, result) = released.sent.unwrap();
            returned.advance(result.unwrap());
            batch = returned;
            if batch.is_empty() {
                break;
            }
            assert!(began.elapsed() < DEADLINE, "nothing more is taken");
            end.token = rig.token();
            end.registration = rig.driver.register(end.token, &end.link).unwrap();
        }
        assert!(reader.join().unwrap() == all);
    });
}

/// Nobody waits for it, and nobody hears of it again; the socket is closed with the next wait.
#[test]
fn a_registration_is_dropped_in_the_middle_of_things() {
    on_every_driver(|mut rig| {
        for memory in [true, false] {
            let (end, mut peer) = rig.connection();
            let memory = memory.then(|| ReceiveMemory::with_len(100));
            rig.driver.receive(end.token, memory, 100);
            rig.driver.wait(Some(Duration::ZERO), &mut rig.arrived).unwrap();
            let End { token, link, registration } = end;
            drop((link, registration));
            assert!(rig.driver.is_busy());
            rig.nothing_comes();
            assert_eq!(peer.read(&mut [0]).unwrap(), 0, "its socket is closed");

            // The same with what has come to an end and was not taken.
            let (end, mut peer) = rig.connection();
            rig.driver.receive(end.token, None, 100);
            peer.write_all(b"unheard").unwrap();
            rig.driver.wait(Some(DEADLINE), &mut rig.arrived).unwrap();
            drop(end);
            // A token is free as soon as its registration is dropped.
            let (other, mut other_peer) = rig.connection();
            let link = other.link.try_clone().unwrap();
            let reused = rig.driver.register(token, &link).unwrap();
            rig.driver.receive(token, None, 100);
            other_peer.write_all(b"heard").unwrap();
            let (heard, memory, received) = rig.received();
            assert_eq!(heard, token);
            assert_eq!(b"heard"[..received], bytes_of(&memory, received));
            drop(reused);
            rig.nothing_comes();
        }
    });
}
