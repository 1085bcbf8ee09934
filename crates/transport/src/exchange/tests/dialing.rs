//! The dialer, once somebody answers.

use super::*;
use crate::exchange::{Step, StreamError};
use replink_handshake::{Availability, DialError};

fn rejected(failure: &DialFailure) -> Option<(Status, bool)> {
    match failure {
        DialFailure::Handshake(DialError::Rejected(reject)) => Some((reject.status, reject.authenticated)),
        _ => None,
    }
}

#[test]
fn a_proved_peer_that_does_not_suit_is_told_and_nobody_else_is_asked() {
    // D-12
    let now = Instant::now();
    let (dialer, acceptor) = (with_flags(DIALER, REQUIRED), with_flags(ACCEPTOR, OFF));
    let refuse = || {
        let mut dialing = dial(&dialer, 2, now);
        let hello = hello(&mut dialing, now);
        let mut accepting = Accepting::new(2, &acceptor, ChannelBinding::None, now + TIME);
        feed(&mut accepting, &hello, 256, now);
        accepting.answer(Availability::Open, fresh(2), now);
        let challenge = written(&mut accepting, now);
        feed(&mut dialing, &challenge, 256, now);
        assert_eq!(dialing.until(), now + TIME, "a proved peer has all of the time");
        (dialing, accepting)
    };
    let (mut dialing, mut accepting) = refuse();
    let reject = written(&mut dialing, now);
    assert_eq!(dialing.take_given_up(), Some(1));
    assert!(matches!(dialing.want(), Want::Done));
    assert!(matches!(failure(dialing), DialFailure::Handshake(DialError::Policy { .. })));
    feed(&mut accepting, &reject, 256, now);
    assert_eq!(accepting.take_given_up(), Some(2));
    assert!(
        matches!(accepting.finish(), Accepted::Failed(crate::exchange::AcceptFailure::RejectedByPeer(reject))
        if reject.status == Status::POLICY_MISMATCH && reject.authenticated)
    );

    // Whether the peer takes it is its own affair.
    for broken in 0..3 {
        let (mut dialing, _) = refuse();
        match broken {
            0 => dialing.failed(reset(), now),
            1 => dialing.timed_out(now + TIME),
            _ => dialing.written(0, now),
        }
        assert!(matches!(dialing.want(), Want::Done));
        assert_eq!(dialing.take_given_up(), Some(1));
        assert!(matches!(failure(dialing), DialFailure::Handshake(DialError::Policy { .. })));
    }
}

#[test]
fn a_proved_reject_ends_it_whatever_its_status() {
    let now = Instant::now();
    let acceptors: [(Status, EndpointSettings, Availability); 5] = [
        (Status::BUSY, settings(ACCEPTOR, &[KEY]), Availability::Busy { retry_after_ms: 250 }),
        (Status::DRAINING, settings(ACCEPTOR, &[KEY]), Availability::Draining { retry_after_ms: 250 }),
        (
            Status::NOT_ALLOWED,
            EndpointSettings {
                roster: [ReplicaId(ACCEPTOR)].into_iter().collect(),
                ..settings(ACCEPTOR, &[KEY])
            },
            Availability::Open,
        ),
        (
            Status::RELEASE_MISMATCH,
            EndpointSettings { releases: 5..=9, ..settings(ACCEPTOR, &[KEY]) },
            Availability::Open,
        ),
        (
            Status::POLICY_MISMATCH,
            EndpointSettings { flags: REQUIRED, ..settings(ACCEPTOR, &[KEY]) },
            Availability::Open,
        ),
    ];
    for (status, settings, availability) in acceptors {
        let acceptor = Endpoint::new(settings).unwrap();
        let mut dialing = dial(&endpoint(DIALER), 2, now);
        let hello = hello(&mut dialing, now);
        let reject = answer(&acceptor, availability, &hello, now);
        feed(&mut dialing, &reject, 256, now);
        assert!(matches!(dialing.want(), Want::Done), "{status}");
        assert_eq!((dialing.take_given_up(), dialing.address()), (Some(1), Some(address(1))));
        assert_eq!(rejected(&failure(dialing)), Some((status, true)));
    }
}

#[test]
fn a_finish_that_does_not_go_out_is_not_tried_elsewhere() {
    let now = Instant::now();
    let finishing = || {
        let mut dialing = dial(&endpoint(DIALER), 2, now);
        let hello = hello(&mut dialing, now);
        let challenge = answer(&endpoint(ACCEPTOR), Availability::Open, &hello, now);
        feed(&mut dialing, &challenge, 256, now);
        dialing.timed_out(now + TIME / 2); // the share of an address without a proof
        assert!(matches!(dialing.want(), Want::Write { link: 1, .. }));
        dialing.written(100, now);
        dialing
    };
    let mut dialing = finishing();
    dialing.failed(reset(), now);
    assert!(matches!(dialing.want(), Want::Done));
    assert!(matches!(failure(dialing), DialFailure::Stream(StreamError::Io { step: Step::Finish, .. })));
    let mut dialing = finishing();
    dialing.timed_out(now + TIME);
    assert_eq!(dialing.take_given_up(), Some(1));
    assert!(matches!(failure(dialing), DialFailure::Stream(StreamError::NotTaken { step: Step::Finish })));
}

#[test]
fn unknown_keys_are_tried_in_order_over_new_connections_to_the_same_address() {
    // K-2
    let now = Instant::now();
    let dialer = Endpoint::new(settings(DIALER, &[1, 2, KEY])).unwrap();
    let mut dialing = dial(&dialer, 2, now);
    for connection in [11, 12] {
        assert_eq!(connects_to(&mut dialing), Some(address(1)));
        dialing.connected(connection, ChannelBinding::None, fresh(1), now);
        let hello = written(&mut dialing, now);
        let reject = answer(&endpoint(ACCEPTOR), Availability::Open, &hello, now);
        feed(&mut dialing, &reject, 256, now);
        assert_eq!(dialing.take_given_up(), Some(connection));
        assert_eq!(dialing.until(), now + TIME / 2, "the keys share the time of their address");
    }
    assert_eq!(connects_to(&mut dialing), Some(address(1)));
    comes_up(&mut dialing, &endpoint(ACCEPTOR), now);
    assert_eq!(dialing.address(), Some(address(1)));
    assert!(dialing.finish().is_ok());
}

#[test]
fn where_no_key_is_known_the_next_address_begins_with_the_first() {
    let now = Instant::now();
    let dialer = Endpoint::new(settings(DIALER, &[KEY, 1])).unwrap();
    let stranger = Endpoint::new(settings(ACCEPTOR, &[99])).unwrap();
    let mut dialing = dial(&dialer, 2, now);
    for _ in 0..2 {
        assert_eq!(connects_to(&mut dialing), Some(address(1)));
        let hello = hello(&mut dialing, now);
        let reject = answer(&stranger, Availability::Open, &hello, now);
        feed(&mut dialing, &reject, 256, now);
    }
    assert_eq!(connects_to(&mut dialing), Some(address(2)));
    comes_up(&mut dialing, &endpoint(ACCEPTOR), now);

    // With none that fits anywhere, that is the answer.
    let mut dialing = dial(&dialer, 1, now);
    for _ in 0..2 {
        let hello = hello(&mut dialing, now);
        let reject = answer(&stranger, Availability::Open, &hello, now);
        feed(&mut dialing, &reject, 256, now);
    }
    assert!(matches!(dialing.want(), Want::Done));
    assert_eq!(rejected(&failure(dialing)), Some((Status::UNKNOWN_KEY, false)));
}

#[test]
fn our_own_mistakes_are_made_once() {
    let now = Instant::now();
    for dialer in [endpoint(ACCEPTOR), disabled(ACCEPTOR)] {
        let mut dialing = dial(&dialer, 3, now);
        dialing.connected(1, ChannelBinding::None, fresh(1), now);
        assert!(matches!(dialing.want(), Want::Done));
        assert_eq!(dialing.take_given_up(), Some(1));
        assert!(matches!(failure(dialing), DialFailure::Handshake(DialError::Direction { .. }))); // H-1
    }
    let first = target().key_index(1);
    let mut dialing = Dialing::new(&endpoint(DIALER), first, addresses(2), now + TIME, now);
    dialing.connected(1, ChannelBinding::None, fresh(1), now);
    assert!(matches!(failure(dialing), DialFailure::Handshake(DialError::NoSuchKey { keys: 1 })));
}

#[test]
fn a_connection_that_is_there_is_the_only_one() {
    let now = Instant::now();
    let dialer = Endpoint::new(settings(DIALER, &[1, KEY])).unwrap();
    let on = |dialer: &Endpoint| Dialing::on(1, dialer, target(), ChannelBinding::None, now + TIME, fresh(1));
    let mut dialing = on(&dialer);
    assert_eq!((dialing.until(), dialing.address()), (now + TIME, None));
    let hello = written(&mut dialing, now);
    let reject = answer(&endpoint(ACCEPTOR), Availability::Open, &hello, now);
    feed(&mut dialing, &reject, 256, now);
    assert!(matches!(dialing.want(), Want::Done), "there is no way to try the next key");
    assert_eq!(rejected(&failure(dialing)), Some((Status::UNKNOWN_KEY, false)));

    let mut dialing = on(&endpoint(DIALER));
    let hello = written(&mut dialing, now);
    let challenge = answer(&endpoint(ACCEPTOR), Availability::Open, &hello, now);
    feed(&mut dialing, &challenge, 256, now);
    written(&mut dialing, now);
    assert_eq!(*dialing.finish().unwrap().link(), 1);
}

#[test]
fn an_attempt_that_is_given_up_says_what_is_missing() {
    let now = Instant::now();
    assert!(
        matches!(failure(dial(&endpoint(DIALER), 2, now)), DialFailure::Connect { address: first, source }
        if first == address(1) && source.kind() == io::ErrorKind::TimedOut)
    );
    let mut dialing = dial(&endpoint(DIALER), 2, now);
    hello(&mut dialing, now);
    dialing.received(&[0; 17], now);
    let missing = failure(dialing);
    assert!(matches!(
        missing,
        DialFailure::Stream(StreamError::TimedOut { step: Step::Challenge, received: 17 })
    ));
}
