//! What this replica knows: all the Prepares so far, as a count and a hash, and which
//! acknowledgements are still owed.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use replink_transport::frame::{Command, GenericHeader, HEADER_SIZE, ReplicaId};

/// Most acknowledgements that go from process to process.
const OWED_MAX: usize = 1 << 20;

#[derive(Default)]
pub(crate) struct Ledger {
    count: u64,
    chain: [u8; 32],
    owed: VecDeque<(ReplicaId, GenericHeader)>,
}

impl Ledger {
    /// Enters a Prepare. Its acknowledgement has the count and the hash up to it.
    pub(crate) fn enter(&mut self, prepare: &GenericHeader, body: &[u8]) -> GenericHeader {
        self.count += 1;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.chain).update(prepare.bytes()).update(body);
        self.chain = hasher.finalize().into();
        let mut ok = GenericHeader::new(prepare.cluster, Command::PREPARE_OK, 0);
        ok.view = prepare.view;
        ok.reserved_command[..32].copy_from_slice(&self.chain);
        ok.reserved_command[32..40].copy_from_slice(&self.count.to_le_bytes());
        ok
    }

    pub(crate) fn owe(&mut self, peer: ReplicaId, ok: GenericHeader) {
        self.owed.push_back((peer, ok));
    }

    /// Sends what is owed, in order, as far as it is taken.
    pub(crate) fn pay(&mut self, mut send: impl FnMut(ReplicaId, &GenericHeader) -> bool) {
        while let Some((peer, ok)) = self.owed.front() {
            if !send(*peer, ok) {
                return;
            }
            self.owed.pop_front();
        }
    }

    pub(crate) fn write_to(&self, stream: &mut impl Write) -> io::Result<()> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.count.to_le_bytes());
        bytes.extend_from_slice(&self.chain);
        bytes.extend_from_slice(&(self.owed.len() as u64).to_le_bytes());
        for (peer, ok) in &self.owed {
            bytes.push(peer.0);
            bytes.extend_from_slice(ok.bytes());
        }
        stream.write_all(&bytes)
    }

    pub(crate) fn read_from(stream: &mut impl Read) -> io::Result<Self> {
        let mut ledger = Self { count: read_u64(stream)?, ..Self::default() };
        stream.read_exact(&mut ledger.chain)?;
        let owed = usize::try_from(read_u64(stream)?).unwrap_or(usize::MAX);
        if owed > OWED_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "more is owed than can be"));
        }
        for _ in 0..owed {
            let (mut peer, mut ok) = ([0; 1], [0; HEADER_SIZE]);
            stream.read_exact(&mut peer)?;
            stream.read_exact(&mut ok)?;
            ledger.owe(ReplicaId(peer[0]), *GenericHeader::view(&ok));
        }
        Ok(ledger)
    }
}

fn read_u64(stream: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    stream.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
