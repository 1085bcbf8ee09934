//! What someone on the way does to the bytes of a sealed link. He has no key.

use super::records::Position;
use crate::random::Random;
use crate::raw_peer::at as field;

/// One thing that someone does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::simulation) enum Change {
    /// One bit is another.
    Flip,
    /// A few bytes do not arrive.
    Drop,
    /// Some arrive twice.
    Repeat,
    /// Bytes of another link, or of the other direction.
    Splice,
    /// The beginning of a record, then a byte or two at a time.
    Drip,
    /// A refusal in clear in the place of the acceptor's first record.
    Forge,
}

/// All of them.
pub(in crate::simulation) const CHANGES: [Change; 6] =
    [Change::Flip, Change::Drop, Change::Repeat, Change::Splice, Change::Drip, Change::Forge];

/// Where bytes pass, and what there is to put there.
pub(super) struct Place<'a> {
    /// Where they begin.
    pub(super) before: Position,
    /// Whether they are the first behind the handshake.
    pub(super) is_first: bool,
    pub(super) overheard: Option<&'a [u8]>,
    pub(super) forged: Option<Vec<u8>>,
}

impl Change {
    pub(in crate::simulation) fn name(self) -> &'static str {
        match self {
            Self::Flip => "path: a bit is flipped",
            Self::Drop => "path: bytes are dropped",
            Self::Repeat => "path: bytes are repeated",
            Self::Splice => "path: bytes of another link",
            Self::Drip => "path: a few bytes at a time",
            Self::Forge => "path: a forged refusal",
        }
    }

    /// What the next bytes suffer.
    pub(super) fn goes_on(self) -> Option<Self> {
        (self == Self::Drip).then_some(self)
    }

    /// What is let through instead of `bytes`, which are not empty; `None` where it can't be done here.
    pub(super) fn apply(self, bytes: &[u8], place: &Place<'_>, random: &mut Random) -> Option<Vec<u8>> {
        let at = random.below(bytes.len());
        let up_to = |most: usize, random: &mut Random| (at + random.between(1, most)).min(bytes.len());
        let mut changed = bytes.to_vec();
        match self {
            Self::Flip => {
                changed[at] ^= 1 << random.below(8);
            }
            Self::Drop => {
                let end = up_to(2_000, random);
                changed.drain(at..end);
            }
            Self::Repeat => {
                // A whole record where one begins, or whatever it is.
                let from = if random.once_in(2) { place.before.next_record(bytes).min(at) } else { at };
                let end = up_to(600, random);
                let again = bytes[from..end].to_vec();
                changed.splice(end..end, again);
            }
            Self::Splice => {
                let from = place.before.next_record(bytes);
                let end = if random.once_in(2) { from } else { (from + 40).min(bytes.len()) };
                changed.splice(from..end, place.overheard?.iter().copied());
            }
            Self::Drip => {
                let len = if place.before.is_between() { 5 } else { random.between(1, 2) };
                changed.truncate(len);
            }
            Self::Forge => {
                changed.splice(..0, place.forged.clone().filter(|_| place.is_first)?);
            }
        }
        (changed != bytes).then_some(changed)
    }
}

/// A refusal like the one that the acceptor of this challenge would send, but for its MAC.
pub(super) fn forge(challenge: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut reject = challenge.first_chunk::<256>()?.to_vec();
    let mac: [u8; 32] = random.array();
    reject[field::MAC..][..32].copy_from_slice(&mac);
    reject[field::STATUS] = 11;
    reject[field::FLAGS..][..2].fill(0);
    reject[field::EPHEMERAL..][..32].fill(0);
    Some(reject)
}
