//! Past authentication: the input decides what frames say, and they are signed with the right key
//! for all that. By hand against an acceptor, by hand against a dialer, and between the two
//! without the key. What was changed after it was signed is refused; what is signed is judged
//! by its content; and two ends that are up agree on everything.

use arbitrary::Unstructured;
use replink_frame::{Status, Version};
use replink_handshake::Side;

use crate::link::{self, Dialed, End};
use crate::mac::Keys;
use crate::node::{DialFault, Draw, Drawer, Knobs, Refusal, Target, availability, peer};
use crate::patch::{self, byte, change};
use crate::wire::{self, Frame};

const STEPS: usize = 20;

/// How far a run came.
#[derive(Clone, Copy, Default, Debug)]
pub struct Reached {
    pub dialed: usize,
    pub verified: usize,
    pub refused: usize,
    pub both: usize,
    pub shared: usize,
    pub controls: usize,
    pub violations: usize,
    pub proved_rejects: usize,
    pub dialer_rejects: usize,
}

pub fn run(data: &[u8]) -> Reached {
    let input = &mut Unstructured::new(data);
    let mut reached = Reached::default();
    let _ = match byte(input) % 3 {
        0 => against_acceptor(input, &mut reached),
        1 => against_dialer(input, &mut reached),
        _ => between(input, &mut reached),
    };
    reached
}

/// A signed frame: changed before the signature, and whether it was once more after it.
fn signed(
    input: &mut Unstructured<'_>,
    frame: &mut Frame,
    pool: &[Frame],
    sign: impl FnOnce(&mut Frame),
) -> bool {
    change(input, frame, pool);
    sign(frame);
    let genuine = *frame;
    change(input, frame, pool);
    *frame != genuine
}

/// The frames of a peer that is made by hand, against an acceptor. `None` where it ends early.
fn against_acceptor(input: &mut Unstructured<'_>, reached: &mut Reached) -> Option<()> {
    let knobs = Knobs { switches: byte(input) & !2, ..Knobs::read(input) };
    let hand = Knobs { switches: knobs.switches, ..Knobs::read(input) };
    let Target { lane, key_index, peer: version } = Target::read(input);
    let v2 = version % 4 != 1;
    // Any key of the acceptor's: one that does not serve between these two, as well.
    let offered = knobs.keys().nth(key_index.into()).or(knobs.serving(hand.replica).next())?;
    let draw = Draw::new(Drawer::Dialer, 1);
    let mut hello = hand.hello(v2, &offered, lane, &draw);
    let pool = [hello, hand.said(wire::FINISH, v2).frame()];
    change(input, &mut hello, &pool);
    let available = availability(input);

    let draw = Draw::new(Drawer::Acceptor, 1);
    let expected = knobs.judge_hello(&hello, available);
    let state = knobs.acceptor().begin((), knobs.channel_binding());
    let (state, challenge) = match state.receive(&hello, available, draw.fresh()) {
        Ok((state, challenge)) => (state, *challenge.bytes()),
        Err(rejected) => {
            let refusal = Refusal::of_hello(expected.err().expect("nothing is wrong"), available);
            let fault = knobs.hello_fault(&hello);
            let key = knobs.key(&hello[wire::KEY_ID], hello[wire::REPLICA]);
            let reply = knobs.check_rejected(rejected, &hello, fault, refusal, key, draw.nonce);
            reached.proved_rejects += usize::from(!wire::is_zero(&reply[wire::MAC]));
            return None;
        }
    };
    let key = expected.expect("nothing is wrong with the Hello that was accepted");
    assert_eq!(challenge, knobs.challenge(&hello, &key, &draw));

    // Whoever dials is the one whom the Hello names.
    let dialer = Knobs {
        replica: hello[wire::REPLICA],
        release: wire::u32_at(&hello, wire::RELEASE),
        incarnation: wire::u64_at(&hello, wire::INCARNATION),
        ..knobs
    };
    let mut finish = dialer.finish(&hello, &challenge, &key);
    let v2 = hello[wire::VERSION] == 2;
    let tampered = signed(input, &mut finish, &[hello, challenge], |finish| {
        let mac = if v2 {
            key.dialer(&hello, &challenge, finish, knobs.binding())
        } else {
            key.v1(&hello, &challenge, knobs.replica, knobs.binding(), 1)
        };
        finish[wire::MAC].copy_from_slice(&mac);
    });
    let expected = knobs.judge_finish(&hello, &challenge, &finish, &key, &draw);
    let verified = match state.receive(&finish) {
        Ok(verified) => verified,
        Err(failed) => {
            let fault = expected.expect_err("a Finish without a fault is accepted");
            match knobs.check_accept_failed(failed, &hello, fault, key, draw.nonce) {
                Ok(_) => reached.refused += 1,
                Err(reject) => {
                    assert!(!(tampered && reject.authenticated), "D-12: every byte is authenticated");
                    reached.dialer_rejects += usize::from(reject.authenticated);
                }
            }
            return None;
        }
    };
    assert!(!(v2 && tampered), "H-5: every byte is authenticated");
    let shared = expected.expect("nothing is wrong with the Finish that was accepted");
    reached.verified += 1;
    reached.shared += usize::from(shared != [0; 32]);
    let proved = knobs.key_of_finish(&hello, &challenge, &finish, &key);
    let peer = peer(dialer.replica, Side::Acceptor, &proved, &hello, &challenge);
    assert_eq!(verified.peer(), &peer);

    let choice = byte(input);
    if choice % 4 == 1 {
        let status = byte(input).max(1);
        let retry_after = input.arbitrary().unwrap_or(0);
        let rejected = verified.refuse(Status(status), retry_after);
        let retry_after = if matches!(status, 9 | 10) { retry_after } else { 0 };
        let refusal = Refusal { status, retry_after };
        let reply = knobs.check_rejected(rejected, &hello, None, refusal, Some(key), draw.nonce);
        let dialed = Dialed { hello, key: Some(key), binding: knobs.binding(), challenge: Some(challenge) };
        let read = dialed.read_reject(&reply).expect("a late reject");
        assert_eq!(read.authenticated, v2, "H-7");
        return None;
    }
    let session = v2.then(|| key.session([&hello, &challenge, &finish], knobs.binding(), &shared));
    let mut end = End::new(verified.admit(), &knobs, peer, session, None);
    let pool = [hello, challenge, finish];
    talk(input, &mut end, &dialer, &pool, reached, |_, _| {
        knobs.reject(&hello, 11.into(), Some(key), draw.nonce)
    });
    Some(())
}

/// The frames of a peer that is made by hand, against a dialer.
fn against_dialer(input: &mut Unstructured<'_>, reached: &mut Reached) -> Option<()> {
    let knobs = Knobs { switches: byte(input) & !2, ..Knobs::read(input) };
    let hand = Knobs::read(input);
    let target = Target::read(input);
    let hand = Knobs { replica: target.peer, switches: knobs.switches, ..hand };
    let dialing = knobs.dial(&knobs.dialer(), target, Draw::new(Drawer::Dialer, 1))?;
    let (key, hello) = (dialing.key, dialing.dialed.hello);
    let draw = Draw::new(Drawer::Acceptor, 1);

    let choice = byte(input);
    let mut challenge = match choice % 4 {
        1 => {
            let retry_after = input.arbitrary().unwrap_or(0);
            hand.reject(&hello, Refusal { status: choice >> 2, retry_after }, Some(key), draw.nonce)
        }
        _ => hand.challenge(&hello, &key, &draw),
    };
    let sign = |frame: &mut Frame| sign_challenge(&hand, &hello, frame, &key);
    let pool = [hello, challenge];
    // What it would have said is signed too, and may be what comes out in the end.
    let tampered = signed(input, &mut challenge, &pool, sign) && challenge != pool[1];
    let (mut end, finish) = match knobs.answer(dialing, &challenge) {
        Ok(up) => up,
        Err(DialFault::Rejected(reject)) => {
            assert!(!(tampered && reject.authenticated), "H-7");
            reached.proved_rejects += usize::from(reject.authenticated);
            return None;
        }
        Err(_) => {
            reached.refused += 1;
            return None;
        }
    };
    reached.dialed += 1;
    assert!(knobs.v1() || !tampered, "H-5: every byte is authenticated");
    reached.shared += usize::from(end.peer().flags.0 & wire::SHARE != 0);
    talk(input, &mut end, &hand, &[hello, challenge, finish], reached, |input, pool| {
        let status = byte(input).max(1);
        let retry_after = input.arbitrary().unwrap_or(0);
        let mut frame = hand.reject(&hello, Refusal { status, retry_after }, Some(key), draw.nonce);
        signed(input, &mut frame, pool, sign);
        frame
    });
    Some(())
}

fn sign_challenge(acceptor: &Knobs, hello: &Frame, challenge: &mut Frame, key: &Keys) {
    let mac = if hello[wire::VERSION] == 2 {
        key.acceptor(hello, challenge, acceptor.binding())
    } else if challenge[wire::STATUS] == 0 {
        key.v1(hello, challenge, acceptor.replica, acceptor.binding(), 2)
    } else {
        [0; 32]
    };
    challenge[wire::MAC].copy_from_slice(&mac);
}

/// Frames of a peer made by hand, on an established link.
fn talk(
    input: &mut Unstructured<'_>,
    end: &mut End,
    hand: &Knobs,
    pool: &[Frame],
    reached: &mut Reached,
    late_reject: impl Fn(&mut Unstructured<'_>, &[Frame]) -> Frame,
) {
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        match byte(input) % 4 {
            0 => {
                end.send(input);
            }
            1 => {
                let frame = late_reject(input, pool);
                let read = end.late_reject(&frame);
                reached.proved_rejects += usize::from(read.is_some_and(|reject| reject.authenticated));
            }
            _ => {
                let command = wire::PING.saturating_add(byte(input) % 4);
                let counter = end.received().wrapping_add((byte(input) % 4).into());
                let mut frame = link::control(hand, command, counter);
                let mut genuine = frame;
                signed(input, &mut frame, pool, |frame| {
                    end.sign_as_peer(frame);
                    genuine = *frame;
                });
                let opened = end.deliver(&frame);
                assert!(!opened || frame == genuine, "section 4: every byte is authenticated");
                reached.controls += usize::from(opened);
                reached.violations += usize::from(!opened);
            }
        }
    }
}

/// Two ends, and someone without the key between them.
fn between(input: &mut Unstructured<'_>, reached: &mut Reached) -> Option<()> {
    let switches = byte(input) & !2;
    let dialer = Knobs { switches, ..Knobs::read(input) };
    let target = Target::read(input);
    let acceptor = Knobs::read(input);
    // Now and then they differ in everything, but that goes nowhere.
    let acceptor = match byte(input) % 8 {
        1 => acceptor,
        2 => Knobs { replica: target.peer, switches: switches ^ 4, ..acceptor },
        3 => Knobs { replica: target.peer, ..dialer },
        _ => Knobs { replica: target.peer, switches: switches & 7, ..acceptor },
    };

    let dialing = dialer.dial(&dialer.dialer(), target, Draw::new(Drawer::Dialer, 1))?;
    let (key, hello) = (dialing.key, dialing.dialed.hello);
    let mut their_hello = hello;
    let mut heard = vec![hello];
    change(input, &mut their_hello, &heard);

    let draw = Draw::new(Drawer::Acceptor, 1);
    let available = availability(input);
    let expected = acceptor.judge_hello(&their_hello, available);
    let state = acceptor.acceptor().begin((), acceptor.channel_binding());
    let (state, challenge, their_key) = match state.receive(&their_hello, available, draw.fresh()) {
        Ok((state, challenge)) => {
            let their_key = expected.expect("nothing is wrong with the Hello that was accepted");
            assert_eq!(challenge.bytes(), &acceptor.challenge(&their_hello, &their_key, &draw));
            (state, *challenge.bytes(), their_key)
        }
        Err(rejected) => {
            let refusal = Refusal::of_hello(expected.err().expect("nothing is wrong"), available);
            let fault = acceptor.hello_fault(&their_hello);
            let their_key = acceptor.key(&their_hello[wire::KEY_ID], their_hello[wire::REPLICA]);
            let reply =
                acceptor.check_rejected(rejected, &their_hello, fault, refusal, their_key, draw.nonce);
            let mut their_reply = reply;
            heard.push(reply);
            change(input, &mut their_reply, &heard);
            if let Err(DialFault::Rejected(reject)) = dialer.answer(dialing, &their_reply) {
                let untouched = their_hello == hello && their_reply == reply;
                assert!(!reject.authenticated || untouched, "H-7");
                reached.proved_rejects += usize::from(reject.authenticated);
            }
            return None;
        }
    };
    heard.push(challenge);
    let mut their_challenge = challenge;
    change(input, &mut their_challenge, &heard);

    let answered = dialer.answer(dialing, &their_challenge);
    let untouched = their_hello == hello && their_challenge == challenge;
    assert!(answered.is_err() || untouched, "H-4, H-5: the dialer has proof of what was said");
    let (mut near, finish) = match answered {
        Ok(up) => up,
        Err(fault) => {
            reached.refused += 1;
            let mut told = None;
            if let Some(status) = fault.told() {
                assert!(untouched, "only a proved acceptor is told");
                let reject = dialer.dialer_reject(&hello, &challenge, &key, status);
                heard.push(reject);
                told = Some(reject);
            }
            // He has a challenge all the same, and may make up a Finish.
            let finish = patch::frame(input, &heard);
            let expected = acceptor.judge_finish(&their_hello, &challenge, &finish, &their_key, &draw);
            let fault = expected.expect_err("no one can make a MAC without the key");
            let failed = state.receive(&finish).expect_err("no one can make a MAC without the key");
            let said = acceptor.check_accept_failed(failed, &their_hello, fault, their_key, draw.nonce);
            let proved = said.err().is_some_and(|reject| reject.authenticated);
            assert!(!proved || Some(finish) == told, "D-12: every byte is authenticated");

            // Once more, and the reject gets through.
            if let Some(reject) = told {
                let state = acceptor.acceptor().begin((), acceptor.channel_binding());
                let (state, _) = state.receive(&their_hello, available, draw.fresh()).expect("as before");
                let fault = acceptor
                    .judge_finish(&hello, &challenge, &reject, &their_key, &draw)
                    .expect_err("it is no Finish");
                let failed = state.receive(&reject).expect_err("it is no Finish");
                let said = acceptor.check_accept_failed(failed, &hello, fault, their_key, draw.nonce);
                assert!(said.expect_err("a reject").authenticated, "D-12: so has the acceptor");
                reached.dialer_rejects += 1;
            }
            return None;
        }
    };
    reached.dialed += 1;
    heard.push(finish);
    let mut their_finish = finish;
    change(input, &mut their_finish, &heard);

    let expected = acceptor.judge_finish(&hello, &challenge, &their_finish, &their_key, &draw);
    let verified = match state.receive(&their_finish) {
        Ok(verified) => verified,
        Err(failed) => {
            let fault = expected.expect_err("a Finish without a fault is accepted");
            assert_ne!(their_finish, finish, "the dialer's own Finish is accepted");
            let reply = match acceptor.check_accept_failed(failed, &hello, fault, their_key, draw.nonce) {
                Ok(reply) => reply,
                Err(reject) => {
                    assert!(!reject.authenticated, "D-12: the dialer has made none");
                    reached.refused += 1;
                    return None;
                }
            };
            let read = near.late_reject(&reply).expect("H-9");
            assert_eq!(read.authenticated, hello[wire::VERSION] == 2);
            reached.refused += 1;
            return None;
        }
    };
    let shared = expected.expect("nothing is wrong with the Finish that was accepted");
    assert_eq!(their_finish, finish, "H-4, H-5: so has the acceptor");
    reached.both += 1;
    reached.shared += usize::from(shared != [0; 32]);
    let v2 = hello[wire::VERSION] == 2;
    let proved = acceptor.key_of_finish(&hello, &challenge, &finish, &key);
    let peer = peer(dialer.replica, Side::Acceptor, &proved, &hello, &challenge);
    let session = key.session([&hello, &challenge, &finish], acceptor.binding(), &shared);
    // Either end is compared with one and the same session key, exports included.
    let mut far = End::new(verified.admit(), &acceptor, peer, v2.then_some(session), None);
    agree(&near, &far, &dialer, &acceptor);

    let mut sent = [Vec::new(), Vec::new()];
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        let choice = byte(input);
        let from = usize::from(choice & 1);
        if choice & 2 == 0 {
            let frame = if from == 0 { near.send(input) } else { far.send(input) };
            heard.extend(frame);
            sent[from].extend(frame);
        }
        if choice & 4 == 0 {
            // The last frame, an earlier one, or what he makes of them.
            let mut frame = *heard.last().expect("the Hello, at the least");
            if choice & 8 != 0 {
                frame = patch::frame(input, &heard);
            }
            let to = if from == 0 { &mut far } else { &mut near };
            let opened = to.deliver(&frame);
            assert!(!opened || sent[from].contains(&frame), "section 4: every byte is authenticated");
            reached.controls += usize::from(opened);
            reached.violations += usize::from(!opened);
        }
    }
    Some(())
}

/// What each end knows of the other is what that one is.
fn agree(near: &End, far: &End, dialer: &Knobs, acceptor: &Knobs) {
    let (of_acceptor, of_dialer) = (near.peer(), far.peer());
    assert_eq!((of_acceptor.replica.0, of_dialer.replica.0), (acceptor.replica, dialer.replica));
    assert_eq!((of_acceptor.side, of_dialer.side), (Side::Dialer, Side::Acceptor));
    assert_eq!(of_acceptor.version, of_dialer.version);
    assert_eq!(of_acceptor.authentication, of_dialer.authentication);
    assert_eq!(of_acceptor.flags, of_dialer.flags);
    assert_eq!(of_acceptor.lane, of_dialer.lane);
    let v2 = of_acceptor.version == Version::V2;
    let told = |number: u64| if v2 { number } else { 0 };
    assert_eq!(u64::from(of_acceptor.release), told(acceptor.release.into()));
    assert_eq!(u64::from(of_dialer.release), told(dialer.release.into()));
    assert_eq!(of_acceptor.incarnation, told(acceptor.incarnation));
    assert_eq!(of_dialer.incarnation, told(dialer.incarnation));
    let (flags, offered) = (of_acceptor.flags.0, dialer.offered() & acceptor.offered());
    assert_eq!(flags & !offered, 0);
    assert_eq!((dialer.required | acceptor.required) & !flags, 0);
    assert!(!v2 || dialer.releases().contains(&acceptor.release));
    assert!(!v2 || acceptor.releases().contains(&dialer.release));
}
