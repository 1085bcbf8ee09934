//! Registrations that are released, and go on elsewhere.

use bytes::Bytes;
use replink_transport::memory::SendBatch;

use super::*;

/// A third driver: another shard of the far process. And a fourth, of the near one.
const OTHER: usize = 2;

struct Moving {
    all: Bytes,
    sent: usize,
    received: Vec<u8>,
    /// Which driver has which end.
    at: [usize; 2],
    /// Whether a send is under way.
    sends: bool,
}

impl Moving {
    fn send(&mut self, world: &mut World) {
        let len = world.random.between(1, 30_000).min(self.all.len() - self.sent);
        self.sends = len > 0;
        if self.sends {
            let batch = SendBatch::from(self.all.slice(self.sent..self.sent + len));
            world.drivers[self.at[NEAR]].send(CONNECTION, batch);
        }
    }

    fn ended(&mut self, world: &mut World, index: usize, ended: Ended) {
        match ended {
            Completion::Sent { result, .. } => {
                assert_eq!(index, self.at[NEAR]);
                self.sent += result.unwrap();
                self.send(world);
            }
            Completion::Received { memory, result, .. } => {
                assert_eq!(index, self.at[FAR]);
                let bytes = take(&mut world.drivers[index], memory, result.unwrap());
                assert!(!bytes.is_empty());
                self.received.extend(bytes);
                world.receive(index, CONNECTION);
            }
            other => panic!("{other:?}"),
        }
    }

    /// The end of one side goes from its driver to the other one of its process.
    fn move_end(&mut self, world: &mut World, side: usize, held: Held) -> Held {
        let from = self.at[side];
        let to = if from == side { side + OTHER } else { side };
        let released = world.drivers[from].release(held.registration);
        if let Some((batch, result)) = released.sent {
            let sent = result.unwrap();
            assert!(side == NEAR && sent <= batch.len());
            self.sent += sent;
            self.sends = false;
        } else {
            assert!(side == FAR || !self.sends);
        }
        if let Some((memory, received)) = released.received {
            assert_eq!(side, FAR);
            // A block may go back to any driver of its process.
            self.received.extend(take(&mut world.drivers[to], memory, received));
        }
        let registration = world.drivers[to].register(CONNECTION, &held.socket).unwrap();
        self.at[side] = to;
        if side == NEAR {
            self.send(world);
        } else {
            world.receive(to, CONNECTION);
        }
        Held { registration, ..held }
    }
}

#[test]
fn a_connection_that_moves_loses_nothing_and_repeats_nothing() {
    let to_meet = ["released with operations under way", "released with bytes that had come"];
    for_seeds(150, &to_meet, |world| {
        let [near, far] = world.connect();
        for host in [NEAR, FAR] {
            let driver = SimDriver::new(&world.network, host_id(host), process_of(host));
            world.drivers.push(driver);
        }
        let all = world.random.bytes(200_000).into();
        let mut moving = Moving { all, sent: 0, received: Vec::new(), at: [NEAR, FAR], sends: false };
        moving.send(world);
        world.receive(FAR, CONNECTION);
        let mut ends = [Some(near), Some(far)];
        for _ in 0..100 {
            let nanos = world.random.below(8) as u64 * MILLISECOND / 2;
            if world.random.once_in(3) {
                // Things happen, and nobody looks.
                let until = world.network.lock().now() + nanos;
                world.network.lock().advance_to(until);
            } else {
                world.run_with(nanos, |world, index, ended| moving.ended(world, index, ended));
            }
            let side = world.random.below(2);
            let held = ends[side].take().unwrap();
            ends[side] = Some(moving.move_end(world, side, held));
        }
        world.run_with(1_000 * SECOND, |world, index, ended| moving.ended(world, index, ended));
        assert!(moving.received == moving.all, "other bytes, or {} only", moving.received.len());
    });
}

#[test]
fn a_release_without_anything_under_way_gives_nothing() {
    for_seeds(5, &[], |world| {
        let [near, far] = world.connect();
        let released = world.drivers[NEAR].release(near.registration);
        assert!(released.received.is_none() && released.sent.is_none());
        let _again = world.drivers[NEAR].register(Token(77), &near.socket).unwrap();
        drop(far);
    });
}

#[test]
fn an_attempt_or_a_listener_that_is_released_is_given_up() {
    for_seeds(20, &[], |world| {
        let (_listener, listening) = world.listen(5);
        let connecting = world.drivers[NEAR].connect(Token(7), far(), None).unwrap();
        for (index, registration) in [(NEAR, connecting), (FAR, listening)] {
            let released = world.drivers[index].release(registration);
            assert!(released.received.is_none() && released.sent.is_none());
        }
        assert!(world.run(SECOND).is_empty());
    });
}
