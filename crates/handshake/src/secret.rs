use alloc::vec::Vec;
use core::fmt;

use replink_frame::ReplicaId;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::App;
use crate::key_bytes::wiping;
use crate::mac::derive_secret;

/// Fewest bytes of a secret (K-1).
pub const SECRET_LEN_MIN: usize = 32;

/// A pre-shared secret: the exact bytes of the configured string (K-1).
///
/// Wiped when dropped; neither cloned, compared, printed nor serialized. It is needed only to
/// derive a [`crate::Key`] and is best dropped right after.
pub struct Secret {
    bytes: Zeroizing<Vec<u8>>,
    pair: Option<Pair>,
}

/// A secret under [`SECRET_LEN_MIN`] bytes. Says how many there were, not what they were.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[error("a secret needs at least {SECRET_LEN_MIN} bytes, this one has {len}")]
#[non_exhaustive]
pub struct SecretTooShort {
    /// Bytes in the refused secret.
    pub len: usize,
}

impl Secret {
    /// Takes the secret over; a refused one is wiped too.
    ///
    /// # Errors
    ///
    /// [`SecretTooShort`] below [`SECRET_LEN_MIN`] bytes (K-1).
    pub fn new(bytes: impl Into<Zeroizing<Vec<u8>>>) -> Result<Self, SecretTooShort> {
        let bytes = bytes.into();
        if bytes.len() < SECRET_LEN_MIN {
            Err(SecretTooShort { len: bytes.len() })
        } else {
            Ok(Self { bytes, pair: None })
        }
    }

    /// Takes over the secret of the pair of replicas `a` and `b`, in either order (K-3). Its key
    /// is of no use between any other two.
    ///
    /// # Errors
    ///
    /// [`SecretTooShort`] below [`SECRET_LEN_MIN`] bytes (K-1).
    pub fn of_pair(
        bytes: impl Into<Zeroizing<Vec<u8>>>,
        a: ReplicaId,
        b: ReplicaId,
    ) -> Result<Self, SecretTooShort> {
        Ok(Self { pair: Some(Pair::new(a, b)), ..Self::new(bytes)? })
    }

    /// The secret of the pair of replicas `a` and `b`, in either order, from the root secret
    /// (K-3). A replica that holds only its pairs' secrets can't speak as anyone else.
    pub fn for_pair(app: &App, root: &Self, a: ReplicaId, b: ReplicaId) -> Self {
        let bytes = Zeroizing::new(Self::pair_bytes(app, root, a, b).to_vec());
        Self { bytes, pair: Some(Pair::new(a, b)) }
    }

    /// The bytes of [`Self::for_pair`], to be written into the files of these two replicas. Of no
    /// other secret are there any to be had.
    pub fn pair_bytes(app: &App, root: &Self, a: ReplicaId, b: ReplicaId) -> Zeroizing<[u8; 32]> {
        let Pair { lower, higher } = Pair::new(a, b);
        let ids = [lower.0, higher.0];
        let derive = || derive_secret(app, " replica-auth v2 pair-secret", &[root.bytes(), &ids]); // K-3
        Zeroizing::new(*wiping(derive))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn pair(&self) -> Option<Pair> {
        self.pair
    }
}

/// Two replicas, in no order: the only two that a pair secret stands between (K-3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    lower: ReplicaId,
    higher: ReplicaId,
}

impl Pair {
    pub(crate) fn new(a: ReplicaId, b: ReplicaId) -> Self {
        Self { lower: a.min(b), higher: a.max(b) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}
