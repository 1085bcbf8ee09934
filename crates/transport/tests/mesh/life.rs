//! What counts as life, and what speaks for a link against a newcomer (C-1).

use std::time::Duration;

use replink_transport::frame::{ReplicaId, Status};
use replink_transport::handshake::{Peer, Side};
use replink_transport::mesh::{Action, DownReason, LinkId, Loss, Verdict};

use crate::one::{One, address, changed, peer, settings};

const REFUSED: Verdict = Verdict::Refuse { status: Status::DUPLICATE_REPLICA, retry_after_ms: 0 };

/// Replica 1, and what replica 0 is to it: as it was, and restarted.
fn acceptor() -> (One, Peer, Peer) {
    let first = peer(0, Side::Acceptor);
    (One::new(1, settings(2)), first, changed(first, |peer| peer.incarnation = 8))
}

/// Time goes by until the next ping, which goes out with this counter.
fn ping(one: &mut One, link: LinkId, counter: u64) {
    let until = one.until_next();
    assert!(one.wait(until).iter().any(|(_, action)| *action == Action::Ping { link }));
    one.mesh.pinged(link, counter, one.now);
}

/// Whoever holds the records of a replica that has died, and lets them out one by one, keeps the heartbeat timer
/// running, and keeps the old link against nobody.
#[test]
fn what_was_held_back_keeps_no_old_link() {
    let (mut one, first, restarted) = acceptor();
    let (old, _) = one.establish(&first, 8);
    for counter in 1..=3 {
        ping(&mut one, old, counter);
        one.wait_ms(10);
        one.mesh.pong(old, counter, one.now);
    }
    // From here on it is dead: its last pongs and frames are let out with a second between them.
    let died = one.now;
    for counter in 4..=9 {
        ping(&mut one, old, counter);
        one.mesh.heard(old, one.now);
    }
    one.mesh.pong(old, 4, one.now); // a pong for a ping of five seconds ago
    assert!(one.now - died > Duration::from_secs(5), "and the timer has not ended it");
    assert_eq!(one.mesh.judge(&restarted, address(9), one.now), Verdict::Supersede { old });
}

/// The same with pongs one after the other: what they make of the round trip gives the old link no more time.
#[test]
fn a_round_trip_that_someone_stretches_is_none() {
    let (mut one, first, restarted) = acceptor();
    let (old, _) = one.establish(&first, 8);
    ping(&mut one, old, 1);
    one.wait_ms(10);
    one.mesh.pong(old, 1, one.now);
    for counter in 2..=8 {
        ping(&mut one, old, counter); // it answers all of these, and dies
        one.mesh.heard(old, one.now);
    }
    for counter in 2..=8 {
        one.wait_ms(900);
        one.mesh.pong(old, counter, one.now);
    }
    assert!(one.mesh.round_trip(old).unwrap().smoothed > Duration::from_secs(3));
    assert_eq!(one.mesh.judge(&restarted, address(9), one.now), Verdict::Supersede { old });
}

#[test]
fn a_pong_speaks_for_the_time_of_its_ping() {
    let (mut one, first, restarted) = acceptor();
    let (old, _) = one.establish(&first, 8);
    ping(&mut one, old, 1);
    let sent = one.now;
    one.wait_ms(300);
    one.mesh.pong(old, 1, one.now);
    let window = Duration::from_millis(2300);
    one.now = sent + window;
    assert_eq!(one.mesh.judge(&restarted, address(9), one.now), REFUSED);
    one.now += Duration::from_nanos(1);
    assert_eq!(one.mesh.judge(&restarted, address(9), one.now), Verdict::Supersede { old });
    // An echo that nothing was sent for says nothing.
    one.mesh.pong(old, 77, one.now);
    assert_eq!(one.mesh.judge(&restarted, address(9), one.now), Verdict::Supersede { old });
}

/// A link that has just been made, or taken over from another process, stays: nobody has been asked yet.
#[test]
fn a_handshake_speaks_for_two_intervals() {
    let (mut one, first, restarted) = acceptor();
    let (old, _) = one.establish(&first, 8);
    one.now += Duration::from_secs(2);
    assert_eq!(one.mesh.judge(&restarted, address(9), one.now), REFUSED);
    one.mesh.heard(old, one.now);
    one.now += Duration::from_millis(1);
    assert_eq!(one.mesh.judge(&restarted, address(9), one.now), Verdict::Supersede { old });
}

#[test]
fn without_pings_the_newcomer_wins() {
    let (_, first, restarted) = acceptor();
    let mut one = One::new(1, changed(settings(2), |settings| settings.heartbeat_interval = Duration::ZERO));
    let (old, _) = one.establish(&first, 8);
    one.mesh.heard(old, one.now);
    assert_eq!(one.mesh.judge(&restarted, address(9), one.now), Verdict::Supersede { old });
}

/// The same for a dialer that reaches a second process on another lane.
#[test]
fn a_dialer_weighs_the_first_process_by_its_pongs() {
    let mut one = One::new(0, changed(settings(2), |settings| settings.lanes = 2));
    one.actions();
    let first = peer(1, Side::Dialer);
    let (old, _) = one.establish(&first, 1);
    one.wait_ms(2001);
    one.mesh.heard(old, one.now);
    let second = changed(first, |peer| (peer.lane, peer.incarnation) = (1, 8));
    one.establish(&second, 2);
    assert_eq!((one.mesh.link(ReplicaId(1), 0), one.mesh.links().count()), (None, 1));
}

/// A large frame may take longer than the timer, and the pongs of its sender wait behind it.
#[test]
fn unanswered_pings_end_no_link_from_which_life_comes() {
    let (mut one, first, _) = acceptor();
    let (link, _) = one.establish(&first, 8);
    for counter in 1..=60 {
        ping(&mut one, link, counter);
        one.mesh.heard(link, one.now);
    }
    assert_eq!(one.mesh.links().count(), 1);
    // Then nothing comes.
    let wanted = one.wait_ms(5000);
    let lost = DownReason::Lost(Loss::Silent(Duration::from_secs(5)));
    assert!(
        wanted.iter().any(|(_, action)| matches!(action, Action::Down { reason, .. } if *reason == lost))
    );
}

/// C-2: the pings of the other end wait behind the frame, so it hears of us by these.
#[test]
fn without_heartbeats_a_frame_that_is_arriving_brings_pings() {
    let (_, first, _) = acceptor();
    let off = changed(settings(2), |settings| settings.heartbeat_interval = Duration::ZERO);
    let mut one = One::new(1, off);
    let (link, _) = one.establish(&first, 8);
    assert_eq!(one.wait_ms(10_000), []);
    one.mesh.arriving(link, true, one.now);
    let wanted = one.wait_ms(10_000);
    assert_eq!(wanted.len(), 10, "{wanted:?}");
    assert!(wanted.iter().all(|(_, action)| *action == Action::Ping { link }));
    one.mesh.arriving(link, false, one.now);
    assert_eq!(one.wait(Duration::from_secs(3600)), [], "and nobody is lost for silence");
    assert_eq!(one.mesh.next_timeout(), None);
    // They may be turned on, and off again.
    one.mesh.reconfigure(settings(2), one.now, 0);
    assert_eq!(one.wait_ms(4_000).len(), 4);
    one.mesh.reconfigure(
        changed(settings(2), |settings| settings.heartbeat_interval = Duration::ZERO),
        one.now,
        0,
    );
    assert_eq!(one.wait_ms(10_000), []);
}
