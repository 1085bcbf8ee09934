use core::fmt;
use core::mem::{offset_of, size_of};

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::header::{HEADER_SIZE, HEADER_SIZE_U32, RESERVED_COMMAND_OFFSET, RESERVED_FRAME_OFFSET};
use crate::replicated::{check_cluster, check_size};
use crate::{ClusterId, Command, CommandClass, FrameError, GenericHeader, ReplicaId};

/// The reserved bytes of a control frame (section 4).
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
#[expect(clippy::exhaustive_structs, reason = "a layout on the wire")]
pub struct ControlFields {
    /// From 1, strictly increasing per direction.
    pub counter: U64,
    /// On a `LinkPong` the counter of the `LinkPing` that it answers, else 0.
    pub echo: U64,
    /// On a `LinkGoodbye` why the sender leaves, else 0.
    pub reason: GoodbyeReason,
    /// Zero.
    pub unused: [u8; 15],
    /// Keyed with the direction's control key over the header with this field zeroed.
    pub mac: [u8; 32],
    /// Zero.
    pub tail: [u8; 64],
}

const _: () = {
    assert!(size_of::<ControlFields>() == 128);
    assert!(offset_of!(ControlFields, counter) == 0);
    assert!(offset_of!(ControlFields, echo) == 8);
    assert!(offset_of!(ControlFields, reason) == 16);
    assert!(offset_of!(ControlFields, unused) == 17);
    assert!(offset_of!(ControlFields, mac) == 32);
    assert!(offset_of!(ControlFields, tail) == 64);
};

/// Why a peer left with a `LinkGoodbye`. Total over `u8`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Hash, Default,
)]
#[repr(transparent)]
#[expect(clippy::exhaustive_structs, reason = "a number on the wire")]
pub struct GoodbyeReason(pub u8);

impl GoodbyeReason {
    /// The process stops.
    pub const SHUTDOWN: Self = Self(0);
    /// A newer link between the same two replicas took over.
    pub const SUPERSEDED: Self = Self(1);
    /// The link's key is no longer accepted.
    pub const KEY_RETIRED: Self = Self(2);
    /// An operator asked for it.
    pub const OPERATOR: Self = Self(3);
    /// The peer sent a frame above this end's limit (F-1).
    pub const FRAME_TOO_LARGE: Self = Self(4);
    /// The peer broke the protocol, or someone writes into its connection.
    pub const PROTOCOL_VIOLATION: Self = Self(5);
    /// The peer sent what its role may not.
    pub const NOT_PERMITTED: Self = Self(6);
}

impl fmt::Display for GoodbyeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::SHUTDOWN => f.write_str("shutdown"),
            Self::SUPERSEDED => f.write_str("superseded"),
            Self::KEY_RETIRED => f.write_str("key_retired"),
            Self::OPERATOR => f.write_str("operator"),
            Self::FRAME_TOO_LARGE => f.write_str("frame_too_large"),
            Self::PROTOCOL_VIOLATION => f.write_str("protocol_violation"),
            Self::NOT_PERMITTED => f.write_str("not_permitted"),
            Self(code) => write!(f, "reason {code}"),
        }
    }
}

impl fmt::Debug for GoodbyeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A control frame whose unused bytes are checked; whether its MAC and counter are right is
/// for the holder of the session key to say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ControlFrame(GenericHeader);

impl ControlFrame {
    /// Reads a control frame.
    ///
    /// # Errors
    ///
    /// [`FrameError`] for a wrong size, cluster or command, or a byte set that section 4 wants zero.
    pub fn parse(header: &GenericHeader, cluster: ClusterId) -> Result<Self, FrameError> {
        check_size(header, HEADER_SIZE_U32)?;
        check_cluster(header, cluster)?;
        if header.command.class() != CommandClass::Control {
            return Err(FrameError::Command { found: header.command });
        }
        let frame = Self(*header);
        match frame.first_unused_nonzero() {
            Some(offset) => Err(FrameError::UnusedByte { offset }),
            None => Ok(frame),
        }
    }

    /// A control frame without its MAC. `release` and `sender` are this end's.
    pub fn new(cluster: ClusterId, command: Command, sender: ReplicaId, release: u32) -> Self {
        debug_assert_eq!(command.class(), CommandClass::Control);
        let mut header = GenericHeader::new(cluster, command, 0);
        header.replica = sender;
        header.release = release.into();
        Self(header)
    }

    /// The whole header.
    pub fn header(&self) -> &GenericHeader {
        &self.0
    }

    /// The fields of the reserved bytes.
    pub fn fields(&self) -> &ControlFields {
        zerocopy::transmute_ref!(&self.0.reserved_command)
    }

    /// The fields of the reserved bytes, to fill in.
    pub fn fields_mut(&mut self) -> &mut ControlFields {
        zerocopy::transmute_mut!(&mut self.0.reserved_command)
    }

    /// The header as the MAC sees it: `mac` zeroed (section 4).
    pub fn authenticated_header(&self) -> GenericHeader {
        let mut copy = *self;
        copy.fields_mut().mac.zero();
        copy.0
    }

    fn first_unused_nonzero(&self) -> Option<usize> {
        const FIELDS: usize = RESERVED_COMMAND_OFFSET;
        let header = &self.0;
        let echo_used = header.command == Command::LINK_PONG;
        let reason_used = header.command == Command::LINK_GOODBYE;
        let unused_from = FIELDS + if reason_used { 17 } else { 16 };
        header
            .first_nonzero(0, 32)
            .or_else(|| {
                header.first_nonzero(offset_of!(GenericHeader, view), offset_of!(GenericHeader, release))
            })
            .or_else(|| header.first_nonzero(RESERVED_FRAME_OFFSET, FIELDS))
            .or_else(|| if echo_used { None } else { header.first_nonzero(FIELDS + 8, FIELDS + 16) })
            .or_else(|| header.first_nonzero(unused_from, FIELDS + 32))
            .or_else(|| header.first_nonzero(FIELDS + 64, HEADER_SIZE))
    }
}

impl fmt::Debug for ControlFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlFrame")
            .field("command", &self.0.command)
            .field("sender", &self.0.replica)
            .field("counter", &self.fields().counter.get())
            .field("echo", &self.fields().echo.get())
            .field("reason", &self.fields().reason)
            .finish_non_exhaustive()
    }
}
