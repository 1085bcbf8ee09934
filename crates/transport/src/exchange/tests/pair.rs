//! Two honest ends.

use super::*;
use replink_handshake::{Authentication, Side};

/// Both ends, until neither goes on.
fn shake_hands(
    dialer: &Endpoint,
    acceptor: &Endpoint,
    bindings: [ChannelBinding; 2],
    piece: usize,
) -> (Dialing<Number>, Accepting<Number>) {
    let now = Instant::now();
    let mut dialing = dial(dialer, 1, now);
    dialing.connected(1, bindings[0], fresh(1), now);
    let mut accepting = Accepting::new(2, acceptor, bindings[1], now + TIME);
    for _ in 0..3 {
        let bytes = written(&mut dialing, now);
        assert!(feed(&mut accepting, &bytes, piece, now).is_empty());
        if let Want::Answer = accepting.want() {
            accepting.answer(Availability::Open, fresh(2), now);
        }
        let bytes = written(&mut accepting, now);
        assert!(feed(&mut dialing, &bytes, piece, now).is_empty());
    }
    (dialing, accepting)
}

const UNBOUND: [ChannelBinding; 2] = [ChannelBinding::None; 2];

#[test]
fn an_honest_pair_comes_up_whatever_the_pieces() {
    for piece in [1, 2, 3, 100, 128, 255, 256] {
        let (dialing, accepting) = shake_hands(&endpoint(DIALER), &endpoint(ACCEPTOR), UNBOUND, piece);
        let Accepted::Proved(verified) = accepting.finish() else { panic!("no proof") };
        let (dialed, accepted) = (dialing.finish().unwrap(), verified.admit());
        assert_eq!((dialed.link(), accepted.link()), (&1, &2), "each has its own connection back");
        assert_eq!((dialed.peer().replica.0, dialed.peer().side), (ACCEPTOR, Side::Dialer));
        assert_eq!((accepted.peer().replica.0, accepted.peer().side), (DIALER, Side::Acceptor));
        let key = |end: Authenticated<Number>| *end.into_parts().1.export("test").unwrap().bytes();
        assert_eq!(key(dialed), key(accepted));
    }
}

#[test]
fn without_authentication_the_hello_is_all() {
    let (dialing, accepting) = shake_hands(&disabled(DIALER), &disabled(ACCEPTOR), UNBOUND, 256);
    let Accepted::Unproved(accepted) = accepting.finish() else { panic!("no link") };
    for peer in [*accepted.peer(), *dialing.finish().unwrap().peer()] {
        assert_eq!(peer.authentication, Authentication::Disabled); // H-12
    }
}

#[test]
fn what_it_is_bound_to_has_to_be_the_same() {
    let [one, other] = [[1; 32], [2; 32]].map(ChannelBinding::TlsExporter);
    let comes_up = |bindings| {
        let (dialing, _) = shake_hands(&endpoint(DIALER), &endpoint(ACCEPTOR), bindings, 256);
        dialing.finish().is_ok()
    };
    assert!(comes_up([one, one]));
    assert!(!comes_up([one, other]) && !comes_up([one, ChannelBinding::None]));
}

#[test]
fn nothing_behind_a_frame_is_read() {
    let now = Instant::now();
    let mut dialing = dial(&endpoint(DIALER), 1, now);
    let hello = [hello(&mut dialing, now), b"behind the Hello".to_vec()].concat();
    let mut accepting = Accepting::new(2, &endpoint(ACCEPTOR), ChannelBinding::None, now + TIME);
    assert_eq!(feed(&mut accepting, &hello, 1000, now), b"behind the Hello");
    accepting.answer(Availability::Open, fresh(2), now);
    let challenge = [written(&mut accepting, now), b"behind the challenge".to_vec()].concat();
    assert_eq!(feed(&mut dialing, &challenge, 1000, now), b"behind the challenge");
    let finish = [written(&mut dialing, now), b"the first frame".to_vec()].concat();
    assert_eq!(feed(&mut accepting, &finish, 1000, now), b"the first frame");
    assert!(matches!(accepting.finish(), Accepted::Proved(_)));
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let now = Instant::now();
    let mut dialing = dial(&endpoint(DIALER), 1, now);
    dialing.written(0, now);
    dialing.received(&[], now);
    dialing.sending_ended();
    dialing.timed_out(now);
    assert_eq!(connects_to(&mut dialing), Some(address(1)));
    dialing.connected(1, ChannelBinding::None, fresh(1), now);
    dialing.received(&[0; 300], now); // our Hello is not out
    dialing.connected(5, ChannelBinding::None, fresh(5), now);
    assert_eq!((dialing.take_given_up(), dialing.link_mut()), (Some(5), Some(&mut 1)));
    assert_eq!(written(&mut dialing, now).len(), 256);
    dialing.written(9, now);

    let mut accepting = Accepting::new(2, &endpoint(ACCEPTOR), ChannelBinding::None, now + TIME);
    accepting.answer(Availability::Open, fresh(2), now);
    accepting.written(9, now);
    accepting.timed_out(now);
    assert!(matches!(accepting.want(), Want::Read { link: 2, at_most: 256 }));
}

#[test]
fn a_link_that_is_up_is_not_lost_to_what_comes_late() {
    let now = Instant::now();
    let (mut dialing, mut accepting) = shake_hands(&endpoint(DIALER), &endpoint(ACCEPTOR), UNBOUND, 256);
    for late in [now, now + 2 * TIME] {
        dialing.failed(reset(), late);
        dialing.received(&[], late);
        dialing.written(0, late);
        dialing.timed_out(late);
        accepting.failed(reset(), late);
        accepting.received(&[], late);
        accepting.written(0, late);
        accepting.timed_out(late);
    }
    assert_eq!((dialing.take_given_up(), accepting.take_given_up()), (None, None));
    assert!(matches!(accepting.finish(), Accepted::Proved(_)));
    assert!(dialing.finish().is_ok());
}

#[test]
#[should_panic(expected = "more was read than was wanted")]
fn a_driver_that_reads_too_much_is_broken() {
    let now = Instant::now();
    let mut accepting = Accepting::new(2, &endpoint(ACCEPTOR), ChannelBinding::None, now + TIME);
    accepting.received(&[0; 257], now);
}
