use core::fmt;

use replink_frame::{Flags, KeyId, ReplicaId, Version};

use crate::Session;

/// A link `L` whose peer has proved that it holds the cluster's key.
///
/// The last step of a handshake makes one, and nothing else does: it can't be constructed,
/// cloned or converted. It is the only thing that opens into a [`Session`], and only a session
/// makes the codecs that yield frames.
///
/// Where authentication is disabled by configuration (H-12), [`crate::disabled`] makes one from
/// the Hello alone; [`Peer::authentication`] says so.
pub struct Authenticated<L> {
    link: L,
    session: Session,
}

impl<L> Authenticated<L> {
    pub(crate) fn new(link: L, session: Session) -> Self {
        Self { link, session }
    }

    /// Who is at the other end, and what was negotiated.
    pub fn peer(&self) -> &Peer {
        self.session.peer()
    }

    /// The link, to look at.
    pub fn link(&self) -> &L {
        &self.link
    }

    /// The link, to send the last frame of the handshake on.
    pub fn link_mut(&mut self) -> &mut L {
        &mut self.link
    }

    /// The link and the session that reads and writes its frames.
    pub fn into_parts(self) -> (L, Session) {
        (self.link, self.session)
    }
}

impl<L> fmt::Debug for Authenticated<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticated").field("peer", self.peer()).finish_non_exhaustive()
    }
}

/// Which end of the handshake this one was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a handshake has two ends")]
pub enum Side {
    /// This end connected: it has the lower replica id (H-1).
    Dialer,
    /// This end accepted.
    Acceptor,
}

/// What the peer proved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Authentication {
    /// That it holds the key with this id.
    PreSharedKey(KeyId),
    /// Nothing: authentication is disabled on both ends (H-12).
    Disabled,
}

impl Authentication {
    /// The key that was proved, if one was.
    pub fn key_id(self) -> Option<KeyId> {
        match self {
            Self::PreSharedKey(id) => Some(id),
            Self::Disabled => None,
        }
    }
}

/// The other end of an established link, and what the handshake agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Peer {
    /// The peer's replica id.
    pub replica: ReplicaId,
    /// Which end this one is.
    pub side: Side,
    /// The handshake version of the link.
    pub version: Version,
    /// What the peer proved.
    pub authentication: Authentication,
    /// The selected link features; none in version 1.
    pub flags: Flags,
    /// The peer's software release; 0 in version 1.
    pub release: u32,
    /// The random number of the peer's process; 0 in version 1.
    pub incarnation: u64,
    /// Which of the pair's parallel links this is; 0 in version 1.
    pub lane: u16,
}

impl Peer {
    /// Replica `replica`, with nothing selected, on lane 0: for tests of what goes by peers. What a handshake
    /// agreed on is told by [`Authenticated::peer`].
    pub fn new(replica: ReplicaId, side: Side, version: Version, authentication: Authentication) -> Self {
        let flags = Flags::NONE;
        Self { replica, side, version, authentication, flags, release: 0, incarnation: 0, lane: 0 }
    }
}
