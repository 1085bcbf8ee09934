//! What a peer that is turned away gets, and what it can cost.

use super::*;
use crate::exchange::{LINGER_BYTES_MAX, LINGER_TIME_MAX, Leaving};
use replink_handshake::Availability;

fn leaving(deadline: Duration, now: Instant) -> Leaving<Number> {
    let hello = hello(&mut dial(&endpoint(DIALER), 1, now), now);
    let mut accepting = Accepting::new(2, &endpoint(ACCEPTOR), ChannelBinding::None, now + deadline);
    feed(&mut accepting, &hello, 256, now);
    accepting.answer(Availability::Busy { retry_after_ms: 250 }, fresh(2), now);
    match accepting.finish() {
        Accepted::Rejected(leaving) => leaving,
        accepted => panic!("{accepted:?}"),
    }
}

/// The reject is out, and our direction is ended.
fn lingering(now: Instant) -> Leaving<Number> {
    let mut leaving = leaving(TIME, now);
    assert_eq!(written(&mut leaving, now).len(), 256);
    assert!(matches!(leaving.want(), Want::EndSending { link: 2 }), "and nothing behind it");
    leaving.sending_ended();
    leaving
}

#[test]
fn the_reject_goes_out_and_what_still_comes_is_dropped() {
    let now = Instant::now();
    let mut leaving = lingering(now);
    assert!(matches!(leaving.want(), Want::Discard { link: 2, at_most: LINGER_BYTES_MAX }));
    leaving.received(&[0; 1000], now);
    assert!(matches!(leaving.want(), Want::Discard { .. }));
    leaving.received(&[], now); // the peer has closed
    assert!(matches!(leaving.want(), Want::Done));
    assert_eq!(leaving.take_given_up(), Some(2));
    assert_eq!(leaving.finish().status, Status::BUSY);
}

#[test]
fn what_is_dropped_is_bounded() {
    let now = Instant::now();
    const { assert!(LINGER_BYTES_MAX <= 256 * 1024) };
    for piece in [1000, 4096, LINGER_BYTES_MAX, LINGER_BYTES_MAX + 1] {
        let mut leaving = lingering(now);
        let mut dropped = 0;
        while let Want::Discard { at_most, .. } = leaving.want() {
            assert!(dropped + at_most <= LINGER_BYTES_MAX, "no more than the bound is wanted");
            leaving.received(&vec![0; piece], now);
            dropped += piece;
            assert!(dropped < LINGER_BYTES_MAX + 2 * piece, "without end");
        }
        assert!(matches!(leaving.want(), Want::Done));
        assert!(dropped >= LINGER_BYTES_MAX);
    }
}

#[test]
fn the_time_is_bounded_at_each_step() {
    let now = Instant::now();
    assert!(LINGER_TIME_MAX <= Duration::from_millis(500));
    let end = now + LINGER_TIME_MAX;
    for step in 0..3 {
        let mut leaving = if step == 2 { lingering(now) } else { leaving(TIME, now) };
        if step == 1 {
            written(&mut leaving, now);
        }
        assert_eq!(leaving.until(), end);
        leaving.timed_out(just_before(end));
        assert!(!matches!(leaving.want(), Want::Done));
        leaving.timed_out(end);
        assert!(matches!(leaving.want(), Want::Done));
        assert_eq!(leaving.take_given_up(), Some(2));
    }
    // Also of a peer that never stops to drip, or to take a byte.
    let mut leaving = lingering(now);
    leaving.received(&[0], end);
    assert!(matches!(leaving.want(), Want::Done));
    let mut leaving = super::leaving::leaving(TIME, now);
    leaving.written(1, end);
    assert!(matches!(leaving.want(), Want::Done));
}

#[test]
fn the_deadline_of_the_handshake_is_its_deadline_too() {
    let now = Instant::now();
    let deadline = Duration::from_millis(100);
    assert_eq!(leaving(deadline, now).until(), now + deadline);
}

#[test]
fn whether_the_peer_takes_it_is_its_own_affair() {
    let now = Instant::now();
    for broken in 0..3 {
        let mut leaving = if broken == 2 { lingering(now) } else { leaving(TIME, now) };
        match broken {
            0 => leaving.written(0, now),
            _ => leaving.failed(reset(), now),
        }
        assert!(matches!(leaving.want(), Want::Done));
        assert_eq!((leaving.take_given_up(), leaving.link_mut()), (Some(2), None));
        leaving.received(&[1], now);
        leaving.written(1, now);
        leaving.sending_ended();
        assert!(matches!(leaving.want(), Want::Done));
        assert_eq!(leaving.finish().status, Status::BUSY);
    }
}
