//! Registrations that are dropped with operations under way.

use bytes::Bytes;
use replink_transport::memory::SendBatch;

use super::*;

fn batch(len: usize) -> SendBatch {
    Bytes::from(vec![1; len]).into()
}

#[test]
fn nobody_gets_what_was_under_way() {
    for_seeds(200, &["dropped with operations under way"], |world| {
        let [near, far] = world.connect();
        for (index, _) in [&near, &far].into_iter().enumerate() {
            let len = world.random.between(1, 400_000);
            world.drivers[index].send(CONNECTION, batch(len));
            world.receive(index, CONNECTION);
        }
        // Things happen, and nobody looks, or some wait and take a part.
        let until = world.network.lock().now() + world.random.below(10) as u64 * MILLISECOND;
        world.network.lock().advance_to(until);
        if world.random.once_in(2) {
            world.drivers[FAR].wait(None, &mut Vec::new()).unwrap();
        }
        drop(far.registration);
        assert!(world.drivers[FAR].is_busy(), "the next wait has something to do");
        if world.random.once_in(2) {
            assert!(world.drivers[FAR].next().is_none());
        }
        // The same name for the same socket, at once: what was under way is still none of its.
        let again = world.drivers[FAR].register(CONNECTION, &far.socket).unwrap();
        for (index, ended) in world.run(10 * SECOND) {
            assert_eq!(index, NEAR, "{ended:?}");
            if let Completion::Received { memory, result, .. } = ended {
                take(&mut world.drivers[NEAR], memory, result.unwrap());
            }
        }
        world.receive(FAR, CONNECTION);
        world.drivers[FAR].send(CONNECTION, batch(1));
        world.run(SECOND);
        drop((near, again));
    });
}

#[test]
fn a_connection_is_closed_when_neither_its_owner_nor_a_driver_has_it() {
    for_seeds(50, &[], |world| {
        let [near, far] = world.connect();
        world.drivers[FAR].receive(CONNECTION, None, 10);
        world.drivers[NEAR].receive(CONNECTION, None, 10);
        if world.random.once_in(2) {
            drop(near.registration);
            drop(near.socket);
        } else {
            drop(near.socket);
            assert!(world.run(SECOND).is_empty(), "its registration keeps it open");
            drop(near.registration);
        }
        let Some((FAR, Completion::Received { result, .. })) = world.run(SECOND).pop() else {
            panic!("the other end has not heard of it");
        };
        assert!(!matches!(result, Ok(1..)), "{result:?}");
        drop(far);
        world.run(SECOND);
        assert_eq!(world.network.lock().held_by(process_of(FAR)), 0);
    });
}

#[test]
fn a_driver_that_is_dropped_ends_all_that_it_has() {
    for_seeds(50, &[], |world| {
        let [near, far] = world.connect();
        let (_listener, _listening) = world.listen(3);
        let _attempt = world.drivers[NEAR].connect(Token(7), super::far(), None).unwrap();
        world.receive(FAR, CONNECTION);
        world.drivers[FAR].send(CONNECTION, batch(100_000));
        let until = world.network.lock().now() + world.random.below(10) as u64 * MILLISECOND;
        world.network.lock().advance_to(until);
        let dropped = world.drivers.pop();
        drop(dropped);
        // Registrations and sockets may live longer.
        drop(far);
        world.run(SECOND);
        drop(near);
    });
}

#[test]
fn registrations_that_outlive_a_crash_do_no_harm() {
    for_seeds(50, &[], |world| {
        let [near, far] = world.connect();
        for index in [NEAR, FAR] {
            world.receive(index, CONNECTION);
            world.drivers[index].send(CONNECTION, batch(100_000));
        }
        let silently = world.random.once_in(2);
        let mut state = world.network.lock();
        if silently {
            state.dark.push(host_id(FAR));
        }
        state.kill(process_of(FAR), silently);
        drop(state);
        world.drivers.pop();
        drop(far);
        for (index, ended) in world.run(SECOND) {
            assert_eq!(index, NEAR);
            if let Completion::Received { memory, result, .. } = ended {
                assert!(!silently || matches!(result, Ok(1..)), "{result:?}");
                take(&mut world.drivers[NEAR], memory, result.unwrap_or(0));
            }
        }
        drop(near);
    });
}
