//! One address after the other.

use super::*;
use crate::exchange::{Step, StreamError};
use replink_handshake::{Availability, DialError};

/// What goes wrong at an address before there is a proof, and when.
type Fault = fn(&mut Dialing<Number>, Instant);

/// An address that answers something.
fn answers(dialing: &mut Dialing<Number>, now: Instant, bytes: impl FnOnce(&[u8]) -> Vec<u8>) {
    let hello = hello(dialing, now);
    feed(dialing, &bytes(&hello), 100, now);
}

const FAULTS: [(&str, Fault); 17] = [
    ("refused", |dialing, now| dialing.failed(io::ErrorKind::ConnectionRefused.into(), now)),
    ("leads to ourselves", |dialing, now| dialing.failed(io::ErrorKind::ConnectionRefused.into(), now)),
    ("connects to nobody", |dialing, _| dialing.timed_out(dialing.until())),
    ("reset at the Hello", |dialing, now| {
        dialing.connected(1, ChannelBinding::None, fresh(1), now);
        dialing.written(99, now);
        dialing.failed(reset(), now);
    }),
    ("does not take the Hello", |dialing, now| {
        dialing.connected(1, ChannelBinding::None, fresh(1), now);
        dialing.written(99, now);
        dialing.timed_out(dialing.until());
    }),
    ("takes nothing of it", |dialing, now| {
        dialing.connected(1, ChannelBinding::None, fresh(1), now);
        dialing.written(0, now);
    }),
    ("closes", |dialing, now| {
        hello(dialing, now);
        dialing.received(&[], now);
    }),
    ("closes in the middle", |dialing, now| {
        hello(dialing, now);
        dialing.received(&[0; 255], now);
        dialing.received(&[], now);
    }),
    ("resets", |dialing, now| {
        hello(dialing, now);
        dialing.failed(reset(), now);
    }),
    ("is silent", |dialing, now| {
        hello(dialing, now);
        dialing.timed_out(dialing.until());
    }),
    ("drips", |dialing, now| {
        hello(dialing, now);
        dialing.received(&[0], now);
        dialing.received(&[0], dialing.until());
    }),
    ("HTTP", |dialing, now| answers(dialing, now, |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".repeat(10))),
    ("reflects", |dialing, now| answers(dialing, now, <[u8]>::to_vec)),
    ("spoils the MAC", |dialing, now| {
        answers(dialing, now, |hello| {
            let mut challenge = answer(&endpoint(ACCEPTOR), Availability::Open, hello, Instant::now());
            challenge[160] ^= 1;
            challenge
        });
    }),
    ("is another replica", |dialing, now| {
        answers(dialing, now, |hello| answer(&endpoint(4), Availability::Open, hello, Instant::now()));
    }),
    ("holds another key", |dialing, now| {
        let other = Endpoint::new(settings(ACCEPTOR, &[99])).unwrap();
        answers(dialing, now, |hello| answer(&other, Availability::Open, hello, Instant::now()));
    }),
    ("does not authenticate", |dialing, now| {
        answers(dialing, now, |hello| answer(&disabled(ACCEPTOR), Availability::Open, hello, Instant::now()));
    }),
];

#[test]
fn after_any_failure_before_a_proof_the_next_address_has_its_turn() {
    for (what, fault) in FAULTS {
        let now = Instant::now();
        let mut dialing = dial(&endpoint(DIALER), 2, now);
        assert_eq!(connects_to(&mut dialing), Some(address(1)), "{what}");
        fault(&mut dialing, now);
        assert_eq!(connects_to(&mut dialing), Some(address(2)), "{what}");
        assert_eq!(dialing.until(), now + TIME, "{what}: all the rest is the last one's");
        comes_up(&mut dialing, &endpoint(ACCEPTOR), now);
        assert_eq!(dialing.address(), Some(address(2)));
        assert!(dialing.finish().is_ok(), "{what}");

        // The same at the last address ends it.
        let mut dialing = dial(&endpoint(DIALER), 1, now);
        fault(&mut dialing, now);
        assert!(matches!(dialing.want(), Want::Done), "{what}");
        assert_eq!((dialing.address(), dialing.link_mut()), (Some(address(1)), None), "{what}");
        failure(dialing);
    }
}

#[test]
fn a_hint_of_any_status_is_no_proof() {
    let now = Instant::now();
    for status in (1..=20).chain([77, 255]).map(Status) {
        let mut dialing = dial(&endpoint(DIALER), 2, now);
        answers(&mut dialing, now, |_| hint(status));
        assert_eq!(connects_to(&mut dialing), Some(address(2)), "{status}");
        comes_up(&mut dialing, &endpoint(ACCEPTOR), now);

        let mut dialing = dial(&endpoint(DIALER), 1, now);
        answers(&mut dialing, now, |_| hint(status));
        assert!(
            matches!(failure(dialing), DialFailure::Handshake(DialError::Rejected(reject))
                if reject.status == status && !reject.authenticated),
            "{status}"
        );
    }
}

#[test]
fn without_authentication_what_does_not_take_the_hello_gives_way_too() {
    // H-12
    let now = Instant::now();
    let faults: [Fault; 3] = [
        |dialing, now| dialing.failed(reset(), now),
        |dialing, _| dialing.timed_out(dialing.until()),
        |dialing, now| dialing.written(0, now),
    ];
    for fault in faults {
        let mut dialing = dial(&disabled(DIALER), 2, now);
        dialing.connected(1, ChannelBinding::None, fresh(1), now);
        fault(&mut dialing, now);
        assert_eq!(dialing.take_given_up(), Some(1));
        assert_eq!(connects_to(&mut dialing), Some(address(2)));
        assert_eq!(hello(&mut dialing, now).len(), 256);
        assert!(dialing.finish().is_ok());
    }
}

#[test]
fn each_address_has_its_equal_share_of_the_time_that_is_left() {
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    let mut dialing = dial(&endpoint(DIALER), 3, start);
    // Connecting and shaking hands take from the same share.
    assert_eq!(dialing.until(), start + 2 * second);
    hello(&mut dialing, start + second);
    assert_eq!(dialing.until(), start + 2 * second);
    dialing.timed_out(just_before(start + 2 * second));
    assert!(connects_to(&mut dialing).is_none(), "not before");
    dialing.timed_out(start + 2 * second);
    assert_eq!((connects_to(&mut dialing), dialing.until()), (Some(address(2)), start + 4 * second));
    // What one does not use is the others'.
    dialing.failed(io::ErrorKind::ConnectionRefused.into(), start + 2 * second);
    assert_eq!((connects_to(&mut dialing), dialing.until()), (Some(address(3)), start + 6 * second));
    dialing.timed_out(start + 6 * second);
    assert!(matches!(dialing.want(), Want::Done));
}

#[test]
fn behind_the_deadline_nobody_is_asked() {
    let now = Instant::now();
    let mut dialing = Dialing::<Number>::new(&endpoint(DIALER), target(), addresses(2), now, now);
    assert!(matches!(dialing.want(), Want::Done));
    assert!(matches!(failure(dialing), DialFailure::Connect { address: first, source }
        if first == address(1) && source.kind() == io::ErrorKind::TimedOut));

    // Neither where the first one failed that late.
    let mut dialing = dial(&endpoint(DIALER), 2, now);
    hello(&mut dialing, now);
    dialing.received(&[], now + TIME);
    assert!(matches!(dialing.want(), Want::Done));

    let dialing = Dialing::<Number>::new(&endpoint(DIALER), target(), Vec::new(), now + TIME, now);
    assert!(matches!(failure(dialing), DialFailure::NoAddress));
}

#[test]
fn the_failure_that_tells_the_most_is_kept() {
    let now = Instant::now();
    let refuse: Fault = |dialing, now| dialing.failed(io::ErrorKind::ConnectionRefused.into(), now);
    let close: Fault = |dialing, now| {
        hello(dialing, now);
        dialing.received(&[], now);
    };
    let http: Fault = |dialing, now| answers(dialing, now, |_| vec![b'H'; 256]);
    let hinting: Fault = |dialing, now| answers(dialing, now, |_| hint(Status::BUSY));
    let of = |faults: [Fault; 2]| {
        let mut dialing = dial(&endpoint(DIALER), 2, now);
        for fault in faults {
            fault(&mut dialing, now);
        }
        let at = dialing.address().unwrap();
        (failure(dialing), at)
    };
    for faults in [[close, refuse], [refuse, close]] {
        let (failure, _) = of(faults);
        assert!(matches!(
            failure,
            DialFailure::Stream(StreamError::Closed { step: Step::Challenge, received: 0 })
        ));
    }
    for faults in [[http, close], [close, http]] {
        assert!(matches!(of(faults).0, DialFailure::Handshake(DialError::Frame(_))));
    }
    let (failure, at) = of([hinting, http]);
    assert!(matches!(failure, DialFailure::Handshake(DialError::Rejected(_))));
    assert_eq!(at, address(1), "the address that it is about");
    let (failure, at) = of([refuse, refuse]);
    assert!(matches!(failure, DialFailure::Connect { address: last, .. } if last == address(2)));
    assert_eq!(at, address(2), "the last among equals");
}
