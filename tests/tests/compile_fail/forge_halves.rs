//! And so do its halves: they come out of a session.
fn main() {}

fn forge(peer: replink_handshake::Peer) -> replink_handshake::Sending {
    replink_handshake::Sending { peer, control: None }
}
