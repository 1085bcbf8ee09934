//! The reject that a dialer sends in the place of its Finish (D-12): version 2 only.

use core::mem::offset_of;

use replink_frame::{
    Challenge, Command, GenericHeader, HandshakeFields, HandshakeFrameError, Hello, RESERVED_COMMAND_OFFSET,
    Status, Version,
};

use crate::mac::{Mac, dialer_reject_v2};
use crate::reject_frame::RejectReason;
use crate::{ChannelBinding, Key, Local, PeerReject};

/// The handshake that a dialer's reject ends: all that its MAC covers but the reject itself.
pub(crate) struct Refused<'a> {
    pub(crate) local: &'a Local,
    pub(crate) key: &'a Key,
    pub(crate) hello: &'a Hello,
    pub(crate) challenge: &'a Challenge,
    pub(crate) binding: &'a ChannelBinding,
}

/// Whether `frame` is a reject rather than a Finish: its command and its status say so, never its
/// place (H-7, H-8). A challenge that is ok is neither.
pub(crate) fn is_one(frame: &[u8; 256]) -> bool {
    let header = GenericHeader::view(frame);
    header.command == Command::REPLICA_CHALLENGE && !HandshakeFields::view(header).status.is_ok()
}

impl Refused<'_> {
    /// The dialer's reject with `status`.
    pub(crate) fn make(&self, status: Status) -> [u8; 256] {
        debug_assert!(!status.is_ok());
        let hello = self.hello.fields();
        let mut reject = Challenge::new(self.local.cluster, self.local.replica, Version::V2);
        reject.set_release(self.local.release);
        let fields = reject.fields_mut();
        fields.status = status;
        // H-11: flags and share stay zero; key id and lane repeat the Hello's. The nonce stays zero as
        // well, so that no reject of an acceptor's, which has one if it is proved, looks like this.
        fields.key_id = hello.key_id;
        fields.incarnation = self.local.incarnation.into();
        fields.lane = hello.lane;
        let mac = self.mac(&reject);
        reject.fields_mut().mac = mac.into_bytes();
        *reject.bytes()
    }

    /// Reads a frame that [`is_one`], at the acceptor. Its checks are those of a Finish, in the same
    /// order (D-4); a MAC that does not verify makes it a hint (D-5).
    pub(crate) fn read(&self, frame: &[u8; 256]) -> Result<PeerReject, RejectReason> {
        let reject = Challenge::parse(frame)?; // H-10
        let (fields, hello) = (reject.fields(), self.hello.fields());
        if let Some(index) = fields.nonce.iter().position(|&byte| byte != 0) {
            let offset = RESERVED_COMMAND_OFFSET + offset_of!(HandshakeFields, nonce) + index;
            return Err(HandshakeFrameError::UnusedByte { offset }.into());
        }
        if reject.version() != Version::V2 {
            return Err(Status::UNSUPPORTED_VERSION.into()); // H-6
        }
        if reject.cluster() != self.local.cluster {
            return Err(Status::CLUSTER_MISMATCH.into());
        }
        if reject.sender() != self.hello.sender() {
            return Err(Status::DIRECTIONAL_RULE.into()); // H-1: another replica than the one that dialed
        }
        let authenticated = self.mac(&reject).matches(&fields.mac); // H-3
        let repeated = fields.key_id == hello.key_id
            && fields.incarnation == hello.incarnation
            && fields.lane == hello.lane
            && reject.release() == self.hello.release();
        if authenticated && !repeated {
            return Err(Status::MALFORMED_FRAME.into());
        }
        let retry_after_ms = fields.retry_after_ms.get();
        Ok(PeerReject::new(reject.sender(), fields.status, retry_after_ms, authenticated))
    }

    fn mac(&self, reject: &Challenge) -> Mac {
        dialer_reject_v2(&self.local.app, self.key, self.hello, self.challenge, reject, self.binding)
    }
}
