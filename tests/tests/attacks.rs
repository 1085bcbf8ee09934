//! What an attacker on the path, a stranger, and an insider that breaks the protocol try.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;

use replink_frame::{
    Challenge, Command, ControlFrame, Finish, Flags, FrameError, GenericHeader, GoodbyeReason, Hello, KeyId,
    ReplicaId, Status, Version,
};
use replink_handshake::{
    AcceptFailed, App, Authenticated, Availability, AwaitFinish, ChannelBinding, ControlError,
    ControlMessage, DialError, DialTarget, Dialer, Key, KeyRing, Nonce, PeerReject, Receiving, Secret,
    Sending, cluster_id, disabled,
};
use replink_tests::fixtures::{
    OTHER_SECRET, Run, SECRET, Sides, fresh, late_reject, rejected, ring, supports,
};
use replink_tests::forge::{Dir, Forge, sign_control, subkey};
use replink_tests::vectors::unhex;

const VERSIONS: [Version; 2] = [Version::V1, Version::V2];

/// What the dialer of these sides says to `challenge`.
fn dial_error(sides: &Sides, challenge: &Challenge) -> DialError {
    sides.dial().0.receive(challenge.bytes()).unwrap_err().error
}

fn refused(result: Result<impl Sized, impl Into<AcceptFailed<()>>>) -> Status {
    rejected(result.map(drop).err().unwrap()).rejection().status
}

/// The acceptor's second state and its challenge, and a Finish that would be right for it.
fn up_to_finish(sides: &Sides) -> (AwaitFinish<()>, Hello, Challenge, Finish) {
    let (waiting, hello) = sides.dial();
    let (accepting, challenge) = sides.answer(hello.bytes()).unwrap();
    let (_, finish) = waiting.receive(challenge.bytes()).unwrap();
    (accepting, hello, challenge, finish)
}

// Replays and reflections.

#[test]
fn a_replayed_hello_and_finish_meet_a_new_nonce() {
    for version in VERSIONS {
        let sides = Sides::new(version);
        let old = sides.run();
        let (accepting, challenge) =
            sides.answer_with(old.hello.bytes(), Availability::Open, fresh(3)).unwrap();
        assert_ne!(challenge, old.challenge);
        assert_eq!(refused(accepting.receive(old.finish.bytes())), Status::MAC_MISMATCH);
    }
}

#[test]
fn a_replayed_challenge_is_not_for_the_new_nonce() {
    for version in VERSIONS {
        let sides = Sides::new(version);
        let old = sides.run().challenge;
        let (waiting, _) = sides.dial_with(fresh(4));
        assert_eq!(waiting.receive(old.bytes()).unwrap_err().error, DialError::Mac);
    }
}

#[test]
fn a_dialer_s_own_frames_come_back() {
    for version in VERSIONS {
        let sides = Sides::new(version);
        let (waiting, hello) = sides.dial();
        let error = waiting.receive(hello.bytes()).unwrap_err().error;
        assert!(matches!(error, DialError::Frame(_)), "{error}");
        // With the acceptor's command and id the Hello has its nonce, but no MAC.
        let mut reflected = *hello.bytes();
        reflected[60] = Command::REPLICA_CHALLENGE.0;
        reflected[61] = 2;
        let error = sides.dial().0.receive(&reflected).unwrap_err().error;
        assert_eq!(error, DialError::Mac);
    }
}

#[test]
fn an_acceptor_s_challenge_comes_back() {
    for version in VERSIONS {
        let sides = Sides::new(version);
        let (accepting, _, challenge, _) = up_to_finish(&sides);
        assert_eq!(refused(accepting.receive(challenge.bytes())), Status::UNKNOWN_COMMAND);

        // As a Finish: the acceptor's own MAC with the dialer's command and id.
        let (accepting, hello, challenge, finish) = up_to_finish(&sides);
        let mut reflected = finish;
        reflected.fields_mut().mac = challenge.fields().mac;
        assert_eq!(refused(accepting.receive(reflected.bytes())), Status::MAC_MISMATCH);

        // As a Hello to the same node: its own id is not lower than its own.
        let mut reflected = hello;
        reflected.fields_mut().nonce = challenge.fields().nonce;
        let mut reflected = *reflected.bytes();
        reflected[61] = 2;
        let rejected = sides.answer(&reflected).unwrap_err();
        assert_eq!(rejected.rejection().status, Status::DIRECTIONAL_RULE);
    }
}

#[test]
fn a_mac_of_the_wrong_direction() {
    let forge = Forge::new(SECRET);

    // The control: this forge's right MACs are taken.
    let sides = Sides::new(Version::V1);
    let (_, hello, mut challenge, mut finish) = up_to_finish(&sides);
    assert_eq!(challenge.fields().mac, forge.mac_v1(&hello, &challenge, Dir::Acceptor));
    assert_eq!(finish.fields().mac, forge.mac_v1(&hello, &challenge, Dir::Dialer));

    challenge.fields_mut().mac = forge.mac_v1(&hello, &challenge, Dir::Dialer);
    assert_eq!(dial_error(&sides, &challenge), DialError::Mac);
    let (accepting, _, challenge, _) = up_to_finish(&sides);
    finish.fields_mut().mac = forge.mac_v1(&hello, &challenge, Dir::Acceptor);
    assert_eq!(refused(accepting.receive(finish.bytes())), Status::MAC_MISMATCH);

    let sides = Sides::new(Version::V2);
    let (accepting, hello, mut challenge, mut finish) = up_to_finish(&sides);
    assert_eq!(challenge, forge.sign_challenge(hello.bytes(), challenge));
    assert_eq!(finish, forge.sign_finish(hello.bytes(), &challenge, finish));

    let frames = [hello.bytes(), challenge.bytes(), finish.without_mac().bytes()].map(|frame| *frame);
    finish.fields_mut().mac = forge.mac_v2(Dir::Acceptor, &frames.each_ref());
    assert_eq!(refused(accepting.receive(finish.bytes())), Status::MAC_MISMATCH);
    let frames = [hello.bytes(), challenge.without_mac().bytes()].map(|frame| *frame);
    challenge.fields_mut().mac = forge.mac_v2(Dir::Dialer, &frames.each_ref());
    assert_eq!(dial_error(&sides, &challenge), DialError::Mac);
}

// Another key, domain or channel.

#[test]
fn another_secret() {
    let forge = Forge::new(OTHER_SECRET);
    let sides = Sides::new(Version::V2);
    let (accepting, hello, challenge, finish) = up_to_finish(&sides);
    assert_eq!(dial_error(&sides, &forge.sign_challenge(hello.bytes(), challenge)), DialError::Mac);
    let finish = forge.sign_finish(hello.bytes(), &challenge, finish);
    assert_eq!(refused(accepting.receive(finish.bytes())), Status::MAC_MISMATCH);

    // Version 1 names no key, so that two nodes find out by the MAC.
    let mut sides = Sides::new(Version::V1);
    let (accepting, hello, challenge, mut finish) = up_to_finish(&sides);
    finish.fields_mut().mac = forge.mac_v1(&hello, &challenge, Dir::Dialer);
    assert_eq!(refused(accepting.receive(finish.bytes())), Status::MAC_MISMATCH);
    sides.acceptor.ring = ring(&[OTHER_SECRET]);
    let (waiting, hello) = sides.dial();
    let (_, challenge) = sides.answer(hello.bytes()).unwrap();
    assert_eq!(waiting.receive(challenge.bytes()).unwrap_err().error, DialError::Mac);
}

/// The same secret in another product proves nothing here.
#[test]
fn another_app() {
    let other = App::new("replink-other").unwrap();
    for version in VERSIONS {
        let mut sides = Sides::new(version);
        let secret = Secret::new(SECRET.to_vec()).unwrap();
        sides.acceptor.ring = KeyRing::new(Key::derive(&other, &secret), []).into();
        sides.acceptor.local.app = other.clone();
        let (waiting, hello) = sides.dial();
        if version == Version::V2 {
            let rejected = sides.answer(hello.bytes()).unwrap_err();
            assert_eq!(rejected.rejection().status, Status::UNKNOWN_KEY);
        } else {
            let (_, challenge) = sides.answer(hello.bytes()).unwrap();
            assert_eq!(waiting.receive(challenge.bytes()).unwrap_err().error, DialError::Mac);
        }
    }
    // The key alone does not do: the domain is in the transcript, too.
    for version in VERSIONS {
        let mut sides = Sides::new(version);
        sides.acceptor.local.app = other.clone();
        let (waiting, hello) = sides.dial();
        let (_, challenge) = sides.answer(hello.bytes()).unwrap();
        assert_eq!(waiting.receive(challenge.bytes()).unwrap_err().error, DialError::Mac);
    }
}

/// A relay that terminates TLS on both sides carries the frames from one session to the other.
#[test]
fn a_relay_between_two_channels() {
    let [tls_1, tls_2] = [[1; 32], [2; 32]].map(ChannelBinding::TlsExporter);
    let zeros = ChannelBinding::TlsExporter([0; 32]); // unlike a bare socket, by its mode
    let bare = ChannelBinding::None;
    for version in VERSIONS {
        for ends in [(tls_1, tls_2), (tls_1, bare), (bare, tls_2), (zeros, bare), (bare, zeros)] {
            let mut sides = Sides::new(version);
            (sides.dialer_binding, sides.acceptor_binding) = ends;
            let (waiting, hello) = sides.dial();
            let (accepting, challenge) = sides.answer(hello.bytes()).unwrap();
            assert_eq!(waiting.receive(challenge.bytes()).unwrap_err().error, DialError::Mac, "{ends:?}");

            // Nor is a Finish that is right for the dialer's channel right for the acceptor's.
            let forge = Forge { binding: ends.0, ..Forge::new(SECRET) };
            let mut finish = Finish::new(hello.cluster(), ReplicaId(0), version);
            if version == Version::V1 {
                finish.fields_mut().mac = forge.mac_v1(&hello, &challenge, Dir::Dialer);
            } else {
                finish.fields_mut().mac = forge.mac_d(hello.bytes(), &challenge, &finish);
            }
            assert_eq!(refused(accepting.receive(finish.bytes())), Status::MAC_MISMATCH, "{ends:?}");

            sides.acceptor_binding = ends.0;
            sides.run();
        }
    }
}

/// A reject is bound to its channel as well (H-7).
#[test]
fn a_reject_from_another_channel_is_a_hint() {
    let mut sides = Sides::new(Version::V2);
    sides.acceptor.local.cluster = cluster_id("other");
    sides.acceptor_binding = ChannelBinding::TlsExporter([9; 32]);
    let (waiting, hello) = sides.dial();
    let ((), reply, _) = sides.answer(hello.bytes()).unwrap_err().into_parts();
    let DialError::Rejected(reject) = waiting.receive(&reply).unwrap_err().error else { panic!() };
    assert_eq!((reject.status, reject.authenticated), (Status::CLUSTER_MISMATCH, false));
}

// Downgrades.

/// The insider answers in the version that was not asked for, with a right MAC.
#[test]
fn a_version_that_was_not_asked_for() {
    let forge = Forge::new(SECRET);
    let sides = Sides::new(Version::V2);
    let (_, hello) = sides.dial();
    let mut challenge = Challenge::new(hello.cluster(), ReplicaId(2), Version::V1);
    challenge.fields_mut().nonce = [5; 32];
    challenge.fields_mut().mac = forge.mac_v1(&hello, &challenge, Dir::Acceptor);
    let (asked, answered) = (Version::V2, Version::V1);
    assert_eq!(dial_error(&sides, &challenge), DialError::Version { asked, answered });

    let sides = Sides::new(Version::V1);
    let (_, hello) = sides.dial();
    let mut challenge = Challenge::new(hello.cluster(), ReplicaId(2), Version::V2);
    challenge.fields_mut().nonce = [5; 32];
    let challenge = forge.sign_challenge(hello.bytes(), challenge);
    let (asked, answered) = (Version::V1, Version::V2);
    assert_eq!(dial_error(&sides, &challenge), DialError::Version { asked, answered });

    // The Finish, too, is of the Hello's version.
    let sides = Sides::new(Version::V2);
    let (accepting, hello, challenge, _) = up_to_finish(&sides);
    let mut finish = Finish::new(hello.cluster(), ReplicaId(0), Version::V1);
    finish.fields_mut().mac = forge.mac_v1(&hello, &challenge, Dir::Dialer);
    assert_eq!(refused(accepting.receive(finish.bytes())), Status::UNSUPPORTED_VERSION);
}

#[test]
fn a_hello_turned_into_version_1_on_the_way() {
    let mut sides = Sides::new(Version::V2);
    let (_, hello) = sides.dial();
    let mut downgraded = Hello::new(hello.cluster(), hello.sender(), Version::V1);
    downgraded.fields_mut().nonce = hello.fields().nonce;
    let rejected = sides.answer(downgraded.bytes()).unwrap_err();
    assert_eq!(rejected.rejection().status, Status::UNSUPPORTED_VERSION);
    let ((), reply, _) = rejected.into_parts();
    assert_eq!(reply[192..194], [Status::UNKNOWN_COMMAND.0, 0], "said in version 1");

    // An acceptor that speaks version 1 answers, but the dialer asked for 2.
    sides.acceptor.min_version = Version::V1;
    let (_, challenge) = sides.answer(downgraded.bytes()).unwrap();
    assert!(matches!(dial_error(&sides, &challenge), DialError::Version { .. }));
}

#[test]
fn flags_stripped_on_the_way() {
    let offered = Flags::SEALED | Flags::EPHEMERAL;
    let sides = Sides::with_flags(offered);
    let (_, hello) = sides.dial();
    for left in [Flags::NONE, Flags::SEALED, Flags::EPHEMERAL] {
        let mut stripped = hello;
        stripped.fields_mut().flags = left.0.into();
        if !left.contains(Flags::EPHEMERAL) {
            stripped.fields_mut().ephemeral = [0; 32];
        }
        let (_, challenge) = sides.answer(stripped.bytes()).unwrap();
        assert_eq!(challenge.fields().flags(), left);
        assert_eq!(dial_error(&sides, &challenge), DialError::Mac);

        // In the challenge instead.
        let (_, mut challenge) = sides.answer(hello.bytes()).unwrap();
        challenge.fields_mut().flags = left.0.into();
        if !left.contains(Flags::EPHEMERAL) {
            challenge.fields_mut().ephemeral = [0; 32];
        }
        assert_eq!(dial_error(&sides, &challenge), DialError::Mac);
    }

    // What is required is asked for before any MAC at the acceptor, after it at the dialer.
    let mut sides = Sides::with_flags(Flags::SEALED);
    sides.acceptor.flags.required = Flags::SEALED;
    let mut stripped = hello;
    stripped.fields_mut().flags = 0.into();
    stripped.fields_mut().ephemeral = [0; 32];
    let rejected = sides.answer(stripped.bytes()).unwrap_err();
    assert_eq!(rejected.rejection().status, Status::POLICY_MISMATCH);

    let mut sides = Sides::with_flags(Flags::SEALED);
    sides.dialer.flags.required = Flags::SEALED;
    sides.acceptor.flags = supports(Flags::NONE);
    let (_, hello) = sides.dial();
    let (_, challenge) = sides.answer(hello.bytes()).unwrap();
    let (required, selected) = (Flags::SEALED, Flags::NONE);
    assert_eq!(dial_error(&sides, &challenge), DialError::Policy { required, selected });
}

/// Section 2: flags 1 and 2 had other meanings. Who offers them gets nothing for them, and who requires seals
/// takes them for none.
#[test]
fn flags_with_former_meanings_are_no_seals() {
    for former in [Flags(1), Flags(2), Flags(3)] {
        let mut sides = Sides::with_flags(Flags::SEALED);
        sides.dialer.flags = supports(former);
        assert_eq!(sides.run().verified.peer().flags, Flags::NONE);
        sides.acceptor.flags.required = Flags::SEALED;
        let (_, hello) = sides.dial();
        let rejected = sides.answer(hello.bytes()).unwrap_err();
        assert_eq!(rejected.rejection().status, Status::POLICY_MISMATCH);
    }
}

/// S-6: inside a TLS session, which encrypts already, seals are offered only where they are required.
#[test]
fn a_tls_session_makes_the_seal_needless() {
    let mut sides = Sides::with_flags(Flags::SEALED | Flags::EPHEMERAL);
    sides.dialer_binding = ChannelBinding::TlsExporter([7; 32]);
    sides.acceptor_binding = ChannelBinding::TlsExporter([7; 32]);
    assert_eq!(sides.run().verified.peer().flags, Flags::EPHEMERAL);
    sides.dialer.flags.required = Flags::SEALED;
    assert_eq!(sides.run().verified.peer().flags, Flags::SEALED | Flags::EPHEMERAL);
}

/// The insider selects what was not offered, or a flag nobody knows.
#[test]
fn flags_that_were_not_offered() {
    let sides = Sides::with_flags(Flags::SEALED);
    let (_, hello) = sides.dial();
    for selected in [Flags(2), Flags::SEALED | Flags::EPHEMERAL, Flags(0x8008)] {
        let (_, mut challenge) = sides.answer(hello.bytes()).unwrap();
        challenge.fields_mut().flags = selected.0.into();
        let challenge = Forge::new(SECRET).sign_challenge(hello.bytes(), challenge);
        let offered = Flags::SEALED;
        assert_eq!(dial_error(&sides, &challenge), DialError::NotOffered { selected, offered });
    }
    // A dialer that offers what nobody knows does not get it.
    let mut sides = sides;
    sides.dialer.flags = supports(Flags(0x8009));
    let run = sides.run();
    assert_eq!(run.verified.peer().flags, Flags::SEALED);
}

// Ids, key ids, nonces.

#[test]
fn ids_swapped_on_the_way() {
    for version in VERSIONS {
        let sides = Sides::new(version);
        let (accepting, hello, challenge, finish) = up_to_finish(&sides);
        let with_sender = |frame: &[u8; 256], sender| {
            let mut frame = *frame;
            frame[61] = sender;
            frame
        };
        // The acceptor takes replica 0 for replica 1: its MAC is for replica 1.
        let swapped = with_sender(hello.bytes(), 1);
        let (state, for_1) = sides.answer(&swapped).unwrap();
        assert_eq!(state.claimed(), ReplicaId(1));
        assert_eq!(dial_error(&sides, &for_1), DialError::Mac);
        // Nor does the Finish of replica 0 finish it.
        assert_eq!(refused(state.receive(&with_sender(finish.bytes(), 1))), Status::MAC_MISMATCH);

        // Another replica answers, or the challenge says so.
        let swapped = Challenge::parse(&with_sender(challenge.bytes(), 1)).unwrap();
        let (expected, found) = (ReplicaId(2), ReplicaId(1));
        assert_eq!(dial_error(&sides, &swapped), DialError::WrongPeer { expected, found });
        let mut elsewhere = sides.clone();
        elsewhere.acceptor.local.replica = found;
        let (_, genuine) = elsewhere.answer(hello.bytes()).unwrap();
        assert_eq!(dial_error(&sides, &genuine), DialError::WrongPeer { expected, found });

        // The Finish comes from another replica than the Hello.
        let swapped = with_sender(finish.bytes(), 1);
        assert_eq!(refused(accepting.receive(&swapped)), Status::DIRECTIONAL_RULE);
    }
    // Even if an insider proves it.
    let (accepting, hello, challenge, finish) = up_to_finish(&Sides::new(Version::V2));
    let mut swapped = Finish::new(hello.cluster(), ReplicaId(1), Version::V2);
    *swapped.fields_mut() = *finish.fields();
    let swapped = Forge::new(SECRET).sign_finish(hello.bytes(), &challenge, swapped);
    assert_eq!(refused(accepting.receive(swapped.bytes())), Status::DIRECTIONAL_RULE);
}

#[test]
fn another_cluster_in_the_challenge_or_the_finish() {
    let other = cluster_id("other");
    for version in VERSIONS {
        let sides = Sides::new(version);
        let (accepting, hello, challenge, finish) = up_to_finish(&sides);
        let mut foreign = Challenge::new(other, ReplicaId(2), version);
        *foreign.fields_mut() = *challenge.fields();
        let error = DialError::Cluster { expected: hello.cluster(), found: other };
        assert_eq!(dial_error(&sides, &foreign), error);
        let mut foreign = Finish::new(other, ReplicaId(0), version);
        *foreign.fields_mut() = *finish.fields();
        assert_eq!(refused(accepting.receive(foreign.bytes())), Status::CLUSTER_MISMATCH);
    }
}

/// What the later frames must repeat they repeat, whoever signs them.
#[test]
fn fields_that_must_be_repeated() {
    type Change<F> = fn(&mut F);
    let sides = Sides::with_flags(Flags::SEALED);
    let forge = Forge::new(SECRET);
    let challenges: [(&str, Change<Challenge>); 2] = [
        ("key_id", |frame| frame.fields_mut().key_id = KeyId([7; 8])),
        ("lane", |frame| frame.fields_mut().lane = 9.into()),
    ];
    for (field, change) in challenges {
        let (_, hello, mut challenge, _) = up_to_finish(&sides);
        change(&mut challenge);
        assert_eq!(dial_error(&sides, &challenge), DialError::Mac, "{field} by someone on the path");
        let challenge = forge.sign_challenge(hello.bytes(), challenge);
        assert_eq!(dial_error(&sides, &challenge), DialError::NotRepeated { field });
    }
    let finishes: [Change<Finish>; 5] = [
        |frame| frame.fields_mut().key_id = KeyId([7; 8]),
        |frame| frame.fields_mut().lane = 9.into(),
        |frame| frame.fields_mut().flags = 0.into(),
        |frame| frame.fields_mut().incarnation = 9.into(),
        |frame| frame.set_release(9),
    ];
    for change in finishes {
        let (accepting, _, _, mut finish) = up_to_finish(&sides);
        change(&mut finish);
        assert_eq!(refused(accepting.receive(finish.bytes())), Status::MAC_MISMATCH);
        let (accepting, hello, challenge, _) = up_to_finish(&sides);
        let finish = forge.sign_finish(hello.bytes(), &challenge, finish);
        assert_eq!(refused(accepting.receive(finish.bytes())), Status::MALFORMED_FRAME);
    }
}

/// The acceptor holds both keys, and the Hello is made to name the other one.
#[test]
fn the_key_id_swapped_on_the_way() {
    let mut sides = Sides::new(Version::V2);
    sides.acceptor.ring = ring(&[SECRET, OTHER_SECRET]);
    let (_, mut hello) = sides.dial();
    hello.fields_mut().key_id = Forge::new(OTHER_SECRET).key_id();
    let (accepting, challenge) = sides.answer(hello.bytes()).unwrap();
    assert_eq!(dial_error(&sides, &challenge), DialError::Mac);
    // The Hello names the one key; the Finish is made with the other.
    let mut finish = Finish::new(hello.cluster(), ReplicaId(0), Version::V2);
    *finish.fields_mut() = *hello.fields();
    finish.fields_mut().nonce = [0; 32];
    let finish = Forge::new(SECRET).sign_finish(hello.bytes(), &challenge, finish);
    assert_eq!(refused(accepting.receive(finish.bytes())), Status::MAC_MISMATCH);
}

/// K-3: replica 1 holds the secrets of its own pairs, and so can't speak as replica 0, though
/// replica 2 holds a key that replica 1 holds as well.
#[test]
fn the_key_of_one_pair_proves_no_other_replica() {
    let (app, root) = (App::default(), Secret::new(SECRET.to_vec()).unwrap());
    let pair_key = |a, b| Key::derive(&app, &Secret::for_pair(&app, &root, ReplicaId(a), ReplicaId(b)));
    let pair_secret = blake3::derive_key("replink replica-auth v2 pair-secret", &[SECRET, &[1, 2]].concat());
    let insider = Forge::new(&pair_secret);
    assert_eq!(insider.key_id(), pair_key(1, 2).id());

    // What replicas 0 and 2 hold of pair secrets, their own.
    let mut sides = Sides::new(Version::V2);
    sides.dialer.ring = KeyRing::new(pair_key(0, 1), [pair_key(0, 2)]).into();
    sides.acceptor.ring = KeyRing::new(pair_key(1, 2), [pair_key(0, 2)]).into();
    for version in VERSIONS {
        sides.dialer.version = version;
        sides.acceptor.min_version = version;
        let run = sides.run();
        assert_eq!(run.dialed.peer().authentication, run.verified.peer().authentication);
    }

    // Replica 1 dials as replica 0 with the key of the pair 1 and 2.
    sides.acceptor.min_version = Version::V1;
    sides.dialer.version = Version::V2;
    let (_, mut hello) = sides.dial();
    hello.fields_mut().key_id = insider.key_id();
    let rejected = sides.answer(hello.bytes()).unwrap_err();
    assert_eq!(rejected.rejection().status, Status::UNKNOWN_KEY);
    assert!(!rejected.rejection().authenticated, "no key of that peer's was named");
    // In version 1, which names no key, the acceptor takes the pair's.
    sides.dialer.version = Version::V1;
    let (_, hello) = sides.dial();
    let (accepting, challenge) = sides.answer(hello.bytes()).unwrap();
    let mut finish = Finish::new(hello.cluster(), ReplicaId(0), Version::V1);
    finish.fields_mut().mac = insider.mac_v1(&hello, &challenge, Dir::Dialer);
    assert_eq!(refused(accepting.receive(finish.bytes())), Status::MAC_MISMATCH);

    // As itself it is welcome.
    sides.dialer.local.replica = ReplicaId(1);
    sides.dialer.ring = KeyRing::new(pair_key(0, 1), [pair_key(1, 2)]).into();
    sides.dialer.version = Version::V2;
    assert_eq!(sides.run().verified.peer().replica, ReplicaId(1));

    // A dialer without a key of the pair has none to try, whatever else it holds.
    sides.dialer.ring = KeyRing::new(pair_key(0, 1), [pair_key(1, 3)]).into();
    let target = DialTarget::new(ReplicaId(2));
    let failed = Dialer::new(sides.dialer).begin((), target, ChannelBinding::None, fresh(1)).unwrap_err();
    assert_eq!(failed.error, DialError::NoSuchKey { keys: 0 });
}

#[test]
fn all_zero_nonces() {
    assert!(Nonce::new([0; 32]).is_none());
    let forge = Forge::new(SECRET);
    for version in VERSIONS {
        let sides = Sides::new(version);
        let (_, mut hello, mut challenge, _) = up_to_finish(&sides);
        challenge.fields_mut().nonce = [0; 32];
        challenge.fields_mut().mac = match version {
            Version::V1 => forge.mac_v1(&hello, &challenge, Dir::Acceptor),
            Version::V2 => forge.mac_a(hello.bytes(), &challenge),
        };
        assert_eq!(dial_error(&sides, &challenge), DialError::ZeroNonce);
        hello.fields_mut().nonce = [0; 32];
        let rejected = sides.answer(hello.bytes()).unwrap_err();
        assert_eq!(rejected.rejection().status, Status::AUTH_REQUIRED);
    }

    // A reject without a nonce is a hint, even with a right MAC (H-7).
    let sides = Sides::new(Version::V2);
    let (_, hello) = sides.dial();
    for (nonce, authenticated) in [([0; 32], false), ([5; 32], true)] {
        let mut reject = Challenge::new(hello.cluster(), ReplicaId(2), Version::V2);
        reject.fields_mut().status = Status::BUSY;
        reject.fields_mut().nonce = nonce;
        let error = dial_error(&sides, &forge.sign_challenge(hello.bytes(), reject));
        let (status, retry_after_ms, from) = (Status::BUSY, 0, ReplicaId(2));
        assert_eq!(error, DialError::Rejected(PeerReject::new(from, status, retry_after_ms, authenticated)));
    }
}

// Low-order X25519 points.

/// Every u-coordinate, canonical or not, of a point whose order divides 8, and the same with the
/// top bit set, which X25519 ignores.
fn low_order_points() -> Vec<[u8; 32]> {
    let canonical = [
        "0000000000000000000000000000000000000000000000000000000000000000", // 0, order 4 (or 2)
        "0100000000000000000000000000000000000000000000000000000000000000", // 1, order 4
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", // order 8
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157", // order 8
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p - 1, on the twist
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p, that is 0
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p + 1, that is 1
    ];
    let points = canonical.map(|hex| <[u8; 32]>::try_from(unhex(hex)).unwrap());
    let top_bit_set = points.map(|mut point| {
        point[31] |= 0x80;
        point
    });
    [points, top_bit_set].concat()
}

/// K-4, towards the dialer: the insider's challenge is right but for its share.
#[test]
fn low_order_shares_in_a_challenge() {
    let sides = Sides::with_flags(Flags::EPHEMERAL);
    let (_, hello, honest, _) = up_to_finish(&sides);
    let with_share = |share| {
        let mut challenge = honest;
        challenge.fields_mut().ephemeral = share;
        Forge::new(SECRET).sign_challenge(hello.bytes(), challenge)
    };
    for share in low_order_points() {
        assert_eq!(dial_error(&sides, &with_share(share)), DialError::LowOrderShare, "{share:02x?}");
    }
    // The control: a share like any other, the base point, is taken.
    let mut base = [0; 32];
    base[0] = 9;
    sides.dial().0.receive(with_share(base).bytes()).unwrap();
}

/// K-4, towards the acceptor: it answers the Hello, and refuses the Finish, which is right.
#[test]
fn low_order_shares_in_a_hello() {
    let sides = Sides::with_flags(Flags::EPHEMERAL);
    let forge = Forge::new(SECRET);
    let finish_with_share = |share| {
        let (_, mut hello, _, mut finish) = up_to_finish(&sides);
        hello.fields_mut().ephemeral = share;
        let (accepting, challenge) = sides.answer(hello.bytes()).unwrap();
        finish = forge.sign_finish(hello.bytes(), &challenge, finish);
        (hello, accepting.receive(finish.bytes()))
    };
    for share in low_order_points() {
        let (hello, result) = finish_with_share(share);
        let ((), reply, rejection) = rejected(result.unwrap_err()).into_parts();
        assert_eq!(rejection.status, Status::MALFORMED_FRAME, "{share:02x?}");
        let reject = Challenge::parse(&reply).unwrap();
        assert_eq!(reject, forge.sign_challenge(hello.bytes(), reject));
    }
    let mut base = [0; 32];
    base[0] = 9;
    finish_with_share(base).1.unwrap();
}

// Late rejects (H-9).

fn genuine_late_reject(run: Run, status: Status) -> (Authenticated<()>, [u8; 256]) {
    let ((), reply, _) = run.verified.refuse(status, 0).into_parts();
    (run.dialed, reply)
}

#[test]
fn late_rejects_genuine_and_forged() {
    let sides = Sides::new(Version::V2);
    let (dialed, genuine) = genuine_late_reject(sides.run(), Status::DUPLICATE_REPLICA);
    let reject = late_reject(dialed, &genuine).unwrap();
    assert_eq!((reject.status, reject.authenticated), (Status::DUPLICATE_REPLICA, true));

    // Changed, made without the key, made with another: this acceptor has proved that it can do better.
    let run = sides.run();
    let mut changed = Challenge::parse(&genuine).unwrap();
    changed.fields_mut().status = Status::NOT_ALLOWED;
    let bare = {
        let mut bare = Challenge::new(run.hello.cluster(), ReplicaId(2), Version::V2);
        bare.fields_mut().status = Status::NOT_ALLOWED;
        bare
    };
    let guessed = Forge::new(OTHER_SECRET).sign_challenge(run.hello.bytes(), changed);
    for forged in [changed, bare, guessed] {
        assert_eq!(late_reject(sides.run().dialed, forged.bytes()), None);
    }
}

/// A reject that was right in another handshake of the same two nodes.
#[test]
fn a_late_reject_of_another_session_is_none() {
    let sides = Sides::new(Version::V2);
    let (_, other) = genuine_late_reject(sides.run(), Status::DUPLICATE_REPLICA);
    let (waiting, hello) = sides.dial_with(fresh(7));
    let (_, challenge) = sides.answer(hello.bytes()).unwrap();
    let (dialed, _) = waiting.receive(challenge.bytes()).unwrap();
    assert_eq!(late_reject(dialed, &other), None);
}

/// Someone on the path sends the dialer's Hello over a connection of their own as well, is
/// refused there, and carries that reject over to the link. It is of this very Hello, but of
/// another challenge: nobody refused this dialer's Finish.
#[test]
fn a_late_reject_of_the_same_hello_elsewhere_is_none() {
    let sides = Sides::new(Version::V2);
    let (waiting, hello) = sides.dial();
    let (accepting, challenge) = sides.answer(hello.bytes()).unwrap();
    let (dialed, finish) = waiting.receive(challenge.bytes()).unwrap();

    let (elsewhere, _) = sides.answer_with(hello.bytes(), Availability::Open, fresh(3)).unwrap();
    let no_finish = Finish::new(hello.cluster(), ReplicaId(0), Version::V2);
    let ((), after_finish, _) = rejected(elsewhere.receive(no_finish.bytes()).unwrap_err()).into_parts();
    let busy = Availability::Busy { retry_after_ms: 9 };
    let rejected = sides.answer_with(hello.bytes(), busy, fresh(4)).unwrap_err();
    let ((), instead_of_challenge, _) = rejected.into_parts();

    let (receiving, _) = dialed.into_parts().1.split();
    for spliced in [after_finish, instead_of_challenge] {
        assert_eq!(receiving.control().late_reject(&spliced), None);
    }
    let verified = accepting.receive(finish.bytes()).unwrap();
    let ((), genuine, _) = verified.refuse(Status::DUPLICATE_REPLICA, 0).into_parts();
    assert!(receiving.control().late_reject(&genuine).unwrap().authenticated);
}

/// F-3, and the sender: a late reject is of the cluster and the replica that the link is with.
#[test]
fn a_late_reject_of_another_cluster_or_replica_is_none() {
    for version in VERSIONS {
        let sides = Sides::new(version);
        let run = sides.run();
        let (cluster, elsewhere) = (run.hello.cluster(), cluster_id("other"));
        let (receiving, _) = run.dialed.into_parts().1.split();
        for (cluster, sender, heard) in [(cluster, 2, true), (elsewhere, 2, false), (cluster, 1, false)] {
            let mut reject = Challenge::new(cluster, ReplicaId(sender), version);
            reject.fields_mut().status = Status::MAC_MISMATCH;
            // H-9: on version 2 an unproved one is none.
            let bare = heard && version == Version::V1;
            assert_eq!(receiving.control().late_reject(reject.bytes()).is_some(), bare);
            if version == Version::V2 {
                reject.fields_mut().nonce = run.challenge.fields().nonce;
                let proved = Forge::new(SECRET).sign_challenge(run.hello.bytes(), reject);
                assert_eq!(receiving.control().late_reject(proved.bytes()).is_some(), heard);
            }
        }
    }
    // Where nothing is authenticated, whoever answers at that address may say why it does not.
    let local = &Sides::new(Version::V1).dialer.local;
    let (dialed, _) = disabled::dial((), local, ReplicaId(2)).unwrap();
    let mut reject = Challenge::new(cluster_id("other"), ReplicaId(1), Version::V1);
    reject.fields_mut().status = Status::CLUSTER_MISMATCH;
    let heard = late_reject(dialed, reject.bytes()).unwrap();
    assert_eq!((heard.from, heard.authenticated), (ReplicaId(1), false));
}

#[test]
fn frames_that_are_no_late_reject() {
    for version in VERSIONS {
        let other = if version == Version::V1 { Version::V2 } else { Version::V1 };
        let sides = Sides::new(version);
        let run = sides.run();
        let prepare = GenericHeader::new(run.hello.cluster(), Command::PREPARE, 0);
        let mut wrong_version = Challenge::new(run.hello.cluster(), ReplicaId(2), other);
        wrong_version.fields_mut().status = Status::BUSY;
        let frames = [
            run.hello.bytes(),
            run.challenge.bytes(),
            run.finish.bytes(),
            wrong_version.bytes(),
            prepare.bytes(),
        ];
        for frame in frames {
            assert_eq!(late_reject(sides.run().dialed, frame), None);
        }
        // An acceptor has no late reject to expect.
        let (_, reject) = genuine_late_reject(run, Status::BUSY);
        assert_eq!(late_reject(sides.run().verified.admit(), &reject), None);
    }
}

// Control frames (section 4).

/// The halves of both ends, and the session key made by hand.
struct Link {
    dialer: (Receiving, Sending),
    acceptor: (Receiving, Sending),
    session: [u8; 32],
}

fn link(seed: u8) -> Link {
    let sides = Sides::new(Version::V2);
    let (waiting, hello) = sides.dial_with(fresh(seed));
    let (accepting, challenge) = sides.answer(hello.bytes()).unwrap();
    let (dialed, finish) = waiting.receive(challenge.bytes()).unwrap();
    let accepted = accepting.receive(finish.bytes()).unwrap().admit();
    Link {
        dialer: dialed.into_parts().1.split(),
        acceptor: accepted.into_parts().1.split(),
        session: Forge::new(SECRET).session(&hello, &challenge, &finish),
    }
}

const FROM_DIALER: &str = "control dialer->acceptor";
const FROM_ACCEPTOR: &str = "control acceptor->dialer";

/// A ping made by hand.
fn ping(sender: u8, counter: u64) -> ControlFrame {
    let cluster = cluster_id("orders");
    let mut frame = ControlFrame::new(cluster, Command::LINK_PING, ReplicaId(sender), 1);
    frame.fields_mut().counter = counter.into();
    frame
}

#[test]
fn control_frames_made_by_hand_with_the_right_key() {
    let mut link = link(1);
    let from_dialer = sign_control(&subkey(&link.session, FROM_DIALER), ping(0, 1));
    assert_eq!(&from_dialer, link.dialer.1.control_mut().ping().unwrap().1.header(), "byte for byte");
    assert_eq!(
        link.acceptor.0.control_mut().open_control(&from_dialer),
        Ok(ControlMessage::Ping { counter: 1 })
    );
    let from_acceptor = sign_control(&subkey(&link.session, FROM_ACCEPTOR), ping(2, 5));
    assert_eq!(
        link.dialer.0.control_mut().open_control(&from_acceptor),
        Ok(ControlMessage::Ping { counter: 5 })
    );
}

#[test]
fn control_frames_with_a_wrong_key() {
    let mut link = link(1);
    let other = self::link(9);
    let wrong_keys = [
        subkey(&link.session, FROM_ACCEPTOR), // the other direction's
        subkey(&other.session, FROM_DIALER),  // another session's
        subkey(&link.session, "export control dialer->acceptor"),
        link.session,
        [0; 32],
    ];
    for key in wrong_keys {
        let frame = sign_control(&key, ping(0, 1));
        assert_eq!(link.acceptor.0.control_mut().open_control(&frame), Err(ControlError::Mac));
    }
    // Nothing of this used up the counter.
    let right = sign_control(&subkey(&link.session, FROM_DIALER), ping(0, 1));
    link.acceptor.0.control_mut().open_control(&right).unwrap();
}

#[test]
fn control_frames_reflected_spliced_and_changed() {
    let mut link = link(1);
    let reflected = *link.dialer.1.control_mut().ping().unwrap().1.header();
    let (expected, found) = (ReplicaId(2), ReplicaId(0));
    assert_eq!(
        link.dialer.0.control_mut().open_control(&reflected),
        Err(ControlError::Sender { expected, found })
    );
    let mut renamed = reflected;
    renamed.replica = ReplicaId(2);
    assert_eq!(link.dialer.0.control_mut().open_control(&renamed), Err(ControlError::Mac));

    let elsewhere = *self::link(9).dialer.1.control_mut().ping().unwrap().1.header();
    assert_eq!(link.acceptor.0.control_mut().open_control(&elsewhere), Err(ControlError::Mac));

    // An insider that signs in another's name.
    let (expected, found) = (ReplicaId(0), ReplicaId(1));
    let stranger = sign_control(&subkey(&link.session, FROM_DIALER), ping(1, 1));
    assert_eq!(
        link.acceptor.0.control_mut().open_control(&stranger),
        Err(ControlError::Sender { expected, found })
    );

    // Every bit counts.
    let genuine = *link.dialer.1.control_mut().pong(0x0102).unwrap().header();
    for bit in 0..256 * 8 {
        let mut changed = *genuine.bytes();
        changed[bit / 8] ^= 1 << (bit % 8);
        link.acceptor.0.control_mut().open_control(GenericHeader::view(&changed)).unwrap_err();
    }
    assert_eq!(
        link.acceptor.0.control_mut().open_control(&genuine),
        Ok(ControlMessage::Pong { echo: 0x0102 })
    );
}

#[test]
fn control_counters_only_go_up() {
    let mut link = link(1);
    let key = subkey(&link.session, FROM_DIALER);
    let mut open =
        |counter| link.acceptor.0.control_mut().open_control(&sign_control(&key, ping(0, counter)));
    let refused = |last, found| Err(ControlError::Counter { last, found });
    assert_eq!(open(0), refused(0, 0), "they begin at 1");
    assert_eq!(open(1), Ok(ControlMessage::Ping { counter: 1 }));
    assert_eq!(open(1), refused(1, 1));
    assert_eq!(open(7), Ok(ControlMessage::Ping { counter: 7 }));
    assert_eq!(open(6), refused(7, 6));
    assert_eq!(open(u64::MAX), Ok(ControlMessage::Ping { counter: u64::MAX }));
    assert_eq!(open(1), refused(u64::MAX, 1), "and do not wrap");

    // One counter for all three commands.
    let mut link = self::link(1);
    let (first, second) =
        (link.dialer.1.control_mut().ping().unwrap().1, link.dialer.1.control_mut().pong(1).unwrap());
    let third = link.dialer.1.control_mut().goodbye(GoodbyeReason::KEY_RETIRED).unwrap();
    let counters = [&first, &second, &third].map(|frame| frame.fields().counter.get());
    assert_eq!(counters, [1, 2, 3]);
    link.acceptor.0.control_mut().open_control(third.header()).unwrap();
    for late in [first, second] {
        let error = link.acceptor.0.control_mut().open_control(late.header()).unwrap_err();
        assert!(matches!(error, ControlError::Counter { last: 3, .. }), "{error}");
    }
}

/// The key holder sets a byte that section 4 wants zero, or leaves the frame's bounds.
#[test]
fn control_frames_with_unused_bytes_set() {
    let mut link = link(1);
    let key = subkey(&link.session, FROM_DIALER);
    let unused = (0..32).chain(52..56).chain(62..128).chain(136..160).chain(192..256);
    for offset in unused {
        let mut frame = *ping(0, 1).header().bytes();
        frame[offset] = 1;
        // The MAC as section 4 has it: with its own and the seal's bytes zeroed.
        let mut authenticated = frame;
        authenticated[62..80].fill(0);
        let mac = *blake3::keyed_hash(&key, &authenticated).as_bytes();
        frame[160..192].copy_from_slice(&mac);
        let error = link.acceptor.0.control_mut().open_control(GenericHeader::view(&frame)).unwrap_err();
        assert_eq!(error, ControlError::Frame(FrameError::UnusedByte { offset }));
    }
    let mut with_body = ping(0, 1).header().to_owned();
    with_body.size = 257.into();
    let error = link.acceptor.0.control_mut().open_control(&with_body).unwrap_err();
    assert_eq!(error, ControlError::Frame(FrameError::Size { found: 257, limit: 256 }));
}

// Splices of two sessions.

#[test]
fn frames_of_two_handshakes_do_not_mix() {
    for version in VERSIONS {
        let sides = Sides::new(version);
        let run = |seed: u8| {
            let (waiting, hello) = sides.dial_with(fresh(seed));
            let open = Availability::Open;
            let (accepting, challenge) = sides.answer_with(hello.bytes(), open, fresh(seed + 1)).unwrap();
            (waiting, accepting, challenge)
        };
        let (waiting_a, accepting_a, challenge_a) = run(10);
        let (waiting_b, accepting_b, challenge_b) = run(20);
        let (_, finish_a) = waiting_a.receive(challenge_a.bytes()).unwrap();
        assert_eq!(refused(accepting_b.receive(finish_a.bytes())), Status::MAC_MISMATCH);
        assert_eq!(waiting_b.receive(challenge_a.bytes()).unwrap_err().error, DialError::Mac);
        assert_ne!(challenge_a, challenge_b);
        accepting_a.receive(finish_a.bytes()).unwrap();
    }
}

/// No two sessions share a key, whichever of nonces, incarnation or channel tells them apart.
#[test]
fn every_session_has_keys_of_its_own() {
    let exported = |sides: &Sides| {
        let run = sides.run();
        let keys =
            [run.dialed, run.verified.admit()].map(|end| *end.into_parts().1.export("test").unwrap().bytes());
        assert_eq!(keys[0], keys[1]);
        keys[0]
    };
    let base = Sides::with_flags(Flags::NONE);
    let mut sides = vec![base.clone(), Sides::with_flags(Flags::SEALED), Sides::with_flags(Flags::EPHEMERAL)];
    let mut other = base.clone();
    other.dialer.local.incarnation += 1;
    sides.push(other);
    let mut other = base;
    other.dialer_binding = ChannelBinding::TlsExporter([4; 32]);
    other.acceptor_binding = other.dialer_binding;
    sides.push(other);
    let keys: BTreeSet<_> = sides.iter().map(exported).collect();
    assert_eq!(keys.len(), sides.len());
}
