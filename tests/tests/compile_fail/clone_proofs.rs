//! Proof, and what leads to it, is not copied.
use replink_handshake::{Authenticated, AwaitChallenge, AwaitFinish, AwaitHello, Verified};
fn main() {}

fn await_challenge(original: &AwaitChallenge<()>) -> AwaitChallenge<()> {
    original.clone()
}

fn await_hello(original: &AwaitHello<()>) -> AwaitHello<()> {
    original.clone()
}

fn await_finish(original: &AwaitFinish<()>) -> AwaitFinish<()> {
    original.clone()
}

fn verified(original: &Verified<()>) -> Verified<()> {
    original.clone()
}

fn authenticated(original: &Authenticated<()>) -> Authenticated<()> {
    original.clone()
}
