//! MACs and keys made by hand from a secret, without the library that is under test.
//!
//! With the cluster's secret a [`Forge`] is an insider that breaks the protocol on purpose;
//! with another one it is an attacker that guesses.

use replink_frame::{Challenge, ControlFrame, Finish, GenericHeader, Hello, KeyId};
use replink_handshake::ChannelBinding;

/// `dir` of section 3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dir {
    /// The dialer's MAC.
    Dialer = 1,
    /// The acceptor's MAC.
    Acceptor = 2,
}

/// Someone who holds a secret and signs whatever they like.
#[derive(Clone, Copy, Debug)]
pub struct Forge<'a> {
    /// The domain.
    pub app: &'a str,
    /// The secret.
    pub secret: &'a [u8],
    /// What the handshake runs inside of.
    pub binding: ChannelBinding,
}

impl<'a> Forge<'a> {
    /// One that holds `secret`, in the default domain on a bare socket.
    pub fn new(secret: &'a [u8]) -> Self {
        Self { app: "replink", secret, binding: ChannelBinding::None }
    }

    /// The MAC key of `version` 1 or 2 (H-4, H-5).
    pub fn mac_key(&self, version: u8) -> [u8; 32] {
        self.derive(&format!(" replica-auth v{version} psk->mac-key"), &[self.secret])
    }

    /// The name of the key (H-5).
    pub fn key_id(&self) -> KeyId {
        let id = self.derive(" replica-auth v2 psk->key-id", &[self.secret]);
        KeyId(id[..8].try_into().unwrap())
    }

    /// H-4, for the ids and nonces of these frames.
    pub fn mac_v1(&self, hello: &Hello, challenge: &Challenge, dir: Dir) -> [u8; 32] {
        keyed(
            &self.mac_key(1),
            &[
                self.app.as_bytes(),
                b" replica-auth v1",
                &hello.cluster().0,
                &[hello.sender().0, challenge.sender().0],
                &hello.fields().nonce,
                &challenge.fields().nonce,
                &self.bound(),
                &[dir as u8],
            ],
        )
    }

    /// `mac_a` of H-5.
    pub fn mac_a(&self, hello: &[u8; 256], challenge: &Challenge) -> [u8; 32] {
        self.mac_v2(Dir::Acceptor, &[hello, challenge.without_mac().bytes()])
    }

    /// `mac_d` of H-5.
    pub fn mac_d(&self, hello: &[u8; 256], challenge: &Challenge, finish: &Finish) -> [u8; 32] {
        self.mac_v2(Dir::Dialer, &[hello, challenge.bytes(), finish.without_mac().bytes()])
    }

    /// A version 2 MAC over any frames.
    pub fn mac_v2(&self, dir: Dir, frames: &[&[u8; 256]]) -> [u8; 32] {
        let frames: Vec<u8> = frames.iter().copied().flatten().copied().collect();
        let parts: [&[u8]; 5] =
            [self.app.as_bytes(), b" replica-auth v2", &[dir as u8], &frames, &self.bound()];
        keyed(&self.mac_key(2), &parts)
    }

    /// The challenge with a right `mac_a` in place of whatever it had.
    pub fn sign_challenge(&self, hello: &[u8; 256], mut challenge: Challenge) -> Challenge {
        challenge.fields_mut().mac = self.mac_a(hello, &challenge);
        challenge
    }

    /// The finish with a right `mac_d` in place of whatever it had.
    pub fn sign_finish(&self, hello: &[u8; 256], challenge: &Challenge, mut finish: Finish) -> Finish {
        finish.fields_mut().mac = self.mac_d(hello, challenge, &finish);
        finish
    }

    /// K-4, for a handshake without flag 4.
    pub fn session(&self, hello: &Hello, challenge: &Challenge, finish: &Finish) -> [u8; 32] {
        let frames = [*hello.bytes(), *challenge.bytes(), *finish.bytes()].concat();
        self.derive(" replica-auth v2 session", &[&self.mac_key(2), &frames, &self.bound(), &[0; 32]])
    }

    fn derive(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        blake3::derive_key(&format!("{}{purpose}", self.app), &parts.concat())
    }

    /// `mode || exporter`.
    fn bound(&self) -> [u8; 33] {
        let mut bound = [0; 33];
        if let ChannelBinding::TlsExporter(exporter) = self.binding {
            bound[0] = 1;
            bound[1..].copy_from_slice(&exporter);
        }
        bound
    }
}

/// A subkey of a session (K-5).
pub fn subkey(session: &[u8; 32], label: &str) -> [u8; 32] {
    keyed(session, &[label.as_bytes()])
}

/// The control frame with a right MAC under `key`, whatever its fields say (section 4).
pub fn sign_control(key: &[u8; 32], mut frame: ControlFrame) -> GenericHeader {
    frame.fields_mut().mac = [0; 32];
    frame.fields_mut().mac = keyed(key, &[frame.header().bytes()]);
    *frame.header()
}

fn keyed(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    *blake3::keyed_hash(key, &parts.concat()).as_bytes()
}
