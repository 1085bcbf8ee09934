//! A nonce is used up by the handshake that it begins.
fn main() {}

fn twice(nonce: replink_handshake::Nonce, used: fn(replink_handshake::Nonce)) {
    used(nonce);
    used(nonce);
}
