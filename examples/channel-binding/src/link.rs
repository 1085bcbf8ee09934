//! The handshake and the codecs over any stream.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use replink_transport::exchange::{AcceptFailure, Accepted, Accepting, Dialing, Exchange, Want};
use replink_transport::frame::{Command, GenericHeader, ReplicaId};
use replink_transport::handshake::{
    App, Authenticated, Availability, ChannelBinding, DialTarget, ExportedKey, Key, KeyRing, Local, Peer,
    Secret, cluster_id,
};
use replink_transport::{
    Endpoint, EndpointSettings, Inbound, Outbound, OutboundLimits, OwnedFrame, Received, fresh, incarnation,
};

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
pub fn replica(replica: u8, secret: &[u8]) -> Result<Endpoint, Failure> {
    let app = App::default();
    let key = Key::derive(&app, &Secret::new(secret.to_vec())?);
    let ring = Arc::new(KeyRing::new(key, []));
    let cluster = cluster_id(CLUSTER);
    let local = Local::new(app, cluster, ReplicaId(replica)).release(1).incarnation(incarnation()?);
    let roster = (0..3).map(ReplicaId).collect();
    let mut settings = EndpointSettings::new(local, Some(ring), roster);
    settings.limits = LIMITS;
    Ok(Endpoint::new(settings)?)
}

/// A stream that blocks. What takes longer than its deadline fails with `TimedOut` or `WouldBlock`.
pub trait Stream: Read + Write {
    /// Until when everything on it has to be over.
    fn deadline(&self) -> Instant;

    /// From here on it is another time.
    fn set_deadline(&mut self, deadline: Instant);

    /// Ends the direction to the peer; what it still sends can be read.
    fn end_sending(&mut self);
}

/// Dials replica `peer`, which is at the other end of `stream`.
///
/// # Errors
///
/// A [`DialFailure`](replink_transport::exchange::DialFailure).
pub fn dial<S: Stream>(
    stream: S,
    endpoint: &Endpoint,
    peer: ReplicaId,
    binding: ChannelBinding,
) -> Result<Link<S>, Failure> {
    let (target, deadline) = (DialTarget::new(peer), stream.deadline());
    let mut dialing = Dialing::on(stream, endpoint, target, binding, deadline, fresh()?);
    drive(&mut dialing);
    Link::open(dialing.finish()?)
}

/// Answers who dials over `stream`.
///
/// # Errors
///
/// An [`AcceptFailure`]; a peer that is turned away has been told why.
pub fn accept<S: Stream>(
    stream: S,
    endpoint: &Endpoint,
    binding: ChannelBinding,
) -> Result<Link<S>, Failure> {
    let deadline = stream.deadline();
    let mut accepting = Accepting::new(stream, endpoint, binding, deadline);
    drive(&mut accepting);
    if let Want::Answer = accepting.want() {
        accepting.answer(Availability::Open, fresh()?, Instant::now());
        drive(&mut accepting);
    }
    match accepting.finish() {
        Accepted::Proved(verified) => Link::open(verified.admit()),
        // Not on an endpoint that has a key: there everybody proves himself.
        Accepted::Unproved(authenticated) => Link::open(authenticated),
        Accepted::Rejected(mut leaving) => {
            drive(&mut leaving); // H-7, H-9
            Err(AcceptFailure::from(leaving.finish()).into())
        }
        Accepted::Failed(failure) => Err(failure.into()),
    }
}

/// Does what is wanted of the stream, until something else is.
fn drive<S: Stream>(exchange: &mut impl Exchange<Link = S>) {
    let mut buffer = [0; 4096];
    loop {
        let until = exchange.until();
        let result = match exchange.want() {
            Want::Write { link, bytes } => {
                link.set_deadline(until);
                link.write(bytes).map(|count| exchange.written(count, Instant::now()))
            }
            Want::Read { link, at_most } | Want::Discard { link, at_most } => {
                link.set_deadline(until);
                let read = link.read(&mut buffer[..at_most.min(4096)]);
                read.map(|count| exchange.received(&buffer[..count], Instant::now()))
            }
            Want::EndSending { link } => {
                link.end_sending();
                exchange.sending_ended();
                Ok(())
            }
            Want::Connect { .. } | Want::Answer | Want::Done => return,
        };
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                exchange.timed_out(Instant::now());
            }
            Err(error) => exchange.failed(error, Instant::now()),
        }
    }
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

impl<S: Stream> Link<S> {
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
