//! Control frames on an established version 2 link (section 4).

use replink_frame::{
    ClusterId, Command, ControlFrame, FrameError, GenericHeader, GoodbyeReason, ReplicaId, Version,
};
use thiserror::Error;

use crate::Local;
use crate::key_bytes::{KeyBytes, wiping};
use crate::mac::{Mac, keyed_mac};
use crate::session::{ReceivingControl, SendingControl};

/// What a control frame from the peer says, once its MAC and counter are proved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "whoever gets one has to do what it asks for, also if it is new")]
pub enum ControlMessage {
    /// The peer asks for a [`ControlMessage::Pong`] with this counter.
    Ping {
        /// The ping's counter, to be echoed.
        counter: u64,
    },
    /// The answer to the ping that this end sent with this counter.
    Pong {
        /// The ping's counter.
        echo: u64,
    },
    /// The peer leaves; the link ends without having been lost.
    Goodbye(GoodbyeReason),
}

/// A control frame that ends the link: the peer, or someone in its place, broke the protocol.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ControlError {
    /// The frame's fields are not those of a control frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// H-13: version 1 links have no control frames.
    #[error("control frame on a version {version} link, which has none")]
    NotOnThisLink {
        /// The link's version.
        version: Version,
    },
    /// The sender's id is not the peer's.
    #[error("control frame says it is from replica {found}, but this link's peer is {expected}")]
    Sender {
        /// The link's peer.
        expected: ReplicaId,
        /// The frame's.
        found: ReplicaId,
    },
    /// The MAC does not verify: the frame was made or changed by someone without the session.
    #[error("control frame with a wrong MAC: it was not sent by the peer of this session")]
    Mac,
    /// The counter did not increase: the frame is a replay, or out of order.
    #[error("control frame with counter {found} after {last}: replayed or out of order")]
    Counter {
        /// The last counter that was accepted, 0 before the first.
        last: u64,
        /// The frame's.
        found: u64,
    },
}

pub(crate) struct ControlSigner {
    key: KeyBytes,
    replica: ReplicaId,
    release: u32,
    last_counter: u64,
}

impl ControlSigner {
    pub(crate) fn new(key: KeyBytes, local: &Local) -> Self {
        Self { key, replica: local.replica, release: local.release, last_counter: 0 }
    }

    /// Goes on where another signer of this session ended.
    pub(crate) fn resume(key: KeyBytes, replica: ReplicaId, release: u32, last_counter: u64) -> Self {
        Self { key, replica, release, last_counter }
    }

    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    pub(crate) fn release(&self) -> u32 {
        self.release
    }

    pub(crate) fn last_counter(&self) -> u64 {
        self.last_counter
    }

    fn sign(
        &mut self,
        cluster: ClusterId,
        command: Command,
        echo: u64,
        reason: GoodbyeReason,
    ) -> (u64, ControlFrame) {
        self.last_counter += 1; // at one a nanosecond this lasts for 584 years
        let mut frame = ControlFrame::new(cluster, command, self.replica, self.release);
        let fields = frame.fields_mut();
        fields.counter = self.last_counter.into();
        fields.echo = echo.into();
        fields.reason = reason;
        let mac = control_mac(&self.key, &frame).into_bytes();
        frame.fields_mut().mac = mac;
        (self.last_counter, frame)
    }
}

pub(crate) struct ControlOpener {
    key: KeyBytes,
    peer: ReplicaId,
    last_counter: u64,
}

impl ControlOpener {
    pub(crate) fn new(key: KeyBytes, peer: ReplicaId) -> Self {
        Self { key, peer, last_counter: 0 }
    }

    /// Goes on where another opener of this session ended.
    pub(crate) fn resume(key: KeyBytes, peer: ReplicaId, last_counter: u64) -> Self {
        Self { key, peer, last_counter }
    }

    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    pub(crate) fn last_counter(&self) -> u64 {
        self.last_counter
    }
}

fn control_mac(key: &[u8; 32], frame: &ControlFrame) -> Mac {
    wiping(|| keyed_mac(key, &[frame.authenticated_header().bytes()]))
}

impl SendingControl {
    /// A `LinkPing` and the counter that its pong will echo; `None` on a version 1 link (H-13).
    pub fn ping(&mut self) -> Option<(u64, ControlFrame)> {
        let cluster = self.cluster;
        self.signer.as_mut().map(|control| control.sign(cluster, Command::LINK_PING, 0, GoodbyeReason(0)))
    }

    /// The `LinkPong` for the ping with counter `echo`; `None` on a version 1 link (H-13).
    pub fn pong(&mut self, echo: u64) -> Option<ControlFrame> {
        self.control(Command::LINK_PONG, echo, GoodbyeReason(0))
    }

    /// A `LinkGoodbye`; `None` on a version 1 link (H-13), which just closes.
    pub fn goodbye(&mut self, reason: GoodbyeReason) -> Option<ControlFrame> {
        self.control(Command::LINK_GOODBYE, 0, reason)
    }

    fn control(&mut self, command: Command, echo: u64, reason: GoodbyeReason) -> Option<ControlFrame> {
        let cluster = self.cluster;
        self.signer.as_mut().map(|control| control.sign(cluster, command, echo, reason).1)
    }
}

impl ReceivingControl {
    /// Proves a control frame from the peer.
    ///
    /// # Errors
    ///
    /// [`ControlError`]: each is a protocol violation that ends the link (section 4).
    pub fn open_control(&mut self, header: &GenericHeader) -> Result<ControlMessage, ControlError> {
        let frame = ControlFrame::parse(header, self.cluster)?;
        let version = self.peer.version;
        let control = self.opener.as_mut().ok_or(ControlError::NotOnThisLink { version })?; // H-13
        let sender = frame.header().replica;
        if sender != control.peer {
            return Err(ControlError::Sender { expected: control.peer, found: sender });
        }
        let fields = frame.fields();
        if !control_mac(&control.key, &frame).matches(&fields.mac) {
            return Err(ControlError::Mac);
        }
        let (found, last) = (fields.counter.get(), control.last_counter);
        if found <= last {
            return Err(ControlError::Counter { last, found });
        }
        control.last_counter = found;
        Ok(match frame.header().command {
            Command::LINK_PING => ControlMessage::Ping { counter: found },
            Command::LINK_PONG => ControlMessage::Pong { echo: fields.echo.get() },
            // `ControlFrame::parse` admits only the three.
            _ => ControlMessage::Goodbye(fields.reason),
        })
    }
}
