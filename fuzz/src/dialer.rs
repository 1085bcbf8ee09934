//! A dialer and someone who has no key but has seen other handshakes: nobody passes for the
//! acceptor, no reject of his counts as authenticated, and on an established link he can't make
//! a control frame or a late reject, nor use one twice.

use arbitrary::Unstructured;
use replink_frame::{ReplicaId, Version};
use replink_handshake::{Authentication, DialError, Peer, Side, disabled};

use crate::link::{self, Dialed, End};
use crate::node::{DialFault, Draw, Drawer, Knobs, Refusal, Target};
use crate::patch::{self, byte};
use crate::wire::{self, Frame};

const STEPS: u8 = 16;

/// How far a run came.
#[derive(Clone, Copy, Default, Debug)]
pub struct Reached {
    pub failures: usize,
    pub rejects: usize,
    pub links: usize,
    pub controls: usize,
    pub late_rejects: usize,
    pub unauthenticated_links: usize,
}

/// A link that came up with the acceptor that is meant, and what that one sent on it.
struct Link {
    end: End,
    controls: Vec<Frame>,
    late_reject: Option<Frame>,
}

pub fn run(data: &[u8]) -> Reached {
    let input = &mut Unstructured::new(data);
    let knobs = Knobs::read(input);
    let target = Target::read(input);
    let mut reached = Reached::default();
    let mut pool = seen(&knobs, target);
    if knobs.disabled() {
        without_authentication(&knobs, target, input, &mut pool, &mut reached);
        return reached;
    }

    let dialer = knobs.dialer();
    let mut link = None;
    for step in 0..STEPS {
        if input.is_empty() {
            break;
        }
        match (byte(input) % 4, &mut link) {
            (2, _) => {
                let Some(up) = establish(&knobs, target, step, &mut pool) else { break };
                link = Some(up);
                reached.links += 1;
            }
            (3, Some(link)) => deliver(link, input, &mut pool, &mut reached),
            _ => {
                let Some(dialing) = knobs.dial(&dialer, target, Draw::new(Drawer::Dialer, step)) else {
                    break;
                };
                pool.push(dialing.dialed.hello);
                let frame = patch::frame(input, &pool);
                match knobs.answer(dialing, &frame) {
                    Ok(_) => panic!("the peer has proved a key that it does not have"),
                    Err(DialFault::Rejected(reject)) => {
                        assert!(!reject.authenticated, "no one can make a MAC without the key");
                        reached.rejects += 1;
                    }
                    Err(
                        DialFault::NotRepeated(_)
                        | DialFault::NotOffered
                        | DialFault::Policy
                        | DialFault::Release
                        | DialFault::LowOrderShare,
                    ) => panic!("these come behind the MAC"),
                    Err(_) => reached.failures += 1,
                }
            }
        }
    }
    reached
}

/// The acceptor that is meant; it holds the key.
fn honest(knobs: &Knobs, target: Target) -> Knobs {
    let release = *knobs.releases().start();
    Knobs { replica: target.peer, release, incarnation: !knobs.incarnation, ..*knobs }
}

/// What the fuzzer has seen on the wire: an earlier handshake of the same two in either version,
/// and rejects.
fn seen(knobs: &Knobs, target: Target) -> Vec<Frame> {
    let dialer = Knobs { supported: knobs.supported & !wire::SHARE, required: 0, ..*knobs };
    let acceptor = honest(knobs, target);
    let key = knobs.serving(target.peer).chain(knobs.keys()).next().expect("a ring has a key");
    let mut pool = Vec::new();
    for v2 in [false, true] {
        let draw = Draw::new(Drawer::Acceptor, u8::MAX - u8::from(v2));
        let hello = dialer.hello(v2, &key, target.lane, &Draw::new(Drawer::Dialer, u8::MAX - u8::from(v2)));
        let challenge = acceptor.challenge(&hello, &key, &draw);
        let finish = dialer.finish(&hello, &challenge, &key);
        let busy = Refusal { status: 9, retry_after: 250 };
        let proved = acceptor.reject(&hello, busy, Some(key), draw.nonce);
        let unproved = acceptor.reject(&hello, 7.into(), None, draw.nonce);
        pool.extend([challenge, hello, finish, proved, unproved]);
    }
    pool
}

/// A link with the acceptor that is meant; `None` where the two can't agree.
fn establish(knobs: &Knobs, target: Target, step: u8, pool: &mut Vec<Frame>) -> Option<Link> {
    // What X25519 does is for another target, which is slower for it.
    let knobs = Knobs { supported: knobs.supported & !wire::SHARE, ..*knobs };
    let dialing = knobs.dial(&knobs.dialer(), target, Draw::new(Drawer::Dialer, step))?;
    let (key, hello) = (dialing.key, dialing.dialed.hello);
    let acceptor = honest(&knobs, target);
    let draw = Draw::new(Drawer::Acceptor, step);
    let challenge = acceptor.challenge(&hello, &key, &draw);
    let (end, finish) = knobs.answer(dialing, &challenge).ok()?;
    let reject = acceptor.reject(&hello, 11.into(), Some(key), draw.nonce);
    pool.extend([hello, challenge, finish, reject]);
    let mut controls = Vec::new();
    if !knobs.v1() {
        for (counter, command) in (1..).zip([wire::PING, wire::PONG, wire::GOODBYE]) {
            let mut frame = link::control(&acceptor, command, counter);
            end.sign_as_peer(&mut frame);
            controls.push(frame);
        }
    }
    pool.extend(&controls);
    Some(Link { end, controls, late_reject: Some(reject) })
}

/// A frame comes on an established link; or this end sends one, which may come back.
fn deliver(
    link: &mut Link,
    input: &mut arbitrary::Unstructured<'_>,
    pool: &mut Vec<Frame>,
    reached: &mut Reached,
) {
    if byte(input).is_multiple_of(4) {
        pool.extend(link.end.send(input));
        return;
    }
    let frame = patch::frame(input, pool);
    if link.end.deliver(&frame) {
        assert!(link.controls.contains(&frame), "no one can make a MAC without the key");
        reached.controls += 1;
    }
    if let Some(reject) = link.end.late_reject(&frame) {
        let genuine = link.end.peer().version == Version::V2 && link.late_reject == Some(frame);
        assert_eq!(reject.authenticated, genuine);
        reached.late_rejects += 1;
    }
}

/// H-12.
fn without_authentication(
    knobs: &Knobs,
    target: Target,
    input: &mut Unstructured<'_>,
    pool: &mut Vec<Frame>,
    reached: &mut Reached,
) {
    let (link, hello) = match disabled::dial((), &knobs.local(), ReplicaId(target.peer)) {
        Ok(up) => up,
        Err(failed) => {
            assert!(matches!(failed.error, DialError::Direction { .. }));
            assert!(knobs.replica >= target.peer, "H-1");
            return;
        }
    };
    assert!(knobs.replica < target.peer, "H-1");
    let hello = *hello.bytes();
    assert_eq!(hello, knobs.said(wire::HELLO, false).frame(), "a nonce of zero and nothing else");
    let replica = ReplicaId(target.peer);
    let peer = Peer::new(replica, Side::Dialer, Version::V1, Authentication::Disabled);
    let dialed = Dialed { hello, key: None, binding: knobs.binding(), challenge: None };
    let end = End::new(link, knobs, peer, None, Some(dialed));
    let mut link = Link { end, controls: Vec::new(), late_reject: None };
    reached.unauthenticated_links += 1;
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        deliver(&mut link, input, pool, reached);
    }
}
