//! H-4, H-5, K-4, K-5 and the MAC of section 4, from the formulas.

use crate::wire::{self, Frame};

/// `app`.
pub const APP: &str = "replink";

/// What the handshake runs inside of: `mode` and `exporter`.
#[derive(Clone, Copy)]
pub struct Binding {
    pub mode: u8,
    pub exporter: [u8; 32],
}

/// What H-4 and H-5 derive from one secret.
#[derive(Clone, Copy)]
pub struct Keys {
    pub v1: [u8; 32],
    pub v2: [u8; 32],
    pub id: [u8; 8],
    /// Of `docs/hand-off.md`.
    pub hand_off: [u8; 32],
}

fn derive(purpose: &str, message: &[&[u8]]) -> [u8; 32] {
    blake3::derive_key(&format!("{APP}{purpose}"), &message.concat())
}

fn keyed(key: &[u8; 32], message: &[&[u8]]) -> [u8; 32] {
    *blake3::keyed_hash(key, &message.concat()).as_bytes()
}

impl Keys {
    pub fn new(secret: &[u8]) -> Self {
        let id = derive(" replica-auth v2 psk->key-id", &[secret]);
        Self {
            v1: derive(" replica-auth v1 psk->mac-key", &[secret]),
            v2: derive(" replica-auth v2 psk->mac-key", &[secret]),
            id: id[..8].try_into().expect("eight bytes"),
            hand_off: derive(" replica-auth v2 psk->hand-off-key", &[secret]),
        }
    }

    /// H-4. `direction` is 1 for the dialer's.
    pub fn v1(
        &self,
        hello: &Frame,
        challenge: &Frame,
        acceptor: u8,
        binding: Binding,
        direction: u8,
    ) -> [u8; 32] {
        let ids = [hello[wire::REPLICA], acceptor];
        keyed(
            &self.v1,
            &[
                APP.as_bytes(),
                b" replica-auth v1",
                &hello[wire::CLUSTER],
                &ids,
                &hello[wire::NONCE],
                &challenge[wire::NONCE],
                &[binding.mode],
                &binding.exporter,
                &[direction],
            ],
        )
    }

    /// `mac_a` of H-5, and of H-7.
    pub fn acceptor(&self, hello: &Frame, challenge: &Frame, binding: Binding) -> [u8; 32] {
        let challenge = wire::without_mac(challenge);
        let app = APP.as_bytes();
        let tail = [&[binding.mode][..], &binding.exporter].concat();
        keyed(&self.v2, &[app, b" replica-auth v2", &[2], hello, &challenge, &tail])
    }

    /// `mac_d` of H-5, and of D-12: then `finish` is a reject.
    pub fn dialer(&self, hello: &Frame, challenge: &Frame, finish: &Frame, binding: Binding) -> [u8; 32] {
        let finish = wire::without_mac(finish);
        let app = APP.as_bytes();
        let tail = [&[binding.mode][..], &binding.exporter].concat();
        keyed(&self.v2, &[app, b" replica-auth v2", &[1], hello, challenge, &finish, &tail])
    }

    /// K-4.
    pub fn session(&self, frames: [&Frame; 3], binding: Binding, shared: &[u8; 32]) -> [u8; 32] {
        let [hello, challenge, finish] = frames;
        let tail = [&[binding.mode][..], &binding.exporter, shared].concat();
        derive(" replica-auth v2 session", &[&self.v2, hello, challenge, finish, &tail])
    }
}

/// Whether `received` is `mac`, without a comparison that the fuzzer could learn `mac` from: it
/// reads along what `memcmp` compares, and would then hold a MAC that it is not to know.
pub fn same(received: &[u8], mac: [u8; 32]) -> bool {
    blake3::Hash::from_slice(received).expect("a MAC's length") == blake3::Hash::from_bytes(mac)
}

/// The same for a record's tag.
pub fn same_tag(received: &[u8], tag: [u8; 16]) -> bool {
    let mut padded = [0; 32];
    padded[..16].copy_from_slice(&tag);
    same(&[received, &[0; 16]].concat(), padded)
}

/// The MAC of a ticket (`docs/hand-off.md`).
pub fn ticket(
    key: &Keys,
    nonce: &[u8; 32],
    index: u64,
    socket: &[u8],
    fields: &[u8],
    state: &[u8],
) -> [u8; 32] {
    let len = |bytes: &[u8]| (bytes.len() as u64).to_le_bytes();
    let label = format!("{APP} replica-auth v2 hand-off");
    let (index, state) = (index.to_le_bytes(), blake3::hash(state));
    let lens = (len(socket), len(fields));
    keyed(
        &key.hand_off,
        &[label.as_bytes(), nonce, &index, &lens.0, socket, &lens.1, fields, state.as_bytes()],
    )
}

/// K-3.
pub fn pair_secret(root: &[u8], low: u8, high: u8) -> [u8; 32] {
    derive(" replica-auth v2 pair-secret", &[root, &[low, high]])
}

/// K-5, and what section 5 makes of a record secret.
pub fn subkey(session: &[u8; 32], label: &str) -> [u8; 32] {
    keyed(session, &[label.as_bytes()])
}

/// Section 4: over the header without its mac.
pub fn control(key: &[u8; 32], frame: &Frame) -> [u8; 32] {
    keyed(key, &[&wire::without_mac(frame)])
}
