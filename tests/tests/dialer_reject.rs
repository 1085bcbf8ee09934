//! The reject that a dialer sends in the place of its Finish (D-12): every byte of it, what it proves,
//! and what it does not.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use replink_frame::{Challenge, Flags, HandshakeFrameError, Hello, KeyId, ReplicaId, Status, Version};
use replink_handshake::{
    AcceptFailed, Availability, AwaitFinish, ChannelBinding, DialError, FlagPolicy, PeerReject,
};
use replink_tests::fixtures::{
    OTHER_SECRET, SECRET, Sides, fresh, late_reject, rejected, rejected_by_peer, supports,
};
use replink_tests::forge::{Dir, Forge};
use replink_tests::raw_peer::{Frame, RawPeer, at, command, put};

/// The acceptor has what it takes to read the dialer's reject.
struct Declined {
    sides: Sides,
    accepting: AwaitFinish<()>,
    hello: Hello,
    challenge: Challenge,
    /// The reject, made by hand.
    reject: Frame,
}

/// The dialer requires `flags`, of which the acceptor has none.
fn demanding(flags: Flags) -> Sides {
    let mut sides = Sides::new(Version::V2);
    sides.dialer.flags.required = flags;
    sides
}

fn by_hand() -> RawPeer<'static> {
    RawPeer::new(0, SECRET)
}

fn declined() -> Declined {
    let sides = demanding(Flags::SEALED);
    let (_, hello) = sides.dial();
    let (accepting, challenge) = sides.answer(hello.bytes()).unwrap();
    let reject = by_hand().dialer_reject(hello.bytes(), challenge.bytes(), Status::POLICY_MISMATCH.0);
    Declined { sides, accepting, hello, challenge, reject }
}

/// What the acceptor makes of `frame`: what the peer says, or what this end says to it.
fn read(declined: Declined, frame: &Frame) -> Result<PeerReject, Status> {
    match declined.accepting.receive(frame).map(drop).unwrap_err() {
        AcceptFailed::RejectedByPeer { reject, .. } => Ok(reject),
        AcceptFailed::Rejected(rejected) => Err(rejected.rejection().status),
    }
}

fn reject_with(status: Status, authenticated: bool) -> PeerReject {
    PeerReject::new(ReplicaId(0), status, 0, authenticated)
}

/// Everything that a dialer can find behind the MAC, and the reject that it owes then, byte by byte.
#[test]
fn what_is_proved_is_told() {
    type Change = fn(&mut Challenge);
    let with = |flags| Sides::with_flags(flags);
    let old = {
        let mut sides = Sides::new(Version::V2);
        sides.dialer.releases = 2..=3;
        sides
    };
    let unchanged: Change = |_| ();
    let cases: [(Sides, Change, Status); 8] = [
        (demanding(Flags::SEALED), unchanged, Status::POLICY_MISMATCH),
        (demanding(Flags::EPHEMERAL), unchanged, Status::POLICY_MISMATCH),
        (demanding(Flags::SEALED | Flags::EPHEMERAL), unchanged, Status::POLICY_MISMATCH),
        (old, unchanged, Status::RELEASE_MISMATCH),
        (with(Flags::NONE), |it| it.fields_mut().key_id = KeyId([9; 8]), Status::MALFORMED_FRAME),
        (with(Flags::NONE), |it| it.fields_mut().lane = 9.into(), Status::MALFORMED_FRAME),
        (with(Flags::NONE), |it| it.fields_mut().flags = 1.into(), Status::MALFORMED_FRAME),
        (with(Flags::EPHEMERAL), |it| it.fields_mut().ephemeral = [0; 32], Status::MALFORMED_FRAME),
    ];
    for (sides, change, status) in cases {
        let (waiting, hello) = sides.dial();
        let (accepting, mut challenge) = sides.answer(hello.bytes()).unwrap();
        let genuine = challenge;
        change(&mut challenge);
        let challenge = Forge::new(SECRET).sign_challenge(hello.bytes(), challenge);
        let failed = waiting.receive(challenge.bytes()).unwrap_err();
        assert_eq!((failed.error.status(), failed.error.is_proved()), (Some(status), true));
        let expected = by_hand().dialer_reject(hello.bytes(), challenge.bytes(), status.0);
        assert_eq!(failed.reply, Some(expected), "{status}");
        // What makes it unlike an acceptor's: no nonce. And nothing that is selected.
        assert_eq!(expected[at::NONCE..at::MAC], [0; 32]);
        assert_eq!(expected[at::FLAGS..at::KEY_ID], [0; 6]);
        assert_eq!(expected[at::EPHEMERAL..at::INCARNATION], [0; 32]);
        let told = rejected_by_peer(accepting.receive(&expected));
        assert_eq!(told, reject_with(status, challenge == genuine));
    }
}

/// An acceptor that has proved nothing is owed nothing, and so is one of version 1.
#[test]
fn what_is_not_proved_is_not_told() {
    for version in [Version::V1, Version::V2] {
        let sides = Sides::new(version);
        let (_, hello) = sides.dial();
        let challenge = *sides.answer(hello.bytes()).unwrap().1.bytes();
        for byte in (0..256).filter(|byte| !(at::KEY_ID..at::EPHEMERAL).contains(byte)) {
            let mut spoiled = challenge;
            spoiled[byte] ^= 1;
            let failed = sides.dial().0.receive(&spoiled).unwrap_err();
            assert_eq!((failed.reply, failed.error.is_proved()), (None, false), "byte {byte}: {failed:?}");
        }
        let mut elsewhere = sides.clone();
        elsewhere.dialer_binding = ChannelBinding::TlsExporter([1; 32]);
        assert_eq!(elsewhere.dial().0.receive(&challenge).unwrap_err().reply, None);
    }
    // A reject is not answered with one, proved or not.
    let mut sides = demanding(Flags::SEALED);
    let (waiting, hello) = sides.dial();
    sides.acceptor.flags.required = Flags::EPHEMERAL;
    let ((), reply, rejection) = sides.answer(hello.bytes()).unwrap_err().into_parts();
    assert!(rejection.authenticated);
    assert_eq!(waiting.receive(&reply).unwrap_err().reply, None);
}

/// Section 2.1: any nonzero status, and its delay where it may have one.
#[test]
fn every_status_arrives() {
    for code in 1..=u8::MAX {
        for authenticated in [true, false] {
            let it = declined();
            let delayed = matches!(code, 9 | 10 | 15..);
            let mut frame = it.reject;
            frame[at::STATUS] = code;
            put(&mut frame, at::RETRY_AFTER, &u32::from(delayed).to_le_bytes());
            if authenticated {
                frame = by_hand().sign_dialer_reject(it.hello.bytes(), it.challenge.bytes(), frame);
            }
            let expected = reject_with(Status(code), authenticated);
            // Without a MAC of its own it still has that of policy_mismatch.
            let authenticated = authenticated || code == Status::POLICY_MISMATCH.0;
            let expected = PeerReject::new(expected.from, expected.status, delayed.into(), authenticated);
            assert_eq!(read(it, &frame), Ok(expected));
        }
    }
}

#[test]
fn no_bit_of_it_can_be_changed() {
    assert_eq!(read(declined(), &declined().reject), Ok(reject_with(Status::POLICY_MISMATCH, true)));
    for bit in 0..256 * 8 {
        let it = declined();
        let mut frame = it.reject;
        frame[bit / 8] ^= 1 << (bit % 8);
        match read(it, &frame) {
            Ok(reject) => assert!(!reject.authenticated, "bit {bit}: {reject}"),
            // It is not even a hint: who sent it has broken the protocol.
            Err(status) => assert!(matches!(status.0, 1 | 2 | 3 | 6 | 14), "bit {bit}: {status}"),
        }
    }
}

#[test]
fn one_of_another_connection_proves_nothing() {
    let old = declined();
    let sides = old.sides.clone();
    // The same Hello, another challenge; another Hello as well; another end of TLS.
    let (accepting, challenge) = sides.answer_with(old.hello.bytes(), Availability::Open, fresh(3)).unwrap();
    assert_ne!(challenge, old.challenge);
    assert_eq!(rejected_by_peer(accepting.receive(&old.reject)), reject_with(Status::POLICY_MISMATCH, false));
    let (_, hello) = sides.dial_with(fresh(4));
    let (accepting, _) = sides.answer(hello.bytes()).unwrap();
    assert!(!rejected_by_peer(accepting.receive(&old.reject)).authenticated);
    let mut bound = sides;
    bound.acceptor_binding = ChannelBinding::TlsExporter([1; 32]);
    let (accepting, _) = bound.answer(old.hello.bytes()).unwrap();
    assert!(!rejected_by_peer(accepting.receive(&old.reject)).authenticated);
}

#[test]
fn only_the_key_of_the_handshake_makes_one() {
    let it = declined();
    let stranger = RawPeer::new(0, OTHER_SECRET);
    let mut frame = stranger.sign_dialer_reject(it.hello.bytes(), it.challenge.bytes(), it.reject);
    assert_eq!(read(it, &frame), Ok(reject_with(Status::POLICY_MISMATCH, false)));
    // The right key with the acceptor's direction, or over too little.
    for mac in [
        |it: &Declined, frame: &Frame| {
            Forge::new(SECRET).mac_v2(Dir::Acceptor, &[it.hello.bytes(), it.challenge.bytes(), frame])
        },
        |it: &Declined, frame: &Frame| Forge::new(SECRET).mac_v2(Dir::Dialer, &[it.hello.bytes(), frame]),
        |it: &Declined, frame: &Frame| Forge::new(SECRET).mac_v2(Dir::Acceptor, &[it.hello.bytes(), frame]),
    ] {
        let it = declined();
        frame = it.reject;
        put(&mut frame, at::MAC, &[0; 32]);
        let mac = mac(&it, &frame);
        put(&mut frame, at::MAC, &mac);
        assert_eq!(read(it, &frame), Ok(reject_with(Status::POLICY_MISMATCH, false)));
    }
}

/// The MAC of a Finish is none of a reject, and the reverse: what the frame is, is covered.
#[test]
fn it_is_no_finish() {
    let sides = Sides::new(Version::V2);
    let run = sides.run();
    let (accepting, challenge) = sides.answer(run.hello.bytes()).unwrap();
    let mut frame = by_hand().dialer_reject(run.hello.bytes(), challenge.bytes(), 13);
    put(&mut frame, at::MAC, &run.finish.fields().mac);
    assert!(!rejected_by_peer(accepting.receive(&frame)).authenticated);

    let (accepting, challenge) = sides.answer(run.hello.bytes()).unwrap();
    let mut finish = by_hand().dialer_reject(run.hello.bytes(), challenge.bytes(), 13);
    finish[at::COMMAND] = command::FINISH;
    finish[at::STATUS] = 0;
    let refused = rejected(accepting.receive(&finish).unwrap_err());
    assert_eq!(refused.rejection().status, Status::MAC_MISMATCH);
}

/// Whoever holds the key and breaks the protocol learns of it with a reject, as with a Finish (D-4).
#[test]
fn what_is_wrong_with_it_though_it_is_signed() {
    let cases: [(&str, usize, &[u8], Status); 9] = [
        ("no status", at::STATUS, &[0], Status::UNKNOWN_COMMAND),
        ("a size", at::SIZE, &[1], Status::MALFORMED_FRAME),
        ("a nonce", at::NONCE + 7, &[1], Status::MALFORMED_FRAME),
        ("flags", at::FLAGS, &[1], Status::MALFORMED_FRAME),
        ("another cluster", at::CLUSTER, &[1], Status::CLUSTER_MISMATCH),
        ("another sender", at::REPLICA, &[1], Status::DIRECTIONAL_RULE),
        ("another key", at::KEY_ID, &[0; 8], Status::MALFORMED_FRAME),
        ("another process", at::INCARNATION, &[9], Status::MALFORMED_FRAME),
        ("another lane", at::LANE, &[9], Status::MALFORMED_FRAME),
    ];
    for (what, offset, bytes, status) in cases {
        let it = declined();
        let (hello, challenge) = (*it.hello.bytes(), *it.challenge.bytes());
        let mut frame = it.reject;
        put(&mut frame, offset, bytes);
        let frame = by_hand().sign_dialer_reject(&hello, &challenge, frame);
        let rejected = rejected(it.accepting.receive(&frame).unwrap_err());
        assert_eq!(rejected.rejection().status, status, "{what}");
        if what == "a nonce" {
            let expected = HandshakeFrameError::UnusedByte { offset: at::NONCE + 7 };
            assert_eq!(rejected.rejection().frame_error, Some(expected));
        }
        // The answer is the acceptor's late reject (H-9).
        let ((), reply, _) = rejected.into_parts();
        let reply = Challenge::parse(&reply).unwrap();
        assert_eq!(reply, Forge::new(SECRET).sign_challenge(&hello, reply));
        assert_eq!(reply.fields().status, status);
    }
}

/// Where another frame is due it is what it was before: no reject of the dialer's.
#[test]
fn elsewhere_it_is_nothing() {
    let it = declined();
    // As the first frame.
    assert_eq!(it.sides.answer(&it.reject).unwrap_err().rejection().status, Status::UNKNOWN_COMMAND);
    // Reflected to the dialer, in the place of the challenge: a hint, as anyone can make one.
    let DialError::Rejected(reflected) = it.sides.dial().0.receive(&it.reject).unwrap_err().error else {
        panic!()
    };
    assert!(!reflected.authenticated);
    // Reflected to a dialer whose link is up: the acceptor has not sent it.
    let run = Sides::new(Version::V2).run();
    let mut reflected = by_hand().dialer_reject(run.hello.bytes(), run.challenge.bytes(), 13);
    assert_eq!(late_reject(run.dialed, &reflected), None);
    let run = Sides::new(Version::V2).run();
    reflected[at::REPLICA] = run.challenge.sender().0;
    assert_eq!(late_reject(run.dialed, &reflected), None);
    // An acceptor's own rejects, sent back to it: the sender is not the dialer.
    let run = Sides::new(Version::V2).run();
    let ((), own, _) = run.verified.refuse(Status::DUPLICATE_REPLICA, 0).into_parts();
    let it = Sides::new(Version::V2);
    let (accepting, _) = it.answer(run.hello.bytes()).unwrap();
    let refused = rejected(accepting.receive(&own).unwrap_err());
    assert_eq!(refused.rejection().status, Status::MALFORMED_FRAME, "it has a nonce");

    // Version 1 has none: what is no Finish is an unknown command there.
    let sides = Sides::new(Version::V1);
    let (_, hello) = sides.dial();
    let (accepting, challenge) = sides.answer(hello.bytes()).unwrap();
    let frame = by_hand().dialer_reject(hello.bytes(), challenge.bytes(), 13);
    let refused = rejected(accepting.receive(&frame).unwrap_err());
    assert_eq!(refused.rejection().status, Status::UNKNOWN_COMMAND);
}

/// What an acceptor without D-12 does with it, which is what it does with any frame but a Finish:
/// there is no link. And with both, no policy ever ends in a link without what one of them requires.
#[test]
fn a_required_flag_is_never_missing() {
    let flags = [Flags::NONE, Flags::SEALED, Flags::EPHEMERAL, Flags::SEALED | Flags::EPHEMERAL];
    for (required, supported) in flags.iter().flat_map(|one| flags.iter().map(move |other| (*one, *other))) {
        let mut sides = Sides::new(Version::V2);
        sides.dialer.flags = FlagPolicy::new(Flags::NONE, required);
        sides.acceptor.flags = supports(supported);
        let (waiting, hello) = sides.dial();
        let (accepting, challenge) = sides.answer(hello.bytes()).unwrap();
        match waiting.receive(challenge.bytes()) {
            Ok((end, finish)) => {
                assert_eq!(end.peer().flags, required);
                assert_eq!(accepting.receive(finish.bytes()).unwrap().admit().peer().flags, required);
            }
            Err(failed) => {
                assert!(!supported.contains(required));
                let told = rejected_by_peer(accepting.receive(&failed.reply.unwrap()));
                assert_eq!(told, reject_with(Status::POLICY_MISMATCH, true));
            }
        }
    }
}
