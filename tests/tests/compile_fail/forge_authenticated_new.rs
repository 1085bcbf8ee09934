//! Its constructor is the handshake's.
fn main() {}

fn forge(session: replink_handshake::Session) -> replink_handshake::Authenticated<()> {
    replink_handshake::Authenticated::new((), session)
}
