use super::*;
use crate::memory::SendBatch;

/// A batch of many pieces, small and large.
fn pieces(count: usize) -> (SendBatch, Vec<u8>) {
    let mut batch = SendBatch::default();
    let mut all = Vec::new();
    for index in 0..count {
        let piece = numbered(1 + index % 5000);
        all.extend_from_slice(&piece);
        batch.ready.push_back(piece);
    }
    batch.staging.extend_from_slice(b"what is staged");
    all.extend_from_slice(b"what is staged");
    (batch, all)
}

/// Sends all of it, with as many sends as that takes.
fn send_all(rig: &mut Rig, end: &End, mut batch: SendBatch) -> usize {
    let mut sends = 0;
    while !batch.is_empty() {
        rig.driver.send(end.token, batch);
        let sent;
        (batch, sent) = rig.wait_for(|_, completion| match completion {
            Completion::Sent { token, batch, result } => {
                assert_eq!(token, end.token);
                Some((batch, result.unwrap()))
            }
            other => panic!("{other:?}"),
        });
        assert!(sent > 0);
        batch.advance(sent);
        sends += 1;
    }
    sends
}

fn read_in_the_background(mut peer: TcpStream, len: usize) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = vec![0; len];
        peer.read_exact(&mut all).unwrap();
        all
    })
}

#[test]
fn small_and_large_pieces_arrive_in_order() {
    on_every_driver(|mut rig| {
        for count in [0, 1, 3, 300, 1000] {
            let (end, peer) = rig.connection();
            let (batch, all) = pieces(count);
            assert_eq!(batch.len(), all.len());
            let peer = read_in_the_background(peer, all.len());
            send_all(&mut rig, &end, batch);
            assert!(peer.join().unwrap() == all);
        }
    });
}

#[test]
fn a_send_that_finds_no_room_completes_later() {
    on_every_driver(|mut rig| {
        let (end, peer) = rig.connection();
        let mut sent = 0;
        // Until there is no room.
        let blocked = loop {
            rig.driver.send(end.token, numbered(251 * 1000).into());
            let begun = Instant::now();
            let completed = loop {
                match any(&mut rig.driver) {
                    Some(Completion::Sent { result, .. }) => break Some(result.unwrap()),
                    Some(other) => panic!("{other:?}"),
                    None if begun.elapsed() > Duration::from_millis(100) => break None,
                    None => {
                        rig.driver.wait(Some(Duration::from_millis(20)), &mut rig.arrived).unwrap();
                    }
                }
            };
            let Some(taken) = completed else { break sent };
            sent += taken;
            assert!(sent < 100 << 20, "there is always room");
        };
        let peer = read_in_the_background(peer, blocked);
        let (batch, result) = rig.wait_for(|_, completion| match completion {
            Completion::Sent { batch, result, .. } => Some((batch, result)),
            other => panic!("{other:?}"),
        });
        assert!(result.unwrap() > 0);
        assert_eq!(batch.len(), 251 * 1000, "it comes back as it was");
        peer.join().unwrap();
    });
}

#[test]
fn a_large_body_arrives_whole() {
    on_every_driver(|mut rig| {
        let (end, peer) = rig.connection();
        let len = 8 << 20;
        let peer = read_in_the_background(peer, len);
        send_all(&mut rig, &end, numbered(len).into());
        assert!(peer.join().unwrap() == numbered(len));
    });
}

#[test]
fn a_send_to_nobody_fails() {
    on_every_driver(|mut rig| {
        let (end, peer) = rig.connection();
        socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        let mut batch = numbered(100).into();
        loop {
            rig.driver.send(end.token, batch);
            let (returned, result) = rig.wait_for(|_, completion| match completion {
                Completion::Sent { batch, result, .. } => Some((batch, result)),
                other => panic!("{other:?}"),
            });
            if result.is_err() {
                assert_eq!(returned.len(), 100);
                return;
            }
            batch = returned;
        }
    });
}

#[test]
fn both_directions_are_under_way_at_once() {
    on_every_driver(|mut rig| {
        let (end, peer) = rig.connection();
        let len = 3 << 20;
        let echo = thread::spawn(move || {
            let (mut from, mut to) = (peer.try_clone().unwrap(), peer);
            let mut left = len;
            let mut buffer = vec![0; 100_000];
            while left > 0 {
                let count = from.read(&mut buffer).unwrap();
                to.write_all(&buffer[..count]).unwrap();
                left -= count;
            }
        });
        rig.driver.send(end.token, numbered(len).into());
        rig.driver.receive(end.token, None, usize::MAX);
        let mut got = Vec::new();
        rig.wait_for(|driver, completion| {
            match completion {
                Completion::Sent { mut batch, result, .. } => {
                    batch.advance(result.unwrap());
                    if !batch.is_empty() {
                        driver.send(end.token, batch);
                    }
                }
                Completion::Received { memory, result, .. } => {
                    got.extend(bytes_of(&memory, result.unwrap()));
                    if let Some(block) = memory.into_block() {
                        driver.recycle(block);
                    }
                    if got.len() < len {
                        driver.receive(end.token, None, usize::MAX);
                    }
                }
                other => panic!("{other:?}"),
            }
            (got.len() == len).then_some(())
        });
        assert!(got == numbered(len));
        echo.join().unwrap();
    });
}
