//! A session comes out of a handshake.
fn main() {}

fn forge() -> replink_handshake::Session {
    replink_handshake::Session::default()
}
