//! A frame's codec wants the halves of a session, and a state is none.
fn main() {}

fn frame(state: replink_handshake::AwaitFinish<()>, codec: fn(replink_handshake::Receiving)) {
    codec(state);
}
