//! So is all of one side's randomness.
use replink_handshake::{Acceptor, Availability, ChannelBinding, Fresh};
fn main() {}

fn twice(acceptor: &Acceptor, fresh: Fresh) {
    let binding = ChannelBinding::None;
    let _ = acceptor.begin((), binding).receive(&[0; 256], Availability::Open, fresh);
    let _ = acceptor.begin((), binding).receive(&[0; 256], Availability::Open, fresh);
}
