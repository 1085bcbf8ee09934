use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::GenericHeader;
use crate::header::RESERVED_FRAME_OFFSET;

/// Bytes of a seal in a header.
pub const SEAL_SIZE: usize = 18;

/// The seal's bytes of a header, `H[62..80]` (section 5). Zero on links without seals.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
#[expect(clippy::exhaustive_structs, reason = "a layout on the wire")]
pub struct SealFields {
    /// 1 in a frame whose tag comes with a later frame, 0 in the frame that closes the batch.
    pub mark: u8,
    /// Zero.
    pub zero: u8,
    /// The tag of the batch that this frame closes; else zero.
    pub tag: [u8; 16],
}

/// The transport's reserved bytes of a header.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ReservedFrame {
    seal: SealFields,
    unused: [u8; 48],
}

const _: () = assert!(size_of::<SealFields>() == SEAL_SIZE);
const _: () = assert!(RESERVED_FRAME_OFFSET == 62);

impl SealFields {
    /// The mark of a frame that more of its batch come behind.
    pub const OPEN: u8 = 1;

    /// The mark of a batch's last frame.
    pub const CLOSING: u8 = 0;

    /// Those of `header`.
    pub fn view(header: &GenericHeader) -> &Self {
        let reserved: &ReservedFrame = zerocopy::transmute_ref!(&header.reserved_frame);
        &reserved.seal
    }

    /// Those of `header`, to fill in.
    pub fn view_mut(header: &mut GenericHeader) -> &mut Self {
        let reserved: &mut ReservedFrame = zerocopy::transmute_mut!(&mut header.reserved_frame);
        &mut reserved.seal
    }

    /// Whether they are possible: a mark of 0 or 1, and a tag in a closing frame only (S-3).
    pub fn are_possible(&self) -> bool {
        let tag_fits = self.mark == Self::CLOSING || self.tag == [0; 16];
        self.mark <= Self::OPEN && self.zero == 0 && tag_fits
    }
}
