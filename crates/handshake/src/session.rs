use core::fmt;

use replink_frame::{ClusterId, Flags, Version};
use thiserror::Error;

use crate::authenticated::{Peer, Side};
use crate::control::{ControlOpener, ControlSigner};
use crate::key_bytes::{KeyBytes, wiping};
use crate::late_reject::LateRejectVerifier;
use crate::mac::keyed_secret;
use crate::{Local, PeerReject, Seal};

/// What both ends hold after the handshake: who the peer is, and on version 2 a session key
/// (K-4) that all subkeys come from (K-5).
///
/// It splits into a [`Receiving`] and a [`Sending`] half, each the proof that a codec for that
/// direction needs. Keys are wiped when dropped and silent in `Debug`.
pub struct Session {
    cluster: ClusterId,
    peer: Peer,
    key: Option<KeyBytes>,
    receiving: Receiving,
    sending: Sending,
}

/// The receiving half of a [`Session`]: proves control frames, and recognizes a late reject.
pub struct Receiving {
    pub(crate) cluster: ClusterId,
    pub(crate) peer: Peer,
    pub(crate) control: Option<ControlOpener>,
    pub(crate) seal: Option<Seal>,
    late_reject: Option<LateRejectVerifier>,
}

/// The sending half of a [`Session`]: signs control frames.
pub struct Sending {
    pub(crate) cluster: ClusterId,
    pub(crate) peer: Peer,
    pub(crate) control: Option<ControlSigner>,
    pub(crate) seal: Option<Seal>,
}

/// A 32-byte key for the embedder's own use (K-5, `export`). Wiped when dropped, silent in
/// `Debug`.
pub struct ExportedKey(KeyBytes);

impl ExportedKey {
    /// The key.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ExportedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExportedKey(redacted)")
    }
}

/// The link has no session key: it speaks version 1 (H-13), or authentication is disabled.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[error("this link has no session key; only version 2 links have one")]
#[expect(clippy::exhaustive_structs, reason = "its text says all that there is")]
pub struct NoSessionKey;

impl Session {
    /// `key` is the K-4 session key, `None` on a version 1 link.
    pub(crate) fn new(
        local: &Local,
        peer: Peer,
        key: Option<KeyBytes>,
        late_reject: Option<LateRejectVerifier>,
    ) -> Self {
        debug_assert_eq!(key.is_some(), peer.version == Version::V2);
        let (send_label, receive_label) = match peer.side {
            Side::Dialer => (DIALER_TO_ACCEPTOR, ACCEPTOR_TO_DIALER),
            Side::Acceptor => (ACCEPTOR_TO_DIALER, DIALER_TO_ACCEPTOR),
        };
        let subkey = |label| key.as_ref().map(|key| keyed_secret(key, &[b"control ", label]));
        let sealed = key.as_ref().filter(|_| peer.flags.contains(Flags::SEALED));
        let seal = |label| sealed.map(|key| Seal::new(keyed_secret(key, &[b"seal ", label])));
        let cluster = local.cluster;
        Self {
            cluster,
            peer,
            receiving: Receiving {
                cluster,
                peer,
                control: subkey(receive_label).map(|key| ControlOpener::new(key, peer.replica)),
                seal: seal(receive_label),
                late_reject,
            },
            sending: Sending {
                cluster,
                peer,
                control: subkey(send_label).map(|key| ControlSigner::new(key, local)),
                seal: seal(send_label),
            },
            key,
        }
    }

    /// The other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The cluster that both ends belong to.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// A key for the embedder's own use, the same on both ends and on no other link:
    /// `keyed(session, "export " || label)` (K-5).
    ///
    /// # Errors
    ///
    /// [`NoSessionKey`] on a version 1 link.
    pub fn export(&self, label: &str) -> Result<ExportedKey, NoSessionKey> {
        let key = self.key.as_ref().ok_or(NoSessionKey)?;
        Ok(ExportedKey(wiping(|| keyed_secret(key, &[b"export ", label.as_bytes()]))))
    }

    /// The halves that the two directions' codecs need; the session key itself is wiped.
    pub fn split(self) -> (Receiving, Sending) {
        (self.receiving, self.sending)
    }
}

const DIALER_TO_ACCEPTOR: &[u8] = b"dialer->acceptor";
const ACCEPTOR_TO_DIALER: &[u8] = b"acceptor->dialer";

impl Receiving {
    /// Of a session whose ticket verified. What came first on the link is not known here, so there is
    /// no late reject.
    pub(crate) fn resume(
        cluster: ClusterId,
        peer: Peer,
        control: Option<ControlOpener>,
        seal: Option<Seal>,
    ) -> Self {
        Self { cluster, peer, control, seal, late_reject: None }
    }

    /// The seal that proves what comes on this link; `None` on links without (section 5). Whoever takes
    /// it checks everything from there on.
    pub fn take_seal(&mut self) -> Option<Seal> {
        self.seal.take()
    }

    /// Puts back what [`Receiving::take_seal`] took, before this half goes elsewhere.
    ///
    /// # Panics
    ///
    /// If there is one already.
    pub fn put_seal(&mut self, seal: Seal) {
        assert!(self.seal.is_none(), "a direction has one seal");
        self.seal = Some(seal);
    }

    /// The other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The cluster that every frame must name (F-3).
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Reads a `ReplicaChallenge` that comes *first* on an established link: the acceptor's
    /// refusal of the Finish (H-9). `None` when it is no such reject, which makes it a protocol
    /// violation.
    pub fn late_reject(&self, frame: &[u8; 256]) -> Option<PeerReject> {
        let verifier = self.late_reject.as_ref()?;
        wiping(|| verifier.verify(frame))
    }
}

impl Sending {
    /// The seal of what goes out on this link; `None` on links without (section 5). Whoever takes it
    /// seals everything from there on.
    pub fn take_seal(&mut self) -> Option<Seal> {
        self.seal.take()
    }

    /// Puts back what [`Sending::take_seal`] took, before this half goes elsewhere.
    ///
    /// # Panics
    ///
    /// If there is one already.
    pub fn put_seal(&mut self, seal: Seal) {
        assert!(self.seal.is_none(), "a direction has one seal");
        self.seal = Some(seal);
    }

    /// The other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The cluster that every frame must name (F-3).
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }
}

macro_rules! redacted_debug {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("peer", &self.peer).finish_non_exhaustive()
            }
        }
    )*};
}

redacted_debug!(Session Receiving Sending);
