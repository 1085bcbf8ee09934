//! Its fields are private.
fn main() {}

fn forge(session: replink_handshake::Session) -> replink_handshake::Authenticated<()> {
    replink_handshake::Authenticated { link: (), session }
}
