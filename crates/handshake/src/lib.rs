//! The mutual handshake that a replica link begins with: `ReplicaHello`, `ReplicaChallenge`,
//! `ReplicaFinish` (sections 2 and 3 of `docs/protocol.md`).
//!
//! Both ends are **type-states that consume themselves**. Each step takes the 256 bytes that
//! came in and gives either the next state and the frame to send, or a failure that ends the
//! handshake, hands the link back for closing, and carries the frame still owed to the peer:
//!
//! ```text
//!   Dialer::begin ──► AwaitChallenge ──► Authenticated        Acceptor::begin ──► AwaitHello
//!        │ Hello            │ Finish                                                 │ Challenge
//!        ▼                  ▼                                                        ▼
//!      wire               wire      Authenticated ◄── admit ── Verified ◄── AwaitFinish
//! ```
//!
//! [`Authenticated`] is the proof: the last step makes it, nothing else does, and only it opens
//! into the [`Session`] that a link needs to read or write a frame. A [`Ticket`] carries the two halves
//! of a session to the next process of the same replica, which proves it again.
//!
//! The crate is pure. It knows no socket, clock or random source: bytes and [`Fresh`]
//! randomness come in as arguments. It is `no_std` with `alloc`, forbids unsafe code, and
//! nothing that arrives can make it panic.
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_structs, clippy::exhaustive_enums)]
#![expect(
    clippy::result_large_err,
    reason = "a failure carries the frame owed to the peer; boxing it would allocate for an unauthenticated one"
)]

extern crate alloc;

mod acceptor;
mod app;
mod authenticated;
mod binding;
mod cluster;
mod control;
mod dialer;
mod dialer_config;
mod dialer_reject;
pub mod disabled;
mod fresh;
mod key;
mod key_bytes;
mod late_reject;
mod local;
mod mac;
mod policy;
mod records;
mod reject_frame;
mod rejected;
mod ring;
mod roster;
mod secret;
mod session;
mod ticket;

pub use acceptor::{Acceptor, AcceptorConfig, Availability, AwaitFinish, AwaitHello, Verified};
pub use app::{App, InvalidApp};
pub use authenticated::{Authenticated, Authentication, Peer, Side};
pub use binding::ChannelBinding;
pub use cluster::cluster_id;
pub use control::{ControlError, ControlMessage};
pub use dialer::{AwaitChallenge, DialError, DialFailed, Dialer};
pub use dialer_config::{DialTarget, DialerConfig};
pub use fresh::{EphemeralSecret, Fresh, Nonce};
pub use key::Key;
pub use late_reject::PeerReject;
pub use local::Local;
pub use policy::{FlagPolicy, settings_of};
pub use records::{
    RECORD_CIPHERTEXT_MAX, RECORD_HEAD_LEN, RECORD_OVERHEAD, RECORD_TAG_LEN, RecordError, RecordOpener,
    RecordSealer,
};
pub use rejected::{AcceptFailed, Rejected, Rejection};
pub use ring::KeyRing;
pub use roster::Roster;
pub use secret::{SECRET_LEN_MIN, Secret, SecretTooShort};
pub use session::{ExportedKey, NoSessionKey, Receiving, ReceivingControl, Sending, SendingControl, Session};
pub use ticket::{
    IssueError, Redemption, TICKET_LEN, Ticket, TicketBinding, TicketError, TicketIssuer, TicketRedeemer,
    TicketTerms,
};

pub use replink_frame as frame;
