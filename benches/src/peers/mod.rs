//! What one could take instead of links, as one would use it.

mod byte_stream;
mod frames;
mod noise;
mod tarpc_calls;
mod tls;
mod tokio_framed;

use replink_bench::{Contender, Failure};

use byte_stream::ByteStream;
use noise::Noise;
use tarpc_calls::TarpcCalls;
use tls::Tls;
use tokio_framed::TokioFramed;

/// All of them.
pub(crate) fn all() -> Result<Vec<Box<dyn Contender>>, Failure> {
    let mut all: Vec<Box<dyn Contender>> = vec![Box::new(TokioFramed), Box::new(TarpcCalls)];
    all.extend(with_handshakes()?);
    Ok(all)
}

/// Those that shake hands.
pub(crate) fn with_handshakes() -> Result<Vec<Box<dyn Contender>>, Failure> {
    Ok(vec![Box::new(tls()?), Box::new(ByteStream(Noise::new()))])
}

/// The one that sealed links are held against.
pub(crate) fn tls() -> Result<ByteStream<Tls>, Failure> {
    Ok(ByteStream(Tls::new()?))
}
