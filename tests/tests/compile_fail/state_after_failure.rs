//! A failure ends the state.
fn main() {}

fn again(state: replink_handshake::AwaitChallenge<()>) {
    if state.receive(&[0; 256]).is_err() {
        let _ = state.receive(&[1; 256]);
    }
}
