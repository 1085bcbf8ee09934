//! A sealed link: what an honest end sends or anyone who holds its keys, how someone on the way changes it, and what
//! of it the other end hands up. What that is to be says a second reading of section 5, to the byte: nothing that
//! was changed, repeated, left out or moved, and nothing behind it.

mod arrival;
mod reading;
mod sender;
mod tamper;

use arbitrary::Unstructured;

use self::arrival::Arrival;
use self::reading::Reading;
use self::sender::Sender;
use self::tamper::{Deeds, Tampering};
use crate::giving::Giving;
use crate::inbound::pair::Pair;
use crate::patch::byte;

/// The largest frame of the link, in bytes.
const FRAME_LIMIT: u32 = 256 * 1024;

/// How far a run came.
#[derive(Clone, Copy, Default, Debug)]
pub struct Reached {
    pub frames: usize,
    pub controls: usize,
    /// Links whose records are sealed by the codec, and such that are cut anywhere.
    pub by_codec: usize,
    pub cut_anywhere: usize,
    /// Records of the greatest length, and of a single byte.
    pub full_record: usize,
    pub tiny_record: usize,
    /// Records that lie wholly within a large body whose header came before, and such that end behind one.
    pub body_record: usize,
    pub beyond_body: usize,
    /// Headers, and bodies, that are not whole in one record.
    pub split_header: usize,
    pub split_frame: usize,
    /// Links on which the secret steps.
    pub stepped: usize,
    /// What someone did on the way.
    pub flipped: usize,
    pub dropped: usize,
    pub repeated: usize,
    pub swapped: usize,
    pub spliced: usize,
    pub dripped: usize,
    pub cut: usize,
    /// Streams that arrive as they were sent.
    pub honest: usize,
    /// What ends links: a tag, a length, a frame in records that ought not to be there, a refusal in clear, one that is
    /// forged or in the wrong place.
    pub broken_tag: usize,
    pub broken_length: usize,
    pub frame_fault: usize,
    pub clear_reject: usize,
    pub forged_reject: usize,
    pub late: usize,
    pub inside: usize,
    /// Streams that only lack their end.
    pub short: usize,
    /// Chunks for which memory was lent, and that came in somebody else's.
    pub lent: usize,
    pub foreign: usize,
}

pub fn run(data: &[u8]) -> Reached {
    run_measured(data, || 0)
}

/// `allocated` says how many bytes this process has allocated; where nobody counts, always 0.
pub fn run_measured(data: &[u8], allocated: impl Fn() -> usize) -> Reached {
    let input = &mut Unstructured::new(data);
    let mut reached = Reached::default();
    let choice = byte(input);
    let pair = Pair::sealed(choice & 1 != 0);
    let chunks = [0; 3].map(|_| {
        let (len, choice) = (usize::from(byte(input)), byte(input));
        (1 + (len << (choice % 12)), Giving::new(choice / 12))
    });
    let cuts_anywhere = choice & 2 != 0;
    let sent = Sender::new(&pair, cuts_anywhere, input).play();
    let honest = Reading::of(&pair, &sent.bytes, FRAME_LIMIT);
    assert!(honest.ends_whole() && honest.plaintext() == sent.plaintext, "what is sealed is what was sent");
    assert!(cuts_anywhere || honest.fault().is_none(), "an honest end breaks no rule");
    reached.by_codec += usize::from(!cuts_anywhere);
    reached.cut_anywhere += usize::from(cuts_anywhere);
    honest.count(&mut reached);

    let Tampering { bytes, deeds } = Tampering::read(input, &pair, &sent.bytes, &honest);
    let expected = Reading::of(&pair, &bytes, FRAME_LIMIT);
    // The promise, without a word of how it is kept: what came whole ahead of the first change, and no more.
    let untouched = bytes.iter().zip(&sent.bytes).take_while(|(one, other)| one == other).count();
    let whole = honest.ready_in(untouched);
    assert_eq!(expected.items().len(), whole);
    assert!(expected.same_items(&honest, whole));
    reached.honest += usize::from(bytes == sent.bytes);
    deeds.count(&mut reached);
    expected.count_end(&mut reached);

    Arrival::new(&pair, &bytes, chunks, &expected, &mut reached, &allocated).run();
    reached
}

impl Deeds {
    fn count(&self, reached: &mut Reached) {
        reached.flipped += self.flipped;
        reached.dropped += self.dropped;
        reached.repeated += self.repeated;
        reached.swapped += self.swapped;
        reached.spliced += self.spliced;
        reached.dripped += self.dripped;
        reached.cut += self.cut;
    }
}
