//! A shard that breaks a rule of the seam ends the run.

use bytes::Bytes;
use replink_transport::GatherWrite;
use replink_transport::memory::SendBatch;

use super::*;

fn batch() -> SendBatch {
    Bytes::from_static(b"some bytes").into()
}

#[test]
#[should_panic(expected = "a second receive is begun on Token(1)")]
fn one_receive_at_once() {
    let mut world = World::new(1);
    let _ends = world.connect();
    world.drivers[NEAR].receive(CONNECTION, None, 1);
    world.drivers[NEAR].receive(CONNECTION, None, 1);
}

#[test]
#[should_panic(expected = "a second send is begun on Token(1)")]
fn one_send_at_once_until_it_is_taken() {
    let mut world = World::new(1);
    let _ends = world.connect();
    world.drivers[NEAR].send(CONNECTION, batch());
    world.drivers[NEAR].wait(None, &mut Vec::new()).unwrap();
    world.drivers[NEAR].send(CONNECTION, batch());
}

#[test]
#[should_panic(expected = "an operation on Token(9), which is not registered")]
fn no_operation_on_what_is_not_registered() {
    World::new(1).drivers[NEAR].receive(Token(9), None, 1);
}

#[test]
#[should_panic(expected = "an operation on Token(1), which is not registered")]
fn no_operation_on_what_was_dropped() {
    let mut world = World::new(1);
    let [near, _far] = world.connect();
    drop(near.registration);
    world.drivers[NEAR].send(CONNECTION, batch());
}

#[test]
#[should_panic(expected = "a receive on Token(7), which is no connection")]
fn no_receive_before_the_connection_is_made() {
    let mut world = World::new(1);
    let _registration = world.drivers[NEAR].connect(Token(7), far(), None).unwrap();
    world.drivers[NEAR].receive(Token(7), None, 1);
}

#[test]
#[should_panic(expected = "a receive of nothing")]
fn no_receive_of_nothing() {
    let mut world = World::new(1);
    let _ends = world.connect();
    world.drivers[NEAR].receive(CONNECTION, None, 0);
}

#[test]
#[should_panic(expected = "a receive into no room")]
fn no_receive_into_no_room() {
    let mut world = World::new(1);
    let _ends = world.connect();
    world.drivers[NEAR].receive(CONNECTION, Some(ReceiveMemory::with_len(0)), 1);
}

#[test]
#[should_panic(expected = "a send of nothing")]
fn no_send_of_nothing() {
    let mut world = World::new(1);
    let _ends = world.connect();
    world.drivers[NEAR].send(CONNECTION, SendBatch::default());
}

#[test]
#[should_panic(expected = "Token(1) is registered twice")]
fn no_token_twice() {
    let mut world = World::new(1);
    let [near, _far] = world.connect();
    let _again = world.drivers[NEAR].register(CONNECTION, &near.socket);
}

#[test]
#[should_panic(expected = "is registered twice, the first time as")]
fn no_connection_twice() {
    let mut world = World::new(1);
    let [near, _far] = world.connect();
    let _again = world.drivers[NEAR].register(Token(8), &near.socket);
}

#[test]
#[should_panic(expected = "is written to while a send is under way")]
fn nobody_writes_between_the_bytes_of_a_batch() {
    let mut world = World::new(1);
    let [near, _far] = world.connect();
    world.drivers[NEAR].send(CONNECTION, batch());
    let _ = near.socket.write_gathered(&[io::IoSlice::new(b"others")]);
}

#[test]
#[should_panic(expected = "blocks are not given back")]
fn blocks_are_given_back() {
    let mut world = World::new(1);
    let [near, _far] = world.connect();
    let mut kept = Vec::new();
    for _ in 0..100 {
        world.drivers[FAR].receive(CONNECTION, None, 1);
        while near.socket.write_gathered(&[io::IoSlice::new(b"some")]).is_err() {}
        world.run_with(SECOND, |_, _, ended| match ended {
            Completion::Received { memory, .. } => kept.push(memory),
            other => panic!("{other:?}"),
        });
    }
}

#[test]
#[should_panic(expected = "is not registered")]
fn nothing_is_released_twice() {
    let mut world = World::new(1);
    let [near, _far] = world.connect();
    let departures = std::sync::Arc::default();
    world.drivers[NEAR].release(near.registration);
    world.drivers[NEAR].release(Registration::new(CONNECTION, &departures));
}
