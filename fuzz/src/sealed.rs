//! A sealed link: what an honest end sends, how someone on the way changes it, and what of it the other end
//! hands up. Nothing that was changed, repeated, left out, moved or put in, and nothing behind it (section 5).

mod reading;
mod script;

use arbitrary::Unstructured;
use replink_frame::ReplicaId;
use replink_handshake::{ControlMessage, Receiving, Sending};
use replink_transport::memory::BLOCK_SIZE;
use replink_transport::{Inbound, Received};

use self::reading::{Item, Reading};
use self::script::Script;
use crate::giving::Giving;
use crate::link;
use crate::mac;
use crate::node::Knobs;
use crate::patch::byte;
use crate::wire;

/// The largest frame of the link, in bytes.
const FRAME_LIMIT: u32 = 256 * 1024;

/// What a link may hold, in bytes: a block of records, as much that was opened, one frame, and a body that
/// nobody took.
const HELD_MAX: usize = 2 * BLOCK_SIZE + FRAME_LIMIT as usize + (1 << 20) + SMALL_CHANGE;

/// What a link holds on which nothing comes: its secrets, and what owns the rest.
const SMALL_CHANGE: usize = 16 * 1024;

const DIALER: Knobs = Knobs {
    replica: 1,
    switches: 0,
    keys: 0,
    supported: wire::SEALED,
    required: 0,
    release: 6,
    incarnation: 0x1001,
};
const ACCEPTOR: Knobs = Knobs { replica: 2, release: 7, incarnation: 0x1002, ..DIALER };

/// How far a run came.
#[derive(Clone, Copy, Default, Debug)]
pub struct Reached {
    pub frames: usize,
    pub controls: usize,
    pub records: usize,
    /// Records as long as there may be.
    pub full: usize,
    /// Frames that are in several records.
    pub split: usize,
    /// Records that lie wholly within a body.
    pub within_bodies: usize,
    /// Streams that arrive as they were sent.
    pub honest: usize,
    /// Streams in which the receiver found a fault, and those that only lack their end.
    pub broken: usize,
    pub short: usize,
    /// Chunks for which memory was lent, and that came in somebody else's.
    pub lent: usize,
    pub foreign: usize,
    /// Rejects in clear that were put in.
    pub rejects: usize,
}

pub fn run(data: &[u8]) -> Reached {
    run_measured(data, || 0)
}

/// `allocated` says how many bytes this process has allocated; where nobody counts, always 0.
pub fn run_measured(data: &[u8], allocated: impl Fn() -> usize) -> Reached {
    let input = &mut Unstructured::new(data);
    let mut reached = Reached::default();
    let from_dialer = byte(input) & 1 == 0;
    let chunks = [0; 3].map(|_| {
        let (len, choice) = (usize::from(byte(input)), byte(input));
        (1 + (len << (choice % 12)), Giving::new(choice / 12))
    });
    let (frames, dialed, answered) = link::shake_hands(&DIALER, &ACCEPTOR);
    let key = DIALER.keys().next().expect("a key");
    let session = key.session([&frames[0], &frames[1], &frames[2]], DIALER.binding(), &[0; 32]);
    let ((((), near), ((), far)), label) = if from_dialer {
        ((answered.into_parts(), dialed.into_parts()), "record dialer->acceptor")
    } else {
        ((dialed.into_parts(), answered.into_parts()), "record acceptor->dialer")
    };
    let (receiving, sending): (Receiving, Sending) = (near.split().0, far.split().1);
    let secret = mac::subkey(&session, label);

    let mut script = Script::new(sending, if from_dialer { ReplicaId(2) } else { ReplicaId(1) });
    script.play(input);
    let sent = script.finish();
    let honest = Reading::of(&sent.bytes, &secret, !from_dialer);
    assert!(honest.at_boundary, "what an honest end sends is proved");
    sent.check(&honest);
    honest.count(&mut reached);

    let arrived = script::tamper(input, &sent.bytes, &honest.records(), &mut reached);
    let expected = Reading::of(&arrived, &secret, !from_dialer);
    let untouched = arrived.iter().zip(&sent.bytes).take_while(|(one, other)| one == other).count();
    // The promise, without a word of how it is kept: what is in records ahead of the first change, no more.
    let whole = honest.items.iter().take_while(|item| item.record_end <= untouched);
    assert_eq!(expected.items.len(), whole.count());
    assert_eq!(expected.items, honest.items[..expected.items.len()]);
    reached.honest += usize::from(arrived == sent.bytes);
    reached.broken += usize::from(expected.faulty);
    reached.short += usize::from(!expected.faulty && !expected.at_boundary);

    deliver(receiving, &arrived, chunks, &expected, &mut reached, &allocated);
    reached
}

/// Has it arrive in chunks, and compares what is handed up.
fn deliver(
    receiving: Receiving,
    stream: &[u8],
    chunks: [(usize, Giving); 3],
    expected: &Reading,
    reached: &mut Reached,
    allocated: &dyn Fn() -> usize,
) {
    let before = allocated();
    let held = || allocated().saturating_sub(before);
    let mut inbound = Inbound::new(receiving, FRAME_LIMIT);
    let mut items = expected.items.iter();
    let mut emptied = true;
    let mut taken = 0;
    let mut failed = false;
    for index in 0.. {
        if taken == stream.len() || failed {
            break;
        }
        let rest = &stream[taken..];
        let (len, giving) = chunks[index % chunks.len()];
        let given = giving.give(&mut inbound, &rest[..rest.len().min(len)], index);
        assert!(given.room > 0 || !emptied, "there is room once all was taken");
        taken += given.taken;
        reached.lent += usize::from(given.lent);
        reached.foreign += usize::from(given.foreign);
        // Now and then what was found stays for the next time.
        emptied = index % 5 != 4;
        loop {
            if !emptied {
                let found = inbound.find();
                assert!(!matches!(found, Ok(Some(_))) || items.len() > 0);
                break;
            }
            match inbound.next() {
                Ok(Some(received)) => {
                    let item = items.next().expect("nothing is handed up that is not proved");
                    assert!(item.record_end <= taken, "nothing is handed up before its tag has come");
                    compare(received, item, index % 2 == 0);
                    assert!(held() <= HELD_MAX, "{} bytes are held", held());
                }
                Ok(None) => break,
                Err(_) => {
                    failed = true;
                    break;
                }
            }
        }
        assert!(held() <= HELD_MAX, "{} bytes are held", held());
        assert!(!failed || inbound.next().is_err(), "a link that failed stays so");
    }
    while !failed {
        match inbound.next() {
            Ok(Some(received)) => compare(received, items.next().expect("what is proved"), false),
            Ok(None) => break,
            Err(_) => failed = true,
        }
    }
    assert_eq!(items.len(), 0, "what is proved is handed up");
    assert_eq!(failed, expected.faulty);
    if !failed {
        assert_eq!(inbound.is_at_frame_boundary(), expected.at_boundary);
        inbound.relax();
        assert!(!inbound.is_at_frame_boundary() || inbound.holds_nothing());
        assert!(!inbound.holds_nothing() || held() <= SMALL_CHANGE, "{} bytes are kept", held());
    }
}

fn compare(received: Received<'_>, item: &Item, takes: bool) {
    let header = &item.header;
    match received {
        Received::Frame(frame) => {
            assert_eq!(frame.header().bytes(), header, "as its sender's embedder made it");
            assert_eq!(frame.body(), item.body);
            if takes {
                assert_eq!(frame.into_body(), item.body);
            }
        }
        Received::Control(control) => {
            let counter = wire::u64_at(header, wire::COUNTER);
            let (expected, command) = match control {
                ControlMessage::Ping { .. } => (ControlMessage::Ping { counter }, wire::PING),
                ControlMessage::Pong { .. } => {
                    (ControlMessage::Pong { echo: wire::u64_at(header, wire::ECHO) }, wire::PONG)
                }
                ControlMessage::Goodbye(reason) => {
                    assert_eq!(reason.0, header[wire::REASON]);
                    (control, wire::GOODBYE)
                }
            };
            assert_eq!((control, header[wire::COMMAND]), (expected, command));
        }
    }
}
