use std::io;

use super::*;

#[test]
fn connects_accepts_receives_and_sees_the_end() {
    on_every_driver(|mut rig| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _listening = rig.driver.listen(LISTENER, &listener).unwrap();
        rig.driver.accept(LISTENER, 10);
        let dialing = rig.token();
        let registration = rig.driver.connect(dialing, listener.local_addr().unwrap(), None).unwrap();
        let (mut accepted, mut connected) = (None, None);
        rig.wait_for(|_, completion| {
            match completion {
                Completion::Accepted { token: LISTENER, result } => accepted = result.ok(),
                Completion::Connected { token, result } if token == dialing => connected = result.ok(),
                other => panic!("{other:?}"),
            }
            (accepted.is_some() && connected.is_some()).then_some(())
        });
        let (Some((accepted, address)), Some(dialed)) = (accepted, connected) else { unreachable!() };
        assert_eq!(address, dialed.stream().local_addr().unwrap());
        assert!(accepted.stream().nodelay().unwrap() && dialed.stream().nodelay().unwrap());
        let token = rig.token();
        let _registered = rig.driver.register(token, &accepted).unwrap();

        // The one that was connected is registered already.
        rig.driver.send(dialing, numbered(4).into());
        rig.driver.receive(token, None, 100);
        let mut got = Vec::new();
        rig.wait_for(|driver, completion| {
            match completion {
                Completion::Sent { batch, result, .. } => {
                    let sent = result.unwrap();
                    let mut batch = batch;
                    batch.advance(sent);
                    if !batch.is_empty() {
                        driver.send(dialing, batch);
                    }
                }
                Completion::Received { memory, result, .. } => {
                    got.extend(bytes_of(&memory, result.unwrap()));
                    if got.len() < 4 {
                        driver.receive(token, None, 100);
                    }
                }
                other => panic!("{other:?}"),
            }
            (got == numbered(4)).then_some(())
        });
        super::super::Socket::finish(&dialed);
        rig.driver.receive(token, None, 100);
        rig.driver.receive(dialing, None, 100);
        let (ended, _, received) = rig.received();
        assert_eq!((ended, received), (token, 0));
        drop(registration);
        drop((accepted, dialed));
    });
}

#[test]
fn connects_from_the_address_that_it_is_told() {
    on_every_driver(|mut rig| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _listening = rig.driver.listen(LISTENER, &listener).unwrap();
        rig.driver.accept(LISTENER, 10);
        let dialing = rig.token();
        let (to, source) = (listener.local_addr().unwrap(), "127.0.0.2".parse().unwrap());
        let _registration = rig.driver.connect(dialing, to, Some(source)).unwrap();
        let (mut from, mut dialed) = (None, None);
        rig.wait_for(|_, completion| {
            match completion {
                Completion::Accepted { result, .. } => from = Some(result.unwrap().1),
                Completion::Connected { result, .. } => dialed = Some(result.unwrap()),
                other => panic!("{other:?}"),
            }
            (from.is_some() && dialed.is_some()).then_some(())
        });
        assert_eq!(from.unwrap().ip(), source);
        assert_eq!(dialed.unwrap().stream().local_addr().unwrap(), from.unwrap());
        // An address that the machine does not have, and one that leads nowhere near.
        for source in ["192.0.2.1", "::1"] {
            let token = rig.token();
            let failed = rig.driver.connect(token, to, Some(source.parse().unwrap()));
            assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable, "{source}");
        }
    });
}

#[test]
fn a_connection_that_nobody_takes_is_refused() {
    on_every_driver(|mut rig| {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let dialing = rig.token();
        let registration = rig.driver.connect(dialing, nobody, None).unwrap();
        let error = rig.wait_for(|_, completion| match completion {
            Completion::Connected { result, .. } => Some(result.unwrap_err()),
            other => panic!("{other:?}"),
        });
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        // The token may name something else from here on.
        drop(registration);
        let _again = rig.driver.connect(dialing, nobody, None).unwrap();
    });
}

#[test]
fn an_attempt_that_is_given_up_is_not_heard_of_again() {
    on_every_driver(|mut rig| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let dialing = rig.token();
        let registration = rig.driver.connect(dialing, listener.local_addr().unwrap(), None).unwrap();
        drop(registration);
        rig.nothing_comes();
        // And once more, when it has been made already.
        let registration = rig.driver.connect(dialing, listener.local_addr().unwrap(), None).unwrap();
        rig.driver.wait(Some(DEADLINE), &mut rig.arrived).unwrap();
        drop(registration);
        rig.nothing_comes();
    });
}

#[test]
fn as_many_connections_are_accepted_as_there_is_room_for() {
    on_every_driver(|mut rig| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listening = rig.driver.listen(LISTENER, &listener).unwrap();
        let peers: Vec<_> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
        // Nobody has said that there is room.
        rig.nothing_comes();
        let mut accepted = Vec::new();
        for room in [1, 5, 40] {
            rig.driver.accept(LISTENER, room);
            accepted.extend((0..room).map(|_| rig.accepted()));
            rig.nothing_comes();
        }
        // Less room than before, none, and more again.
        rig.driver.accept(LISTENER, 30);
        rig.driver.accept(LISTENER, 2);
        accepted.extend((0..2).map(|_| rig.accepted()));
        rig.nothing_comes();
        rig.driver.accept(LISTENER, 20);
        rig.driver.accept(LISTENER, 0);
        rig.nothing_comes();
        rig.driver.accept(LISTENER, usize::MAX);
        accepted.extend((0..52).map(|_| rig.accepted()));
        rig.nothing_comes();
        let mut expected: Vec<_> = peers.iter().map(|peer| peer.local_addr().unwrap()).collect();
        let mut addresses: Vec<_> = accepted.iter().map(|(_, address)| *address).collect();
        expected.sort_unstable();
        addresses.sort_unstable();
        assert_eq!(addresses, expected, "none is lost, and none comes twice");
        // One more comes while the driver waits for it.
        let peer = TcpStream::connect(address).unwrap();
        assert_eq!(rig.accepted().1, peer.local_addr().unwrap());

        // Whoever listens next gets what comes from here on.
        rig.driver.release(listening);
        let peer = TcpStream::connect(address).unwrap();
        rig.nothing_comes();
        let _again = rig.driver.listen(LISTENER, &listener).unwrap();
        rig.driver.accept(LISTENER, 1);
        assert_eq!(rig.accepted().1, peer.local_addr().unwrap());
    });
}

/// Strangers connect while the shard does something else: they take the room that there was, and no more.
#[test]
fn a_flood_takes_no_descriptors_while_nobody_looks() {
    on_every_driver(|mut rig| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _listening = rig.driver.listen(LISTENER, &listener).unwrap();
        rig.driver.accept(LISTENER, 1000);
        rig.driver.wait(Some(Duration::ZERO), &mut rig.arrived).unwrap();
        let peers: Vec<_> =
            (0..300).map(|_| TcpStream::connect(listener.local_addr().unwrap()).unwrap()).collect();
        rig.driver.wait(Some(DEADLINE), &mut rig.arrived).unwrap();
        let held = rig.driver.accepted_and_not_taken();
        assert!(held <= 32, "{held} connections are held that the shard knows nothing of");
        let accepted: Vec<_> = peers.iter().map(|_| rig.accepted()).collect();
        assert_eq!(accepted.len(), 300);
    });
}
