//! The frame that travels on a replica link: a 256-byte header and an optional body.
//!
//! Everything here is a *view* of bytes. [`GenericHeader`] is little-endian with
//! alignment 1, so any 256 bytes are a header, in place and without a copy; what the
//! bytes mean is decided by the typed views:
//!
//! | bytes with command | are read as | rule |
//! |---|---|---|
//! | `ReplicaHello`, `ReplicaChallenge`, `ReplicaFinish` | [`Hello`], [`Challenge`], [`Finish`] | H-10 |
//! | `LinkPing`, `LinkPong`, `LinkGoodbye` | [`ControlFrame`] | section 4 |
//! | everything else | [`ReplicatedHeader`] | F-1, F-3 |
//!
//! The types do not convert into one another: a handshake frame can never be mistaken
//! for a replicated one. Rules are cited as in `docs/protocol.md`.
//!
//! The crate is `no_std`, never allocates, never panics on input, and holds no secret.
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_structs, clippy::exhaustive_enums)]

mod cluster;
mod command;
mod control;
mod error;
mod flags;
mod handshake;
mod header;
mod replicated;
mod status;
mod version;

pub use cluster::{ClusterId, ReplicaId};
pub use command::{Command, CommandClass};
pub use control::{ControlFields, ControlFrame, GoodbyeReason};
pub use error::{FrameError, HandshakeFrameError};
pub use flags::Flags;
pub use handshake::{Challenge, Finish, HandshakeFields, Hello, KeyId};
pub use header::{GenericHeader, HEADER_SIZE, RESERVED_COMMAND_OFFSET, RESERVED_FRAME_OFFSET};
pub use replicated::ReplicatedHeader;
pub use status::Status;
pub use version::Version;
