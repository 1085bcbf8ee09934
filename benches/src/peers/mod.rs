//! What one could take instead of links, as one would use it.

mod byte_stream;
mod completions;
mod frames;
mod noise;
mod tarpc_calls;
mod tls;
mod tokio_framed;

use replink_bench::{Contender, Failure};

use byte_stream::ByteStream;
use completions::Completions;
use noise::Noise;
use tarpc_calls::TarpcCalls;
use tls::Tls;
use tokio_framed::TokioFramed;

/// All of them that this machine has.
pub(crate) fn all() -> Result<Vec<Box<dyn Contender>>, Failure> {
    let mut all: Vec<Box<dyn Contender>> =
        vec![Box::new(TokioFramed::PLAIN), Box::new(TokioFramed::READS_AHEAD), Box::new(TarpcCalls)];
    if check_completions().is_ok() {
        all.push(Box::new(Completions));
    }
    all.extend(with_handshakes()?);
    Ok(all)
}

/// Those that shake hands.
pub(crate) fn with_handshakes() -> Result<Vec<Box<dyn Contender>>, Failure> {
    Ok(vec![Box::new(tls()?), Box::new(best_tls()?), Box::new(ByteStream(Noise::new()))])
}

/// TLS as it comes.
pub(crate) fn tls() -> Result<ByteStream<Tls>, Failure> {
    Ok(ByteStream(Tls::with_ring()?))
}

/// The one that sealed links are held against.
pub(crate) fn best_tls() -> Result<ByteStream<Tls>, Failure> {
    Ok(ByteStream(Tls::at_its_best()?))
}

/// Whether there is `io_uring` for the peer that has nothing else.
///
/// # Errors
///
/// [`Failure`] says why not.
pub(crate) fn check_completions() -> Result<(), Failure> {
    completions::check()
}
