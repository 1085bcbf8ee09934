//! Measures whether a comparison tells where two MACs differ: the first byte of what comes is wrong on
//! the left, the last one on the right, and Welch's t-test tells the two distributions apart if they
//! are. `just timing` runs it; docs/security.md says what came out and how to read it.

use std::cell::{Cell, RefCell};
use std::hint::black_box;

use dudect_bencher::rand::RngExt;
use dudect_bencher::{BenchRng, Class, CtRunner, ctbench_main};
use replink_frame::{ControlFrame, GenericHeader, ReplicaId, Version};
use replink_handshake::{
    Nonce, RECORD_TAG_LEN, Roster, TICKET_LEN, TicketBinding, TicketIssuer, TicketRedeemer, TicketTerms,
};
use replink_tests::fixtures::{SECRET, Sides, local, ring};
use replink_tests::frames::{Ends, LinkKind, ROOMY, plain};
use replink_transport::{Inbound, Outbound};

/// Measurements of one round.
const SAMPLES: usize = 100_000;

/// A class, and the byte of `len` that is wrong in it.
fn draw(rng: &mut BenchRng, len: usize) -> (Class, usize) {
    if rng.random::<bool>() { (Class::Left, 0) } else { (Class::Right, len - 1) }
}

/// Not constant time: what the measurement has to find, else the others say nothing.
fn leaky_comparison(runner: &mut CtRunner, rng: &mut BenchRng) {
    let secret: [u8; 32] = rng.random();
    for _ in 0..SAMPLES {
        let (class, wrong) = draw(rng, 32);
        let mut guess = secret;
        guess[wrong] ^= 1;
        runner.run_one(class, || {
            black_box(&secret).iter().zip(black_box(&guess)).all(|(ours, theirs)| black_box(ours == theirs))
        });
    }
}

/// H-3: the acceptor looks at the dialer's MAC.
fn mac_of_finish(version: Version, runner: &mut CtRunner, rng: &mut BenchRng) {
    let sides = Sides::new(version);
    let (waiting, hello) = sides.dial();
    let (_, challenge) = sides.answer(hello.bytes()).unwrap();
    let (_, finish) = waiting.receive(challenge.bytes()).unwrap();
    for _ in 0..SAMPLES {
        let (class, wrong) = draw(rng, 32);
        let mut finish = finish;
        finish.fields_mut().mac[wrong] ^= 1;
        let state = Cell::new(Some(sides.answer(hello.bytes()).unwrap().0));
        runner.run_one(class, || state.take().unwrap().receive(finish.bytes()).is_ok());
    }
}

fn mac_of_finish_v1(runner: &mut CtRunner, rng: &mut BenchRng) {
    mac_of_finish(Version::V1, runner, rng);
}

fn mac_of_finish_v2(runner: &mut CtRunner, rng: &mut BenchRng) {
    mac_of_finish(Version::V2, runner, rng);
}

/// H-3: the dialer looks at the acceptor's MAC.
fn mac_of_challenge(runner: &mut CtRunner, rng: &mut BenchRng) {
    let sides = Sides::new(Version::V2);
    let (_, hello) = sides.dial();
    let (_, challenge) = sides.answer(hello.bytes()).unwrap();
    for _ in 0..SAMPLES {
        let (class, wrong) = draw(rng, 32);
        let mut challenge = challenge;
        challenge.fields_mut().mac[wrong] ^= 1;
        let state = Cell::new(Some(sides.dial().0));
        runner.run_one(class, || state.take().unwrap().receive(challenge.bytes()).is_ok());
    }
}

/// Section 4.
fn mac_of_control_frame(runner: &mut CtRunner, rng: &mut BenchRng) {
    let Ends { mut dialer, acceptor } = Ends::new(LinkKind::V2);
    let ping: ControlFrame = dialer.1.control_mut().ping().unwrap().1;
    let receiving = RefCell::new(acceptor.0);
    for _ in 0..SAMPLES {
        let (class, wrong) = draw(rng, 32);
        let mut ping = ping;
        ping.fields_mut().mac[wrong] ^= 1;
        let header: &GenericHeader = ping.header();
        runner.run_one(class, || receiving.borrow_mut().control_mut().open_control(header).is_ok());
    }
}

/// Section 5: a record as it comes off the wire. Each ends its direction, so each has a link of its own.
fn tag_of_record(runner: &mut CtRunner, rng: &mut BenchRng) {
    let mut outbound = Outbound::new(Ends::new(LinkKind::Sealed).dialer.1, ROOMY);
    let (header, body) = plain(0, 0);
    outbound.push(&header, body).unwrap();
    let mut slices = [std::io::IoSlice::new(&[]); 1];
    assert_eq!(outbound.slices(&mut slices), 1);
    let sent = slices[0].to_vec();
    for _ in 0..SAMPLES / 5 {
        let (class, wrong) = draw(rng, RECORD_TAG_LEN);
        let mut bytes = sent.clone();
        let tag = bytes.len() - RECORD_TAG_LEN;
        bytes[tag + wrong] ^= 1;
        let mut inbound = Inbound::new(Ends::new(LinkKind::Sealed).acceptor.0, 1024);
        assert_eq!(inbound.push(&bytes), bytes.len());
        let inbound = RefCell::new(inbound);
        runner.run_one(class, || inbound.borrow_mut().find().is_err());
    }
}

/// `docs/hand-off.md`.
fn mac_of_ticket(runner: &mut CtRunner, rng: &mut BenchRng) {
    let nonce = [7; 32];
    let binding = TicketBinding { socket: b"socket", payload: &[b"payload"] };
    let mut issuer = TicketIssuer::new(nonce);
    let ring = ring(&[SECRET]);
    let ticket = issuer.issue(Ends::new(LinkKind::V2).dialer, &local(0), &ring, &binding).unwrap();
    let roster: Roster = (0..3).map(ReplicaId).collect();
    let terms = TicketTerms::new(local(0), ring, roster);
    for _ in 0..SAMPLES {
        let (class, wrong) = draw(rng, 32);
        let mut bytes = ticket.bytes().to_vec();
        bytes[TICKET_LEN - 32 + wrong] ^= 1;
        let redemption = Cell::new(Some(TicketRedeemer::new(Nonce::new(nonce).unwrap()).advance()));
        runner.run_one(class, || redemption.take().unwrap().redeem(&bytes, &terms, &binding).is_ok());
    }
}

ctbench_main!(
    leaky_comparison,
    mac_of_finish_v1,
    mac_of_finish_v2,
    mac_of_challenge,
    mac_of_control_frame,
    tag_of_record,
    mac_of_ticket
);
