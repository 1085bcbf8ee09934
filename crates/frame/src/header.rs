use core::fmt;
use core::mem::{align_of, offset_of, size_of};

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{ClusterId, Command, ReplicaId};

/// Bytes of a frame's header.
pub const HEADER_SIZE: usize = 256;
/// [`HEADER_SIZE`] as the `size` field counts it.
pub(crate) const HEADER_SIZE_U32: u32 = 256;
const _: () = assert!(HEADER_SIZE_U32 as usize == HEADER_SIZE);
/// Where the transport's reserved bytes begin: 66 of them.
pub const RESERVED_FRAME_OFFSET: usize = 62;
/// Where the command's reserved bytes begin: 128 of them.
pub const RESERVED_COMMAND_OFFSET: usize = 128;

/// The header of every frame (section 1): a view of any 256 bytes, in place.
///
/// All integers are little-endian and the alignment is 1. Nothing is validated here;
/// the typed views of this crate do that.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
#[expect(clippy::exhaustive_structs, reason = "a layout on the wire")]
pub struct GenericHeader {
    /// The embedder's; the transport never writes it.
    pub checksum: [u8; 16],
    /// The embedder's; the transport never writes it.
    pub checksum_body: [u8; 16],
    /// The cluster that the frame belongs to (F-3).
    pub cluster: ClusterId,
    /// Header and body, in bytes, at least 256 (F-1).
    pub size: U32,
    /// The embedder's view number.
    pub view: U32,
    /// The embedder's software release.
    pub release: U32,
    /// What the frame is for.
    pub command: Command,
    /// The sender on handshake and control frames, else the embedder's.
    pub replica: ReplicaId,
    /// The transport's: the seal in the first 18 bytes, else zero (section 5).
    pub reserved_frame: [u8; 66],
    /// Per command: handshake and control frames use it, else the embedder's.
    pub reserved_command: [u8; 128],
}

// The table of section 1, byte for byte.
const _: () = {
    assert!(size_of::<GenericHeader>() == HEADER_SIZE);
    assert!(align_of::<GenericHeader>() == 1);
    assert!(offset_of!(GenericHeader, checksum) == 0);
    assert!(offset_of!(GenericHeader, checksum_body) == 16);
    assert!(offset_of!(GenericHeader, cluster) == 32);
    assert!(offset_of!(GenericHeader, size) == 48);
    assert!(offset_of!(GenericHeader, view) == 52);
    assert!(offset_of!(GenericHeader, release) == 56);
    assert!(offset_of!(GenericHeader, command) == 60);
    assert!(offset_of!(GenericHeader, replica) == 61);
    assert!(offset_of!(GenericHeader, reserved_frame) == RESERVED_FRAME_OFFSET);
    assert!(offset_of!(GenericHeader, reserved_command) == RESERVED_COMMAND_OFFSET);
};

impl GenericHeader {
    /// A header with every byte zero but `cluster`, `command` and `size`.
    ///
    /// `body_len` is the body's length in bytes.
    ///
    /// # Panics
    ///
    /// If header and body together do not fit in the 32-bit `size`: no link carries such a frame.
    pub fn new(cluster: ClusterId, command: Command, body_len: usize) -> Self {
        let size = u32::try_from(HEADER_SIZE + body_len).expect("a frame is smaller than 4 GiB");
        let mut header = Self::new_zeroed();
        header.cluster = cluster;
        header.command = command;
        header.size = size.into();
        header
    }

    /// The bytes as a header, without a copy.
    pub fn view(bytes: &[u8; HEADER_SIZE]) -> &Self {
        zerocopy::transmute_ref!(bytes)
    }

    /// Reads any 256 bytes as a header in place, to be changed.
    pub fn view_mut(bytes: &mut [u8; HEADER_SIZE]) -> &mut Self {
        zerocopy::transmute_mut!(bytes)
    }

    /// The header's bytes, without a copy.
    pub fn bytes(&self) -> &[u8; HEADER_SIZE] {
        zerocopy::transmute_ref!(self)
    }

    /// Bytes of body that `size` announces; 0 for a `size` below 256.
    pub fn body_len(&self) -> usize {
        (self.size.get() as usize).saturating_sub(HEADER_SIZE)
    }

    /// Offset of the first byte that is not zero in `from..to` of the header.
    // Inlined, its bounds are known, and it is a few vector instructions.
    #[inline]
    pub(crate) fn first_nonzero(&self, from: usize, to: usize) -> Option<usize> {
        let bytes = &self.bytes()[from..to];
        if bytes.iter().fold(0, |all, byte| all | byte) == 0 {
            return None;
        }
        search(bytes, from)
    }
}

/// For the error only.
#[cold]
fn search(bytes: &[u8], from: usize) -> Option<usize> {
    bytes.iter().position(|&byte| byte != 0).map(|index| from + index)
}

impl fmt::Debug for GenericHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenericHeader")
            .field("command", &self.command)
            .field("cluster", &self.cluster)
            .field("size", &self.size.get())
            .field("view", &self.view.get())
            .field("release", &self.release.get())
            .field("replica", &self.replica)
            .finish_non_exhaustive()
    }
}
