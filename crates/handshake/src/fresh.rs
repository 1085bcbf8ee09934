use alloc::boxed::Box;
use core::fmt;

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroize;

use crate::key_bytes::{KeyBytes, wipe_stack};

/// A nonce from the operating system's CSPRNG, good for one handshake (H-2).
///
/// Neither `Clone` nor `Copy`: starting a handshake consumes it, so it can't be used twice.
pub struct Nonce([u8; 32]);

impl Nonce {
    /// Takes 32 random bytes; `None` if all are zero, which is no nonce (H-2).
    pub fn new(bytes: [u8; 32]) -> Option<Self> {
        if bytes == [0; 32] { None } else { Some(Self(bytes)) }
    }

    pub(crate) fn into_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(unused)")
    }
}

/// The secret half of an X25519 share, good for one handshake (K-4). Wiped when dropped.
///
/// It is in memory of its own, so that states can be moved and leave no copy of it.
pub struct EphemeralSecret(Box<StaticSecret>);

impl EphemeralSecret {
    /// Takes 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        let mut bytes = bytes;
        let secret = Self(Box::new(StaticSecret::from(bytes)));
        bytes.zeroize();
        wipe_stack();
        secret
    }

    /// Whoever calls wipes the stack.
    pub(crate) fn share(&self) -> [u8; 32] {
        PublicKey::from(&*self.0).to_bytes()
    }

    /// The shared secret, or `None` when the peer's share is a low-order point (K-4). Whoever calls wipes
    /// the stack.
    pub(crate) fn agree(self, peer_share: &[u8; 32]) -> Option<KeyBytes> {
        let shared = self.0.diffie_hellman(&PublicKey::from(*peer_share));
        shared.was_contributory().then(|| KeyBytes::new(shared.as_bytes()))
    }
}

impl fmt::Debug for EphemeralSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EphemeralSecret(redacted)")
    }
}

/// The randomness that one side of one handshake may use up.
#[derive(Debug)]
#[non_exhaustive]
pub struct Fresh {
    /// This side's nonce.
    pub nonce: Nonce,
    /// This side's share, used only when forward secrecy is negotiated.
    pub ephemeral: EphemeralSecret,
}

impl Fresh {
    /// Of a nonce and a share that were drawn for this one handshake.
    pub fn new(nonce: Nonce, ephemeral: EphemeralSecret) -> Self {
        Self { nonce, ephemeral }
    }
}
