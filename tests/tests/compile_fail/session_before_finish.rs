//! The acceptor's state before the Finish has no session yet.
fn main() {}

fn session(state: replink_handshake::AwaitFinish<()>) {
    let _ = state.admit();
}
