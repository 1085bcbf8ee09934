use replink_transport::driver::Socket;

use super::*;

/// The ends of attempts to connect.
fn connected(all: Vec<(usize, Ended)>) -> Vec<(Token, io::Result<SimSocket>)> {
    let connected = |(_, ended)| match ended {
        Completion::Connected { token, result } => Some((token, result)),
        _ => None,
    };
    all.into_iter().filter_map(connected).collect()
}

#[test]
fn a_connection_is_made_and_registered_already() {
    for_seeds(50, &["completion comes late", "operation carried out late"], |world| {
        let (_listener, _listening) = world.listen(1);
        let registration = world.drivers[NEAR].connect(Token(7), far(), None).unwrap();
        let ends = world.run(SECOND);
        assert_eq!(ends.len(), 2);
        for (_, ended) in &ends {
            let Completion::Connected { token, result } = ended else { continue };
            assert!(*token == Token(7) && registration.token() == *token);
            assert_eq!(result.as_ref().unwrap().peer_address(), far());
            world.drivers[NEAR].receive(*token, None, 10);
        }
        assert!(world.run(SECOND).is_empty());
    });
}

#[test]
fn where_nobody_listens_it_is_refused() {
    for_seeds(20, &["connection refused"], |world| {
        let registration = world.drivers[NEAR].connect(Token(7), far(), None).unwrap();
        let ends = connected(world.run(SECOND));
        assert_eq!(kind_of(&ends[0].1), Some(io::ErrorKind::ConnectionRefused));
        drop(registration);
        assert!(world.drivers[NEAR].is_busy());
        assert!(world.run(SECOND).is_empty());
        // The token is free again.
        let _again = world.drivers[NEAR].connect(Token(7), far(), None).unwrap();
        assert_eq!(connected(world.run(SECOND)).len(), 1);
    });
}

#[test]
fn an_attempt_may_fail_at_once() {
    for_seeds(5, &["connect fails at once"], |world| {
        world.network.lock().weather.refuses = 1;
        let failed = world.drivers[NEAR].connect(Token(7), far(), None);
        assert_eq!(kind_of(&failed), Some(io::ErrorKind::AddrNotAvailable));
        world.network.lock().weather.refuses = 0;
        let _registration = world.drivers[NEAR].connect(Token(7), far(), None).unwrap();
    });
}

#[test]
fn a_host_dials_from_its_own_address_only() {
    for_seeds(5, &[], |world| {
        let failed = world.drivers[NEAR].connect(Token(7), far(), Some(far().ip()));
        assert_eq!(kind_of(&failed), Some(io::ErrorKind::AddrNotAvailable));
        let own = address_of(host_id(NEAR)).ip();
        let _registration = world.drivers[NEAR].connect(Token(7), far(), Some(own)).unwrap();
    });
}

#[test]
fn an_attempt_that_is_never_answered_can_be_given_up() {
    for_seeds(20, &["connect is never answered"], |world| {
        let (_listener, _listening) = world.listen(5);
        world.network.lock().weather.swallows = 1;
        let registration = world.drivers[NEAR].connect(Token(7), far(), None).unwrap();
        assert!(world.run(100 * SECOND).is_empty());
        drop(registration);
        assert!(world.run(SECOND).is_empty());
    });
}

#[test]
fn an_attempt_that_is_given_up_makes_no_connection() {
    for_seeds(100, &[], |world| {
        let (_listener, _listening) = world.listen(5);
        let registration = world.drivers[NEAR].connect(Token(7), far(), None).unwrap();
        let wait = world.random.below(10) as u64 * MILLISECOND / 2;
        // What has ended is not taken; the registration is gone before.
        let until = world.network.lock().now() + wait;
        world.network.lock().advance_to(until);
        drop(registration);
        let accepted = world.run(SECOND);
        assert!(accepted.iter().all(|(_, ended)| matches!(ended, Completion::Accepted { .. })));
        // Where it was accepted all the same, its end has come.
        for (_, ended) in accepted {
            let Completion::Accepted { result, .. } = ended else { continue };
            let socket = result.unwrap().0;
            let _registration = world.drivers[FAR].register(CONNECTION, &socket).unwrap();
            world.drivers[FAR].receive(CONNECTION, None, 10);
            let Some((FAR, Completion::Received { result, .. })) = world.run(SECOND).pop() else {
                panic!("the connection goes on");
            };
            assert!(!matches!(result, Ok(1..)), "{result:?}");
        }
        assert_eq!(world.network.lock().held_by(process_of(NEAR)), 0);
    });
}

#[test]
fn one_that_knocks_at_a_dark_door_gets_in_when_there_is_light() {
    for_seeds(20, &[], |world| {
        let (_listener, _listening) = world.listen(5);
        world.network.lock().weather.blocked.insert((host_id(NEAR), host_id(FAR)));
        let _registration = world.drivers[NEAR].connect(Token(7), far(), None).unwrap();
        assert!(world.run(5 * SECOND).is_empty());
        world.network.lock().weather.blocked.clear();
        assert!(connected(world.run(SECOND)).pop().unwrap().1.is_ok());
    });
}

#[test]
fn a_registration_may_fail() {
    for_seeds(5, &["registration fails"], |world| {
        let [near, far] = world.connect();
        drop(far.registration);
        world.network.lock().weather.turns_down = 1;
        assert!(world.drivers[FAR].register(CONNECTION, &far.socket).is_err());
        world.network.lock().weather.turns_down = 0;
        let _registration = world.drivers[FAR].register(CONNECTION, &far.socket).unwrap();
        drop(near);
    });
}
