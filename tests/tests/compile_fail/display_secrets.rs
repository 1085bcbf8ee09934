//! What is secret is not shown.
use replink_handshake::{EphemeralSecret, ExportedKey, Key, Secret};
fn main() {}

fn secret(secret: &Secret) -> String {
    secret.to_string()
}

fn key(key: &Key) -> String {
    key.to_string()
}

fn ephemeral_secret(secret: &EphemeralSecret) -> String {
    secret.to_string()
}

fn exported_key(key: &ExportedKey) -> String {
    key.to_string()
}
