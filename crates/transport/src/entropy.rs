use replink_handshake::{EphemeralSecret, Fresh, Nonce};
use zeroize::Zeroizing;

/// The operating system gave no randomness; without it there is no handshake (H-2).
#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug)]
#[error("the operating system gives no randomness: {0}")]
pub struct EntropyError(getrandom::Error);

/// Randomness for one side of one handshake, straight from the operating system's CSPRNG (H-2).
///
/// # Errors
///
/// [`EntropyError`] when the operating system gives none.
pub fn fresh() -> Result<Fresh, EntropyError> {
    // Both with one system call.
    let mut drawn = Zeroizing::new([[0; 32]; 2]);
    loop {
        getrandom::fill(drawn.as_flattened_mut()).map_err(EntropyError)?;
        let [nonce, ephemeral] = &*drawn;
        if let Some(nonce) = Nonce::new(*nonce) {
            return Ok(Fresh { nonce, ephemeral: EphemeralSecret::new(*ephemeral) });
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
    getrandom::u64().map_err(EntropyError)
}
