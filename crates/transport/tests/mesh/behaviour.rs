//! What the mesh does, one rule at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use replink_transport::InboundError;
use replink_transport::frame::{Command, Flags, FrameError, GoodbyeReason, ReplicaId, Status, Version};
use replink_transport::handshake::{Authentication, DialError, Peer, Side};
use replink_transport::mesh::Role as ReplicaRole;
use replink_transport::mesh::{
    Action, DownReason, LinkId, Loss, MeshSettings, MeshWarning, PROBE_LANE, RETIRE_SPREAD, RETRY_AFTER_MAX,
    Verdict, WARN_AGAIN,
};

use crate::network::Random;
use crate::one::{KEY, OTHER_KEY, One, address, changed, peer, reject, settings};

fn dial(peer: u8, lane: u16) -> Action {
    Action::Dial { peer: ReplicaId(peer), lane }
}

fn down(link: LinkId, peer: u8, reason: DownReason) -> Action {
    Action::Down { link, peer: ReplicaId(peer), lane: 0, reason }
}

fn up(link: LinkId, peer: Peer, from: u8) -> Action {
    Action::Up { link, peer, address: address(from) }
}

fn close_to(wait: Duration, millis: u64) -> bool {
    wait <= Duration::from_millis(millis) && wait + Duration::from_millis(1) >= Duration::from_millis(millis)
}

/// H-1.
#[test]
fn dials_the_higher_ids_on_every_lane() {
    let mut one = One::new(1, changed(settings(4), |settings| settings.lanes = 2));
    assert_eq!(one.actions(), [dial(2, 0), dial(2, 1), dial(3, 0), dial(3, 1)]);
    assert_eq!(one.actions(), [], "each once");
    assert_eq!(one.mesh.next_timeout(), None);
    assert_eq!(One::new(3, settings(4)).actions(), []);
}

#[test]
fn backs_off_until_a_link_stays_up() {
    let mut one = One::new(0, settings(2));
    one.actions();
    for millis in [50, 100, 200] {
        assert_eq!(one.fail(1, None), []);
        assert!(close_to(one.until_next(), millis), "{:?}", one.until_next());
        assert_eq!(one.wait_ms(millis).len(), 1);
    }
    // A connection that ends again is no success.
    let (link, _) = one.establish(&peer(1, Side::Dialer), 1);
    one.wait_ms(900);
    one.mesh.closed(link, DownReason::Lost(Loss::Ended), one.now, one.random);
    assert_eq!(one.actions(), [down(link, 1, DownReason::Lost(Loss::Ended))]);
    assert!(close_to(one.until_next(), 400), "{:?}", one.until_next());
    one.wait_ms(400);
    // One that stays up is.
    let (link, _) = one.establish(&peer(1, Side::Dialer), 1);
    for _ in 0..4 {
        one.wait_ms(500);
        one.mesh.heard(link, one.now);
    }
    one.mesh.closed(link, DownReason::Lost(Loss::Ended), one.now, one.random);
    assert_eq!(one.actions().len(), 1);
    assert!(close_to(one.until_next(), 50), "{:?}", one.until_next());
}

/// A peer that takes every connection and ends it again is dialed no more often than one that is
/// gone.
#[test]
fn links_that_come_and_go_make_no_storm() {
    let mut one = One::new(0, settings(2));
    let mut random = Random(1);
    let mut dials = 0;
    let end = one.now + Duration::from_secs(60);
    while one.now < end {
        one.random = random.next();
        if one.actions().contains(&dial(1, 0)) {
            dials += 1;
            let (link, _) = one.establish(&peer(1, Side::Dialer), 1);
            one.mesh.peer_is_back(ReplicaId(1), one.now);
            one.mesh.goodbye(link, GoodbyeReason::KEY_RETIRED, one.now, one.random);
        }
        one.now += Duration::from_millis(1);
    }
    assert!((40..90).contains(&dials), "{dials} dials in a minute");
}

#[test]
fn a_peer_that_is_back_is_dialed_at_once_and_once() {
    let mut one = One::new(0, changed(settings(2), |settings| settings.lanes = 2));
    assert_eq!(one.actions().len(), 2);
    for _ in 0..10 {
        one.fail(1, None);
        one.wait_ms(2000);
    }
    one.fail(1, None);
    // Lane 1 comes up, so lane 0 need not wait.
    let (_, actions) = one.establish(&changed(peer(1, Side::Dialer), |peer| peer.lane = 1), 1);
    assert_eq!(actions.len(), 2);
    assert_eq!(actions[1], dial(1, 0));
    one.fail(1, None);
    for _ in 0..100 {
        one.mesh.peer_is_back(ReplicaId(1), one.now);
        assert_eq!(one.actions(), []);
    }
}

#[test]
fn an_authenticated_reject_is_slow_and_not_for_good() {
    let mut one = One::new(0, settings(2));
    one.actions();
    let max_ms = |millis: u64| Duration::from_millis(millis)..=Duration::from_millis(millis + 50);
    for (retry_after_ms, expected_ms) in [
        (0, 2000),
        (1000, 2000),
        (9000, 9000),
        (u32::MAX, u64::try_from(RETRY_AFTER_MAX.as_millis()).unwrap()),
    ] {
        let error = DialError::Rejected(reject(1, Status::BUSY, true, retry_after_ms));
        assert_eq!(one.fail(1, Some(&error)), []);
        one.mesh.peer_is_back(ReplicaId(1), one.now);
        assert!(max_ms(expected_ms).contains(&one.until_next()), "{:?}", one.until_next());
        let again = one.wait_ms(expected_ms + 50);
        assert_eq!(again.last().map(|(_, action)| action), Some(&dial(1, 0)));
    }
    // What a proved peer said otherwise, and mistakes of our own.
    let policy = DialError::Policy { required: Flags::EPHEMERAL, selected: Flags::NONE };
    for error in [policy, DialError::NoSuchKey { keys: 1 }] {
        assert_eq!(one.fail(1, Some(&error)), []);
        assert!(max_ms(2000).contains(&one.until_next()));
        one.wait_ms(2050);
    }
    // H-9: just as slow when it comes late.
    let (link, _) = one.establish(&peer(1, Side::Dialer), 1);
    let late = reject(1, Status::DUPLICATE_REPLICA, true, 0);
    one.mesh.closed(link, DownReason::Rejected(late), one.now, one.random);
    assert_eq!(one.actions(), [down(link, 1, DownReason::Rejected(late))]);
    assert!(max_ms(2000).contains(&one.until_next()));
}

#[test]
fn a_hint_is_retried_as_usual() {
    let hint = DialError::Rejected(reject(1, Status::BUSY, false, 60_000));
    let of_another = DialError::Rejected(reject(2, Status::BUSY, true, 60_000));
    for error in [hint, of_another, DialError::Mac] {
        let mut one = One::new(0, settings(2));
        one.actions();
        assert_eq!(one.fail(1, Some(&error)), []);
        assert!(close_to(one.until_next(), 50), "{:?}", one.until_next());
    }
}

#[test]
fn the_same_process_supersedes_its_old_link() {
    let mut one = One::new(1, settings(2));
    let zero = peer(0, Side::Acceptor);
    assert_eq!(one.mesh.judge(&zero, address(9), one.now), Verdict::Admit);
    let (old, _) = one.establish(&zero, 9);
    assert_eq!(one.mesh.judge(&zero, address(9), one.now), Verdict::Supersede { old });
    let (new, actions) = one.establish(&zero, 9);
    let goodbye = Action::Goodbye { link: old, reason: GoodbyeReason::SUPERSEDED };
    assert_eq!(actions, [up(new, zero, 9), goodbye]);
    assert_eq!(one.mesh.link(ReplicaId(0), 0), Some(new));
    // What the old one has still to deliver is delivered (C-3), until the peer has said its last. A link that takes
    // too long to leave is closed.
    for _ in 0..one.mesh.settings().heartbeat_timeout.as_secs() {
        one.mesh.heard(new, one.now);
        let wanted = one.wait_ms(999);
        assert!(wanted.iter().all(|(_, action)| *action == Action::Ping { link: new }), "{wanted:?}");
    }
    one.mesh.heard(new, one.now);
    let wanted = one.wait_ms(10).into_iter().map(|(_, action)| action);
    let wanted: Vec<_> = wanted.filter(|action| *action != Action::Ping { link: new }).collect();
    assert_eq!(wanted, [Action::Close { link: old }, down(old, 0, DownReason::Superseded)]);
    one.mesh.closed(old, DownReason::Lost(Loss::Ended), one.now, 0);
    assert_eq!(one.actions(), [], "it was down before");
}

#[test]
fn another_process_is_refused_while_the_first_one_is_alive() {
    let mut one = One::new(1, changed(settings(2), |settings| settings.lanes = 2));
    let first = peer(0, Side::Acceptor);
    let second = changed(first, |peer| peer.incarnation = 8);
    let (old, _) = one.establish(&first, 8);
    one.wait_ms(1000);
    one.mesh.pinged(old, 1, one.now);
    one.wait_ms(80);
    one.mesh.pong(old, 1, one.now);
    one.wait_ms(2000);
    let refuse = Verdict::Refuse { status: Status::DUPLICATE_REPLICA, retry_after_ms: 0 };
    // On the other lane it is the same replica too.
    for lane in [0, 1] {
        assert_eq!(one.mesh.judge(&changed(second, |peer| peer.lane = lane), address(9), one.now), refuse);
        // Nobody is accused before the first one was asked.
        assert_eq!(one.actions(), [Action::Ping { link: old }]);
    }
    // Not demonstrably alive any more, two intervals and a round trip after the ping: the second one takes over.
    one.wait_ms(1);
    assert_eq!(one.mesh.judge(&second, address(9), one.now), Verdict::Supersede { old });
    let (new, actions) = one.establish(&second, 9);
    assert_eq!(actions[1..], [down(old, 0, DownReason::Superseded), up(new, second, 9)]);
}

/// A process that was killed just now may have answered a ping a moment ago. That there are two is said once the first
/// one has answered another one; and not with every attempt of the second one.
#[test]
fn two_processes_are_accused_when_both_are_there() {
    let mut one = One::new(1, settings(2));
    let first = peer(0, Side::Acceptor);
    let second = changed(first, |peer| peer.incarnation = 8);
    let (old, _) = one.establish(&first, 8);
    one.mesh.pinged(old, 1, one.now);
    one.wait_ms(10);
    let refuse = Verdict::Refuse { status: Status::DUPLICATE_REPLICA, retry_after_ms: 0 };
    assert_eq!(one.mesh.judge(&second, address(9), one.now), refuse);
    assert_eq!(one.actions(), [Action::Ping { link: old }]);
    one.mesh.pong(old, 1, one.now);
    assert_eq!(one.actions(), [], "that ping was sent before the second one came");
    one.mesh.pinged(old, 2, one.now);
    one.wait_ms(10);
    one.mesh.pong(old, 2, one.now);
    let warning = MeshWarning::Duplicate { peer: ReplicaId(0), kept: address(8), refused: address(9) };
    assert_eq!(one.actions(), [Action::Warn(warning)]);
    let text = warning.to_string();
    assert!(text.contains("10.0.0.8:7400") && text.contains("10.0.0.9:7400"), "{text}");
    // The second one comes again and again.
    for (counter, told) in [(3, 0), (4, 0), (5, 1)] {
        let soon = one.now + if told == 1 { WARN_AGAIN } else { Duration::ZERO };
        one.now = soon;
        one.mesh.heard(old, one.now);
        one.mesh.pinged(old, counter, one.now);
        one.mesh.pong(old, counter, one.now);
        one.actions();
        assert_eq!(one.mesh.judge(&second, address(9), one.now), refuse);
        one.mesh.pinged(old, counter + 10, one.now);
        one.mesh.pong(old, counter + 10, one.now);
        let warned = one.actions().iter().filter(|action| **action == Action::Warn(warning)).count();
        assert_eq!(warned, told);
    }
}

/// Two copies of one process have one incarnation, so each takes the other's link. From two addresses in turn: that is
/// no process that has moved.
#[test]
fn copies_of_a_process_are_found_by_their_addresses() {
    let mut one = One::new(1, settings(2));
    let zero = peer(0, Side::Acceptor);
    let warnings = |one: &mut One, from: u8| -> Vec<MeshWarning> {
        let (_, actions) = one.establish(&zero, from);
        let warnings = actions.into_iter().filter_map(|action| match action {
            Action::Warn(warning) => Some(warning),
            _ => None,
        });
        warnings.collect()
    };
    for from in [8, 8, 9, 9] {
        assert_eq!(warnings(&mut one, from), [], "it has come to another address");
    }
    let cloned = MeshWarning::Cloned { peer: ReplicaId(0), addresses: [address(9), address(8)] };
    assert_eq!(warnings(&mut one, 8), [cloned]);
    let text = cloned.to_string();
    assert!(text.contains("10.0.0.8:7400") && text.contains("10.0.0.9:7400"), "{text}");
    assert_eq!(warnings(&mut one, 9), [], "said just now");
    one.now += WARN_AGAIN;
    assert_eq!(warnings(&mut one, 8).len(), 1, "and again when it goes on");
}

/// A peer with fewer lanes can't know of the missing ones; this end does, once there was time to make them.
#[test]
fn a_peer_with_too_few_lanes_is_told_of_once() {
    let mut one = One::new(1, changed(settings(3), |settings| settings.lanes = 3));
    let lane = |lane| changed(peer(0, Side::Acceptor), |peer| peer.lane = lane);
    one.establish(&lane(0), 9);
    let warnings = |one: &mut One| -> Vec<MeshWarning> {
        let wanted = one.wait_ms(1999).into_iter();
        wanted
            .filter_map(|(_, action)| match action {
                Action::Warn(warning) => Some(warning),
                _ => None,
            })
            .collect()
    };
    let keep_alive = |one: &mut One| {
        let up: Vec<_> = one.mesh.links().map(|(link, _)| link).collect();
        for link in up {
            one.mesh.heard(link, one.now);
        }
    };
    assert_eq!(warnings(&mut one), []);
    keep_alive(&mut one);
    one.establish(&lane(1), 9);
    let missing = MeshWarning::LanesMissing { peer: ReplicaId(0), up: 2, lanes: 3 };
    assert_eq!(warnings(&mut one), [missing]);
    assert!(missing.to_string().contains("cluster.link.lanes"), "{missing}");
    keep_alive(&mut one);
    assert_eq!(warnings(&mut one), []);
    keep_alive(&mut one);
    one.establish(&lane(2), 9);
    assert_eq!(warnings(&mut one), []);
}

#[test]
fn a_probe_is_admitted_and_changes_nothing() {
    let mut one = One::new(2, settings(3));
    let running = peer(0, Side::Acceptor);
    let (link, _) = one.establish(&running, 0);
    // Another process of the same replica, as `probe` is.
    let probe = changed(running, |peer| {
        peer.incarnation = 8;
        peer.lane = PROBE_LANE;
    });
    assert_eq!(one.mesh.judge(&probe, address(0), one.now), Verdict::Probe);
    assert_eq!((one.actions(), one.mesh.link(ReplicaId(0), 0)), (vec![], Some(link)));

    // It has to prove itself like any other.
    let dropped = changed(probe, |peer| peer.authentication = Authentication::PreSharedKey(OTHER_KEY));
    let refused = |status| Verdict::Refuse { status, retry_after_ms: 0 };
    assert_eq!(one.mesh.judge(&dropped, address(0), one.now), refused(Status::UNKNOWN_KEY));
    let stranger = changed(probe, |peer| peer.replica = ReplicaId(9));
    assert_eq!(one.mesh.judge(&stranger, address(0), one.now), refused(Status::NOT_ALLOWED));
}

/// A dialer that reaches another process on another lane does not mix the two.
#[test]
fn a_dialer_keeps_to_one_process() {
    let mut one = One::new(0, changed(settings(2), |settings| settings.lanes = 2));
    one.actions();
    let first = peer(1, Side::Dialer);
    one.establish(&first, 1);
    let (link, actions) = one.establish(
        &changed(first, |peer| {
            peer.lane = 1;
            peer.incarnation = 8;
        }),
        2,
    );
    let kept = one.mesh.link(ReplicaId(1), 0).unwrap();
    assert_eq!(actions, [Action::Ping { link: kept }, Action::Close { link }]);
    let wanted = one.wait_ms(2050);
    assert_eq!(wanted.iter().filter(|(_, action)| *action == dial(1, 1)).count(), 1);
}

#[test]
fn without_an_incarnation_the_newest_link_wins() {
    let v1 = changed(peer(0, Side::Acceptor), |peer| {
        peer.version = Version::V1;
        peer.incarnation = 0;
    });
    let disabled = changed(v1, |peer| peer.authentication = Authentication::Disabled);
    for (peer, keys) in [(v1, Some(vec![KEY])), (disabled, None)] {
        let mut one = One::new(1, changed(settings(2), |settings| settings.keys = keys));
        let (old, _) = one.establish(&peer, 8);
        assert_eq!(one.mesh.judge(&peer, address(9), one.now), Verdict::Supersede { old });
        let (new, actions) = one.establish(&peer, 9);
        // H-13: no goodbye.
        let expected = [Action::Close { link: old }, down(old, 0, DownReason::Superseded), up(new, peer, 9)];
        assert_eq!(actions, expected);
    }
}

#[test]
fn pings_measure_and_half_open_links_die() {
    let mut one = One::new(1, settings(2));
    let (link, _) = one.establish(&peer(0, Side::Acceptor), 9);
    assert_eq!(one.mesh.round_trip(link), None);
    for (counter, millis) in [(1, 80), (2, 160)] {
        let until = one.until_next();
        let pings: Vec<_> = one.wait(until).into_iter().map(|(_, action)| action).collect();
        assert_eq!(pings, [Action::Ping { link }]);
        one.mesh.pinged(link, counter, one.now);
        one.wait_ms(millis);
        one.mesh.pong(link, counter, one.now);
        one.mesh.pong(link, counter, one.now); // What was not asked does not count.
        one.mesh.pong(link, 77, one.now);
    }
    let round_trip = one.mesh.round_trip(link).unwrap();
    assert_eq!((round_trip.last.as_millis(), round_trip.smoothed.as_millis()), (160, 90));

    let quiet = one.wait_ms(4999);
    assert!(quiet.iter().all(|(_, action)| *action == Action::Ping { link }), "{quiet:?}");
    assert!((4..=5).contains(&quiet.len()));
    let reason = DownReason::Lost(Loss::Silent(Duration::from_secs(5)));
    let last: Vec<_> = one.wait_ms(1).into_iter().map(|(_, action)| action).collect();
    assert_eq!(last, [Action::Close { link }, down(link, 0, reason)]);
}

/// H-13.
#[test]
fn version_1_links_are_not_pinged_and_may_be_silent() {
    let mut one = One::new(1, settings(2));
    one.establish(
        &changed(peer(0, Side::Acceptor), |peer| {
            peer.version = Version::V1;
            peer.incarnation = 0;
        }),
        9,
    );
    assert_eq!(one.wait(Duration::from_secs(3600)), []);
    assert_eq!(one.mesh.links().count(), 1);
}

#[test]
fn left_is_not_lost_and_is_dialed_again() {
    let mut one = One::new(0, settings(2));
    one.actions();
    let (link, _) = one.establish(&peer(1, Side::Dialer), 1);
    let reason = GoodbyeReason::SHUTDOWN;
    one.mesh.goodbye(link, reason, one.now, one.random);
    let answer = Action::Goodbye { link, reason };
    assert_eq!(one.actions(), [answer, down(link, 1, DownReason::Left(reason))]);
    one.mesh.closed(link, DownReason::Lost(Loss::Ended), one.now, one.random);
    assert_eq!(one.wait_ms(50).last().unwrap().1, dial(1, 0));
}

#[test]
fn whoever_leaves_the_roster_leaves() {
    let mut one = One::new(0, settings(3));
    one.actions();
    let (link, _) = one.establish(&peer(1, Side::Dialer), 1);
    one.establish(&peer(2, Side::Dialer), 2);
    let mut fewer = settings(4);
    fewer.members.remove(&ReplicaId(1));
    one.mesh.reconfigure(fewer, one.now, one.random);
    let goodbye = Action::Goodbye { link, reason: GoodbyeReason::OPERATOR };
    let reason = DownReason::Ended(GoodbyeReason::OPERATOR);
    assert_eq!(one.actions(), [goodbye, dial(3, 0)]);
    one.mesh.closed(link, DownReason::Lost(Loss::Ended), one.now, one.random);
    assert_eq!(one.actions(), [down(link, 1, reason)]);
    let refuse = Verdict::Refuse { status: Status::NOT_ALLOWED, retry_after_ms: 0 };
    assert_eq!(one.mesh.judge(&peer(1, Side::Acceptor), address(1), one.now), refuse);
    // A handshake that was under way.
    let (_, actions) = one.establish(&peer(1, Side::Dialer), 1);
    assert!(matches!(actions[1], Action::Goodbye { reason: GoodbyeReason::OPERATOR, .. }), "{actions:?}");
    assert!(!one.wait_ms(900).iter().any(|(_, action)| *action == dial(1, 0)));
}

#[test]
fn links_of_a_retired_key_are_renewed_one_after_the_other() {
    let calm = changed(settings(9), |settings| settings.heartbeat_interval = Duration::ZERO);
    let mut one = One::new(0, calm.clone());
    one.actions();
    one.random = 42;
    for id in 1..9 {
        one.establish(&peer(id, Side::Dialer), id);
    }
    assert_eq!((one.mesh.key_in_use(KEY), one.mesh.key_in_use(OTHER_KEY)), (8, 0));
    let rotated = changed(calm, |settings| settings.keys = Some(vec![OTHER_KEY]));
    one.mesh.reconfigure(rotated, one.now, one.random);
    let wanted = one.wait(RETIRE_SPREAD);
    let dials: BTreeSet<u128> = wanted
        .iter()
        .filter(|(_, action)| matches!(action, Action::Dial { .. }))
        .map(|&(at, _)| at)
        .collect();
    assert!(dials.len() >= 6, "spread: {dials:?}");
    let ended = |action: &Action| matches!(action, Action::Goodbye { .. } | Action::Down { .. });
    assert!(!wanted.iter().any(|(_, action)| ended(action)), "none leaves before another one has its place");
    assert_eq!(one.mesh.key_in_use(KEY), 8);
    let renewed =
        changed(peer(1, Side::Dialer), |peer| peer.authentication = Authentication::PreSharedKey(OTHER_KEY));
    let old = one.mesh.link(ReplicaId(1), 0).unwrap();
    let (new, actions) = one.establish(&renewed, 1);
    let goodbye = Action::Goodbye { link: old, reason: GoodbyeReason::SUPERSEDED };
    assert_eq!(actions, [up(new, renewed, 1), goodbye]);
    assert_eq!((one.mesh.key_in_use(KEY), one.mesh.key_in_use(OTHER_KEY)), (7, 1));
    one.mesh.goodbye(old, GoodbyeReason::SUPERSEDED, one.now, one.random);
    let (peer, lane) = (ReplicaId(1), 0);
    assert_eq!(one.actions(), [Action::Renewed { link: old, peer, lane, by: new }]);
    // Those that nobody answers leave all the same, for their key is no good.
    let wanted = one.wait(one.mesh.settings().leave_max());
    let left = wanted
        .iter()
        .filter(|(_, action)| matches!(action, Action::Goodbye { reason: GoodbyeReason::KEY_RETIRED, .. }));
    assert_eq!(left.count(), 7);
}

/// An acceptor that drops a key says so. What this end sends until another link has the place goes out on the old one.
#[test]
fn a_link_whose_peer_retires_its_key_is_renewed() {
    let mut one = One::new(0, settings(2));
    one.actions();
    let (old, _) = one.establish(&peer(1, Side::Dialer), 1);
    one.wait_ms(2500);
    one.mesh.heard(old, one.now);
    one.mesh.goodbye(old, GoodbyeReason::KEY_RETIRED, one.now, one.random);
    assert_eq!(one.actions(), [dial(1, 0)]);
    assert_eq!(one.mesh.link(ReplicaId(1), 0), Some(old), "it is up");
    let renewed = peer(1, Side::Dialer);
    let (new, actions) = one.establish(&renewed, 1);
    let goodbye = Action::Goodbye { link: old, reason: GoodbyeReason::SUPERSEDED };
    let in_its_place = Action::Renewed { link: old, peer: ReplicaId(1), lane: 0, by: new };
    assert_eq!(actions, [up(new, renewed, 1), goodbye, in_its_place]);
    one.mesh.closed(old, DownReason::Lost(Loss::Ended), one.now, one.random);
    // Where no other one comes, it ends after a while.
    one.wait_ms(2500);
    one.mesh.heard(new, one.now);
    one.mesh.goodbye(new, GoodbyeReason::KEY_RETIRED, one.now, one.random);
    let wanted = one.wait(one.mesh.settings().leave_max() + Duration::from_millis(1));
    let wanted: Vec<_> =
        wanted.iter().map(|(_, action)| action).filter(|action| **action != dial(1, 0)).collect();
    let goodbye = Action::Goodbye { link: new, reason: GoodbyeReason::KEY_RETIRED };
    let gone = down(new, 1, DownReason::Left(GoodbyeReason::KEY_RETIRED));
    assert_eq!(wanted, [&goodbye, &gone]);
}

/// `link_max_age`: the lower id makes another link in the place of one that is old, over and over.
#[test]
fn a_link_of_some_age_is_renewed() {
    let age = Duration::from_secs(60);
    let aging = changed(settings(2), |settings| {
        settings.link_max_age = age;
        settings.heartbeat_interval = Duration::ZERO;
    });
    let mut one = One::new(0, aging.clone());
    one.actions();
    let mut link = one.establish(&peer(1, Side::Dialer), 1).0;
    for _ in 0..3 {
        assert_eq!(one.wait(Duration::from_millis(53_999)), []);
        let wanted = one.wait(age / 10 + Duration::from_millis(1));
        assert_eq!(wanted.iter().map(|(_, action)| action).collect::<Vec<_>>(), [&dial(1, 0)]);
        let (new, actions) = one.establish(&peer(1, Side::Dialer), 1);
        let goodbye = Action::Goodbye { link, reason: GoodbyeReason::SUPERSEDED };
        assert_eq!(actions, [up(new, peer(1, Side::Dialer), 1), goodbye]);
        one.mesh.goodbye(link, GoodbyeReason::SUPERSEDED, one.now, one.random);
        let renewed = Action::Renewed { link, peer: ReplicaId(1), lane: 0, by: new };
        assert_eq!(one.actions(), [renewed]);
        one.mesh.closed(link, DownReason::Lost(Loss::Ended), one.now, one.random);
        link = new;
    }
    // Nobody answers: the old one stays for as long.
    let wanted = one.wait(age);
    assert_eq!(wanted.iter().map(|(_, action)| action).collect::<Vec<_>>(), [&dial(1, 0)]);
    one.fail(1, None);
    assert_eq!(one.mesh.link(ReplicaId(1), 0), Some(link));
    assert!(close_to(one.until_next(), 50), "{:?}", one.until_next());
    // The other end leaves it to the one that dials.
    let mut acceptor = One::new(1, aging);
    acceptor.establish(&peer(0, Side::Acceptor), 9);
    assert_eq!(acceptor.wait(age * 3), []);
}

#[test]
fn a_key_that_is_accepted_again_stays() {
    let mut one = One::new(0, settings(2));
    one.actions();
    one.establish(&peer(1, Side::Dialer), 1);
    one.mesh.reconfigure(
        changed(settings(2), |settings| settings.keys = Some(vec![OTHER_KEY])),
        one.now,
        one.random,
    );
    one.mesh.reconfigure(settings(2), one.now, one.random);
    let wanted = one.wait(RETIRE_SPREAD);
    assert!(wanted.iter().all(|(_, action)| matches!(action, Action::Ping { .. })), "{wanted:?}");
}

#[test]
fn a_peer_that_retires_the_key_is_dialed_at_once() {
    let mut one = One::new(0, settings(2));
    one.actions();
    let (link, _) = one.establish(&peer(1, Side::Dialer), 1);
    one.mesh.goodbye(link, GoodbyeReason::KEY_RETIRED, one.now, one.random);
    assert_eq!(one.actions().last(), Some(&dial(1, 0)));
}

#[test]
fn a_denied_frame_ends_the_link() {
    let mut standby = settings(2);
    standby.members.insert(ReplicaId(0), ReplicaRole::Standby);
    standby.commands = standby
        .commands
        .deny(ReplicaRole::Standby, Command::PREPARE_OK)
        .deny(ReplicaRole::Standby, Command::LINK_PING);
    let mut one = One::new(1, standby.clone());
    let permits = |replica, command| one.mesh.settings().permits(ReplicaId(replica), command);
    assert!(permits(0, Command::PING) && !permits(0, Command::PREPARE_OK));
    assert!(permits(0, Command::LINK_PING), "not the embedder's to deny");
    assert!(permits(1, Command::PREPARE_OK), "a voter");
    assert!(!permits(77, Command::PING), "whoever is not on the roster may send nothing");
    let (link, _) = one.establish(&peer(0, Side::Acceptor), 9);
    let denied = Command::PREPARE_OK;
    one.mesh.at_fault(link, DownReason::Denied(denied), one.now, 0);
    let warning = MeshWarning::Denied { peer: ReplicaId(0), address: address(9), command: denied };
    let goodbye = Action::Goodbye { link, reason: GoodbyeReason::NOT_PERMITTED };
    assert_eq!(one.actions(), [goodbye, down(link, 0, DownReason::Denied(denied)), Action::Warn(warning)]);
}

/// C-3.
#[test]
fn who_is_at_fault_is_told_so() {
    let violation = |error| DownReason::Lost(Loss::Violation(InboundError::Frame(error)));
    let size = |limit| violation(FrameError::Size { found: 1 << 20, limit });
    let cases = [
        (size(1 << 16), GoodbyeReason::FRAME_TOO_LARGE),
        (violation(FrameError::Size { found: 12, limit: 1 << 16 }), GoodbyeReason::PROTOCOL_VIOLATION),
        (size(256), GoodbyeReason::PROTOCOL_VIOLATION), // a control frame with a body
        (violation(FrameError::Command { found: Command(0) }), GoodbyeReason::PROTOCOL_VIOLATION),
    ];
    for (reason, owed) in cases {
        let mut one = One::new(1, settings(2));
        let (link, _) = one.establish(&peer(0, Side::Acceptor), 9);
        one.mesh.at_fault(link, reason, one.now, 0);
        assert_eq!(one.actions(), [Action::Goodbye { link, reason: owed }, down(link, 0, reason)]);
        assert_eq!(one.wait_ms(4999), []);
        assert_eq!(one.wait_ms(1).len(), 1, "closed, if the peer does not");
        // H-13: version 1 has no goodbyes.
        let mut one = One::new(1, settings(2));
        let v1 = changed(peer(0, Side::Acceptor), |peer| peer.version = Version::V1);
        let (link, _) = one.establish(&v1, 9);
        one.mesh.at_fault(link, reason, one.now, 0);
        assert_eq!(one.actions(), [Action::Close { link }, down(link, 0, reason)]);
    }
}

/// C-3: what another process has still to say, that is not alive any more, does not hold up the one that came.
#[test]
fn a_link_that_leaves_ends_when_its_process_is_replaced() {
    let mut one = One::new(1, settings(2));
    let first = peer(0, Side::Acceptor);
    let (old, _) = one.establish(&first, 8);
    one.establish(&first, 8);
    let (newer, actions) = one.establish(&changed(first, |peer| peer.incarnation = 8), 9);
    assert_eq!(actions.len(), 4, "{actions:?}");
    assert_eq!(actions[0], down(old, 0, DownReason::Superseded));
    assert!(matches!(actions[2], Action::Down { reason: DownReason::Superseded, .. }));
    assert!(matches!(actions[3], Action::Up { link, .. } if link == newer));
}

/// A link that could have been better is up all the same; its peer is told of once.
#[test]
fn a_peer_with_weaker_links_is_told_of_once() {
    let wanted = Flags::SEALED | Flags::EPHEMERAL;
    let with_flags = |settings: MeshSettings| changed(settings, |settings| settings.flags = wanted);
    let mut one = One::new(1, changed(with_flags(settings(4)), |settings| settings.lanes = 2));
    one.actions();
    let with = |replica, side, lane, flags| {
        changed(peer(replica, side), |peer| (peer.lane, peer.flags) = (lane, flags))
    };
    let warnings = |one: &mut One, peer: &Peer| {
        let (_, actions) = one.establish(peer, 9);
        assert!(actions.iter().any(|action| matches!(action, Action::Up { .. })), "{actions:?}");
        let warnings = actions.into_iter().filter_map(|action| match action {
            Action::Warn(warning) => Some(warning),
            _ => None,
        });
        warnings.collect::<Vec<_>>()
    };
    let weaker =
        |replica, missing| MeshWarning::Weaker { peer: ReplicaId(replica), address: address(9), missing };
    let (dialed, accepted) = (Side::Dialer, Side::Acceptor);

    assert_eq!(warnings(&mut one, &with(3, dialed, 0, wanted)), [], "all there is");
    assert_eq!(warnings(&mut one, &with(3, dialed, 1, wanted | Flags(0x100))), [], "and more");
    assert_eq!(warnings(&mut one, &with(2, dialed, 0, Flags::SEALED)), [weaker(2, Flags::EPHEMERAL)]);
    assert_eq!(warnings(&mut one, &with(2, dialed, 1, Flags::SEALED)), [], "once, on whichever lane");
    assert_eq!(
        warnings(&mut one, &with(0, accepted, 0, Flags::EPHEMERAL)),
        [weaker(0, Flags::SEALED)],
        "each peer"
    );
    assert_eq!(
        warnings(&mut one, &with(0, accepted, 1, Flags::NONE)),
        [weaker(0, wanted)],
        "what is worse is news"
    );
    assert_eq!(warnings(&mut one, &with(0, accepted, 1, Flags::EPHEMERAL)), [], "what is better is not");
    assert_eq!(warnings(&mut one, &with(0, accepted, 0, wanted)), [], "it takes part now");
    assert_eq!(
        warnings(&mut one, &with(0, accepted, 0, Flags::NONE)),
        [weaker(0, wanted)],
        "and not any more"
    );

    // A reload does not have it said again, unless the peer was gone.
    one.mesh.reconfigure(with_flags(settings(4)), one.now, one.random);
    assert_eq!(warnings(&mut one, &with(0, accepted, 0, Flags::NONE)), []);
    one.mesh.reconfigure(
        changed(with_flags(settings(4)), |settings| _ = settings.members.remove(&ReplicaId(0))),
        one.now,
        one.random,
    );
    one.mesh.reconfigure(with_flags(settings(4)), one.now, one.random);
    assert_eq!(warnings(&mut one, &with(0, accepted, 0, Flags::NONE)), [weaker(0, wanted)]);
    // What this end has off, nobody has declined.
    one.mesh.reconfigure(
        changed(settings(4), |settings| settings.flags = Flags::SEALED),
        one.now,
        one.random,
    );
    assert_eq!(warnings(&mut one, &with(3, accepted, 0, Flags::SEALED)), []);
}

/// H-12, H-13.
#[test]
fn what_nobody_could_have_had_is_not_lacking() {
    let wanted = Flags::SEALED | Flags::EPHEMERAL;
    let settings = changed(settings(3), |settings| settings.flags = wanted);
    let older = |side| changed(peer(2, side), |peer| peer.version = Version::V1);
    assert_eq!(settings.lacks(&older(Side::Acceptor)), wanted, "a peer dialed with version 1");
    assert_eq!(settings.lacks(&older(Side::Dialer)), Flags::NONE, "this end did");
    let open = changed(peer(2, Side::Acceptor), |peer| peer.authentication = Authentication::Disabled);
    assert_eq!(settings.lacks(&open), Flags::NONE);
}

#[test]
fn a_weaker_link_is_told_of_with_what_that_means() {
    let text = |missing| MeshWarning::Weaker { peer: ReplicaId(2), address: address(9), missing }.to_string();
    let (sealed, secret) =
        ("not sealed, so whoever is on the path can read and change", "not forward-secret, so every holder");
    let [neither, unsealed, recorded] =
        [Flags::SEALED | Flags::EPHEMERAL, Flags::SEALED, Flags::EPHEMERAL].map(text);
    assert!(neither.contains(sealed) && neither.contains(secret), "{neither}");
    assert!(unsealed.contains(sealed) && !unsealed.contains(secret), "{unsealed}");
    assert!(!recorded.contains(sealed) && recorded.contains(secret), "{recorded}");
    for text in [neither, unsealed, recorded] {
        assert!(text.contains("replica 2 at 10.0.0.9:7400") && text.contains("cluster.link"), "{text}");
    }
}

#[test]
fn a_shutdown_says_goodbye_and_is_over_when_all_links_are() {
    let mut one = One::new(1, settings(3));
    one.actions();
    let (link, _) = one.establish(&peer(0, Side::Acceptor), 9);
    one.mesh.shutdown(one.now);
    let reason = GoodbyeReason::SHUTDOWN;
    assert_eq!(one.actions(), [Action::Goodbye { link, reason }]);
    let verdict = one.mesh.judge(&peer(0, Side::Acceptor), address(9), one.now);
    assert!(matches!(verdict, Verdict::Refuse { status: Status::DRAINING, retry_after_ms: 1.. }));
    // The peer says its last: all of it was delivered. Then its goodbye, and ours, are through.
    one.mesh.goodbye(link, GoodbyeReason::OPERATOR, one.now, 0);
    assert_eq!(one.actions(), [down(link, 0, DownReason::Ended(reason))]);
    assert!(!one.mesh.is_finished());
    one.mesh.closed(link, DownReason::Lost(Loss::Ended), one.now, 0);
    assert_eq!(one.actions(), []);
    assert!(one.mesh.is_finished());
    assert_eq!(one.mesh.next_timeout(), None);
}

/// H-12: what proves nothing never takes over from what is proved, nor holds it up; the other way round it gives way.
#[test]
fn a_migrating_mesh_prefers_proved_links() {
    let migrating = changed(settings(3), |settings| {
        settings.migrating = true;
        settings.lanes = 2;
    });
    let proved = |lane| changed(peer(0, Side::Acceptor), |peer| peer.lane = lane);
    let unproved = Peer::new(ReplicaId(0), Side::Acceptor, Version::V1, Authentication::Disabled);
    for lane in [0, 1] {
        let mut one = One::new(1, migrating.clone());
        one.actions();
        assert_eq!(one.mesh.judge(&unproved, address(1), one.now), Verdict::Admit);
        let (open, _) = one.establish(&unproved, 1);
        assert_eq!(one.mesh.judge(&unproved, address(1), one.now), Verdict::Supersede { old: open });
        assert_eq!(one.mesh.judge(&proved(lane), address(1), one.now), Verdict::Supersede { old: open });
        let (link, actions) = one.establish(&proved(lane), 1);
        assert!(actions.contains(&Action::Close { link: open }), "on lane {lane}: {actions:?}");
        // Whenever it comes: also where the proved one has been silent for as long as it may.
        for _ in 0..4 {
            one.wait_ms(1000);
            let refused = Verdict::Refuse { status: Status::DUPLICATE_REPLICA, retry_after_ms: 0 };
            assert_eq!(one.mesh.judge(&unproved, address(1), one.now), refused);
        }
        assert_eq!(one.mesh.links().map(|(link, _)| link).collect::<Vec<_>>(), [link]);
    }
    // The last step: links that are not proved have to go.
    let mut one = One::new(1, migrating.clone());
    one.actions();
    let (open, _) = one.establish(&unproved, 1);
    one.mesh.reconfigure(changed(migrating, |settings| settings.migrating = false), one.now, 0);
    let closed = one.wait_ms(3000).into_iter().any(|(_, action)| action == Action::Close { link: open });
    assert!(closed);
    let refused = Verdict::Refuse { status: Status::UNKNOWN_KEY, retry_after_ms: 0 };
    assert_eq!(one.mesh.judge(&unproved, address(1), one.now), refused);
}

/// A start is no flood: some lanes are dialed at once, and the next whenever one has come up or failed.
#[test]
fn lanes_are_dialed_a_few_at_once() {
    let mut one = One::new(0, changed(settings(2), |settings| settings.lanes = 64));
    let lanes = |actions: &[Action]| {
        let dials = actions.iter().filter(|action| matches!(action, Action::Dial { .. }));
        dials.count()
    };
    assert_eq!(lanes(&one.actions()), 8);
    assert_eq!(one.mesh.next_timeout(), None, "it does not spin meanwhile");
    for lane in 0..64 {
        let (_, actions) = one.establish(&changed(peer(1, Side::Dialer), |peer| peer.lane = lane), 1);
        assert_eq!(lanes(&actions), usize::from(lane < 56), "after lane {lane}");
    }
    assert_eq!(one.mesh.links().count(), 64);
}
