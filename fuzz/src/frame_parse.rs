//! Any 256 bytes as every kind of frame: each reading agrees with the tables of the protocol,
//! byte for byte and error for error, and no bytes are two kinds of frame.

use replink_frame::{
    Challenge, ClusterId, Command, ControlFrame, Finish, FrameError, GenericHeader, HandshakeFrameError,
    Hello, ReplicatedHeader, Status, Version,
};

use crate::wire::{self, Frame, HandshakeFault, LinkFault};

/// How many readings accepted the frame.
pub fn run(data: &[u8]) -> usize {
    let mut frame = [0; 256];
    let len = data.len().min(256);
    frame[..len].copy_from_slice(&data[..len]);
    // What follows the frame chooses the limit.
    let limit = match data.get(256..260) {
        Some(bytes) => u32::from_le_bytes(bytes.try_into().expect("four bytes")),
        None => 1 << 20,
    };
    header(&frame);
    let own = wire::array(&frame, wire::CLUSTER);
    let mut other = own;
    other[15] ^= 1;
    let found = handshake(&frame) + link(&frame, own, limit);
    assert!(found <= 1, "the frame is of {found} kinds at once");
    assert_eq!(link(&frame, other, limit), 0, "F-3");
    found
}

fn header(frame: &Frame) {
    let header = GenericHeader::view(frame);
    assert_eq!(header.bytes(), frame);
    assert_eq!(header.checksum, frame[wire::CHECKSUM]);
    assert_eq!(header.checksum_body, frame[wire::CHECKSUM_BODY]);
    assert_eq!(header.cluster.0, frame[wire::CLUSTER]);
    assert_eq!(header.size.get(), wire::u32_at(frame, wire::SIZE));
    assert_eq!(header.view.get(), wire::u32_at(frame, wire::VIEW));
    assert_eq!(header.release.get(), wire::u32_at(frame, wire::RELEASE));
    assert_eq!(header.command.0, frame[wire::COMMAND]);
    assert_eq!(header.replica.0, frame[wire::REPLICA]);
    assert_eq!(header.reserved_frame, frame[wire::RESERVED_FRAME]);
    assert_eq!(header.reserved_command, frame[128..]);
    assert_eq!(header.body_len() as u64, u64::from(header.size.get()).saturating_sub(256));
    let shown = format!("{header:?} {} {}", header.command, header.replica);
    assert!(shown.is_ascii());
    let status = Status(frame[wire::STATUS]);
    assert!(format!("{status} {}", status.advice()).is_ascii());
}

fn handshake(frame: &Frame) -> usize {
    macro_rules! read {
        ($name:ident, $command:expr) => {{
            let expected = wire::handshake_fault(frame, $command);
            match $name::parse(frame) {
                Ok(read) => {
                    assert_eq!(expected, None, "{read:?} must be refused");
                    assert_eq!(read.bytes(), frame);
                    assert_eq!($name::parse(read.bytes()), Ok(read));
                    assert_eq!(read.header(), GenericHeader::view(frame));
                    assert_eq!(read.version().wire(), frame[wire::VERSION]);
                    assert_eq!(read.sender().0, frame[wire::REPLICA]);
                    assert_eq!(read.cluster().0, frame[wire::CLUSTER]);
                    assert_eq!(read.release(), wire::u32_at(frame, wire::RELEASE));
                    assert_eq!(read.without_mac().bytes(), &wire::without_mac(frame));
                    let fields = read.fields();
                    assert_eq!(fields.nonce, frame[wire::NONCE]);
                    assert_eq!(fields.mac, frame[wire::MAC]);
                    assert_eq!(fields.status.0, frame[wire::STATUS]);
                    assert_eq!(fields.flags().0, wire::u16_at(frame, wire::FLAGS));
                    assert_eq!(fields.retry_after_ms.get(), wire::u32_at(frame, wire::RETRY_AFTER));
                    assert_eq!(fields.key_id.0, frame[wire::KEY_ID]);
                    assert_eq!(fields.ephemeral, frame[wire::EPHEMERAL]);
                    assert_eq!(fields.incarnation.get(), wire::u64_at(frame, wire::INCARNATION));
                    assert_eq!(fields.lane.get(), wire::u16_at(frame, wire::LANE));
                    let shown = format!("{read:?} {}", fields.flags());
                    assert!(shown.is_ascii());
                    1
                }
                Err(error) => {
                    let expected = expected.unwrap_or_else(|| panic!("{error} where nothing is wrong"));
                    assert_eq!(handshake_fault(error), expected);
                    assert_eq!(error.status().0, expected.status());
                    assert!(error.to_string().is_ascii());
                    0
                }
            }
        }};
    }
    read!(Hello, wire::HELLO) + read!(Challenge, wire::CHALLENGE) + read!(Finish, wire::FINISH)
}

fn link(frame: &Frame, cluster: [u8; 16], limit: u32) -> usize {
    let header = GenericHeader::view(frame);
    let mut found = 0;

    let expected = wire::control_fault(frame, &cluster);
    match ControlFrame::parse(header, ClusterId(cluster)) {
        Ok(control) => {
            assert_eq!(expected, None, "{control:?} must be refused");
            assert_eq!(control.header().bytes(), frame);
            assert_eq!(ControlFrame::parse(control.header(), ClusterId(cluster)), Ok(control));
            let fields = control.fields();
            assert_eq!(fields.counter.get(), wire::u64_at(frame, wire::COUNTER));
            assert_eq!(fields.echo.get(), wire::u64_at(frame, wire::ECHO));
            assert_eq!(fields.reason.0, frame[wire::REASON]);
            assert_eq!(fields.mac, frame[wire::CONTROL_MAC]);
            assert_eq!(control.authenticated_header().bytes(), &wire::without_mac(frame));
            assert!(format!("{control:?} {}", fields.reason).is_ascii());
            found += 1;
        }
        Err(error) => assert_eq!(Some(link_fault(error, 256)), expected),
    }

    let admitted = [Version::V1, Version::V2].map(|version| {
        let expected = wire::embedder_fault(frame, &cluster, limit, version == Version::V1);
        match ReplicatedHeader::check(header, ClusterId(cluster), limit, version) {
            Ok(checked) => {
                assert_eq!(expected, None, "{checked:?} must be refused");
                assert_eq!(checked.bytes(), frame);
                assert!(checked.body_len() <= limit as usize - 256, "F-1");
                true
            }
            Err(error) => {
                assert_eq!(Some(link_fault(error, limit)), expected);
                false
            }
        }
    });
    found + usize::from(admitted.contains(&true))
}

/// The code's error as the protocol's fault.
pub fn handshake_fault(error: HandshakeFrameError) -> HandshakeFault {
    match error {
        HandshakeFrameError::UnexpectedCommand { found: Command(found), .. } => {
            HandshakeFault::Command(found)
        }
        HandshakeFrameError::Size { found } => HandshakeFault::Size(found),
        HandshakeFrameError::UnsupportedVersion { found } => HandshakeFault::Version(found),
        HandshakeFrameError::UnusedByte { offset } => HandshakeFault::Unused(offset),
        other => panic!("{other} is not known here"),
    }
}

/// The code's error as the protocol's fault; `limit` is the one that must be named.
pub fn link_fault(error: FrameError, limit: u32) -> LinkFault {
    match error {
        FrameError::Size { found, limit: named } => {
            assert_eq!(named, limit);
            LinkFault::Size(found)
        }
        FrameError::Cluster { .. } => LinkFault::Cluster,
        FrameError::Command { found } => LinkFault::Command(found.0),
        FrameError::UnusedByte { offset } => LinkFault::Unused(offset),
        other => panic!("{other} is not known here"),
    }
}
