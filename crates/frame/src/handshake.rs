//! The three handshake frames (section 2), each a type of its own.

use core::fmt;
use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::header::{HEADER_SIZE, HEADER_SIZE_U32, RESERVED_COMMAND_OFFSET, RESERVED_FRAME_OFFSET};
use crate::{ClusterId, Command, Flags, GenericHeader, HandshakeFrameError, ReplicaId, Status, Version};

/// Names a key without revealing it: 8 bytes derived from the secret (H-5). Public.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Hash, Default,
)]
#[repr(transparent)]
#[expect(clippy::exhaustive_structs, reason = "a number on the wire")]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// The reserved bytes of a handshake frame (section 2). Version 1 uses the first three fields.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
#[expect(clippy::exhaustive_structs, reason = "a layout on the wire")]
pub struct HandshakeFields {
    /// The sender's nonce; zero on a Finish and on an unauthenticated reject.
    pub nonce: [u8; 32],
    /// The sender's MAC; zero on a Hello and on an unauthenticated reject.
    pub mac: [u8; 32],
    /// 0, or on a Challenge why it is a reject.
    pub status: Status,
    /// 0 for version 1, or 2.
    pub version: u8,
    /// Offered on a Hello, selected on the others.
    pub flags: U16,
    /// On Busy and Draining: when to come back, in milliseconds.
    pub retry_after_ms: U32,
    /// The key that the dialer uses.
    pub key_id: KeyId,
    /// The X25519 share when [`Flags::EPHEMERAL`] is offered or selected.
    pub ephemeral: [u8; 32],
    /// Drawn once when the sender's process started.
    pub incarnation: U64,
    /// Which of the pair's parallel links this is.
    pub lane: U16,
    /// Zero.
    pub unused: [u8; 6],
}

const _: () = {
    assert!(size_of::<HandshakeFields>() == 128);
    assert!(offset_of!(HandshakeFields, nonce) == 0);
    assert!(offset_of!(HandshakeFields, mac) == 32);
    assert!(offset_of!(HandshakeFields, status) == 64);
    assert!(offset_of!(HandshakeFields, version) == 65);
    assert!(offset_of!(HandshakeFields, flags) == 66);
    assert!(offset_of!(HandshakeFields, retry_after_ms) == 68);
    assert!(offset_of!(HandshakeFields, key_id) == 72);
    assert!(offset_of!(HandshakeFields, ephemeral) == 80);
    assert!(offset_of!(HandshakeFields, incarnation) == 112);
    assert!(offset_of!(HandshakeFields, lane) == 120);
    assert!(offset_of!(HandshakeFields, unused) == 122);
};

impl HandshakeFields {
    /// The reserved bytes of any header as these fields, without a copy or a check.
    pub fn view(header: &GenericHeader) -> &Self {
        zerocopy::transmute_ref!(&header.reserved_command)
    }

    /// The offered or selected flags.
    pub fn flags(&self) -> Flags {
        Flags(self.flags.get())
    }
}

/// Which fields a frame may use.
#[expect(clippy::struct_excessive_bools, reason = "one row of the table in section 2")]
struct Use {
    nonce: bool,
    mac: bool,
    status: bool,
    flags: bool,
    retry_after: bool,
    ephemeral: bool,
}

/// Checks in the order of H-11 as far as it concerns the frame alone: command, size, version,
/// unused bytes.
fn check(
    header: &GenericHeader,
    expected: Command,
    used: impl FnOnce(&HandshakeFields) -> Use,
) -> Result<(), HandshakeFrameError> {
    if header.command != expected {
        return Err(HandshakeFrameError::UnexpectedCommand { expected, found: header.command }); // H-8
    }
    if header.size.get() != HEADER_SIZE_U32 {
        return Err(HandshakeFrameError::Size { found: header.size.get() }); // H-10
    }
    let fields = HandshakeFields::view(header);
    let version = Version::from_wire(fields.version)
        .ok_or(HandshakeFrameError::UnsupportedVersion { found: fields.version })?; // H-6
    let used = used(fields);

    // H-10, field by field, in the order of the bytes.
    let field = |offset: usize, len: usize, in_use: bool| {
        let from = RESERVED_COMMAND_OFFSET + offset;
        if in_use { None } else { header.first_nonzero(from, from + len) }
    };
    let release = offset_of!(GenericHeader, release);
    let v2 = version == Version::V2;
    let unused = header
        .first_nonzero(0, 32)
        .or_else(|| header.first_nonzero(offset_of!(GenericHeader, view), release))
        .or_else(|| if v2 { None } else { header.first_nonzero(release, release + 4) })
        .or_else(|| header.first_nonzero(RESERVED_FRAME_OFFSET, RESERVED_COMMAND_OFFSET))
        .or_else(|| field(0, 32, used.nonce))
        .or_else(|| field(32, 32, used.mac))
        .or_else(|| field(64, 1, used.status))
        .or_else(|| field(66, 2, v2 && used.flags))
        .or_else(|| field(68, 4, v2 && used.retry_after))
        .or_else(|| field(72, 8, v2)) // key_id
        .or_else(|| field(80, 32, v2 && used.ephemeral))
        .or_else(|| field(112, 10, v2)) // incarnation, lane
        .or_else(|| field(122, 6, false));
    match unused {
        Some(offset) => Err(HandshakeFrameError::UnusedByte { offset }),
        None => Ok(()),
    }
}

macro_rules! handshake_frame {
    ($(#[$doc:meta])* $name:ident, $command:expr, $used:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[repr(transparent)]
        pub struct $name(GenericHeader);

        impl $name {
            /// This frame's command.
            pub const COMMAND: Command = $command;

            /// Reads the frame.
            ///
            /// # Errors
            ///
            /// The first that fails of command, size, version and unused bytes (H-10, H-11).
            pub fn parse(bytes: &[u8; HEADER_SIZE]) -> Result<Self, HandshakeFrameError> {
                let header = GenericHeader::view(bytes);
                check(header, $command, $used)?;
                Ok(Self(*header))
            }

            /// A frame of `version` from `sender`; all that is not named here is zero.
            pub fn new(cluster: ClusterId, sender: ReplicaId, version: Version) -> Self {
                let mut header = GenericHeader::new(cluster, $command, 0);
                header.replica = sender;
                let mut frame = Self(header);
                frame.fields_mut().version = version.wire();
                frame
            }

            /// The handshake version that the frame speaks.
            pub fn version(&self) -> Version {
                // `parse` and `new` admit no other byte; a version written by hand through
                // `fields_mut` reads as the newest.
                Version::from_wire(self.fields().version).unwrap_or(Version::V2)
            }

            /// The whole header.
            pub fn header(&self) -> &GenericHeader {
                &self.0
            }

            /// The sender's software release; zero in version 1.
            pub fn release(&self) -> u32 {
                self.0.release.get()
            }

            /// Sets the sender's software release.
            pub fn set_release(&mut self, release: u32) {
                self.0.release = release.into();
            }

            /// The replica that the frame says it is from.
            pub fn sender(&self) -> ReplicaId {
                self.0.replica
            }

            /// The cluster that the frame names.
            pub fn cluster(&self) -> ClusterId {
                self.0.cluster
            }

            /// The fields of the reserved bytes.
            pub fn fields(&self) -> &HandshakeFields {
                HandshakeFields::view(&self.0)
            }

            /// The fields of the reserved bytes, to fill in.
            pub fn fields_mut(&mut self) -> &mut HandshakeFields {
                zerocopy::transmute_mut!(&mut self.0.reserved_command)
            }

            /// The 256 bytes for the wire.
            pub fn bytes(&self) -> &[u8; HEADER_SIZE] {
                self.0.bytes()
            }

            /// `zero(f)` of H-5: the frame with its mac field zeroed.
            pub fn without_mac(&self) -> Self {
                let mut copy = *self;
                copy.fields_mut().mac = [0; 32];
                copy
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let fields = self.fields();
                f.debug_struct(stringify!($name))
                    .field("sender", &self.sender())
                    .field("cluster", &self.cluster())
                    .field("version", &self.version())
                    .field("status", &fields.status)
                    .field("flags", &fields.flags())
                    .field("key_id", &fields.key_id)
                    .field("incarnation", &fields.incarnation.get())
                    .field("lane", &fields.lane.get())
                    .finish_non_exhaustive()
            }
        }
    };
}

handshake_frame! {
    /// The dialer's first frame: its nonce and what it offers.
    Hello, Command::REPLICA_HELLO, |fields| Use {
        nonce: true,
        mac: false,
        status: false,
        flags: true,
        retry_after: false,
        ephemeral: fields.flags().contains(Flags::EPHEMERAL),
    }
}

handshake_frame! {
    /// The acceptor's answer: nonce, MAC and what it selects; or a reject, which is the same
    /// frame with a nonzero status (H-7).
    Challenge, Command::REPLICA_CHALLENGE, |fields| {
        let ok = fields.status.is_ok();
        let authenticated = ok || fields.version == Version::V2.wire();
        Use {
            nonce: authenticated,
            mac: authenticated,
            status: true,
            flags: ok,
            // A code we do not know may have its own reason to say when to come back.
            retry_after: fields.status.carries_retry() || fields.status.name().is_none(), // D-8
            ephemeral: ok && fields.flags().contains(Flags::EPHEMERAL),
        }
    }
}

handshake_frame! {
    /// The dialer's proof.
    Finish, Command::REPLICA_FINISH, |_| Use {
        nonce: false,
        mac: true,
        status: false,
        flags: true,
        retry_after: false,
        ephemeral: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: ClusterId = ClusterId([7; 16]);

    fn offsets_that_must_be_zero(
        valid: &[u8; 256],
        parse: impl Fn(&[u8; 256]) -> Result<(), HandshakeFrameError>,
    ) {
        // Everything but the cluster, size, command, replica and the fields that the caller filled
        // with a nonzero byte must be refused when set.
        let exempt = |i: usize| {
            (32..52).contains(&i) || i == 60 || i == 61 || i == 128 + offset_of!(HandshakeFields, version)
        };
        for i in 0..256 {
            let mut bytes = *valid;
            if exempt(i) || bytes[i] != 0 {
                continue;
            }
            bytes[i] = 1;
            assert_eq!(parse(&bytes), Err(HandshakeFrameError::UnusedByte { offset: i }));
        }
    }

    #[test]
    fn v1_hello_has_a_nonce_and_nothing_else() {
        let mut hello = Hello::new(CLUSTER, ReplicaId(1), Version::V1);
        hello.fields_mut().nonce = [9; 32];
        assert_eq!(Hello::parse(hello.bytes()), Ok(hello));
        offsets_that_must_be_zero(hello.bytes(), |b| Hello::parse(b).map(drop));
    }

    #[test]
    fn v2_finish_has_no_nonce_status_retry_or_share() {
        let mut finish = Finish::new(CLUSTER, ReplicaId(1), Version::V2);
        finish.set_release(0x0101_0101);
        *finish.fields_mut() = HandshakeFields {
            mac: [9; 32],
            flags: 0x0101.into(),
            key_id: KeyId([1; 8]),
            incarnation: 0x0101_0101_0101_0101.into(),
            lane: 0x0101.into(),
            ..*finish.fields()
        };
        assert_eq!(Finish::parse(finish.bytes()), Ok(finish));
        offsets_that_must_be_zero(finish.bytes(), |b| Finish::parse(b).map(drop));
    }

    #[test]
    fn v1_reject_has_a_status_and_nothing_else() {
        let mut reject = Challenge::new(CLUSTER, ReplicaId(2), Version::V1);
        reject.fields_mut().status = Status::CLUSTER_MISMATCH;
        assert_eq!(Challenge::parse(reject.bytes()), Ok(reject));
        offsets_that_must_be_zero(reject.bytes(), |b| Challenge::parse(b).map(drop));
    }

    #[test]
    fn retry_after_belongs_to_busy_draining_and_the_unknown() {
        let parse_with = |code| {
            let mut reject = Challenge::new(CLUSTER, ReplicaId(2), Version::V2);
            reject.fields_mut().status = Status(code);
            reject.fields_mut().retry_after_ms = 250.into();
            Challenge::parse(reject.bytes()).is_ok()
        };
        let allowed: [bool; 16] = core::array::from_fn(|code| parse_with(u8::try_from(code).unwrap_or(0)));
        let expected: [bool; 16] = core::array::from_fn(|code| matches!(code, 9 | 10 | 15));
        assert_eq!(allowed, expected);
    }

    #[test]
    fn share_only_with_the_flag() {
        let mut hello = Hello::new(CLUSTER, ReplicaId(0), Version::V2);
        hello.fields_mut().ephemeral = [5; 32];
        assert_eq!(Hello::parse(hello.bytes()), Err(HandshakeFrameError::UnusedByte { offset: 208 }));
        hello.fields_mut().flags = Flags::EPHEMERAL.0.into();
        assert!(Hello::parse(hello.bytes()).is_ok());
    }

    #[test]
    fn errors_come_in_the_order_of_h_11() {
        let mut bytes = [0xff; 256];
        let parse = |bytes: &[u8; 256]| Hello::parse(bytes).map_err(HandshakeFrameError::status).map(drop);
        assert_eq!(parse(&bytes), Err(Status::UNKNOWN_COMMAND));
        bytes[60] = 14;
        assert_eq!(parse(&bytes), Err(Status::MALFORMED_FRAME)); // size
        bytes[48..52].copy_from_slice(&256u32.to_le_bytes());
        assert_eq!(parse(&bytes), Err(Status::UNSUPPORTED_VERSION));
        bytes[193] = 2;
        assert_eq!(parse(&bytes), Err(Status::MALFORMED_FRAME)); // unused bytes
    }
}
