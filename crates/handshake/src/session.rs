use core::fmt;

use replink_frame::{ClusterId, Flags, Version};
use thiserror::Error;

use crate::authenticated::{Peer, Side};
use crate::control::{ControlOpener, ControlSigner};
use crate::key_bytes::{KeyBytes, wiping};
use crate::late_reject::LateRejectVerifier;
use crate::mac::keyed_secret;
use crate::{Local, PeerReject, RecordOpener, RecordSealer};

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

/// The receiving half of a [`Session`]: proves control frames, recognizes a late reject, and on a sealed link
/// opens every record. A codec takes it as a whole, so none can be made without what its link has to prove.
pub struct Receiving {
    pub(crate) control: ReceivingControl,
    pub(crate) opener: Option<RecordOpener>,
}

/// The sending half of a [`Session`]: signs control frames, and on a sealed link seals every record.
pub struct Sending {
    pub(crate) control: SendingControl,
    pub(crate) sealer: Option<RecordSealer>,
}

/// What a codec has of a [`Receiving`] half beside what opens records.
pub struct ReceivingControl {
    pub(crate) cluster: ClusterId,
    pub(crate) peer: Peer,
    pub(crate) opener: Option<ControlOpener>,
    late_reject: Option<LateRejectVerifier>,
}

/// What a codec has of a [`Sending`] half beside what seals records.
pub struct SendingControl {
    pub(crate) cluster: ClusterId,
    pub(crate) peer: Peer,
    pub(crate) signer: Option<ControlSigner>,
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
        let record = |label| sealed.map(|key| keyed_secret(key, &[b"record ", label]));
        let cluster = local.cluster;
        Self {
            cluster,
            peer,
            receiving: Receiving {
                control: ReceivingControl {
                    cluster,
                    peer,
                    opener: subkey(receive_label).map(|key| ControlOpener::new(key, peer.replica)),
                    late_reject,
                },
                opener: record(receive_label).map(RecordOpener::new),
            },
            sending: Sending {
                control: SendingControl {
                    cluster,
                    peer,
                    signer: subkey(send_label).map(|key| ControlSigner::new(key, local)),
                },
                sealer: record(send_label).map(RecordSealer::new),
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
        opener: Option<RecordOpener>,
    ) -> Self {
        Self { control: ReceivingControl { cluster, peer, opener: control, late_reject: None }, opener }
    }

    /// What knows a late reject, for who has no codec.
    pub fn control(&self) -> &ReceivingControl {
        &self.control
    }

    /// What opens control frames, for who has no codec.
    pub fn control_mut(&mut self) -> &mut ReceivingControl {
        &mut self.control
    }

    /// For codecs: this half and what opens the records of its link, which there is exactly where the link is
    /// sealed (section 5). Whoever takes them checks everything from there on.
    ///
    /// # Panics
    ///
    /// If its control part was exchanged for that of another kind of link.
    pub fn into_parts(self) -> (ReceivingControl, Option<RecordOpener>) {
        assert_sealed(&self.control.peer, self.opener.is_some());
        (self.control, self.opener)
    }

    /// The other end.
    pub fn peer(&self) -> &Peer {
        &self.control.peer
    }

    /// The cluster that every frame must name (F-3).
    pub fn cluster(&self) -> ClusterId {
        self.control.cluster
    }
}

impl ReceivingControl {
    /// The half again, to go elsewhere.
    ///
    /// # Panics
    ///
    /// If there is an opener and the link is not sealed, or the reverse: no half goes without what it has to
    /// prove.
    pub fn with_opener(self, opener: Option<RecordOpener>) -> Receiving {
        assert_sealed(&self.peer, opener.is_some());
        Receiving { control: self, opener }
    }

    /// The other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The cluster that every frame must name (F-3).
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Whether a late reject may come on this link (H-9): it is the dialer's, and was not taken over.
    pub fn may_be_refused(&self) -> bool {
        self.late_reject.is_some()
    }

    /// Reads a `ReplicaChallenge` that comes *first* on an established link, on a sealed one in clear: the
    /// acceptor's refusal of the Finish (H-9). `None` when it is no such reject, which makes it a protocol
    /// violation; on version 2 links also where it is not proved.
    pub fn late_reject(&self, frame: &[u8; 256]) -> Option<PeerReject> {
        let verifier = self.late_reject.as_ref()?;
        wiping(|| verifier.verify(frame))
    }
}

impl Sending {
    /// What makes control frames, for who has no codec.
    pub fn control_mut(&mut self) -> &mut SendingControl {
        &mut self.control
    }

    /// For codecs: this half and what seals the records of its link, which there is exactly where the link is
    /// sealed (section 5). Whoever takes them seals everything from there on.
    ///
    /// # Panics
    ///
    /// If its control part was exchanged for that of another kind of link.
    pub fn into_parts(self) -> (SendingControl, Option<RecordSealer>) {
        assert_sealed(&self.control.peer, self.sealer.is_some());
        (self.control, self.sealer)
    }

    /// The other end.
    pub fn peer(&self) -> &Peer {
        &self.control.peer
    }

    /// The cluster that every frame must name (F-3).
    pub fn cluster(&self) -> ClusterId {
        self.control.cluster
    }
}

impl SendingControl {
    /// The half again, to go elsewhere.
    ///
    /// # Panics
    ///
    /// As [`ReceivingControl::with_opener`].
    pub fn with_sealer(self, sealer: Option<RecordSealer>) -> Sending {
        assert_sealed(&self.peer, sealer.is_some());
        Sending { control: self, sealer }
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

fn assert_sealed(peer: &Peer, has_records: bool) {
    assert_eq!(has_records, peer.flags.contains(Flags::SEALED), "a sealed link has records, no other has");
}

macro_rules! redacted_debug {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("peer", self.peer()).finish_non_exhaustive()
            }
        }
    )*};
}

redacted_debug!(Session Receiving ReceivingControl Sending SendingControl);
