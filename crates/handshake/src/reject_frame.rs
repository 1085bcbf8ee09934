//! The reject that a refused peer is owed: H-7 and H-11.

use replink_frame::{
    Challenge, Command, Flags, GenericHeader, HandshakeFields, HandshakeFrameError, KeyId, ReplicaId, Status,
    Version,
};

use crate::mac::acceptor_v2;
use crate::{ChannelBinding, Key, Local, Rejection};

/// Why a peer is refused.
pub(crate) struct RejectReason {
    pub(crate) status: Status,
    pub(crate) retry_after_ms: u32,
    pub(crate) frame_error: Option<HandshakeFrameError>,
    /// What is required here and was not offered.
    pub(crate) missing: Flags,
}

impl From<Status> for RejectReason {
    fn from(status: Status) -> Self {
        Self { status, retry_after_ms: 0, frame_error: None, missing: Flags::NONE }
    }
}

impl From<HandshakeFrameError> for RejectReason {
    fn from(error: HandshakeFrameError) -> Self {
        Self { frame_error: Some(error), ..error.status().into() }
    }
}

/// What makes a version 2 reject an authenticated one.
pub(crate) struct RejectProof<'a> {
    pub(crate) key: &'a Key,
    pub(crate) nonce: [u8; 32],
    pub(crate) binding: &'a ChannelBinding,
}

/// The reject for a peer whose first frame was `first_frame`, which may be anything.
///
/// `proof` looks up the key that a version 2 Hello names, for the replica that it claims to be.
pub(crate) fn reject<'a>(
    local: &Local,
    first_frame: &[u8; 256],
    refusal: &RejectReason,
    proof: impl FnOnce(KeyId, ReplicaId) -> Option<RejectProof<'a>>,
) -> ([u8; 256], Rejection) {
    let header = GenericHeader::view(first_frame);
    let is_hello = header.command == Command::REPLICA_HELLO;
    let theirs = HandshakeFields::view(header);
    // Malformed or not, a Hello says in which version it is, and the answer is in the same.
    // Anything else names no version, so neither does the answer. (D-1)
    let version_byte = if is_hello { theirs.version } else { Version::V1.wire() };

    let mut reject = Challenge::new(local.cluster, local.replica, Version::V1);
    let mut authenticated = false;
    let fields = reject.fields_mut();
    fields.version = version_byte;
    fields.status = refusal.status;
    match Version::from_wire(version_byte) {
        Some(Version::V1) => fields.status = refusal.status.to_v1(),
        Some(Version::V2) => {
            fields.retry_after_ms = refusal.retry_after_ms.into();
            fields.incarnation = local.incarnation.into();
            // H-11: flags and share stay zero; key id and lane repeat the Hello's.
            fields.key_id = theirs.key_id;
            fields.lane = theirs.lane;
            reject.set_release(local.release);
            if let Some(proof) = proof(theirs.key_id, header.replica) {
                authenticated = true;
                reject.fields_mut().nonce = proof.nonce;
                let mac = acceptor_v2(&local.app, proof.key, first_frame, &reject, proof.binding);
                reject.fields_mut().mac = mac.into_bytes();
            }
        }
        None => {} // we don't know where its other fields are
    }
    let rejection = Rejection {
        status: refusal.status,
        claimed: is_hello.then_some(header.replica),
        authenticated,
        frame_error: refusal.frame_error,
        missing: refusal.missing,
    };
    (*reject.bytes(), rejection)
}
