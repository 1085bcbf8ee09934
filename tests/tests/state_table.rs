//! Every state against every frame. The outcomes are in `snapshots/state_table.txt`, one line
//! each, so that a change of any of them shows in review.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fmt::Write as _;

use replink_frame::{
    Challenge, Command, Flags, GenericHeader, GoodbyeReason, HandshakeFields, Status, Version,
};
use replink_handshake::{
    AcceptFailed, Authenticated, DialError, DialFailed, PeerReject, Receiving, Roster, Sending, disabled,
};
use replink_tests::fixtures::{SECRET, Sides};
use replink_tests::forge::Forge;
use replink_tests::raw_peer::{RawPeer, at, put};
use replink_tests::snapshot;

type Frame = [u8; 256];

/// Both versions' handshakes are this one, so that each state meets the frames of its own.
fn sides(version: Version) -> Sides {
    match version {
        Version::V1 => Sides::new(version),
        Version::V2 => Sides::with_flags(Flags::SEALED | Flags::EPHEMERAL),
    }
}

fn frames() -> Vec<(String, Frame)> {
    let mut frames = Vec::new();
    let mut add = |name: String, frame: &Frame| frames.push((name, *frame));
    let mut cluster = None;
    for version in [Version::V1, Version::V2] {
        let run = sides(version).run();
        cluster = Some(run.hello.cluster());
        add(format!("Hello v{version}"), run.hello.bytes());
        add(format!("Challenge v{version}"), run.challenge.bytes());
        add(format!("Finish v{version}"), run.finish.bytes());
        let mut anonymous = run.hello;
        anonymous.fields_mut().nonce = [0; 32];
        add(format!("Hello v{version} without a nonce"), anonymous.bytes());

        for code in (1..=14).chain([77]) {
            let mut reject = Challenge::new(run.hello.cluster(), run.challenge.sender(), version);
            reject.fields_mut().status = Status(code);
            if Status(code).carries_retry() && version == Version::V2 {
                reject.fields_mut().retry_after_ms = 250.into();
            }
            add(format!("reject v{version} {code}"), reject.bytes());
            if version == Version::V2 {
                reject.fields_mut().nonce = run.challenge.fields().nonce;
                let proved = Forge::new(SECRET).sign_challenge(run.hello.bytes(), reject);
                add(format!("reject v{version} {code} proved"), proved.bytes());
            }
        }
    }

    // D-12.
    let run = sides(Version::V2).run();
    let dialer = RawPeer::new(0, SECRET);
    for code in [0, 9, 12, 13, 77] {
        let proved = dialer.dialer_reject(run.hello.bytes(), run.challenge.bytes(), code);
        let mut bare = proved;
        put(&mut bare, at::MAC, &[0; 32]);
        add(format!("dialer's reject {code}"), &bare);
        add(format!("dialer's reject {code} proved"), &proved);
    }

    for (from, end) in [("dialer", run.dialed), ("acceptor", run.verified.admit())] {
        let (_, mut sending) = end.into_parts().1.split();
        for (name, frame) in control_frames(&mut sending) {
            add(format!("{name} from the {from}"), &frame);
        }
    }
    for command in [Command::PREPARE, Command(0), Command(248)] {
        add(command.to_string(), GenericHeader::new(cluster.unwrap(), command, 0).bytes());
    }
    let mut with_body = GenericHeader::new(cluster.unwrap(), Command::PREPARE, 1 << 20);
    with_body.reserved_command = [7; 128];
    add(format!("{} with a body", Command::PREPARE), with_body.bytes());
    add("all 0xff".to_owned(), &[0xff; 256]);
    add("all zero".to_owned(), &[0; 256]);
    frames
}

fn control_frames(sending: &mut Sending) -> [(&'static str, Frame); 3] {
    let frames = [
        ("LinkPing", sending.control_mut().ping().unwrap().1),
        ("LinkPong", sending.control_mut().pong(1).unwrap()),
        ("LinkGoodbye", sending.control_mut().goodbye(GoodbyeReason::OPERATOR).unwrap()),
    ];
    frames.map(|(name, frame)| (name, *frame.header().bytes()))
}

/// A frame that this end sends: command, version and status.
fn sent(frame: &Frame) -> String {
    let header = GenericHeader::view(frame);
    let fields = HandshakeFields::view(header);
    let proof = if fields.mac == [0; 32] { "no mac" } else { "mac" };
    format!("{} version byte {} status {} {proof}", header.command, fields.version, fields.status)
}

fn rejected(failed: impl Into<AcceptFailed<()>>) -> String {
    let rejected = match failed.into() {
        AcceptFailed::Rejected(rejected) => rejected,
        AcceptFailed::RejectedByPeer { reject, .. } => return format!("rejected by {}", peer_reject(reject)),
    };
    let ((), reply, rejection) = rejected.into_parts();
    let claimed = rejection.claimed.map_or("-".to_owned(), |replica| replica.to_string());
    format!("rejected {} claimed {claimed}; sends {}", rejection.status, sent(&reply))
}

fn failed(failed: &DialFailed<()>) -> String {
    let sends = failed.reply.map_or(String::new(), |reply| format!("; sends {}", sent(&reply)));
    match &failed.error {
        DialError::Rejected(reject) => format!("rejected by {}{sends}", peer_reject(*reject)),
        error => format!("failed {error:?}{sends}"),
    }
}

fn peer_reject(reject: PeerReject) -> String {
    let proof = if reject.authenticated { "authenticated" } else { "a hint" };
    format!("{} {}, {proof}, retry {}", reject.from, reject.status, reject.retry_after_ms)
}

fn up(end: &Authenticated<()>) -> String {
    let peer = end.peer();
    format!("Authenticated {:?} as {:?} version {} {}", peer.replica, peer.side, peer.version, peer.flags)
}

fn await_challenge(version: Version, frame: &Frame) -> String {
    match sides(version).dial().0.receive(frame) {
        Ok((end, finish)) => format!("{}; sends {}", up(&end), sent(finish.bytes())),
        Err(error) => failed(&error),
    }
}

fn await_hello(version: Version, frame: &Frame) -> String {
    match sides(version).answer(frame) {
        Ok((state, challenge)) => {
            format!("AwaitFinish claimed {}; sends {}", state.claimed(), sent(challenge.bytes()))
        }
        Err(error) => rejected(*error),
    }
}

fn await_finish(version: Version, frame: &Frame) -> String {
    let sides = sides(version);
    let (state, _) = sides.answer(sides.dial().1.bytes()).unwrap();
    match state.receive(frame) {
        Ok(verified) => {
            let proved = verified.peer().replica;
            format!("Verified {proved:?}, admitted {}", up(&verified.admit()))
        }
        Err(error) => rejected(error),
    }
}

fn await_disabled_hello(frame: &Frame) -> String {
    let sides = sides(Version::V1);
    match disabled::accept((), &sides.acceptor.local, sides.acceptor.roster).receive(frame) {
        Ok(end) => up(&end),
        Err(error) => rejected(error),
    }
}

fn on_link(end: Authenticated<()>, frame: &Frame) -> String {
    let (mut receiving, _): (Receiving, _) = end.into_parts().1.split();
    let late_reject = receiving.control().late_reject(frame).map_or("none".to_owned(), peer_reject);
    let control = match receiving.control_mut().open_control(GenericHeader::view(frame)) {
        Ok(control) => format!("{control:?}"),
        Err(error) => format!("failed {error:?}"),
    };
    format!("late reject: {late_reject}; control: {control}")
}

fn disabled_link(accepted: bool) -> Authenticated<()> {
    let sides = sides(Version::V1);
    let local = &sides.acceptor.local;
    let (dialed, hello) = disabled::dial((), &sides.dialer.local, local.replica).unwrap();
    let roster: Roster = sides.acceptor.roster;
    let accepted_end = disabled::accept((), local, roster).receive(hello.bytes()).unwrap();
    if accepted { accepted_end } else { dialed }
}

#[test]
fn every_state_with_every_frame() {
    type State = (&'static str, Box<dyn Fn(&Frame) -> String>);
    let handshake = |name, outcome: fn(Version, &Frame) -> String, version| -> State {
        (name, Box::new(move |frame| outcome(version, frame)))
    };
    let (v1, v2) = (Version::V1, Version::V2);
    let dialed = |version| move |frame: &Frame| on_link(sides(version).run().dialed, frame);
    let accepted = |version| move |frame: &Frame| on_link(sides(version).run().verified.admit(), frame);
    let states: [State; 13] = [
        handshake("AwaitChallenge of version 1", await_challenge, v1),
        handshake("AwaitChallenge of version 2", await_challenge, v2),
        handshake("AwaitHello with min_version 1", await_hello, v1),
        handshake("AwaitHello with min_version 2", await_hello, v2),
        handshake("AwaitFinish of version 1", await_finish, v1),
        handshake("AwaitFinish of version 2", await_finish, v2),
        ("disabled::AwaitHello", Box::new(await_disabled_hello)),
        ("link of version 1, dialer", Box::new(dialed(v1))),
        ("link of version 1, acceptor", Box::new(accepted(v1))),
        ("link of version 2, dialer", Box::new(dialed(v2))),
        ("link of version 2, acceptor", Box::new(accepted(v2))),
        ("link without authentication, dialer", Box::new(|frame| on_link(disabled_link(false), frame))),
        ("link without authentication, acceptor", Box::new(|frame| on_link(disabled_link(true), frame))),
    ];

    let frames = frames();
    let mut table = String::new();
    for (state, outcome) in &states {
        writeln!(table, "[{state}]").unwrap();
        for (name, frame) in &frames {
            writeln!(table, "{name} -> {}", outcome(frame)).unwrap();
        }
        table.push('\n');
    }
    snapshot::check("state_table.txt", &table);
}
