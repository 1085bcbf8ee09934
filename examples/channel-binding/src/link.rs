//! The handshake states and the codecs over any stream.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use replink_transport::frame::{Command, GenericHeader, ReplicaId};
use replink_transport::handshake::{
    AcceptFailed, Acceptor, AcceptorConfig, App, Authenticated, Availability, ChannelBinding, DialFailed,
    DialTarget, Dialer, DialerConfig, ExportedKey, Key, KeyRing, Local, Peer, Secret, cluster_id,
};
use replink_transport::{Inbound, Outbound, OutboundLimits, OwnedFrame, Received, fresh, incarnation};

use crate::Failure;

const LIMITS: OutboundLimits =
    OutboundLimits { frame_size: 64 * 1024, queue_frames: 64, queue_bytes: 1024 * 1024 };

/// The cluster that this example is in.
pub const CLUSTER: &str = "orders";

/// Replica `replica` of three, which holds `secret`.
///
/// # Errors
///
/// When the secret is too short, or the system has no randomness.
pub fn replica(replica: u8, secret: &[u8]) -> Result<(Dialer, Acceptor), Failure> {
    let app = App::default();
    let key = Key::derive(&app, &Secret::new(secret.to_vec())?);
    let ring = Arc::new(KeyRing::new(key, []));
    let cluster = cluster_id(CLUSTER);
    let local = Local::new(app, cluster, ReplicaId(replica)).release(1).incarnation(incarnation()?);
    let dialer = Dialer::new(DialerConfig::new(local.clone(), Arc::clone(&ring)));
    let roster = (0..3).map(ReplicaId).collect();
    let acceptor = Acceptor::new(AcceptorConfig::new(local, ring, roster));
    Ok((dialer, acceptor))
}

/// Dials replica `peer`, which is at the other end of `stream`.
///
/// # Errors
///
/// A [`DialError`](replink_transport::handshake::DialError) when the handshake fails, else what the stream
/// says.
pub fn dial<S: Read + Write>(
    stream: S,
    dialer: &Dialer,
    peer: ReplicaId,
    binding: ChannelBinding,
) -> Result<Link<S>, Failure> {
    let begun = dialer.begin(stream, DialTarget::new(peer), binding, fresh()?);
    let (mut waiting, hello) = begun.map_err(|failed| failed.error)?;
    waiting.link_mut().write_all(hello.bytes())?;
    let challenge = read_frame(waiting.link_mut())?;
    let (proved, finish) = match waiting.receive(&challenge) {
        Ok(proved) => proved,
        Err(DialFailed { mut link, reply, error }) => {
            if let Some(reject) = reply {
                link.write_all(&reject)?; // D-12
            }
            return Err(error.into());
        }
    };
    let mut link = Link::open(proved)?;
    link.stream.write_all(finish.bytes())?;
    Ok(link)
}

/// Answers who dials over `stream`.
///
/// # Errors
///
/// A [`Rejection`](replink_transport::handshake::Rejection) when the handshake fails, of which the peer
/// is told, else what the stream says.
pub fn accept<S: Read + Write>(
    stream: S,
    acceptor: &Acceptor,
    binding: ChannelBinding,
) -> Result<Link<S>, Failure> {
    let mut waiting = acceptor.begin(stream, binding);
    let hello = read_frame(waiting.link_mut())?;
    let verified = waiting.receive(&hello, Availability::Open, fresh()?).map(|(mut waiting, challenge)| {
        waiting.link_mut().write_all(challenge.bytes())?;
        let finish = read_frame(waiting.link_mut())?;
        Ok::<_, io::Error>(waiting.receive(&finish))
    });
    let rejected = match verified {
        Ok(answered) => match answered? {
            Ok(verified) => return Link::open(verified.admit()),
            Err(AcceptFailed::Rejected(late)) => late,
            Err(AcceptFailed::RejectedByPeer { reject, .. }) => return Err(reject.to_string().into()),
        },
        Err(rejected) => rejected,
    };
    let (mut stream, reject, rejection) = rejected.into_parts();
    stream.write_all(&reject)?; // H-7, H-9
    Err(rejection.into())
}

fn read_frame(stream: &mut impl Read) -> io::Result<[u8; 256]> {
    let mut frame = [0; 256];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

/// A link whose peer is proved, with its codecs.
#[derive(Debug)]
pub struct Link<S> {
    stream: S,
    peer: Peer,
    exported: ExportedKey,
    inbound: Inbound,
    outbound: Outbound,
}

impl<S: Read + Write> Link<S> {
    fn open(proved: Authenticated<S>) -> Result<Self, Failure> {
        let peer = *proved.peer();
        let (stream, session) = proved.into_parts();
        let exported = session.export("channel-binding example")?;
        let (receiving, sending) = session.split();
        let inbound = Inbound::new(receiving, LIMITS.frame_size);
        Ok(Self { stream, peer, exported, inbound, outbound: Outbound::new(sending, LIMITS) })
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// A key that both ends of this link have, and nobody else.
    pub fn exported(&self) -> &ExportedKey {
        &self.exported
    }

    /// Sends a Prepare with this body.
    ///
    /// # Errors
    ///
    /// When the stream does not take it.
    pub fn send(&mut self, body: impl Into<Bytes>) -> Result<(), Failure> {
        let body = body.into();
        let header = GenericHeader::new(cluster_id(CLUSTER), Command::PREPARE, body.len());
        self.outbound.push(&header, body)?;
        while !self.outbound.is_empty() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.outbound.slices(&mut slices);
            let written = self.stream.write_vectored(&slices[..count])?;
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            self.outbound.advance(written);
        }
        Ok(())
    }

    /// The next frame of the peer's.
    ///
    /// # Errors
    ///
    /// How the link ended.
    pub fn receive(&mut self) -> Result<OwnedFrame, Failure> {
        let mut chunk = [0; 4096];
        loop {
            match self.inbound.next()? {
                Some(Received::Frame(frame)) => return Ok(frame.into_owned()),
                Some(Received::Control(control)) => return Err(format!("the peer says {control:?}").into()),
                None => {}
            }
            let count = self.stream.read(&mut chunk)?;
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let mut rest = &chunk[..count];
            // More than there is room for comes only with frames to take first; these are smaller.
            while !rest.is_empty() {
                rest = &rest[self.inbound.push(rest)..];
            }
        }
    }

    /// The stream, to close it.
    pub fn into_stream(self) -> S {
        self.stream
    }
}
