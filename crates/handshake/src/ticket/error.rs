use replink_frame::{ClusterId, KeyId, ReplicaId};
use thiserror::Error;

/// Why there is no ticket for a session. The issuing process is at fault.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum IssueError {
    /// The two halves are not those of one session of this replica.
    #[error("the receiving and the sending half are not of one session of this replica")]
    Halves,
    /// A record that came was broken: nobody opens another one behind it (S-3).
    #[error("a record of this link was broken, so nobody can go on with it")]
    Broken,
    /// The session proved something and the configuration asks for nothing, or the reverse.
    #[error("the link and this node's configuration do not agree whether links are authenticated")]
    Authentication,
    /// The key of the session is not in the ring any more.
    #[error("the link was made with key {0}, which is not held any more")]
    UnknownKey(KeyId),
}

/// Why a ticket is not redeemed, in the order in which it is checked.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TicketError {
    /// Its length is not [`TICKET_LEN`](crate::TICKET_LEN).
    #[error("a ticket has {expected} bytes, this one has {found}", expected = crate::TICKET_LEN)]
    Length {
        /// In bytes.
        found: usize,
    },
    /// Another release of this library wrote it, in a format that this one does not know.
    #[error("the ticket has format version {found}, which this release does not know")]
    Format {
        /// Its version.
        found: u8,
    },
    /// A field has a value that no ticket has.
    #[error("byte {offset} of the ticket, or the field that begins there, has a value that it can't have")]
    Field {
        /// From the ticket's first byte.
        offset: usize,
    },
    /// The session proved something and the configuration asks for nothing, or the reverse.
    #[error("the link and this node's configuration do not agree whether links are authenticated")]
    Authentication,
    /// The key of the session is not in the ring.
    #[error("the link was made with key {0}, which is not held here")]
    UnknownKey(KeyId),
    /// It was not issued with this key for this socket, this payload, and this place in this transfer.
    #[error("the ticket's MAC is wrong: it is forged, changed, used before, or another link's")]
    Mac,
    /// The configuration asks for a higher version, or for features that the link does not have.
    #[error("the link has not the version or the features that the configuration asks for")]
    Terms,
    /// It is a link of another cluster.
    #[error("the link belongs to cluster {found}; this node to {expected}")]
    Cluster {
        /// This node's.
        expected: ClusterId,
        /// The ticket's.
        found: ClusterId,
    },
    /// It is a link of another replica.
    #[error("the link is replica {found}'s; this node is replica {expected}")]
    Replica {
        /// This node.
        expected: ReplicaId,
        /// The ticket's.
        found: ReplicaId,
    },
    /// This process has not taken over the incarnation of the one before it, so peers would take the two
    /// for different ones.
    #[error("the link is of another incarnation of this replica; take that over before the links")]
    Incarnation,
    /// The peer is not on the roster.
    #[error("the link's peer is replica {0}, which is not on the roster")]
    Roster(ReplicaId),
}
