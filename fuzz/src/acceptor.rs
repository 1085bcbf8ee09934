//! An acceptor and someone who has no key but has seen other handshakes: replays, reflections and
//! splices included, nobody gets in, and every answer is the protocol's to the byte.

use arbitrary::Unstructured;
use replink_frame::{GenericHeader, Version};
use replink_handshake::{Authentication, AwaitFinish, Peer, Side, disabled};

use crate::mac::Keys;
use crate::node::{Draw, Drawer, Knobs, Refusal, availability};
use crate::patch::{self, byte};
use crate::wire::{self, Frame, Said};

const STEPS: u8 = 16;

/// How far a run came.
#[derive(Clone, Copy, Default, Debug)]
pub struct Reached {
    pub challenges: usize,
    pub rejects: usize,
    pub late_rejects: usize,
    pub hints: usize,
    pub unauthenticated_links: usize,
}

struct Waiting {
    state: AwaitFinish<()>,
    hello: Frame,
    challenge: Frame,
    key: Keys,
    draw: Draw,
}

pub fn run(data: &[u8]) -> Reached {
    let input = &mut Unstructured::new(data);
    let knobs = Knobs::read(input);
    let mut pool = seen(&knobs);
    let mut reached = Reached::default();
    if knobs.disabled() {
        for _ in 0..STEPS {
            if input.is_empty() {
                break;
            }
            let frame = patch::frame(input, &pool);
            without_authentication(&knobs, &frame, &mut pool, &mut reached);
        }
        return reached;
    }

    let acceptor = knobs.acceptor();
    let mut waiting = Vec::new();
    for step in 0..STEPS {
        if input.is_empty() {
            break;
        }
        let choice = byte(input);
        if choice.is_multiple_of(2) || waiting.is_empty() {
            let available = availability(input);
            let frame = patch::frame(input, &pool);
            let draw = Draw::new(Drawer::Acceptor, step);
            let expected = knobs.judge_hello(&frame, available);
            match acceptor.begin((), knobs.channel_binding()).receive(&frame, available, draw.fresh()) {
                Ok((state, challenge)) => {
                    let key = expected.unwrap_or_else(|status| panic!("{status} is to be answered"));
                    let challenge = *challenge.bytes();
                    assert_eq!(challenge, knobs.challenge(&frame, &key, &draw));
                    assert_eq!(state.claimed().0, frame[wire::REPLICA]);
                    pool.push(challenge);
                    waiting.push(Waiting { state, hello: frame, challenge, key, draw });
                    reached.challenges += 1;
                }
                Err(rejected) => {
                    let status = expected.err().expect("a Hello without a fault is accepted");
                    let refusal = Refusal::of_hello(status, available);
                    let fault = knobs.hello_fault(&frame);
                    let key = knobs.key(&frame[wire::KEY_ID], frame[wire::REPLICA]);
                    pool.push(knobs.check_rejected(rejected, &frame, fault, refusal, key, draw.nonce));
                    reached.rejects += 1;
                }
            }
        } else {
            let Waiting { state, hello, challenge, key, draw } =
                waiting.swap_remove(usize::from(choice / 2) % waiting.len());
            let frame = patch::frame(input, &pool);
            let failed = state.receive(&frame).expect_err("nobody proves a key that he does not have");
            let fault = knobs
                .judge_finish(&hello, &challenge, &frame, &key, &draw)
                .expect_err("no one can make a MAC without the key");
            match knobs.check_accept_failed(failed, &hello, fault, key, draw.nonce) {
                Ok(reject) => {
                    pool.push(reject);
                    reached.late_rejects += 1;
                }
                Err(reject) => {
                    assert!(!reject.authenticated, "no one can make a MAC without the key");
                    reached.hints += 1;
                }
            }
        }
    }
    reached
}

/// What the fuzzer has seen on the wire: earlier handshakes of this acceptor with a peer that
/// does hold the key, in both versions, its reject of a challenge, and a Hello of one that does not
/// authenticate.
fn seen(knobs: &Knobs) -> Vec<Frame> {
    let sender = (0..knobs.replica).rev().find(|&id| knobs.on_roster(id)).unwrap_or(0);
    let release = *knobs.releases().start();
    let dialer = Knobs { replica: sender, release, supported: knobs.supported & !wire::SHARE, ..*knobs };
    let key = knobs.serving(sender).chain(knobs.keys()).next().expect("a ring has a key");
    let (mut pool, mut refused) = (Vec::new(), None);
    for v2 in [false, true] {
        let count = u8::from(v2);
        let hello = dialer.hello(v2, &key, 0, &Draw::new(Drawer::Dialer, count));
        let draw = Draw::new(Drawer::Acceptor, u8::MAX - count);
        let challenge = knobs.challenge(&hello, &key, &draw);
        let finish = dialer.finish(&hello, &challenge, &key);
        let reject = knobs.reject(&hello, Refusal { status: 9, retry_after: 250 }, Some(key), draw.nonce);
        pool.extend([hello, challenge, finish, reject]);
        if v2 {
            refused = Some(dialer.dialer_reject(&hello, &challenge, &key, 13));
        }
    }
    pool.push(dialer.said(wire::HELLO, false).frame());
    pool.extend(refused);
    pool
}

/// H-12.
fn without_authentication(knobs: &Knobs, frame: &Frame, pool: &mut Vec<Frame>, reached: &mut Reached) {
    let fault = wire::handshake_fault(frame, wire::HELLO);
    let sender = frame[wire::REPLICA];
    let refused = [
        (frame[wire::CLUSTER] != *crate::node::CLUSTER, 2),
        (sender >= knobs.replica, 3),
        (!knobs.on_roster(sender), 8),
        (frame[wire::VERSION] == 2 || !wire::is_zero(&frame[wire::NONCE]), 13),
    ];
    let expected = match fault {
        Some(fault) => Some(fault.status()),
        None => refused.iter().find(|(refused, _)| *refused).map(|(_, status)| *status),
    };
    match disabled::accept((), &knobs.local(), knobs.roster()).receive(frame) {
        Ok(link) => {
            assert_eq!(expected, None);
            let hello = Said { sender, ..knobs.said(wire::HELLO, false) };
            assert_eq!(frame, &hello.frame(), "the one Hello that asks for no proof");
            let sender = replink_frame::ReplicaId(sender);
            let peer = Peer::new(sender, Side::Acceptor, Version::V1, Authentication::Disabled);
            assert_eq!(link.peer(), &peer);
            let ((), session) = link.into_parts();
            assert!(session.export("anything").is_err());
            let (mut receiving, mut sending) = session.split();
            assert!(sending.control_mut().ping().is_none());
            for frame in pool {
                assert!(receiving.control_mut().open_control(GenericHeader::view(frame)).is_err());
                assert_eq!(receiving.control().late_reject(frame), None);
            }
            reached.unauthenticated_links += 1;
        }
        Err(rejected) => {
            let refusal = Refusal::from(expected.expect("a Hello without a fault is accepted"));
            pool.push(knobs.check_rejected(rejected, frame, fault, refusal, None, [0; 32]));
            reached.rejects += 1;
        }
    }
}
