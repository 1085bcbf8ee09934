//! Noise with a shared key, of snow.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;

use replink_bench::Failure;
use snow::{Builder, HandshakeState, TransportState};

use super::byte_stream::Protection;

/// What a link with forward secrecy has: both ends prove the shared secret, and agree on ephemeral keys.
const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";

/// The most that a message of Noise has, and its tag.
const MESSAGE_MAX: usize = 65_535;
const TAG: usize = 16;
const PAYLOAD_MAX: usize = MESSAGE_MAX - TAG;

/// Each message goes behind its length, in two bytes.
const LENGTH: usize = 2;

/// snow over blocking sockets.
pub(crate) struct Noise {
    secret: [u8; 32],
}

impl Noise {
    pub(crate) const fn new() -> Self {
        Self { secret: [5; 32] }
    }

    fn builder(&self) -> Result<Builder<'_>, Failure> {
        Ok(Builder::new(PATTERN.parse()?).psk(0, &self.secret)?)
    }
}

impl Protection for Noise {
    type Dialer = Stream;
    type Acceptor = Stream;

    fn name(&self) -> &'static str {
        "snow, Noise NNpsk0"
    }

    fn connect(&self, socket: TcpStream) -> Result<Stream, Failure> {
        let mut pending = Pending::new(self.builder()?.build_initiator()?, socket)?;
        pending.say()?;
        pending.hear()?;
        pending.finish()
    }

    fn accept(&self, socket: TcpStream) -> Result<Stream, Failure> {
        let mut pending = Pending::new(self.builder()?.build_responder()?, socket)?;
        pending.hear()?;
        pending.say()?;
        pending.finish()
    }
}

/// A handshake under way.
struct Pending {
    state: HandshakeState,
    sockets: Sockets,
    buffer: Vec<u8>,
}

impl Pending {
    fn new(state: HandshakeState, socket: TcpStream) -> Result<Self, Failure> {
        Ok(Self { state, sockets: Sockets::new(socket)?, buffer: vec![0; 256] })
    }

    fn say(&mut self) -> Result<(), Failure> {
        let count = self.state.write_message(&[], &mut self.buffer[LENGTH..])?;
        Ok(self.sockets.write_message(&mut self.buffer[..LENGTH + count])?)
    }

    fn hear(&mut self) -> Result<(), Failure> {
        self.sockets.read_message(&mut self.buffer)?;
        self.state.read_message(&self.buffer, &mut [])?;
        self.buffer.resize(256, 0);
        Ok(())
    }

    fn finish(self) -> Result<Stream, Failure> {
        Ok(Stream {
            transport: self.state.into_transport_mode()?,
            sockets: self.sockets,
            sealed: vec![0; LENGTH + MESSAGE_MAX],
            received: Vec::new(),
            opened: vec![0; PAYLOAD_MAX],
            unread: 0..0,
        })
    }
}

/// Both directions of one socket.
struct Sockets {
    writer: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Sockets {
    fn new(socket: TcpStream) -> io::Result<Self> {
        Ok(Self { writer: socket.try_clone()?, reader: BufReader::with_capacity(2 * MESSAGE_MAX, socket) })
    }

    /// `message` has room for its length in front.
    fn write_message(&mut self, message: &mut [u8]) -> io::Result<()> {
        let length = u16::try_from(message.len() - LENGTH).map_err(io::Error::other)?;
        message[..LENGTH].copy_from_slice(&length.to_be_bytes());
        self.writer.write_all(message)
    }

    fn read_message(&mut self, message: &mut Vec<u8>) -> io::Result<()> {
        let mut length = [0; LENGTH];
        self.reader.read_exact(&mut length)?;
        message.resize(u16::from_be_bytes(length).into(), 0);
        self.reader.read_exact(message)
    }
}

/// A stream of bytes in messages of Noise.
pub(crate) struct Stream {
    transport: TransportState,
    sockets: Sockets,
    /// A message to be written, behind its length.
    sealed: Vec<u8>,
    received: Vec<u8>,
    /// What was received and opened, and what of it nobody has read.
    opened: Vec<u8>,
    unread: std::ops::Range<usize>,
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PAYLOAD_MAX);
        let count = self
            .transport
            .write_message(&bytes[..taken], &mut self.sealed[LENGTH..])
            .map_err(io::Error::other)?;
        self.sockets.write_message(&mut self.sealed[..LENGTH + count])?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.unread.is_empty() {
            self.sockets.read_message(&mut self.received)?;
            // Whoever has room for a whole message gets it without a copy.
            if bytes.len() >= self.received.len() {
                return self.transport.read_message(&self.received, bytes).map_err(io::Error::other);
            }
            let opened = self.transport.read_message(&self.received, &mut self.opened);
            self.unread = 0..opened.map_err(io::Error::other)?;
        }
        let count = bytes.len().min(self.unread.len());
        bytes[..count].copy_from_slice(&self.opened[self.unread.start..][..count]);
        self.unread.start += count;
        Ok(count)
    }
}
