//! A peer that was turned away stays out.
fn main() {}

fn both(verified: replink_handshake::Verified<()>) {
    let _ = verified.refuse(replink_frame::Status::BUSY, 0);
    let _ = verified.admit();
}
