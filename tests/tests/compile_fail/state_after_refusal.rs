//! One Hello for each handshake, one Finish for each challenge.
fn main() {}

fn again(state: replink_handshake::AwaitFinish<()>) {
    if state.receive(&[0; 256]).is_err() {
        let _ = state.receive(&[1; 256]);
    }
}
