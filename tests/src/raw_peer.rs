//! A peer written by hand, byte by byte, that can do everything wrong. It shares no code with the
//! library: frames are arrays with offsets, MACs come from [`Forge`].

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::forge::{Dir, Forge, subkey};
use crate::watchdog::TEST_TIME_MAX;

/// 256 bytes of a frame's header.
pub type Frame = [u8; 256];

/// Offsets in a handshake frame (sections 1 and 2).
#[allow(missing_docs, reason = "the names are the protocol's")]
pub mod at {
    pub const CLUSTER: usize = 32;
    pub const SIZE: usize = 48;
    pub const RELEASE: usize = 56;
    pub const COMMAND: usize = 60;
    pub const REPLICA: usize = 61;
    pub const NONCE: usize = 128;
    pub const GOODBYE_REASON: usize = 144;
    pub const MAC: usize = 160;
    pub const STATUS: usize = 192;
    pub const VERSION: usize = 193;
    pub const FLAGS: usize = 194;
    pub const RETRY_AFTER: usize = 196;
    pub const KEY_ID: usize = 200;
    pub const EPHEMERAL: usize = 208;
    pub const INCARNATION: usize = 240;
    pub const LANE: usize = 248;
}

/// Commands of the handshake and of control frames.
#[allow(missing_docs, reason = "the names are the protocol's")]
pub mod command {
    pub const PREPARE: u8 = 6;
    pub const HELLO: u8 = 14;
    pub const CHALLENGE: u8 = 15;
    pub const FINISH: u8 = 16;
    pub const PING: u8 = 250;
    pub const PONG: u8 = 251;
    pub const GOODBYE: u8 = 252;
}

/// Writes `bytes` into the frame.
pub fn put(frame: &mut Frame, offset: usize, bytes: &[u8]) {
    frame[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// A peer with a secret and an id.
#[derive(Clone, Copy, Debug)]
pub struct RawPeer<'a> {
    /// Its id.
    pub replica: u8,
    /// 1 or 2.
    pub version: u8,
    /// Its secret.
    pub forge: Forge<'a>,
    /// Its nonce.
    pub nonce: [u8; 32],
}

impl<'a> RawPeer<'a> {
    /// Replica `replica` with `secret`, in version 2.
    pub fn new(replica: u8, secret: &'a [u8]) -> Self {
        Self { replica, version: 2, forge: Forge::new(secret), nonce: [0x5a; 32] }
    }

    /// A frame of 256 bytes of the cluster `orders`.
    pub fn frame(&self, command: u8) -> Frame {
        let mut frame = [0; 256];
        put(&mut frame, at::CLUSTER, &blake3::hash(b"orders").as_bytes()[..16]);
        put(&mut frame, at::SIZE, &256u32.to_le_bytes());
        put(&mut frame, at::COMMAND, &[command, self.replica]);
        frame
    }

    /// A right Hello.
    pub fn hello(&self) -> Frame {
        let mut hello = self.frame(command::HELLO);
        put(&mut hello, at::NONCE, &self.nonce);
        self.identify(&mut hello);
        hello
    }

    /// A right Challenge, as the acceptor.
    pub fn challenge(&self, hello: &Frame) -> Frame {
        let mut challenge = self.frame(command::CHALLENGE);
        put(&mut challenge, at::NONCE, &self.nonce);
        self.identify(&mut challenge);
        self.sign_challenge(hello, challenge)
    }

    /// The Challenge with a right MAC, whatever else it says.
    pub fn sign_challenge(&self, hello: &Frame, mut challenge: Frame) -> Frame {
        let mac = if self.version == 1 {
            self.mac_v1(hello, &challenge, Dir::Acceptor)
        } else {
            put(&mut challenge, at::MAC, &[0; 32]);
            self.forge.mac_v2(Dir::Acceptor, &[hello, &challenge])
        };
        put(&mut challenge, at::MAC, &mac);
        challenge
    }

    /// A right Finish, as the dialer.
    pub fn finish(&self, hello: &Frame, challenge: &Frame) -> Frame {
        let mut finish = self.frame(command::FINISH);
        self.identify(&mut finish);
        self.sign_finish(hello, challenge, finish)
    }

    /// The Finish with a right MAC, whatever else it says.
    pub fn sign_finish(&self, hello: &Frame, challenge: &Frame, mut finish: Frame) -> Frame {
        put(&mut finish, at::MAC, &[0; 32]);
        let mac = if self.version == 1 {
            self.mac_v1(hello, challenge, Dir::Dialer)
        } else {
            self.forge.mac_v2(Dir::Dialer, &[hello, challenge, &finish])
        };
        put(&mut finish, at::MAC, &mac);
        finish
    }

    /// The reject with a right MAC in the place of the Finish, as the dialer of `hello` (D-12).
    pub fn dialer_reject(&self, hello: &Frame, challenge: &Frame, status: u8) -> Frame {
        let mut reject = self.frame(command::CHALLENGE);
        reject[at::STATUS] = status;
        reject[at::VERSION] = 2;
        for field in [at::RELEASE..at::COMMAND, at::KEY_ID..at::EPHEMERAL, at::INCARNATION..at::LANE + 2] {
            reject[field.clone()].copy_from_slice(&hello[field]);
        }
        self.sign_dialer_reject(hello, challenge, reject)
    }

    /// The dialer's reject with a right MAC, whatever else it says.
    pub fn sign_dialer_reject(&self, hello: &Frame, challenge: &Frame, mut reject: Frame) -> Frame {
        put(&mut reject, at::MAC, &[0; 32]);
        let mac = self.forge.mac_v2(Dir::Dialer, &[hello, challenge, &reject]);
        put(&mut reject, at::MAC, &mac);
        reject
    }

    /// A reject without a MAC.
    pub fn reject(&self, status: u8) -> Frame {
        let mut reject = self.frame(command::CHALLENGE);
        reject[at::STATUS] = status;
        reject[at::VERSION] = if self.version == 1 { 0 } else { 2 };
        reject
    }

    fn identify(&self, frame: &mut Frame) {
        if self.version != 1 {
            frame[at::VERSION] = self.version;
            put(frame, at::KEY_ID, &self.forge.key_id().0);
            put(frame, at::INCARNATION, &[self.replica; 8]);
        }
    }

    /// H-4.
    fn mac_v1(&self, hello: &Frame, challenge: &Frame, dir: Dir) -> [u8; 32] {
        let message = [
            self.forge.app.as_bytes(),
            b" replica-auth v1",
            &hello[at::CLUSTER..at::SIZE],
            &[hello[at::REPLICA], challenge[at::REPLICA]],
            &hello[at::NONCE..at::MAC],
            &challenge[at::NONCE..at::MAC],
            &[0; 33],
            &[dir as u8],
        ];
        *blake3::keyed_hash(&self.forge.mac_key(1), &message.concat()).as_bytes()
    }

    /// K-4, without a shared X25519 secret.
    pub fn session(&self, hello: &Frame, challenge: &Frame, finish: &Frame) -> [u8; 32] {
        let context = format!("{} replica-auth v2 session", self.forge.app);
        let frames = [*hello, *challenge, *finish].concat();
        let message = [&self.forge.mac_key(2)[..], &frames, &[0; 33], &[0; 32]];
        blake3::derive_key(&context, &message.concat())
    }

    /// A control frame from this peer with a right MAC (section 4). `label` is K-5's direction.
    pub fn control(&self, session: &[u8; 32], label: &str, command: u8, counter: u64, echo: u64) -> Frame {
        self.control_of(session, label, command, counter, echo, 0)
    }

    /// The same of a peer that runs `release`.
    pub fn control_of(
        &self,
        session: &[u8; 32],
        label: &str,
        command: u8,
        counter: u64,
        echo: u64,
        release: u32,
    ) -> Frame {
        let mut frame = self.frame(command);
        put(&mut frame, at::RELEASE, &release.to_le_bytes());
        put(&mut frame, 128, &counter.to_le_bytes());
        put(&mut frame, 136, &echo.to_le_bytes());
        let key = subkey(session, &format!("control {label}"));
        let mac = *blake3::keyed_hash(&key, &frame).as_bytes();
        put(&mut frame, at::MAC, &mac);
        frame
    }
}

/// A socket in rough hands.
#[derive(Debug)]
pub struct RawLink(pub TcpStream);

impl RawLink {
    /// Sends all of it. A peer that has closed already is no mistake of ours.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// Reads one frame.
    ///
    /// # Errors
    ///
    /// What the socket says.
    pub fn try_read(&mut self) -> io::Result<Frame> {
        let mut frame = [0; 256];
        self.0.read_exact(&mut frame)?;
        Ok(frame)
    }

    /// Reads one frame.
    pub fn read(&mut self) -> Frame {
        self.try_read().unwrap()
    }

    /// Ends the sending direction, as a peer does that closes in peace.
    pub fn stop_sending(&self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    /// Closes with a reset.
    pub fn reset(self) {
        socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Whether nothing more comes: the peer closed, or reset the connection.
    pub fn is_over(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0) | Err(_))
    }

    /// Sends `bytes` one by one with `pause` between them until the peer has enough. Returns how
    /// many there were.
    pub fn drip(&mut self, bytes: &[u8], pause: Duration) -> usize {
        // What is waited for in between is the peer: no sleep.
        self.0.set_read_timeout(Some(pause)).unwrap();
        let started = Instant::now();
        for (sent, byte) in bytes.iter().enumerate() {
            assert!(started.elapsed() < TEST_TIME_MAX / 2, "the peer never has enough");
            if self.0.write_all(&[*byte]).is_err() {
                return sent;
            }
            match self.0.read(&mut [0; 256]) {
                Ok(0) => return sent + 1,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                Err(_) => return sent + 1,
            }
        }
        bytes.len()
    }
}
