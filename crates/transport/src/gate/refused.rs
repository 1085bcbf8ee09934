use replink_frame::Status;
use thiserror::Error;

/// Why a connection is closed unread.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refused {
    /// Its address is not in the allow list.
    #[error("its address is not in cluster.auth.allow; closed unread")]
    NotAllowed,
    /// `max_pending` is reached, except for what is kept back for other addresses.
    #[error(
        "{pending} connections have not authenticated, which is max_pending less {kept_back} kept for others; \
         closed unread"
    )]
    Full {
        /// Connections that have not authenticated, in all.
        pending: u32,
        /// Slots that are left, for addresses of the roster.
        kept_back: u32,
    },
    /// `max_pending_per_address` is reached.
    #[error(
        "{pending} connections from this address, or from the IPv6 network around it, have not authenticated, which \
         is what max_pending_per_address allows; closed unread"
    )]
    Address {
        /// Connections from this address, or from its /64, /56 or /48, that have not authenticated.
        pending: u32,
    },
}

impl Refused {
    /// What to report. The peer is told nothing.
    pub fn status(&self) -> Status {
        match self {
            Self::NotAllowed => Status::NOT_ALLOWED,
            Self::Full { .. } | Self::Address { .. } => Status::BUSY,
        }
    }
}
