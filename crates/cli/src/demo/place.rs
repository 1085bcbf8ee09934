//! How a Prepare of the demo says where its body belongs.

use replink_transport::frame::{ClusterId, Command, GenericHeader};

use super::RELEASE;

/// Where in the file a body belongs, and whether it is the last.
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) last: bool,
}

impl Place {
    /// The header of the Prepare that carries `body` there.
    pub(super) fn prepare(&self, cluster: ClusterId, body: &[u8]) -> GenericHeader {
        let mut header = GenericHeader::new(cluster, Command::PREPARE, body.len());
        header.release = RELEASE.into();
        header.reserved_command[..8].copy_from_slice(&self.offset.to_le_bytes());
        header.reserved_command[8] = self.last.into();
        header
    }

    /// Where the body of `prepare` belongs.
    pub(super) fn of(prepare: &GenericHeader) -> Self {
        let mut offset = [0; 8];
        offset.copy_from_slice(&prepare.reserved_command[..8]);
        Self { offset: u64::from_le_bytes(offset), last: prepare.reserved_command[8] != 0 }
    }
}
