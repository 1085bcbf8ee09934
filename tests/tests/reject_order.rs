//! H-11: a Hello that is wrong in everything is refused for the first reason; once that one is
//! mended, for the next. And H-7: what each reject looks like, and what the dialer makes of it.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;

use replink_frame::{
    Challenge, Command, Flags, GenericHeader, HandshakeFields, HandshakeFrameError, ReplicaId, Status,
    Version,
};
use replink_handshake::{
    Availability, DialError, FlagPolicy, Local, PeerReject, Rejection, cluster_id, disabled,
};
use replink_tests::fixtures::{
    OTHER_SECRET, SECRET, Sides, dialer_config, fresh, late_reject, rejected, ring,
};
use replink_tests::forge::Forge;

type Frame = [u8; 256];

const BUSY: Availability = Availability::Busy { retry_after_ms: 250 };
const DRAINING: Availability = Availability::Draining { retry_after_ms: 30_000 };

// Offsets of section 1 and, from 128 on, of section 2.
const CLUSTER: usize = 32;
const SIZE: usize = 48;
const RELEASE: usize = 56;
const COMMAND: usize = 60;
const REPLICA: usize = 61;
const NONCE: usize = 128;
const STATUS: usize = 192;
const VERSION: usize = 193;
const FLAGS: usize = 194;
const KEY_ID: usize = 200;
const LANE: usize = 248;
const LAST: usize = 255;

/// One more thing that is wrong with a Hello, where it is, and the reason that it yields.
struct Fault {
    status: Status,
    offset: usize,
    wrong: &'static [u8],
}

const fn fault(status: Status, offset: usize, wrong: &'static [u8]) -> Fault {
    Fault { status, offset, wrong }
}

/// In the order of H-11. Later faults at the same offset count once the earlier is mended.
const FAULTS: [Fault; 11] = [
    fault(Status::UNKNOWN_COMMAND, COMMAND, &[6]),
    fault(Status::MALFORMED_FRAME, SIZE, &[0, 2, 0, 0]),
    fault(Status::UNSUPPORTED_VERSION, VERSION, &[77]),
    fault(Status::MALFORMED_FRAME, LAST, &[1]),
    fault(Status::CLUSTER_MISMATCH, CLUSTER, &[0xcc; 16]),
    fault(Status::DIRECTIONAL_RULE, REPLICA, &[9]),
    fault(Status::NOT_ALLOWED, REPLICA, &[1]),
    fault(Status::AUTH_REQUIRED, NONCE, &[0; 32]),
    fault(Status::UNKNOWN_KEY, KEY_ID, &[0xee; 8]),
    fault(Status::RELEASE_MISMATCH, RELEASE, &[0xdd; 4]),
    fault(Status::POLICY_MISMATCH, FLAGS, &[0, 0]),
];

/// Replica 0, release 1, lane 3, offers what replica 2, with 0 and 2 on its roster, requires.
fn strict_sides() -> Sides {
    let mut sides = Sides::with_flags(Flags::SEALED);
    sides.acceptor.flags.required = Flags::SEALED;
    sides.acceptor.roster = [0, 2].map(ReplicaId).into_iter().collect();
    sides.acceptor.releases = 0..=9;
    sides
}

fn good_hello(sides: &Sides) -> Frame {
    let mut hello = *sides.dial().1.bytes();
    if sides.dialer.version == Version::V2 {
        hello[LANE] = 3;
    }
    hello
}

/// `good` with the faults from `first` on, the first of them on top.
fn with_faults(good: &Frame, faults: &[&Fault]) -> Frame {
    let mut hello = *good;
    for fault in faults.iter().rev() {
        hello[fault.offset..][..fault.wrong.len()].copy_from_slice(fault.wrong);
    }
    hello
}

fn refusal(sides: &Sides, hello: &Frame, availability: Availability) -> (Frame, Rejection) {
    let rejected = sides.answer_with(hello, availability, fresh(2)).unwrap_err();
    let ((), reply, rejection) = rejected.into_parts();
    (reply, rejection)
}

/// H-7 and H-11, byte for byte: the version 2 reject that `hello` deserves. `proof` is whether
/// the acceptor holds the key that it names.
fn expected_v2(sides: &Sides, hello: &Frame, status: Status, retry_after_ms: u32, proof: bool) -> Frame {
    let local = &sides.acceptor.local;
    let theirs = HandshakeFields::view(GenericHeader::view(hello));
    let mut reject = Challenge::new(local.cluster, local.replica, Version::V2);
    reject.set_release(local.release);
    *reject.fields_mut() = HandshakeFields {
        status,
        retry_after_ms: retry_after_ms.into(),
        key_id: theirs.key_id,
        lane: theirs.lane,
        incarnation: local.incarnation.into(),
        ..*reject.fields()
    };
    if proof {
        reject.fields_mut().nonce = [2; 32];
        reject = Forge::new(SECRET).sign_challenge(hello, reject);
    }
    *reject.bytes()
}

/// The version 1 reject, or with another version byte the one for a version nobody knows:
/// all zero from offset 65 on but for that byte.
fn expected_v1(sides: &Sides, status: Status, version_byte: u8) -> Frame {
    let local = &sides.acceptor.local;
    let mut reject = Challenge::new(local.cluster, local.replica, Version::V1);
    reject.fields_mut().status = status;
    reject.fields_mut().version = version_byte;
    *reject.bytes()
}

fn check_order_v2(key_known: bool) {
    let sides = strict_sides();
    let good = good_hello(&sides);
    let faults: Vec<_> =
        FAULTS.iter().filter(|fault| !(key_known && fault.status == Status::UNKNOWN_KEY)).collect();
    for (first, fault) in faults.iter().enumerate() {
        let hello = with_faults(&good, &faults[first..]);
        let (reply, rejection) = refusal(&sides, &hello, BUSY);
        assert_eq!(rejection.status, fault.status, "fault {first}");
        let is_hello = fault.offset != COMMAND;
        assert_eq!(rejection.claimed, is_hello.then_some(ReplicaId(hello[REPLICA])));
        // The key id is mended once its turn is over.
        let named = hello[KEY_ID..][..8] == good[KEY_ID..][..8];
        let expected = match fault.offset {
            COMMAND => expected_v1(&sides, Status::UNKNOWN_COMMAND, 0),
            VERSION => expected_v1(&sides, Status::UNSUPPORTED_VERSION, 77),
            // The faulty version byte is still there when the size is at fault.
            SIZE => expected_v1(&sides, Status::MALFORMED_FRAME, 77),
            _ => expected_v2(&sides, &hello, fault.status, 0, named),
        };
        assert_eq!(reply, expected, "{} at {}", fault.status, fault.offset);
        assert_eq!(rejection.authenticated, reply[NONCE..NONCE + 64] != [0; 64]);
    }
    for (availability, status, ms) in [(BUSY, Status::BUSY, 250), (DRAINING, Status::DRAINING, 30_000)] {
        let (reply, rejection) = refusal(&sides, &good, availability);
        assert_eq!((rejection.status, rejection.authenticated), (status, true));
        assert_eq!(reply, expected_v2(&sides, &good, status, ms, true));
    }
    sides.answer(&good).unwrap();
}

#[test]
fn version_2_with_an_unknown_key() {
    check_order_v2(false);
}

#[test]
fn version_2_with_a_known_key() {
    check_order_v2(true);
}

/// One fault at a time, so that nothing but its own check can refuse it.
#[test]
fn each_fault_alone() {
    let sides = strict_sides();
    let good = good_hello(&sides);
    for fault in &FAULTS {
        let hello = with_faults(&good, &[fault]);
        let (reply, rejection) = refusal(&sides, &hello, Availability::Open);
        assert_eq!(rejection.status, fault.status);
        assert_eq!(Status(reply[STATUS]), fault.status);
        let in_version_2 = ![COMMAND, VERSION].contains(&fault.offset);
        assert_eq!(rejection.authenticated, in_version_2 && fault.status != Status::UNKNOWN_KEY);
    }
}

/// Version 1 has no key id, release or flags of its own, so those are not among its faults.
#[test]
fn version_1() {
    let mut sides = Sides::new(Version::V1);
    sides.acceptor.roster = [0, 2].map(ReplicaId).into_iter().collect();
    sides.acceptor.releases = 9..=9; // not asked in version 1
    let good = good_hello(&sides);
    let told = |status: Status| if status.0 <= 5 { status } else { Status(1) };
    let unused = [KEY_ID, RELEASE, FLAGS];
    let faults: Vec<_> = FAULTS.iter().filter(|fault| !unused.contains(&fault.offset)).collect();
    for (first, fault) in faults.iter().enumerate() {
        let hello = with_faults(&good, &faults[first..]);
        let (reply, rejection) = refusal(&sides, &hello, BUSY);
        assert_eq!(rejection.status, fault.status);
        assert!(!rejection.authenticated);
        let expected = match fault.offset {
            SIZE | VERSION => expected_v1(&sides, fault.status, 77),
            _ => expected_v1(&sides, told(fault.status), 0),
        };
        assert_eq!(reply, expected, "{}", fault.status);
        assert!(reply[RELEASE..COMMAND] == [0; 4] && reply[VERSION + 1..] == [0; 62]);
    }
    // What the acceptor refuses by its own settings, in turn.
    sides.acceptor.flags.required = Flags::SEALED;
    for status in [Status::POLICY_MISMATCH, Status::BUSY] {
        let (reply, rejection) = refusal(&sides, &good, BUSY);
        assert_eq!(rejection.status, status);
        assert_eq!(reply, expected_v1(&sides, Status::UNKNOWN_COMMAND, 0));
        sides.acceptor.flags = FlagPolicy::default();
    }
    sides.answer(&good).unwrap();
}

/// A byte that version 1 does not use is set, and the acceptor does not speak version 1: the
/// version comes first.
#[test]
fn the_lowest_version_is_checked_before_unused_bytes() {
    let mut sides = Sides::new(Version::V1);
    let mut hello = good_hello(&sides);
    sides.acceptor.min_version = Version::V2;
    for (offset, what) in [(LAST, "unused byte"), (RELEASE, "release"), (CLUSTER, "cluster")] {
        hello[offset] ^= 1;
        let (reply, rejection) = refusal(&sides, &hello, Availability::Open);
        assert_eq!(rejection.status, Status::UNSUPPORTED_VERSION, "{what}");
        assert_eq!(reply, expected_v1(&sides, Status::UNKNOWN_COMMAND, 0));
    }
}

/// The dialer's report of a reject that the acceptor made of the dialer's own Hello.
fn reported(sides: &Sides, availability: Availability) -> PeerReject {
    let (waiting, hello) = sides.dial();
    let (reply, rejection) = refusal(sides, hello.bytes(), availability);
    let DialError::Rejected(reject) = waiting.receive(&reply).unwrap_err().error else {
        panic!("{rejection}")
    };
    assert_eq!(reject.authenticated, rejection.authenticated);
    assert_eq!(reject.from, sides.acceptor.local.replica);
    reject
}

/// Two honest nodes whose configurations do not fit.
#[test]
fn what_the_dialer_reports() {
    type Misfit = (Status, bool, fn(&mut Sides));
    let misfits: [Misfit; 7] = [
        (Status::CLUSTER_MISMATCH, true, |sides| sides.acceptor.local.cluster = cluster_id("other")),
        (Status::DIRECTIONAL_RULE, true, |sides| sides.dialer.local.replica = ReplicaId(1)),
        (Status::NOT_ALLOWED, true, |sides| sides.dialer.local.replica = ReplicaId(1)),
        (Status::UNKNOWN_KEY, false, |sides| sides.dialer.ring = ring(&[OTHER_SECRET, SECRET])),
        (Status::RELEASE_MISMATCH, true, |sides| sides.dialer.local.release = 10),
        (Status::POLICY_MISMATCH, true, |sides| sides.dialer.flags = FlagPolicy::default()),
        (Status::OK, true, |_| {}),
    ];
    for (status, authenticated, misfit) in misfits {
        let mut sides = strict_sides();
        misfit(&mut sides);
        if status.is_ok() {
            sides.run();
            continue;
        }
        let (waiting, hello) = sides.dial();
        if status == Status::DIRECTIONAL_RULE {
            // The address of replica 2 leads to replica 1.
            sides.acceptor.local.replica = ReplicaId(1);
        }
        let (reply, rejection) = refusal(&sides, hello.bytes(), Availability::Open);
        assert_eq!(rejection.status, status);
        let error = waiting.receive(&reply).unwrap_err().error;
        let from = sides.acceptor.local.replica;
        assert_eq!(error, DialError::Rejected(PeerReject::new(from, status, 0, authenticated)));
    }
    let busy = reported(&strict_sides(), BUSY);
    assert_eq!((busy.status, busy.retry_after_ms, busy.authenticated), (Status::BUSY, 250, true));
    let draining = reported(&strict_sides(), DRAINING);
    assert_eq!((draining.status, draining.retry_after_ms), (Status::DRAINING, 30_000));
    assert!(draining.authenticated);
}

/// A Hello that was changed on the way is refused with a MAC over what arrived, which is not
/// what the dialer sent: to the dialer the reject is a hint, or no reject of its version at all.
#[test]
fn what_the_dialer_reports_of_a_hello_changed_on_the_way() {
    let sides = strict_sides();
    for fault in &FAULTS {
        let (waiting, hello) = sides.dial();
        let changed = with_faults(hello.bytes(), &[fault]);
        let (reply, _) = refusal(&sides, &changed, Availability::Open);
        match (fault.offset, waiting.receive(&reply).unwrap_err().error) {
            (COMMAND, DialError::Version { asked: Version::V2, answered: Version::V1 })
            | (VERSION, DialError::Frame(HandshakeFrameError::UnsupportedVersion { found: 77 })) => {}
            (_, DialError::Rejected(reject)) => {
                assert_eq!((reject.status, reject.authenticated), (fault.status, false));
            }
            (offset, error) => panic!("byte {offset}: {error}"),
        }
    }
}

#[test]
fn version_1_rejects_are_hints() {
    let mut sides = Sides::new(Version::V1);
    let busy = reported(&sides, BUSY);
    assert_eq!((busy.status, busy.retry_after_ms, busy.authenticated), (Status::UNKNOWN_COMMAND, 0, false));
    sides.acceptor.local.cluster = cluster_id("other");
    let mismatch = reported(&sides, Availability::Open);
    assert_eq!((mismatch.status, mismatch.authenticated), (Status::CLUSTER_MISMATCH, false));
    sides.acceptor.min_version = Version::V2;
    assert_eq!(reported(&sides, Availability::Open).status, Status::UNKNOWN_COMMAND);
}

/// The late reject of a Finish with a wrong MAC (H-9).
#[test]
fn mac_mismatch() {
    for version in [Version::V1, Version::V2] {
        let sides = Sides::new(version);
        let (waiting, hello) = sides.dial();
        let (accepting, challenge) = sides.answer(hello.bytes()).unwrap();
        let (dialed, mut finish) = waiting.receive(challenge.bytes()).unwrap();
        finish.fields_mut().mac[0] ^= 1;
        let ((), reply, rejection) = rejected(accepting.receive(finish.bytes()).unwrap_err()).into_parts();
        let v2 = version == Version::V2;
        assert_eq!((rejection.status, rejection.authenticated), (Status::MAC_MISMATCH, v2));
        let expected = match version {
            Version::V1 => expected_v1(&sides, Status::MAC_MISMATCH, 0),
            Version::V2 => expected_v2(&sides, hello.bytes(), Status::MAC_MISMATCH, 0, true),
        };
        assert_eq!(reply, expected);
        let late = late_reject(dialed, &reply).unwrap();
        assert_eq!((late.status, late.authenticated), (Status::MAC_MISMATCH, v2));
    }
}

/// Every code there is, and one that there is not, from `Verified::refuse` to the dialer.
#[test]
fn every_status_arrives() {
    let mut arrived = BTreeSet::new();
    for status in (1..=14).chain([77]).map(Status) {
        let retry_after_ms = if matches!(status, Status::BUSY | Status::DRAINING) { 40 } else { 0 };
        for version in [Version::V1, Version::V2] {
            let v2 = version == Version::V2;
            let sides = Sides::new(version);
            let run = sides.run();
            let ((), reply, rejection) = run.verified.refuse(status, 40).into_parts();
            assert_eq!((rejection.status, rejection.authenticated), (status, v2));
            assert_eq!(rejection.claimed, Some(ReplicaId(0)));
            let told = if v2 || status.0 <= 5 { status } else { Status::UNKNOWN_COMMAND };
            let expected = match version {
                Version::V1 => expected_v1(&sides, told, 0),
                Version::V2 => expected_v2(&sides, run.hello.bytes(), told, retry_after_ms, true),
            };
            assert_eq!(reply, expected, "{status} in version {version}");
            let late = late_reject(run.dialed, &reply).unwrap();
            let retry_after_ms = if v2 { retry_after_ms } else { 0 };
            let from = ReplicaId(2);
            assert_eq!(late, PeerReject::new(from, told, retry_after_ms, v2));
            if v2 {
                arrived.insert(late.status.0);
            }
        }
    }
    assert!(arrived.iter().copied().eq((1..=14).chain([77])));
}

/// The same codes as the first answer, which is all that an acceptor of another make may send.
#[test]
fn every_status_is_read_instead_of_a_challenge() {
    for status in (1..=14).chain([77]).map(Status) {
        for version in [Version::V1, Version::V2] {
            let sides = Sides::new(version);
            let (waiting, hello) = sides.dial();
            let reject = match version {
                Version::V1 => expected_v1(&sides, status, 0),
                Version::V2 => expected_v2(&sides, hello.bytes(), status, 0, true),
            };
            let error = waiting.receive(&reject).unwrap_err().error;
            let (authenticated, from) = (version == Version::V2, ReplicaId(2));
            let expected = PeerReject::new(from, status, 0, authenticated);
            assert_eq!(error, DialError::Rejected(expected));
        }
    }
}

#[test]
fn a_second_process_of_a_replica_is_told_so() {
    let run = Sides::new(Version::V2).run();
    let rejected = run.verified.refuse(Status::DUPLICATE_REPLICA, 0);
    assert!(rejected.rejection().to_string().contains("duplicate_replica (11)"));
    let ((), reply, _) = rejected.into_parts();
    let late = late_reject(run.dialed, &reply).unwrap();
    assert_eq!((late.status, late.authenticated), (Status::DUPLICATE_REPLICA, true));
    assert_eq!(
        late.to_string(),
        "replica 2 rejected us with duplicate_replica (11), authenticated: \
         another process is connected under the same replica id"
    );
}

/// H-12, from both sides.
#[test]
fn a_node_without_authentication_and_one_with() {
    // The dialer does not authenticate: told auth_required whatever the lowest version is, and
    // only once all that comes before is right.
    let sides = Sides::new(Version::V2);
    let plain = |local: &Local| disabled::dial((), local, ReplicaId(2)).unwrap();
    let (dialed, hello) = plain(&dialer_config(0).local);
    let (reply, rejection) = refusal(&sides, hello.bytes(), BUSY);
    assert_eq!(rejection.status, Status::AUTH_REQUIRED);
    assert_eq!(reply, expected_v1(&sides, Status::AUTH_REQUIRED, 0));
    assert_eq!(late_reject(dialed, &reply).unwrap().status, Status::AUTH_REQUIRED);
    let mut stranger = dialer_config(0).local;
    stranger.cluster = cluster_id("other");
    let (_, hello) = plain(&stranger);
    assert_eq!(refusal(&sides, hello.bytes(), BUSY).1.status, Status::CLUSTER_MISMATCH);

    // The acceptor does not: policy_mismatch, in version 1 as far as it can be said.
    for (version, told) in [(Version::V1, Status::UNKNOWN_COMMAND), (Version::V2, Status::POLICY_MISMATCH)] {
        let sides = Sides::new(version);
        let (waiting, hello) = sides.dial();
        let state = disabled::accept((), &sides.acceptor.local, sides.acceptor.roster);
        let ((), reply, rejection) = state.receive(hello.bytes()).unwrap_err().into_parts();
        assert_eq!((rejection.status, rejection.authenticated), (Status::POLICY_MISMATCH, false));
        let expected = match version {
            Version::V1 => expected_v1(&sides, told, 0),
            Version::V2 => expected_v2(&sides, hello.bytes(), told, 0, false),
        };
        assert_eq!(reply, expected);
        let DialError::Rejected(reject) = waiting.receive(&reply).unwrap_err().error else { panic!() };
        assert_eq!((reject.status, reject.authenticated), (told, false));
    }

    // And it checks all else in the order of H-11 first.
    let sides = strict_sides();
    let good = good_hello(&sides);
    let faults: Vec<_> = FAULTS[..7].iter().collect();
    for (first, fault) in faults.iter().enumerate() {
        let hello = with_faults(&good, &faults[first..]);
        let state = disabled::accept((), &sides.acceptor.local, sides.acceptor.roster);
        let rejected = state.receive(&hello).unwrap_err();
        assert_eq!(rejected.rejection().status, fault.status);
    }
}

/// Nobody but a Hello has a say in the reject: the fields of any other command are not read.
#[test]
fn a_first_frame_that_is_no_hello() {
    let sides = strict_sides();
    for command in (0..=u8::MAX).filter(|&command| command != Command::REPLICA_HELLO.0) {
        let mut frame = good_hello(&sides);
        frame[COMMAND] = command;
        let (reply, rejection) = refusal(&sides, &frame, Availability::Open);
        assert_eq!((rejection.status, rejection.claimed), (Status::UNKNOWN_COMMAND, None));
        assert_eq!(reply, expected_v1(&sides, Status::UNKNOWN_COMMAND, 0));
    }
}
