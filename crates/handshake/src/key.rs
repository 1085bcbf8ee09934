use core::fmt;

use replink_frame::KeyId;

use crate::key_bytes::{KeyBytes, wiping};
use crate::mac::derive_secret;
use crate::secret::Pair;
use crate::{App, Secret};

/// What a secret proves with: its MAC keys for both versions and for hand-offs, and its public id.
///
/// Derived once; the secret itself is not kept. Wiped when dropped, not `Clone`, silent in
/// `Debug` but for the id.
pub struct Key {
    id: KeyId,
    pair: Option<Pair>,
    v1: KeyBytes,
    v2: KeyBytes,
    hand_off: KeyBytes,
}

impl Key {
    /// Derives the keys of H-4, of H-5 and of tickets in the domain of `app`.
    pub fn derive(app: &App, secret: &Secret) -> Self {
        let derive = |purpose| derive_secret(app, purpose, &[secret.bytes()]);
        wiping(|| {
            let id = derive(" replica-auth v2 psk->key-id");
            Self {
                pair: secret.pair(),
                id: KeyId(core::array::from_fn(|index| id[index])),
                v1: derive(" replica-auth v1 psk->mac-key"),
                v2: derive(" replica-auth v2 psk->mac-key"),
                hand_off: derive(" replica-auth v2 psk->hand-off-key"),
            }
        })
    }

    /// The public name of this key (H-5).
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Whether it is a proof between these two: a pair's key is between no others (K-3).
    pub(crate) fn serves(&self, pair: Pair) -> bool {
        self.pair.is_none_or(|own| own == pair)
    }

    /// Whether it is a proof between two replicas only.
    pub(crate) fn is_of_a_pair(&self) -> bool {
        self.pair.is_some()
    }

    /// Whether it serves wherever `other` does.
    pub(crate) fn serves_all_of(&self, other: &Self) -> bool {
        self.pair.is_none() || self.pair == other.pair
    }

    pub(crate) fn v1(&self) -> &[u8; 32] {
        &self.v1
    }

    pub(crate) fn v2(&self) -> &[u8; 32] {
        &self.v2
    }

    /// What tickets are proved with (`docs/hand-off.md`); never used on the wire between replicas.
    pub(crate) fn hand_off(&self) -> &[u8; 32] {
        &self.hand_off
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, redacted)", self.id)
    }
}
