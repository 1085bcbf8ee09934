//! The dialer's first state has no session yet.
fn main() {}

fn session(state: replink_handshake::AwaitChallenge<()>) {
    let _ = state.into_parts();
}
