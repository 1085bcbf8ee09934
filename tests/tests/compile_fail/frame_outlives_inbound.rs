//! A lent frame is gone with the next call, so it can't be read after its bytes were overwritten.
use replink_transport::{Inbound, Received};

fn read(mut inbound: Inbound) {
    let first = inbound.next();
    let _ = inbound.next();
    if let Ok(Some(Received::Frame(frame))) = first {
        let _ = frame.body();
    }
}

fn main() {}
