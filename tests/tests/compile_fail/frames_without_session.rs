//! No frame comes from a link that is still shaking hands: the codec asks for a session's half.
use replink_handshake::AwaitFinish;
use replink_transport::{Inbound, Link};

fn read(state: AwaitFinish<Link>) {
    let mut inbound = Inbound::new(state, 1024);
    let _ = inbound.next();
}

fn main() {}
