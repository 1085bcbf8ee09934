//! Why nothing more can be sent.

use std::io;

use crate::SendCause;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// A goodbye is queued.
    Leaving,
    /// It is written.
    Left,
    Closed,
    /// The queue is another's: the slot is empty.
    HandedOff,
    Failed(io::ErrorKind),
}

impl End {
    /// What there is to say where the link is over.
    pub(super) fn error(self) -> Option<io::Error> {
        match self {
            Self::Leaving | Self::Left => None,
            Self::Closed | Self::HandedOff => Some(io::ErrorKind::NotConnected.into()),
            Self::Failed(kind) => Some(kind.into()),
        }
    }
}

impl From<End> for SendCause {
    fn from(end: End) -> Self {
        match end {
            End::Leaving | End::Left => Self::Leaving,
            End::Closed => Self::Closed,
            End::HandedOff => Self::HandedOff,
            End::Failed(kind) => Self::Failed(kind),
        }
    }
}
