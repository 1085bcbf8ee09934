//! The bytes stay inside.
fn main() {}

fn read(secret: &replink_handshake::Secret) -> &[u8] {
    secret.bytes()
}
