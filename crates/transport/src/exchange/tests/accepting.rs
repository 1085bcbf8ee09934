//! The acceptor.

use super::*;
use crate::exchange::{AcceptFailure, Declined, Step, StreamError};
use replink_handshake::{Availability, Rejection};

fn accept(acceptor: &Endpoint, now: Instant) -> Accepting<Number> {
    Accepting::new(2, acceptor, ChannelBinding::None, now + TIME)
}

/// An acceptor whose challenge is out, and its dialer.
fn challenged(dialer: &Endpoint, acceptor: &Endpoint, now: Instant) -> (Dialing<Number>, Accepting<Number>) {
    let mut dialing = dial(dialer, 1, now);
    let hello = hello(&mut dialing, now);
    let mut accepting = accept(acceptor, now);
    feed(&mut accepting, &hello, 256, now);
    accepting.answer(Availability::Open, fresh(2), now);
    let challenge = written(&mut accepting, now);
    feed(&mut dialing, &challenge, 256, now);
    (dialing, accepting)
}

fn failed(mut accepting: Accepting<Number>) -> AcceptFailure {
    assert!(matches!(accepting.want(), Want::Done));
    assert_eq!(accepting.take_given_up(), Some(2), "to be closed");
    match accepting.finish() {
        Accepted::Failed(failure) => failure,
        accepted => panic!("{accepted:?}"),
    }
}

fn rejection(accepting: Accepting<Number>) -> Rejection {
    match accepting.finish() {
        Accepted::Rejected(leaving) => leaving.finish(),
        accepted => panic!("{accepted:?}"),
    }
}

#[test]
fn whether_there_is_room_is_asked_when_the_hello_is_there() {
    let now = Instant::now();
    let hello = hello(&mut dial(&endpoint(DIALER), 1, now), now);
    for (availability, status) in [
        (Availability::Busy { retry_after_ms: 250 }, Status::BUSY),
        (Availability::Draining { retry_after_ms: 250 }, Status::DRAINING),
    ] {
        let mut accepting = accept(&endpoint(ACCEPTOR), now);
        feed(&mut accepting, &hello[..255], 256, now);
        assert!(matches!(accepting.want(), Want::Read { link: 2, at_most: 1 }));
        feed(&mut accepting, &hello[255..], 256, now);
        assert!(matches!(accepting.want(), Want::Answer));
        accepting.answer(availability, fresh(2), now);
        assert!(matches!(accepting.want(), Want::Done));
        let rejection = rejection(accepting);
        assert_eq!((rejection.status, rejection.authenticated), (status, true));
    }
}

#[test]
fn each_fault_of_a_hello_is_answered() {
    let now = Instant::now();
    let hello = hello(&mut dial(&endpoint(DIALER), 1, now), now);
    let changed = |offset: usize, byte: u8| {
        let mut hello = hello.clone();
        hello[offset] = byte;
        hello
    };
    for (frame, status) in [
        (changed(60, 99), Status::UNKNOWN_COMMAND),
        (changed(49, 99), Status::MALFORMED_FRAME),
        (changed(193, 9), Status::UNSUPPORTED_VERSION),
        (changed(32, hello[32] ^ 1), Status::CLUSTER_MISMATCH),
        (changed(61, ACCEPTOR), Status::DIRECTIONAL_RULE),
        (changed(200, hello[200] ^ 1), Status::UNKNOWN_KEY),
        (vec![b'G'; 256], Status::UNKNOWN_COMMAND),
    ] {
        let mut accepting = accept(&endpoint(ACCEPTOR), now);
        feed(&mut accepting, &frame, 256, now);
        accepting.answer(Availability::Open, fresh(2), now);
        assert_eq!(rejection(accepting).status, status);
    }
    // H-12: both learn of a mismatch.
    let mut accepting = accept(&disabled(ACCEPTOR), now);
    feed(&mut accepting, &hello, 256, now);
    assert_eq!(rejection(accepting).status, Status::POLICY_MISMATCH);
    let unproved = super::hello(&mut dial(&disabled(DIALER), 1, now), now);
    let mut accepting = accept(&endpoint(ACCEPTOR), now);
    feed(&mut accepting, &unproved, 256, now);
    accepting.answer(Availability::Open, fresh(2), now);
    assert_eq!(rejection(accepting).status, Status::AUTH_REQUIRED);
}

#[test]
fn a_proved_peer_is_admitted_or_refused() {
    let now = Instant::now();
    let (mut dialing, mut accepting) = challenged(&endpoint(DIALER), &endpoint(ACCEPTOR), now);
    let finish = written(&mut dialing, now);
    feed(&mut accepting, &finish, 256, now);
    assert!(matches!(accepting.want(), Want::Done));
    let Accepted::Proved(verified) = accepting.finish() else { panic!("no proof") };
    assert_eq!(verified.peer().replica, ReplicaId(DIALER));
    let refused = verified.refuse(Status::DUPLICATE_REPLICA, 0);
    let mut leaving = super::super::Leaving::new(refused, now + TIME, now);
    assert_eq!(leaving.rejection().status, Status::DUPLICATE_REPLICA);
    let reject = written(&mut leaving, now);
    // H-9: the dialer, which is up, reads it first.
    let (_, session) = dialing.finish().unwrap().into_parts();
    let reject = session.split().0.control().late_reject(&reject.try_into().unwrap()).unwrap();
    assert_eq!((reject.status, reject.authenticated), (Status::DUPLICATE_REPLICA, true));
}

#[test]
fn a_finish_that_proves_nothing_is_rejected() {
    let now = Instant::now();
    let (mut dialing, mut accepting) = challenged(&endpoint(DIALER), &endpoint(ACCEPTOR), now);
    let mut finish = written(&mut dialing, now);
    finish[160] ^= 1;
    feed(&mut accepting, &finish, 256, now);
    let rejection = rejection(accepting);
    assert_eq!((rejection.status, rejection.authenticated), (Status::MAC_MISMATCH, true));
}

#[test]
fn a_peer_that_leaves_without_a_word_is_told_of_where_something_was_declined() {
    let now = Instant::now();
    let ends = || challenged(&with_flags(DIALER, OPTIONAL), &with_flags(ACCEPTOR, OFF), now).1;
    let mut accepting = ends();
    accepting.received(&[], now);
    let AcceptFailure::Left(left) = failed(accepting) else { panic!("it left") };
    assert_eq!(left, Declined { claimed: ReplicaId(DIALER), flags: Flags::SEALED });
    assert!(left.to_string().contains("most likely policy_mismatch"), "{left}");
    // Otherwise it is a broken stream: in the middle of a frame, by a reset, or with nothing declined.
    let mut accepting = ends();
    accepting.received(&[0], now);
    accepting.received(&[], now);
    assert!(matches!(failed(accepting), AcceptFailure::Stream(StreamError::Closed { received: 1, .. })));
    let mut accepting = ends();
    accepting.failed(reset(), now);
    assert!(matches!(failed(accepting), AcceptFailure::Stream(StreamError::Io { step: Step::Finish, .. })));
    let (_, mut accepting) = challenged(&endpoint(DIALER), &endpoint(ACCEPTOR), now);
    accepting.received(&[], now);
    assert!(matches!(failed(accepting), AcceptFailure::Stream(StreamError::Closed { received: 0, .. })));
}

#[test]
fn a_broken_stream_is_told_of_with_its_step_and_bytes() {
    let now = Instant::now();
    for received in [0, 1, 255] {
        let begun = || {
            let mut accepting = accept(&endpoint(ACCEPTOR), now);
            if received > 0 {
                accepting.received(&vec![0; received], now);
            }
            accepting
        };
        let mut accepting = begun();
        accepting.received(&[], now);
        assert!(
            matches!(failed(accepting), AcceptFailure::Stream(StreamError::Closed { step: Step::Hello, received: found })
            if found == received)
        );
        let mut accepting = begun();
        accepting.timed_out(now + TIME);
        assert!(
            matches!(failed(accepting), AcceptFailure::Stream(StreamError::TimedOut { step: Step::Hello, received: found })
            if found == received)
        );
        assert!(matches!(
            begun().finish(),
            Accepted::Failed(AcceptFailure::Stream(StreamError::TimedOut { .. }))
        ));
    }
    let hello = hello(&mut dial(&endpoint(DIALER), 1, now), now);
    let begun = || {
        let mut accepting = accept(&endpoint(ACCEPTOR), now);
        feed(&mut accepting, &hello, 256, now);
        accepting
    };
    let mut accepting = begun();
    accepting.timed_out(now + TIME); // nobody answered in time
    assert!(matches!(
        failed(accepting),
        AcceptFailure::Stream(StreamError::TimedOut { step: Step::Hello, received: 256 })
    ));
    for broken in 0..3 {
        let mut accepting = begun();
        accepting.answer(Availability::Open, fresh(2), now);
        accepting.written(100, now);
        match broken {
            0 => accepting.timed_out(now + TIME),
            1 => accepting.failed(reset(), now),
            _ => accepting.written(0, now),
        }
        let step = match failed(accepting) {
            AcceptFailure::Stream(StreamError::NotTaken { step }) if broken == 0 => step,
            AcceptFailure::Stream(StreamError::Io { step, .. }) if broken > 0 => step,
            failure => panic!("{failure}"),
        };
        assert_eq!(step, Step::Challenge);
    }
}

#[test]
fn a_peer_that_drips_is_cut_by_the_one_deadline() {
    let now = Instant::now();
    let mut accepting = accept(&endpoint(ACCEPTOR), now);
    accepting.received(&[0], just_before(now + TIME));
    assert!(matches!(accepting.want(), Want::Read { .. }));
    accepting.received(&[0], now + TIME);
    assert!(matches!(failed(accepting), AcceptFailure::Stream(StreamError::TimedOut { received: 2, .. })));
    // The time that the Hello took is not given back to the Finish.
    let (_, accepting) = challenged(&endpoint(DIALER), &endpoint(ACCEPTOR), now);
    assert_eq!(accepting.until(), now + TIME);
}
