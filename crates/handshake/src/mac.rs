//! The MACs and derivations of the handshake, H-4, H-5, H-7 and K-4, and of tickets.
//!
//! Copies of keys stay on the stack: whoever calls wipes it ([`wiping`](crate::key_bytes::wiping)).

use alloc::format;

use blake3::{Hash, Hasher};
use replink_frame::{Challenge, ClusterId, Finish, Hello, ReplicaId};
use zeroize::Zeroize;

use crate::key_bytes::KeyBytes;
use crate::{App, ChannelBinding, Key};

/// A computed MAC. Comparing it takes the same time wherever the difference is (H-3).
pub(crate) struct Mac(Hash);

impl Mac {
    pub(crate) fn matches(&self, received: &[u8; 32]) -> bool {
        // H-3: `blake3::Hash` compares in constant time.
        self.0 == Hash::from_bytes(*received)
    }

    pub(crate) fn into_bytes(self) -> [u8; 32] {
        self.0.into()
    }
}

/// Whose MAC: `dir` of section 3.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Dialer = 1,
    Acceptor = 2,
}

/// `derive(app || purpose, parts…)`.
pub(crate) fn derive_secret(app: &App, purpose: &str, parts: &[&[u8]]) -> KeyBytes {
    finish_secret(&mut Hasher::new_derive_key(&format!("{app}{purpose}")), parts)
}

/// `keyed(key, parts…)` where the result is itself a key.
pub(crate) fn keyed_secret(key: &[u8; 32], parts: &[&[u8]]) -> KeyBytes {
    finish_secret(&mut Hasher::new_keyed(key), parts)
}

/// `keyed(key, label)`, a key in the place of another: nothing is allocated.
pub(crate) fn keyed_in_place(key: &[u8; 32], label: &[u8], into: &mut KeyBytes) {
    let mut hash = finish(&mut Hasher::new_keyed(key), &[label]);
    into.replace(hash.as_bytes());
    hash.zeroize();
}

/// `keyed(key, parts…)` where the result goes over the wire.
pub(crate) fn keyed_mac(key: &[u8; 32], parts: &[&[u8]]) -> Mac {
    Mac(finish(&mut Hasher::new_keyed(key), parts))
}

fn finish_secret(hasher: &mut Hasher, parts: &[&[u8]]) -> KeyBytes {
    let mut hash = finish(hasher, parts);
    let secret = KeyBytes::new(hash.as_bytes());
    hash.zeroize();
    secret
}

/// The hasher has the key, and stays where it is, on the stack that is wiped.
fn finish(hasher: &mut Hasher, parts: &[&[u8]]) -> Hash {
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

/// Everything that a version 1 MAC covers but the direction (H-4).
pub(crate) struct TranscriptV1<'a> {
    pub(crate) app: &'a App,
    pub(crate) cluster: ClusterId,
    pub(crate) dialer: ReplicaId,
    pub(crate) acceptor: ReplicaId,
    pub(crate) dialer_nonce: &'a [u8; 32],
    pub(crate) acceptor_nonce: &'a [u8; 32],
    pub(crate) binding: &'a ChannelBinding,
}

impl TranscriptV1<'_> {
    /// H-4.
    pub(crate) fn mac(&self, key: &Key, direction: Direction) -> Mac {
        keyed_mac(
            key.v1(),
            &[
                self.app.as_str().as_bytes(),
                b" replica-auth v1",
                &self.cluster.0,
                &[self.dialer.0, self.acceptor.0],
                self.dialer_nonce,
                self.acceptor_nonce,
                &[self.binding.mode()],
                self.binding.exporter(),
                &[direction as u8],
            ],
        )
    }
}

/// `mac_a` of H-5, and of a reject (H-7): then `hello` may be malformed.
pub(crate) fn acceptor_v2(
    app: &App,
    key: &Key,
    hello: &[u8; 256],
    challenge: &Challenge,
    binding: &ChannelBinding,
) -> Mac {
    v2(app, key, Direction::Acceptor, &[hello, challenge.without_mac().bytes()], binding)
}

/// `mac_d` of H-5.
pub(crate) fn dialer_v2(
    app: &App,
    key: &Key,
    hello: &Hello,
    challenge: &Challenge,
    finish: &Finish,
    binding: &ChannelBinding,
) -> Mac {
    let finish = finish.without_mac();
    v2(app, key, Direction::Dialer, &[hello.bytes(), challenge.bytes(), finish.bytes()], binding)
}

/// `mac_d` of H-5 over a reject in the place of the Finish (D-12). Its command and its status are
/// covered, so it is never the MAC of a Finish.
pub(crate) fn dialer_reject_v2(
    app: &App,
    key: &Key,
    hello: &Hello,
    challenge: &Challenge,
    reject: &Challenge,
    binding: &ChannelBinding,
) -> Mac {
    let reject = reject.without_mac();
    v2(app, key, Direction::Dialer, &[hello.bytes(), challenge.bytes(), reject.bytes()], binding)
}

/// What both MACs of H-5 have in common.
fn v2(app: &App, key: &Key, direction: Direction, frames: &[&[u8; 256]], binding: &ChannelBinding) -> Mac {
    let mut hasher = Hasher::new_keyed(key.v2());
    hasher.update(app.as_str().as_bytes());
    hasher.update(b" replica-auth v2");
    hasher.update(&[direction as u8]);
    for frame in frames {
        hasher.update(&frame[..]);
    }
    Mac(finish(&mut hasher, &[&[binding.mode()], binding.exporter()]))
}

/// What a ticket's MAC is made with where authentication is disabled. Everyone can compute it: it finds
/// mistakes, not attackers.
pub(crate) fn disabled_hand_off_key(app: &App) -> KeyBytes {
    derive_secret(app, " replica-auth v2 hand-off disabled", &[])
}

/// The MAC of a ticket (`docs/hand-off.md`). Whatever has no fixed length goes in behind its length or as
/// a hash, so that no two inputs are the same bytes.
pub(crate) fn ticket_mac(
    app: &App,
    key: &[u8; 32],
    nonce: &[u8; 32],
    index: u64,
    socket: &[u8],
    state: &[u8],
    payload: &[&[u8]],
) -> Mac {
    let payload = finish(&mut Hasher::new(), payload);
    keyed_mac(
        key,
        &[
            app.as_str().as_bytes(),
            b" replica-auth v2 hand-off",
            nonce,
            &index.to_le_bytes(),
            &(socket.len() as u64).to_le_bytes(),
            socket,
            &(state.len() as u64).to_le_bytes(),
            state,
            payload.as_bytes(),
        ],
    )
}

/// The session key (K-4). `shared` is the X25519 secret, or zeros.
pub(crate) fn session_key(
    app: &App,
    key: &Key,
    hello: &Hello,
    challenge: &Challenge,
    finish: &Finish,
    binding: &ChannelBinding,
    shared: &[u8; 32],
) -> KeyBytes {
    derive_secret(
        app,
        " replica-auth v2 session",
        &[
            key.v2(),
            hello.bytes(),
            challenge.bytes(),
            finish.bytes(),
            &[binding.mode()],
            binding.exporter(),
            shared,
        ],
    )
}
