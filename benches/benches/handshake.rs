//! CPU of each side of one version 2 handshake, without and with forward secrecy. No I/O.
#![allow(clippy::unwrap_used, reason = "a bench that fails may panic")]

use divan::Bencher;
use replink_tests::fixtures::{acceptor_config, dialer_config, fresh, supports};
use replink_transport::frame::{Flags, ReplicaId};
use replink_transport::handshake::{
    Acceptor, Availability, AwaitChallenge, AwaitFinish, ChannelBinding, DialTarget, Dialer,
};

fn main() {
    divan::main();
}

const FLAGS: [u16; 2] = [Flags::NONE.0, Flags::EPHEMERAL.0];

fn ends(flags: u16) -> (Dialer, Acceptor) {
    let flags = supports(Flags(flags));
    let mut dialer = dialer_config(0);
    dialer.flags = flags;
    let mut acceptor = acceptor_config(1);
    acceptor.flags = flags;
    (Dialer::new(dialer), Acceptor::new(acceptor))
}

fn begin(dialer: &Dialer) -> (AwaitChallenge<()>, [u8; 256]) {
    let target = DialTarget::new(ReplicaId(1));
    let (state, hello) = dialer.begin((), target, ChannelBinding::None, fresh(1)).unwrap();
    (state, *hello.bytes())
}

fn challenge(acceptor: &Acceptor, hello: &[u8; 256]) -> (AwaitFinish<()>, [u8; 256]) {
    let state = acceptor.begin((), ChannelBinding::None);
    let (state, challenge) = state.receive(hello, Availability::Open, fresh(2)).unwrap();
    (state, *challenge.bytes())
}

/// The dialer's whole side: Hello, and the answer to the challenge.
#[divan::bench(args = FLAGS)]
fn dialer(bencher: Bencher<'_, '_>, flags: u16) {
    let (dialer, acceptor) = ends(flags);
    // The fixtures' randomness is the same each time, so the challenge fits every Hello.
    let answer = challenge(&acceptor, &begin(&dialer).1).1;
    bencher.bench_local(|| begin(&dialer).0.receive(&answer).unwrap());
}

/// The acceptor's whole side: the challenge, and the check of the Finish.
#[divan::bench(args = FLAGS)]
fn acceptor(bencher: Bencher<'_, '_>, flags: u16) {
    let (dialer, acceptor) = ends(flags);
    let (state, hello) = begin(&dialer);
    let finish = *state.receive(&challenge(&acceptor, &hello).1).unwrap().1.bytes();
    bencher.bench_local(|| challenge(&acceptor, &hello).0.receive(&finish).unwrap().admit());
}

/// What an impostor with a wrong key costs the acceptor.
#[divan::bench]
fn reject_unknown_key(bencher: Bencher<'_, '_>) {
    let (dialer, acceptor) = ends(0);
    let mut hello = begin(&dialer).1;
    hello[200] ^= 1; // the key id
    bencher.bench_local(|| {
        let state = acceptor.begin((), ChannelBinding::None);
        state.receive(&hello, Availability::Open, fresh(2)).unwrap_err()
    });
}
