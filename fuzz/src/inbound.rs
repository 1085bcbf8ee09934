//! The codecs of an established link, both roles and both versions: a list of frames, valid and
//! not, and what the receiving codec makes of their bytes however they arrive; what the sending
//! codec makes of the same frames however they are written.

pub(crate) mod delivery;
pub(crate) mod pair;
mod queue;
mod script;
mod sockets;

use arbitrary::Unstructured;

use self::delivery::{Delivery, Style};
use self::pair::Pair;
use self::script::Script;

/// How far a run came.
#[derive(Clone, Copy, Default, Debug)]
pub struct Reached {
    pub frames: usize,
    /// Frames whose body is large enough for memory of its own.
    pub large: usize,
    pub controls: usize,
    pub violations: usize,
    pub late_rejects: usize,
    /// Streams that end within a frame.
    pub cut: usize,
    /// Streams that do not fit into the read-ahead.
    pub long: usize,
    pub v1: usize,
    pub over_sockets: usize,
    /// Frames that the sending codec took, refused as invalid, and refused as too many.
    pub queued: usize,
    pub refused: usize,
    pub backpressure: usize,
    /// Chunks for which memory was lent, and that came in somebody else's; those that had more room, and
    /// that had nothing.
    pub lent: usize,
    pub foreign: usize,
    pub partly: usize,
    pub nothing: usize,
    /// Frames that were looked for, and not taken at once.
    pub found: usize,
    /// Frames that were queued while others were lent.
    pub behind: usize,
}

pub fn run(data: &[u8]) -> Reached {
    run_measured(data, || 0)
}

/// `allocated` says how many bytes this process has allocated; where nobody counts, always 0.
pub fn run_measured(data: &[u8], allocated: impl Fn() -> usize) -> Reached {
    let input = &mut Unstructured::new(data);
    let mut reached = Reached::default();
    let pair = Pair::read(input);
    reached.v1 += usize::from(pair.is_v1());
    let (first, second) = (Style::read(input), Style::read(input));

    let mut script = Script::new(&pair, input, &mut reached);
    script.play();
    let (stream, limit) = script.finish(first.over_sockets());

    // Two ways to arrive, and one outcome: what the protocol says.
    let expected = pair.judge(&stream, limit);
    expected.count(&stream, &mut reached);
    for style in [first, second] {
        reached.over_sockets += usize::from(style.over_sockets());
        Delivery::new(&pair, &stream, limit, &expected, style, &mut reached, &allocated).run();
    }
    reached
}
