//! One side of a handshake of version 2 without forward secrecy, and the MAC of one of its frames.

use std::hint::black_box;

use replink_tests::fixtures::{acceptor_config, dialer_config, fresh};
use replink_tests::frames::late_reject;
use replink_transport::frame::{ReplicaId, Status, Version};
use replink_transport::handshake::{
    Acceptor, Availability, AwaitChallenge, AwaitFinish, ChannelBinding, DialTarget, Dialer,
};

/// A late reject is little more than a frame with a MAC over two.
pub(crate) fn mac(times: usize) {
    let (receiving, frame) = late_reject(Version::V2, Status::BUSY);
    for _ in 0..times {
        let reject = receiving.control().late_reject(black_box(&frame)).unwrap();
        assert!(reject.authenticated);
    }
}

/// Hello, and the answer to the challenge.
pub(crate) fn dialer(times: usize) {
    let (dialer, acceptor) = ends();
    // The randomness is the same each time, so the challenge fits every Hello.
    let challenge = challenge(&acceptor, &hello(&dialer).1).1;
    for _ in 0..times {
        black_box(hello(black_box(&dialer)).0.receive(black_box(&challenge)).unwrap());
    }
}

/// The challenge, and the check of the Finish.
pub(crate) fn acceptor(times: usize) {
    let (dialer, acceptor) = ends();
    let (waiting, hello) = hello(&dialer);
    let finish = *waiting.receive(&challenge(&acceptor, &hello).1).unwrap().1.bytes();
    for _ in 0..times {
        let waiting = challenge(black_box(&acceptor), black_box(&hello)).0;
        black_box(waiting.receive(black_box(&finish)).unwrap().admit());
    }
}

fn ends() -> (Dialer, Acceptor) {
    (Dialer::new(dialer_config(0)), Acceptor::new(acceptor_config(2)))
}

fn hello(dialer: &Dialer) -> (AwaitChallenge<()>, [u8; 256]) {
    let target = DialTarget::new(ReplicaId(2));
    let (waiting, hello) = dialer.begin((), target, ChannelBinding::None, fresh(1)).unwrap();
    (waiting, *hello.bytes())
}

fn challenge(acceptor: &Acceptor, hello: &[u8; 256]) -> (AwaitFinish<()>, [u8; 256]) {
    let waiting = acceptor.begin((), ChannelBinding::None);
    let (waiting, challenge) = waiting.receive(hello, Availability::Open, fresh(2)).unwrap();
    (waiting, *challenge.bytes())
}
