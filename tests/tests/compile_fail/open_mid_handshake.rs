//! Only an authenticated link opens for sending and receiving.
use replink_handshake::Verified;
use replink_transport::{Link, OutboundLimits, blocking};

fn open(state: Verified<Link>, limits: OutboundLimits) {
    let _ = blocking::open(state, limits);
}

fn main() {}
