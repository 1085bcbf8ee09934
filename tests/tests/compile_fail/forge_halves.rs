//! The half of a session that sends frames can't be put together of its parts: so none is without what seals its records.
use replink_handshake::{Sending, SendingControl};

fn forge(control: SendingControl) -> Sending {
    Sending { control, sealer: None }
}

fn main() {}
