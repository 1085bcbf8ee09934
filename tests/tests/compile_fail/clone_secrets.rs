//! There is one of each, and dropping it wipes it.
use replink_handshake::{
    EphemeralSecret, ExportedKey, Fresh, Key, Nonce, Receiving, RecordOpener, RecordSealer, Secret, Sending, Session,
};
fn main() {}

fn secret(original: &Secret) -> Secret {
    original.clone()
}

fn key(original: &Key) -> Key {
    original.clone()
}

fn ephemeral_secret(original: &EphemeralSecret) -> EphemeralSecret {
    original.clone()
}

fn nonce(original: &Nonce) -> Nonce {
    original.clone()
}

fn fresh(original: &Fresh) -> Fresh {
    original.clone()
}

fn session(original: &Session) -> Session {
    original.clone()
}

fn receiving(original: &Receiving) -> Receiving {
    original.clone()
}

fn sending(original: &Sending) -> Sending {
    original.clone()
}

fn exported_key(original: &ExportedKey) -> ExportedKey {
    original.clone()
}

fn record_sealer(original: &RecordSealer) -> RecordSealer {
    original.clone()
}

fn record_opener(original: &RecordOpener) -> RecordOpener {
    original.clone()
}
