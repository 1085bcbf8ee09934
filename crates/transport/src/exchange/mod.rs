//! Handshakes, whatever drives them.

mod failure;

pub use failure::{AcceptFailure, DialFailure, EntropyError, Step, StreamError};
