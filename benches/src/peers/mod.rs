//! What one could take instead of links, as one would use it.

mod frames;
mod tokio_framed;

use replink_bench::{Contender, Failure};

use tokio_framed::TokioFramed;

/// All of them.
#[expect(clippy::unnecessary_wraps, reason = "peers with keys come in here")]
pub(crate) fn all() -> Result<Vec<Box<dyn Contender>>, Failure> {
    Ok(vec![Box::new(TokioFramed)])
}

/// Those that shake hands.
#[expect(clippy::unnecessary_wraps, reason = "peers with keys come in here")]
pub(crate) fn with_handshakes() -> Result<Vec<Box<dyn Contender>>, Failure> {
    Ok(Vec::new())
}
