//! Nodes that have a key, and peers that have none yet (H-12).

use super::*;
use replink_handshake::{Authentication, DialError};

fn migrating(replica: u8) -> Endpoint {
    Endpoint::new(EndpointSettings { migrating: true, ..settings(replica, &[KEY]) }).unwrap()
}

/// One attempt, over as many connections as it takes: how many, and how the link is authenticated at both ends.
fn attempt(dialer: &Endpoint, acceptor: &Endpoint, lane: u16) -> (u32, Option<Authentication>) {
    let now = Instant::now();
    let target = target().lane(lane);
    let mut dialing = Dialing::new(dialer, target, addresses(1), now + TIME, now);
    let mut connections = 0;
    loop {
        if connects_to(&mut dialing).is_none() {
            assert!(dialing.finish().is_err());
            return (connections, None);
        }
        connections += 1;
        let hello = hello(&mut dialing, now);
        let mut accepting = Accepting::new(2, acceptor, ChannelBinding::None, now + TIME);
        feed(&mut accepting, &hello, 256, now);
        if let Want::Answer = accepting.want() {
            accepting.answer(Availability::Open, fresh(2), now);
        }
        let challenge = written(&mut accepting, now);
        feed(&mut dialing, &challenge, 256, now);
        feed(&mut accepting, &written(&mut dialing, now), 256, now);
        let accepted = match accepting.finish() {
            Accepted::Proved(verified) => verified.admit(),
            Accepted::Unproved(authenticated) => authenticated,
            Accepted::Rejected(mut leaving) => {
                let reject = written(&mut leaving, now);
                feed(&mut dialing, &reject, 256, now);
                if let Want::Done = dialing.want() {
                    assert!(hello[128..160] == [0; 32] || dialing.finish().is_err(), "a late reject (H-9)");
                    return (connections, None);
                }
                continue;
            }
            Accepted::Failed(_) => continue,
        };
        let authentication = accepted.peer().authentication;
        assert_eq!(dialing.finish().unwrap().peer().authentication, authentication);
        return (connections, Some(authentication));
    }
}

#[test]
fn whoever_has_a_key_uses_it_and_whoever_has_none_gets_in() {
    let key = Key::derive(&App::default(), &Secret::new(vec![KEY; 32]).unwrap()).id();
    let (keyed, unkeyed) = (Some(Authentication::PreSharedKey(key)), Some(Authentication::Disabled));
    for (name, dialer, acceptor, expected) in [
        ("migrating to migrating", migrating(DIALER), migrating(ACCEPTOR), (1, keyed)),
        ("migrating to one without", migrating(DIALER), disabled(ACCEPTOR), (2, unkeyed)),
        ("one without to migrating", disabled(DIALER), migrating(ACCEPTOR), (1, unkeyed)),
        ("migrating to authenticated", migrating(DIALER), endpoint(ACCEPTOR), (1, keyed)),
        ("authenticated to migrating", endpoint(DIALER), migrating(ACCEPTOR), (1, keyed)),
        ("authenticated to one without", endpoint(DIALER), disabled(ACCEPTOR), (1, None)),
        ("one without to authenticated", disabled(DIALER), endpoint(ACCEPTOR), (1, None)),
    ] {
        assert_eq!(attempt(&dialer, &acceptor, 0), expected, "{name}");
    }
    // Lanes take a key.
    assert_eq!(attempt(&migrating(DIALER), &disabled(ACCEPTOR), 1), (1, None));
}

#[test]
fn each_attempt_and_each_address_begins_with_the_key() {
    let now = Instant::now();
    let mut dialing = dial(&migrating(DIALER), 2, now);
    let with_key = |hello: &[u8]| hello[128..160] != [0; 32];
    for number in [1, 2] {
        assert_eq!(connects_to(&mut dialing), Some(address(number)));
        assert!(with_key(&hello(&mut dialing, now)));
        feed(&mut dialing, &hint(Status::AUTH_REQUIRED), 256, now);
        assert_eq!(connects_to(&mut dialing), Some(address(number)), "once more");
        dialing.connected(2, ChannelBinding::None, fresh(2), now);
        let Want::Write { bytes, .. } = dialing.want() else { panic!("{dialing:?}") };
        assert!(!with_key(bytes));
        dialing.failed(reset(), now);
    }
    assert!(matches!(dialing.want(), Want::Done));
}

/// Who refuses and proves it has a key; and not every hint says that there is none.
#[test]
fn only_where_there_is_no_key_it_goes_without() {
    let now = Instant::now();
    for status in [Status::UNKNOWN_KEY, Status::MAC_MISMATCH, Status::BUSY, Status::NOT_ALLOWED] {
        let mut dialing = dial(&migrating(DIALER), 1, now);
        hello(&mut dialing, now);
        feed(&mut dialing, &hint(status), 256, now);
        assert!(matches!(dialing.want(), Want::Done), "{status}");
    }
    let strict = with_flags(ACCEPTOR, REQUIRED);
    let settings = EndpointSettings { migrating: true, flags: OFF, ..settings(DIALER, &[KEY]) };
    let mut dialing = dial(&Endpoint::new(settings).unwrap(), 1, now);
    let hello = hello(&mut dialing, now);
    feed(&mut dialing, &answer(&strict, Availability::Open, &hello, now), 256, now);
    assert!(matches!(dialing.want(), Want::Done));
    let failure = failure(dialing);
    assert!(
        matches!(&failure, DialFailure::Handshake(DialError::Rejected(reject)) if reject.authenticated),
        "{failure:?}"
    );
}
