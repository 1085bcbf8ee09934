use std::net::IpAddr;
use std::time::{Duration, Instant};

use replink_frame::{ReplicaId, Status};
use replink_handshake::{Availability, ChannelBinding, DialTarget};

use super::*;
use crate::config::{Config, SystemSources};
use crate::endpoint::{Answering, Dialing};
use crate::fresh;

pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn terms(max_pending: u32, max_pending_per_address: u32) -> Terms {
    Terms { allow: Vec::new(), max_pending, max_pending_per_address, handshake_timeout: TIMEOUT }
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A stranger's address, another one for each number.
fn stranger(number: u32) -> IpAddr {
    IpAddr::from((0xcb00_0000 + number).to_be_bytes())
}

/// As after a valid handshake, without making one.
fn prove(gate: &mut Gate, slot: Slot, now: Instant) {
    let slot = gate.take_back(slot).unwrap();
    gate.proven.insert(slot.address, now);
}

fn fill(gate: &mut Gate, now: Instant) -> Vec<Slot> {
    (0..).map_while(|number| gate.admit(stranger(number), now).ok()).collect()
}

fn release_all(gate: &mut Gate, slots: impl IntoIterator<Item = Slot>) {
    for slot in slots {
        gate.release(slot);
    }
}

#[test]
fn an_address_that_is_not_allowed_takes_no_slot() {
    let now = Instant::now();
    let allow = vec!["10.0.0.0/8".parse().expect("a network")];
    let mut gate = Gate::new(Terms { allow, ..terms(1, 1) }, [ip("192.0.2.1")]);
    // The roster does not open what the allow list closes.
    let refused = gate.admit(ip("192.0.2.1"), now).unwrap_err();
    assert_eq!((refused, refused.status(), gate.pending()), (Refused::NotAllowed, Status::NOT_ALLOWED, 0));
    let slot = gate.admit(ip("::ffff:10.1.1.1"), now).unwrap();
    // Full or not, a stranger learns nothing but that it is a stranger.
    assert_eq!(gate.admit(ip("192.0.2.1"), now).unwrap_err(), Refused::NotAllowed);
    gate.release(slot);
}

#[test]
fn both_limits_hold_and_slots_come_back() {
    let now = Instant::now();
    let mut gate = Gate::new(terms(3, 2), []);
    let first = gate.admit(ip("192.0.2.1"), now).unwrap();
    let second = gate.admit(ip("::ffff:192.0.2.1"), now).unwrap();
    let refused = gate.admit(ip("192.0.2.1"), now).unwrap_err();
    assert_eq!((refused, refused.status()), (Refused::Address { pending: 2 }, Status::BUSY));
    let third = gate.admit(ip("192.0.2.2"), now).unwrap();
    assert_eq!(gate.admit(ip("192.0.2.2"), now).unwrap_err(), Refused::Full { pending: 3, kept_back: 0 });
    gate.release(first);
    let fourth = gate.admit(ip("192.0.2.1"), now).unwrap();
    release_all(&mut gate, [second, third, fourth]);
    assert_eq!((gate.pending(), gate.counts.len(), gate.deadlines.len()), (0, 0, 0));
}

#[test]
fn strangers_in_one_64_count_as_one() {
    let now = Instant::now();
    let replica = ip("2001:db8::1");
    let mut gate = Gate::new(terms(64, 2), [replica]);
    let _a = gate.admit(ip("2001:db8::a"), now).unwrap();
    let _b = gate.admit(ip("2001:db8::b:b"), now).unwrap();
    assert_eq!(gate.admit(ip("2001:db8::c"), now).unwrap_err(), Refused::Address { pending: 2 });
    let _other = gate.admit(ip("2001:db8:0:1::a"), now).unwrap();
    // A replica in that network is not throttled along with them.
    let _replica = gate.admit(replica, now).unwrap();
}

#[test]
fn no_flood_takes_what_is_kept_back_for_a_replica() {
    let now = Instant::now();
    let replicas = [ip("10.0.0.1"), ip("10.0.0.2"), ip("10.0.0.3")];
    let mut gate = Gate::new(terms(32, 16), replicas);
    assert_eq!((gate.shares.kept_back, gate.shares.shared), (4, 20));
    // One replica's address floods first, then many strangers.
    let flood: Vec<_> = (0..16).map(|_| gate.admit(replicas[0], now).unwrap()).collect();
    assert_eq!(gate.admit(replicas[0], now).unwrap_err(), Refused::Address { pending: 16 });
    let strangers = fill(&mut gate, now);
    assert_eq!(strangers.len(), 8);
    assert_eq!(gate.admit(stranger(99), now).unwrap_err(), Refused::Full { pending: 24, kept_back: 8 });
    for replica in [replicas[1], replicas[2]] {
        let kept: Vec<_> = (0..4).map(|_| gate.admit(replica, now).unwrap()).collect();
        assert!(matches!(gate.admit(replica, now).unwrap_err(), Refused::Full { .. }));
        release_all(&mut gate, kept);
    }
    release_all(&mut gate, flood.into_iter().chain(strangers));
    assert_eq!((gate.pending(), gate.kept_in_use), (0, 0));
}

#[test]
fn small_gates_keep_back_what_they_can() {
    for (max, per_address, roster, kept_back, shared) in [
        (256, 16, 2, 4, 248),
        (256, 16, 0, 0, 256),
        (256, 2, 3, 2, 250),
        (8, 8, 5, 1, 3),
        (6, 6, 5, 1, 1),
        (5, 5, 5, 0, 5), // nobody else could ever connect
        (1, 1, 1, 0, 1),
        (2, 2, 1, 1, 1),
        (u32::MAX, u32::MAX, 1024, 4, u32::MAX - 4096),
    ] {
        let shares = Shares::new(&terms(max, per_address), roster);
        assert_eq!((shares.kept_back, shares.shared), (kept_back, shared), "{max} {per_address} {roster}");
        assert!(shares.high_water() >= 1 && shares.high_water() <= shared);
    }
}

#[test]
fn an_address_that_proved_itself_is_not_throttled_for_a_while() {
    let start = Instant::now();
    let peer = ip("2001:db8::1");
    let mut gate = Gate::new(terms(64, 1), []);
    let slot = gate.admit(peer, start).unwrap();
    prove(&mut gate, slot, start);

    let late = start + Duration::from_secs(60 * 60 - 1);
    let slots: Vec<_> = (0..10).map(|_| gate.admit(peer, late).unwrap()).collect();
    // Its neighbours in the network have proved nothing.
    let neighbour = gate.admit(ip("2001:db8::2"), late).unwrap();
    assert_eq!(gate.admit(ip("2001:db8::3"), late).unwrap_err(), Refused::Address { pending: 1 });
    gate.release(neighbour);
    release_all(&mut gate, slots);

    let old = start + PROVEN_FOR;
    let slot = gate.admit(peer, old).unwrap();
    assert_eq!(gate.admit(peer, old).unwrap_err(), Refused::Address { pending: 1 });
    gate.release(slot);
    // A failed handshake, or other terms, prove nothing.
    assert!(!gate.proven.contains(peer, old));
    let slot = gate.admit(peer, old).unwrap();
    prove(&mut gate, slot, old);
    gate.replace_terms(terms(64, 1));
    assert!(!gate.proven.contains(peer, old));
}

#[test]
fn proven_addresses_are_bounded_and_the_oldest_goes_first() {
    let start = Instant::now();
    let mut gate = Gate::new(terms(1, 1), []);
    for number in 0..=u32::try_from(PROVEN_MAX).unwrap() {
        let now = start + Duration::from_millis(number.into());
        let slot = gate.admit(stranger(number), now).unwrap();
        prove(&mut gate, slot, now);
    }
    let now = start + Duration::from_secs(2);
    assert_eq!(gate.proven.len(), PROVEN_MAX);
    assert!(!gate.proven.contains(stranger(0), now) && gate.proven.contains(stranger(1), now));
}

#[test]
fn deadlines_are_one_per_connection_and_in_order() {
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let mut gate = Gate::new(terms(8, 8), []);
    assert_eq!(gate.next_deadline(start), None);
    let first = gate.admit(ip("192.0.2.1"), start).unwrap();
    let later = gate.admit(ip("192.0.2.1"), start + second).unwrap();
    assert_eq!(first.deadline(), start + TIMEOUT);
    assert_eq!(gate.next_deadline(start), Some(first.deadline()));
    assert_eq!(gate.expired(start + Duration::from_millis(4_999)).count(), 0);
    let due: Vec<_> = gate.expired(start + TIMEOUT).collect();
    assert_eq!(due, [first.id()]);
    // Overdue ones are due now, not in the past, and stay due until they are given back.
    let late = start + TIMEOUT * 2;
    assert_eq!(gate.next_deadline(late), Some(late));
    assert_eq!(gate.expired(late).collect::<Vec<_>>(), [first.id(), later.id()]);
    gate.release(first);
    assert_eq!(gate.next_deadline(start), Some(later.deadline()));
    gate.release(later);
    assert_eq!((gate.next_deadline(late), gate.expired(late).count()), (None, 0));
}

#[test]
fn strangers_are_told_busy_above_the_mark_and_later_the_fuller_it_is() {
    let now = Instant::now();
    let (replica, known) = (ip("10.0.0.1"), ip("192.0.2.1"));
    let mut gate = Gate::new(terms(24, 24), [replica]);
    let slot = gate.admit(known, now).unwrap();
    prove(&mut gate, slot, now);
    let (replica, known) = (gate.admit(replica, now).unwrap(), gate.admit(known, now).unwrap());
    let mut waits = Vec::new();
    let mut slots = Vec::new();
    for number in 0..19 {
        slots.push(gate.admit(stranger(number), now).unwrap());
        match gate.availability(&slots[0], now) {
            Availability::Open => assert!(waits.is_empty()),
            Availability::Busy { retry_after_ms } => waits.push(retry_after_ms),
            _ => unreachable!("not asked to drain"),
        }
        assert_eq!(gate.availability(&replica, now), Availability::Open);
        assert_eq!(gate.availability(&known, now), Availability::Open);
    }
    // 20 are shared; the 16th is above three quarters of them.
    assert_eq!((slots.len(), waits.len()), (19, 5));
    assert!(waits.is_sorted_by(|a, b| a < b) && waits[0] > RETRY_AFTER_MS_MIN);
    assert_eq!(waits[4], RETRY_AFTER_MS_MAX);
    // Less load, and it is open again.
    release_all(&mut gate, slots.drain(1..6));
    assert_eq!(gate.availability(&slots[0], now), Availability::Open);
    // Once proofs are old, a stranger is a stranger.
    slots.extend(fill(&mut gate, now));
    assert!(matches!(gate.availability(&known, now + PROVEN_FOR), Availability::Busy { .. }));
}

#[test]
fn draining_is_told_to_everyone_that_is_read() {
    let now = Instant::now();
    let replica = ip("10.0.0.1");
    let mut gate = Gate::new(terms(8, 8), [replica]);
    let slot = gate.admit(replica, now).unwrap();
    gate.drain();
    let draining = Availability::Draining { retry_after_ms: RETRY_AFTER_MS_MIN };
    assert_eq!(gate.availability(&slot, now), draining);
    let slots = fill(&mut gate, now);
    let draining = Availability::Draining { retry_after_ms: RETRY_AFTER_MS_MAX };
    assert_eq!(gate.availability(slots.first().unwrap(), now), draining);
    // The limits hold all the same.
    assert!(matches!(gate.admit(stranger(99), now), Err(Refused::Full { .. })));
}

#[test]
fn terms_and_roster_change_without_losing_count() {
    let now = Instant::now();
    let (replica, other) = (ip("2001:db8::1"), ip("2001:db8::2"));
    let mut gate = Gate::new(terms(16, 8), [replica]);
    let mut slots: Vec<_> = (0..8).map(|_| gate.admit(replica, now).unwrap()).collect();
    slots.extend(fill(&mut gate, now));
    assert_eq!((gate.pending(), gate.kept_in_use), (16, 4));

    gate.replace_terms(Terms { handshake_timeout: TIMEOUT * 2, ..terms(4, 4) });
    assert_eq!((gate.pending(), gate.kept_in_use, gate.shares.kept_back), (16, 2, 2));
    assert_eq!(gate.admit(replica, now).unwrap_err(), Refused::Full { pending: 16, kept_back: 0 });
    assert_eq!(gate.next_deadline(now), Some(now + TIMEOUT));
    assert!(matches!(
        gate.availability(&slots[8], now),
        Availability::Busy { retry_after_ms: RETRY_AFTER_MS_MAX }
    ));

    // Who leaves the roster counts with its network from here on.
    gate.replace_terms(terms(32, 8));
    gate.replace_roster([other]);
    assert_eq!(gate.admit(replica, now).unwrap_err(), Refused::Address { pending: 8 });
    slots.push(gate.admit(other, now).unwrap());
    // And whoever comes onto it, alone.
    gate.replace_roster([ip("::ffff:10.0.0.1"), replica]);
    slots.push(gate.admit(ip("10.0.0.1"), now).unwrap());
    release_all(&mut gate, slots);
    assert_eq!((gate.pending(), gate.kept_in_use, gate.counts.len()), (0, 0, 0));
}

#[test]
fn a_slot_of_another_gate_changes_nothing() {
    let now = Instant::now();
    let (mut one, mut two) = (Gate::new(terms(8, 8), []), Gate::new(terms(8, 8), []));
    let foreign = one.admit(ip("192.0.2.1"), now).unwrap();
    let own = two.admit(ip("192.0.2.2"), now).unwrap();
    two.release(foreign);
    assert_eq!((one.pending(), two.pending()), (1, 1));
    two.release(own);
}

#[test]
fn the_roster_is_bounded() {
    let addresses = (0..5000).map(stranger);
    assert_eq!(Gate::new(terms(8, 8), addresses).roster.len(), ROSTER_ADDRESSES_MAX);
}

/// Replica 0's handshake with replica 1, at the acceptor's end.
fn handshake() -> Authenticated<()> {
    let text = "[cluster]\nname = 'orders'\n[cluster.auth]\nshared_secret = 'this is a test and 32 bytes long'\n\
                [[cluster.nodes]]\nid = 0\naddress = '127.0.0.1:1'\n[[cluster.nodes]]\nid = 1\naddress = '127.0.0.1:2'\n";
    let config = Config::parse(text, "cluster.toml".as_ref(), &SystemSources).unwrap();
    let [dialer, acceptor] = [0, 1].map(|id| config.endpoint(ReplicaId(id), 1, 1).unwrap());
    let (Dialing::Authenticated(dialer), Answering::Authenticated(acceptor)) =
        (dialer.dialing().clone(), acceptor.answering().clone())
    else {
        unreachable!("authentication is enabled")
    };
    let target = DialTarget::new(ReplicaId(1));
    let (dialing, hello) = dialer.begin((), target, ChannelBinding::None, fresh().unwrap()).unwrap();
    let waiting = acceptor.begin((), ChannelBinding::None);
    let (waiting, challenge) = waiting.receive(hello.bytes(), Availability::Open, fresh().unwrap()).unwrap();
    let (_, finish) = dialing.receive(challenge.bytes()).unwrap();
    waiting.receive(finish.bytes()).unwrap().admit()
}

#[test]
fn only_a_link_that_proved_itself_lifts_the_throttle() {
    let now = Instant::now();
    let peer = ip("192.0.2.1");
    let mut gate = Gate::new(terms(8, 1), []);
    let slot = gate.admit(peer, now).unwrap();
    gate.release(slot);
    let slot = gate.admit(peer, now).unwrap();
    assert_eq!(gate.admit(peer, now).unwrap_err(), Refused::Address { pending: 1 });
    gate.authenticated(slot, &handshake(), now);
    assert_eq!(gate.pending(), 0);
    let _slots = [gate.admit(peer, now).unwrap(), gate.admit(peer, now).unwrap()];
}

/// Who owns a /56 or a /48 has no end of /64s, and does not take all slots with them.
#[test]
fn ipv6_networks_are_bounded() {
    let now = Instant::now();
    for (prefix, at_most) in [(56, 4 * 4), (48, 8 * 4)] {
        let mut gate = Gate::new(terms(256, 4), [ip("2001:db8:0:ff::1")]);
        let address = |number: u128| {
            let network = 0x2001_0db8_u128 << 96;
            // Another /56 each time where it is about the /48.
            let subnet = if prefix == 56 { number } else { number << 8 };
            IpAddr::from(std::net::Ipv6Addr::from_bits(network | subnet << 64 | 7))
        };
        let admitted: Vec<_> = (0..200).map_while(|number| gate.admit(address(number), now).ok()).collect();
        assert_eq!(admitted.len(), at_most, "of a /{prefix}");
        let refused = Refused::Address { pending: u32::try_from(at_most).unwrap() };
        assert_eq!(gate.admit(address(201), now).unwrap_err(), refused);
        let _elsewhere = gate.admit(ip("2001:db8:7::1"), now).unwrap();
        let _replica = gate.admit(ip("2001:db8:0:ff::1"), now).unwrap();
        for slot in admitted {
            gate.release(slot);
        }
        let _again = gate.admit(address(201), now).unwrap();
    }
}

/// Several replicas on one machine: each of them may dial as if it were alone.
#[test]
fn replicas_that_share_an_address_have_room_each() {
    let now = Instant::now();
    let address = ip("10.0.0.1");
    let mut gate = Gate::new(terms(64, 4), [address, address, address]);
    let admitted: Vec<_> = (0..20).map_while(|_| gate.admit(address, now).ok()).collect();
    assert_eq!(admitted.len(), 12);
}
