use bytes::Bytes;
use replink_transport::GatherWrite;
use replink_transport::driver::Socket;
use replink_transport::memory::SendBatch;
use std::io::IoSlice;

use super::*;

/// Sends from the near end, receives at the far one, and compares.
struct Transfer {
    all: Bytes,
    /// How much has been given to a driver or written directly.
    sent: usize,
    received: Vec<u8>,
    /// How either direction has ended.
    far_end: Option<io::Result<usize>>,
    near_end: Option<io::Error>,
}

impl Transfer {
    fn new(random: &mut Random) -> Self {
        let len = random.pick(&[1, 5_000, 300_000]);
        let all = random.bytes(len).into();
        Self { all, sent: 0, received: Vec::new(), far_end: None, near_end: None }
    }

    /// Sends what comes next, by an operation or directly; behind the last byte comes the end.
    fn send(&mut self, world: &mut World, socket: &SimSocket) {
        while self.sent < self.all.len() {
            let longest = world.random.pick(&[100, 5_000, 200_000]);
            let len = world.random.between(1, longest).min(self.all.len() - self.sent);
            let next = self.all.slice(self.sent..self.sent + len);
            if world.random.once_in(2) {
                return world.drivers[NEAR].send(CONNECTION, SendBatch::from(next));
            }
            let middle = len / 2;
            match socket.write_gathered(&[IoSlice::new(&next[..middle]), IoSlice::new(&next[middle..])]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return world.drivers[NEAR].send(CONNECTION, SendBatch::from(next));
                }
                Err(error) => {
                    self.near_end = Some(error);
                    return;
                }
            }
        }
        socket.finish();
    }

    fn ended(&mut self, world: &mut World, index: usize, ended: Ended, socket: &SimSocket) {
        match ended {
            Completion::Sent { token: CONNECTION, batch, result } => {
                assert_eq!(index, NEAR);
                let len = batch.len();
                match result {
                    Ok(sent) => {
                        assert!((1..=len).contains(&sent));
                        self.sent += sent;
                        self.send(world, socket);
                    }
                    Err(error) => self.near_end = Some(error),
                }
            }
            Completion::Received { token: CONNECTION, memory, result } => {
                assert_eq!(index, FAR);
                let received = *result.as_ref().unwrap_or(&0);
                self.received.extend(take(&mut world.drivers[FAR], memory, received));
                if received > 0 {
                    world.receive(FAR, CONNECTION);
                } else {
                    self.far_end = Some(result);
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn begin(&mut self, world: &mut World, socket: &SimSocket) {
        world.receive(FAR, CONNECTION);
        self.send(world, socket);
    }

    fn run(&mut self, world: &mut World, socket: &SimSocket, nanos: u64) {
        world.run_with(nanos, |world, index, ended| self.ended(world, index, ended, socket));
    }
}

#[test]
fn all_bytes_arrive_in_order_and_the_end_behind_them() {
    let to_meet = [
        "batch taken in part",
        "block provided",
        "completion comes late",
        "operation carried out late",
        "received when asked",
        "received less than there was room for",
        "short read",
        "short write",
        "woken for nothing",
        "write is interrupted",
        "write would block",
    ];
    for_seeds(150, &to_meet, |world| {
        let [near, _far] = world.connect();
        let mut transfer = Transfer::new(&mut world.random);
        transfer.begin(world, &near.socket);
        transfer.run(world, &near.socket, 100 * SECOND);
        assert!(transfer.received == transfer.all, "other bytes, or {} only", transfer.received.len());
        assert!(matches!(transfer.far_end, Some(Ok(0))), "{:?}", transfer.far_end);
        assert!(transfer.near_end.is_none());
    });
}

#[test]
fn connections_are_not_mixed_up() {
    const COUNT: usize = 6;
    for_seeds(40, &["completion out of order"], |world| {
        let mut ends = Vec::new();
        let (mut all, mut received) = (Vec::new(), vec![Vec::new(); COUNT]);
        for number in 0..COUNT {
            let [near, far] = world.connect();
            // Out of the way of the next one.
            let token = Token(100 + number as u64);
            for (index, held) in [near, far].into_iter().enumerate() {
                world.drivers[index].release(held.registration);
                let registration = world.drivers[index].register(token, &held.socket).unwrap();
                ends.push((registration, held.socket));
            }
            all.push(Bytes::from(world.random.bytes(20_000)));
        }
        for (token, bytes) in (100..).map(Token).zip(&all) {
            world.drivers[NEAR].send(token, bytes.clone().into());
            world.receive(FAR, token);
        }
        let number = |token: Token| usize::try_from(token.0 - 100).unwrap();
        world.run_with(100 * SECOND, |world, index, ended| match ended {
            Completion::Sent { token, mut batch, result } => {
                batch.advance(result.unwrap());
                if !batch.is_empty() {
                    world.drivers[index].send(token, batch);
                }
            }
            Completion::Received { token, memory, result } => {
                let bytes = take(&mut world.drivers[index], memory, result.unwrap());
                received[number(token)].extend(bytes);
                world.receive(index, token);
            }
            other => panic!("{other:?}"),
        });
        assert!(received == all, "bytes of others");
    });
}

#[test]
fn spikes_and_partitions_change_nothing_but_the_time() {
    for_seeds(50, &[], |world| {
        let [near, _far] = world.connect();
        let mut transfer = Transfer::new(&mut world.random);
        transfer.begin(world, &near.socket);
        for _ in 0..20 {
            let (calm, pair) =
                (world.network.lock().weather.delay, (world.random.below(2), world.random.below(2)));
            match world.random.below(3) {
                0 => world.network.lock().weather.delay = (10 * MILLISECOND, 400 * MILLISECOND),
                _ => {
                    world.network.lock().weather.blocked.insert((host_id(pair.0), host_id(pair.1)));
                }
            }
            let nanos = world.random.below(500) as u64 * MILLISECOND;
            transfer.run(world, &near.socket, nanos);
            let mut state = world.network.lock();
            state.weather.delay = calm;
            state.weather.blocked.clear();
            drop(state);
            transfer.run(world, &near.socket, 2 * MILLISECOND);
        }
        transfer.run(world, &near.socket, 1_000 * SECOND);
        assert!(transfer.received == transfer.all && transfer.far_end.is_some());
    });
}

#[test]
fn a_reset_ends_what_is_under_way_at_both_ends() {
    for_seeds(100, &[], |world| {
        let [near, far] = world.connect();
        let mut transfer =
            Transfer { all: world.random.bytes(3_000_000).into(), ..Transfer::new(&mut world.random) };
        transfer.begin(world, &near.socket);
        let nanos = world.random.below(50) as u64 * MILLISECOND;
        transfer.run(world, &near.socket, nanos);
        world.network.lock().cut(far.socket.end().connection);
        transfer.run(world, &near.socket, SECOND);
        assert!(transfer.all.starts_with(&transfer.received));
        let reset = Some(io::ErrorKind::ConnectionReset);
        if transfer.received.len() < transfer.all.len() {
            assert_eq!(transfer.far_end.as_ref().and_then(kind_of), reset);
        }
        if transfer.sent < transfer.all.len() {
            assert_eq!(transfer.near_end.map(|error| error.kind()), reset);
        }
    });
}

#[test]
fn a_shutdown_ends_what_is_under_way_here_and_there() {
    for_seeds(50, &[], |world| {
        let [near, far] = world.connect();
        for (index, _) in [&near, &far].into_iter().enumerate() {
            world.receive(index, CONNECTION);
        }
        assert!(world.run(SECOND).is_empty());
        near.socket.shutdown();
        let mut ends = [None, None];
        for (index, ended) in world.run(SECOND) {
            let Completion::Received { memory, result, .. } = ended else { panic!("{ended:?}") };
            take(&mut world.drivers[index], memory, *result.as_ref().unwrap_or(&0));
            ends[index] = Some(result);
        }
        assert!(matches!(ends[NEAR], Some(Ok(0))) && !matches!(ends[FAR], None | Some(Ok(1..))), "{ends:?}");
        world.drivers[NEAR].send(CONNECTION, Bytes::from_static(b"too late").into());
        let Some((NEAR, Completion::Sent { batch, result, .. })) = world.run(SECOND).pop() else {
            panic!("the send goes on");
        };
        assert!(batch.len() == 8 && result.is_err());
    });
}

#[test]
fn what_has_come_and_was_not_taken_shows_that_the_peer_is_alive() {
    for_seeds(50, &[], |world| {
        let [near, _far] = world.connect();
        world.drivers[FAR].receive(CONNECTION, None, 10);
        let mut arrived = Vec::new();
        world.drivers[FAR].wait(None, &mut arrived).unwrap();
        assert!(arrived.is_empty());
        world.drivers[NEAR].send(CONNECTION, Bytes::from_static(b"here").into());
        let sees = |world: &mut World, arrived: &mut Vec<Token>| {
            world.drivers[NEAR].wait(None, &mut Vec::new()).unwrap();
            let until = world.network.lock().now() + 100 * MILLISECOND;
            world.network.lock().advance_to(until);
            world.drivers[FAR].wait(None, arrived).unwrap();
        };
        sees(world, &mut arrived);
        sees(world, &mut arrived);
        assert!(arrived.contains(&CONNECTION));
        let Some((FAR, Completion::Received { memory, result, .. })) =
            world.run(SECOND).into_iter().find(|(index, _)| *index == FAR)
        else {
            panic!("nothing was received");
        };
        assert_eq!(take(&mut world.drivers[FAR], memory, result.unwrap()).first(), Some(&b'h'));
        arrived.clear();
        world.drivers[FAR].wait(None, &mut arrived).unwrap();
        assert!(arrived.is_empty(), "it was taken");
        drop(near);
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut world = World::new(seed);
        let [near, _far] = world.connect();
        let mut transfer = Transfer::new(&mut world.random);
        transfer.begin(&mut world, &near.socket);
        transfer.run(&mut world, &near.socket, 20 * SECOND);
        let state = world.network.lock();
        (state.trace.hash(), state.trace.coverage().clone(), transfer.received.len())
    };
    let runs: Vec<_> = (0..10).map(run).collect();
    assert_eq!(runs, (0..10).map(run).collect::<Vec<_>>());
    assert!(runs.windows(2).all(|two| two[0].0 != two[1].0));
}

#[test]
fn a_waker_ends_a_wait_and_a_driver_says_when_it_is_busy() {
    for_seeds(20, &[], |world| {
        let id = world.drivers[NEAR].id();
        world.run(SECOND);
        assert!(!world.drivers[NEAR].is_busy() && !world.network.lock().is_due(id));
        let waker = world.drivers[NEAR].waker();
        std::thread::spawn(move || waker()).join().unwrap();
        assert!(!world.drivers[NEAR].is_busy() && world.network.lock().is_due(id));
        world.drivers[NEAR].wait(None, &mut Vec::new()).unwrap();
        let waker = world.drivers[NEAR].waker();
        world.drivers.clear();
        waker();
    });
}
