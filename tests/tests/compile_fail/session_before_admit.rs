//! A proved peer is not yet an admitted one.
fn main() {}

fn session(verified: replink_handshake::Verified<()>) {
    let _ = verified.into_parts();
}
