use super::*;
use crate::simulation::network::AcceptError;

/// So many attempts to connect.
fn knock(world: &mut World, count: u64) -> Vec<Registration> {
    (0..count).map(|number| world.drivers[NEAR].connect(Token(100 + number), far(), None).unwrap()).collect()
}

/// What was accepted for so long.
fn accepted(world: &mut World, nanos: u64) -> Vec<io::Result<SimSocket>> {
    let accepted = |(_, ended)| match ended {
        Completion::Accepted { token: LISTENER, result } => Some(result.map(|(socket, _)| socket)),
        _ => None,
    };
    world.run(nanos).into_iter().filter_map(accepted).collect()
}

#[test]
fn no_more_are_accepted_than_there_is_room_for() {
    for_seeds(50, &["accept: no room, some wait"], |world| {
        let (_listener, _listening) = world.listen(3);
        let _near = knock(world, 10);
        assert_eq!(accepted(world, SECOND).len(), 3);
        world.drivers[FAR].accept(LISTENER, 2);
        world.drivers[FAR].accept(LISTENER, 0);
        // Perhaps some came in between.
        let between = accepted(world, SECOND).len();
        assert!(between <= 2);
        world.drivers[FAR].accept(LISTENER, 100);
        assert_eq!(accepted(world, SECOND).len(), 7 - between);
        let _more = world.drivers[NEAR].connect(Token(1), far(), None).unwrap();
        assert_eq!(accepted(world, SECOND).len(), 1);
    });
}

#[test]
fn the_address_is_that_of_the_one_who_connects() {
    for_seeds(5, &[], |world| {
        let (_listener, _listening) = world.listen(1);
        let _near = knock(world, 1);
        let ends = world.run(SECOND);
        let address = ends.iter().find_map(|(_, ended)| match ended {
            Completion::Accepted { result: Ok((_, address)), .. } => Some(*address),
            _ => None,
        });
        assert_eq!(address.unwrap().ip(), address_of(host_id(NEAR)).ip());
    });
}

#[test]
fn a_full_backlog_keeps_the_others_waiting_outside() {
    for_seeds(20, &["backlog is full"], |world| {
        let (_listener, _listening) = world.listen(0);
        let _near = knock(world, 30);
        assert_eq!(accepted(world, 10 * MILLISECOND).len(), 0);
        world.drivers[FAR].accept(LISTENER, 100);
        let came = accepted(world, 10 * SECOND).len();
        // Some of those outside have given up.
        assert!((16..=30).contains(&came), "{came}");
    });
}

#[test]
fn failures_count_as_connections_do() {
    for error in [AcceptError::OutOfFiles, AcceptError::Aborted] {
        for_seeds(30, &[], |world| {
            world.network.lock().weather.lateness = (0, 1);
            let (_listener, _listening) = world.listen(3);
            world.network.lock().break_accept(host_id(FAR), error, 2);
            let _near = knock(world, 5);
            let first = accepted(world, SECOND);
            assert_eq!(first.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, false, true]);
            world.drivers[FAR].accept(LISTENER, 10);
            let left = if error == AcceptError::Aborted { 2 } else { 4 };
            assert_eq!(accepted(world, SECOND).iter().filter(|result| result.is_ok()).count(), left);
        });
    }
}

#[test]
fn what_was_accepted_and_not_taken_is_closed_with_its_listener() {
    for_seeds(50, &["accepted and not taken"], |world| {
        let (listener, listening) = world.listen(100);
        let near = knock(world, 4);
        let until = world.network.lock().now() + 50 * MILLISECOND;
        world.network.lock().advance_to(until);
        world.drivers[FAR].wait(None, &mut Vec::new()).unwrap();
        drop((listening, listener));
        let ends = world.run(SECOND);
        assert!(ends.iter().all(|&(index, _)| index == NEAR), "{ends:?}");
        for (_, ended) in ends {
            if let Completion::Connected { token, result: Ok(_socket) } = ended {
                world.drivers[NEAR].receive(token, None, 1);
                let Some((NEAR, Completion::Received { result, .. })) = world.run(SECOND).pop() else {
                    panic!("the connection goes on");
                };
                assert!(!matches!(result, Ok(1..)), "{result:?}");
            }
        }
        drop(near);
        assert_eq!(world.network.lock().held_by(process_of(FAR)), 0);
    });
}

#[test]
fn a_listener_may_be_registered_anew() {
    for_seeds(20, &[], |world| {
        let (listener, listening) = world.listen(0);
        let _near = knock(world, 3);
        assert_eq!(accepted(world, SECOND).len(), 0);
        drop(listening);
        let _again = world.drivers[FAR].listen(Token(9), &listener).unwrap();
        world.drivers[FAR].accept(Token(9), 2);
        let ends = world.run(SECOND);
        let came = |(_, ended): &&(usize, Ended)| {
            matches!(ended, Completion::Accepted { token: Token(9), result: Ok(_) })
        };
        assert_eq!(ends.iter().filter(came).count(), 2);
    });
}
