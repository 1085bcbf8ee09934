use core::ops::Deref;

use crate::header::{HEADER_SIZE_U32, RESERVED_COMMAND_OFFSET, RESERVED_FRAME_OFFSET};
use crate::{ClusterId, CommandClass, FrameError, GenericHeader, Version};

/// The header of one of the embedder's frames, checked: its `size` is within the limit, the
/// cluster is the link's, and the command is one that the embedder may use.
///
/// It dereferences to [`GenericHeader`]. Only a check makes one, so a handshake or control
/// frame can't be passed for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplicatedHeader<'a>(&'a GenericHeader);

impl<'a> ReplicatedHeader<'a> {
    /// Checks what must hold for every embedder's frame, in either direction, on a link of `version`.
    ///
    /// `frame_limit` is in bytes, header included.
    ///
    /// # Errors
    ///
    /// The first rule that the header breaks, in the order size (F-1), cluster (F-3), command
    /// (section 1.1), reserved bytes (F-4).
    #[inline]
    pub fn check(
        header: &'a GenericHeader,
        cluster: ClusterId,
        frame_limit: u32,
        version: Version,
    ) -> Result<Self, FrameError> {
        check_size(header, frame_limit)?;
        check_cluster(header, cluster)?;
        if header.command.class() != CommandClass::Embedder {
            return Err(FrameError::Command { found: header.command });
        }
        if version == Version::V1 {
            return Ok(Self(header)); // F-4: carried as they are
        }
        match header.first_nonzero(RESERVED_FRAME_OFFSET, RESERVED_COMMAND_OFFSET) {
            Some(offset) => Err(FrameError::UnusedByte { offset }),
            None => Ok(Self(header)),
        }
    }
}

impl Deref for ReplicatedHeader<'_> {
    type Target = GenericHeader;
    fn deref(&self) -> &GenericHeader {
        self.0
    }
}

/// F-1.
pub(crate) fn check_size(header: &GenericHeader, limit: u32) -> Result<(), FrameError> {
    let found = header.size.get();
    if (HEADER_SIZE_U32..=limit).contains(&found) { Ok(()) } else { Err(FrameError::Size { found, limit }) }
}

/// F-3.
pub(crate) fn check_cluster(header: &GenericHeader, expected: ClusterId) -> Result<(), FrameError> {
    if header.cluster == expected {
        Ok(())
    } else {
        Err(FrameError::Cluster { expected, found: header.cluster })
    }
}
