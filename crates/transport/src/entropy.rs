//! Randomness from the operating system.

use rand::TryRng;
#[cfg(feature = "node")]
use rand::rngs::SmallRng;
use rand::rngs::SysRng;
#[cfg(feature = "node")]
use rand::{Rng, SeedableRng};
use replink_handshake::{EphemeralSecret, Fresh, Nonce};
use zeroize::Zeroizing;

use crate::EntropyError;

/// Randomness for one side of one handshake, straight from the operating system's CSPRNG (H-2): that keeps
/// no state in this process, so there is nothing that a fork could double.
///
/// # Errors
///
/// [`EntropyError`] when the operating system gives none.
pub fn fresh() -> Result<Fresh, EntropyError> {
    // Both with one system call.
    let mut drawn = Zeroizing::new([[0; 32]; 2]);
    loop {
        SysRng.try_fill_bytes(drawn.as_flattened_mut()).map_err(failed)?;
        let [nonce, ephemeral] = &*drawn;
        if let Some(nonce) = Nonce::new(*nonce) {
            return Ok(Fresh::new(nonce, EphemeralSecret::new(*ephemeral)));
        }
    }
}

/// The random number that tells this process from the one before it (section 2). To be drawn
/// once, when the process starts.
///
/// # Errors
///
/// [`EntropyError`] when the operating system gives none.
pub fn incarnation() -> Result<u64, EntropyError> {
    SysRng.try_next_u64().map_err(failed)
}

/// 256 bits for a new secret. They are wiped when dropped.
///
/// # Errors
///
/// [`EntropyError`] when the operating system gives none.
pub fn secret_bytes() -> Result<Zeroizing<[u8; 32]>, EntropyError> {
    let mut bytes = Zeroizing::new([0; 32]);
    SysRng.try_fill_bytes(&mut *bytes).map_err(failed)?;
    Ok(bytes)
}

/// Numbers that spread waits, and are no secret: they come from a small generator of this process.
#[cfg(feature = "node")]
pub(crate) struct Jitter(SmallRng);

#[cfg(feature = "node")]
impl Jitter {
    pub(crate) fn new() -> Self {
        // Without a seed from the system two replicas may wait for as long as each other, no more.
        let seed = SysRng.try_next_u64().unwrap_or_else(|_| std::process::id().into());
        Self(SmallRng::seed_from_u64(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }
}

fn failed(error: rand::rngs::SysError) -> EntropyError {
    EntropyError::new(error.raw_os_error())
}
