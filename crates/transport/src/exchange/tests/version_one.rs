//! Rings of keys in version 1, where a Hello names none (K-2, D-6).

use super::*;
use crate::exchange::{AcceptFailure, VersionOneKeys};
use replink_handshake::Authentication;

fn version_one(replica: u8, keys: &[u8]) -> Endpoint {
    let settings = settings(replica, keys);
    Endpoint::new(EndpointSettings { version: Version::V1, min_version: Version::V1, ..settings }).unwrap()
}

/// One attempt: the secret of the key that the link has at both ends, if one comes up.
fn attempt(dialer: &Endpoint, acceptor: &Endpoint, keys: &Arc<VersionOneKeys>) -> Option<u8> {
    let now = Instant::now();
    let mut dialing = dial(dialer, 1, now);
    let hello = hello(&mut dialing, now);
    let mut accepting = Accepting::new(2, acceptor, ChannelBinding::None, now + TIME).trying_keys(keys);
    feed(&mut accepting, &hello, 256, now);
    accepting.answer(Availability::Open, fresh(2), now);
    let challenge = written(&mut accepting, now);
    feed(&mut dialing, &challenge, 256, now);
    let finish = written(&mut dialing, now);
    if finish.is_empty() {
        assert!(dialing.take_given_up().is_some(), "it leaves");
        accepting.received(&[], now);
        assert!(matches!(accepting.finish(), Accepted::Failed(AcceptFailure::Stream(_))));
        return None;
    }
    feed(&mut accepting, &finish, 256, now);
    let Accepted::Proved(verified) = accepting.finish() else { panic!("no proof") };
    let key = verified.peer().authentication;
    assert_eq!(dialing.finish().unwrap().peer().authentication, key);
    (0..9).find(|&byte| {
        let derived = Key::derive(&App::default(), &Secret::new(vec![byte; 32]).unwrap());
        key == Authentication::PreSharedKey(derived.id())
    })
}

/// Whichever end is ahead: within as many attempts as the acceptor has keys, and from then on at once.
#[test]
fn rings_with_a_key_in_common_come_together() {
    let rings: [&[u8]; 7] = [&[1], &[2], &[1, 2], &[2, 1], &[3, 1, 2], &[3, 4, 2], &[4, 3]];
    for dials in rings {
        for accepts in rings {
            let (dialer, acceptor) = (version_one(DIALER, dials), version_one(ACCEPTOR, accepts));
            let keys = Arc::default();
            let attempts: Vec<_> = (0..=accepts.len()).map(|_| attempt(&dialer, &acceptor, &keys)).collect();
            let first = accepts.iter().position(|key| dials.contains(key));
            match first {
                None => assert!(attempts.iter().all(Option::is_none), "{dials:?} {accepts:?}"),
                Some(first) => {
                    assert!(attempts[..first].iter().all(Option::is_none), "{dials:?} {accepts:?}");
                    let others = attempts[first..].iter();
                    assert!(others.clone().all(|key| *key == Some(accepts[first])), "{dials:?} {accepts:?}");
                }
            }
        }
    }
}

/// The acceptor knows more than the one key that it answered with.
#[test]
fn any_key_of_the_ring_proves_a_finish_and_no_other() {
    for (dials, fits) in [(&[1][..], true), (&[2], true), (&[3], false)] {
        let now = Instant::now();
        let (dialer, acceptor) = (version_one(DIALER, dials), version_one(ACCEPTOR, &[1, 2]));
        let hello = hello(&mut dial(&dialer, 1, now), now);
        let mut accepting = Accepting::new(2, &acceptor, ChannelBinding::None, now + TIME);
        feed(&mut accepting, &hello, 256, now);
        accepting.answer(Availability::Open, fresh(2), now);
        written(&mut accepting, now);
        // One that answers whatever it was asked: the same Hello and nonces, its own key.
        let mut other = Accepting::new(2, &version_one(ACCEPTOR, dials), ChannelBinding::None, now + TIME);
        feed(&mut other, &hello, 256, now);
        other.answer(Availability::Open, fresh(2), now);
        let challenge = written(&mut other, now);
        let mut dialing = dial(&dialer, 1, now);
        dialing.connected(1, ChannelBinding::None, fresh(1), now);
        assert_eq!(written(&mut dialing, now), hello);
        feed(&mut dialing, &challenge, 256, now);
        feed(&mut accepting, &written(&mut dialing, now), 256, now);
        assert_eq!(matches!(accepting.finish(), Accepted::Proved(_)), fits, "{dials:?}");
    }
}

/// A stranger, who is no reason to answer with another key, and one who only stays silent.
#[test]
fn only_a_mac_that_does_not_fit_has_the_next_key_tried() {
    let now = Instant::now();
    let (dialer, acceptor) = (version_one(DIALER, &[2]), version_one(ACCEPTOR, &[1, 2]));
    let keys = Arc::default();
    let answering = |keys: Option<&Arc<VersionOneKeys>>| {
        let hello = hello(&mut dial(&dialer, 1, now), now);
        let mut accepting = Accepting::new(2, &acceptor, ChannelBinding::None, now + TIME);
        if let Some(keys) = keys {
            accepting = accepting.trying_keys(keys);
        }
        feed(&mut accepting, &hello, 256, now);
        accepting.answer(Availability::Open, fresh(2), now);
        written(&mut accepting, now);
        accepting
    };
    answering(None).received(&[], now);
    answering(Some(&keys)).timed_out(now + TIME);
    assert_eq!(attempt(&dialer, &acceptor, &keys), None, "the first key is tried still");
    assert_eq!(attempt(&dialer, &acceptor, &keys), Some(2));
    // Side by side: both were answered with the same key, and that one is passed over once.
    let keys = Arc::default();
    let [mut one, mut other] = [answering(Some(&keys)), answering(Some(&keys))];
    one.failed(reset(), now);
    other.received(&[], now);
    assert_eq!(attempt(&dialer, &acceptor, &keys), Some(2));
}
