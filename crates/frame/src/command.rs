use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What a frame is for: one byte of the header, open to every value.
///
/// The transport understands the handshake and control commands; all others it carries
/// without understanding them. The VSR names are a convenience for embedders.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Hash, Default,
)]
#[repr(transparent)]
#[expect(clippy::exhaustive_structs, reason = "a number on the wire")]
pub struct Command(pub u8);

/// Who a [`Command`] belongs to; every one of the 256 values is in exactly one class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "each match has to say what a new class means to it")]
pub enum CommandClass {
    /// `0`: never valid on a link.
    Reserved,
    /// The three handshake frames, valid only in the handshake (but for H-9).
    Handshake,
    /// `LinkPing`, `LinkPong`, `LinkGoodbye`: version 2 control frames.
    Control,
    /// `248..=255` without a meaning yet: kept for the transport.
    TransportReserved,
    /// The embedder's, carried untouched.
    Embedder,
}

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $label:literal;)*) => {
        impl Command {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// The usual name of a command that has one.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($label),)*
                    _ => None,
                }
            }
        }
    };
}

commands! {
    /// Liveness between replicas, the embedder's.
    PING = 1, "Ping";
    /// Answer to [`Command::PING`].
    PONG = 2, "Pong";
    /// Liveness of a client.
    PING_CLIENT = 3, "PingClient";
    /// Answer to [`Command::PING_CLIENT`].
    PONG_CLIENT = 4, "PongClient";
    /// A client's request.
    REQUEST = 5, "Request";
    /// The primary's proposal of an operation.
    PREPARE = 6, "Prepare";
    /// A backup's acknowledgement of a [`Command::PREPARE`].
    PREPARE_OK = 7, "PrepareOk";
    /// The answer to a client.
    REPLY = 8, "Reply";
    /// The primary's commit point.
    COMMIT = 9, "Commit";
    /// First message of a view change.
    START_VIEW_CHANGE = 10, "StartViewChange";
    /// Vote for the new view's primary.
    DO_VIEW_CHANGE = 11, "DoViewChange";
    /// The new primary's log.
    START_VIEW = 12, "StartView";
    /// A client's session ends.
    EVICTION = 13, "Eviction";
    /// First handshake frame: the dialer's nonce.
    REPLICA_HELLO = 14, "ReplicaHello";
    /// Second handshake frame: the acceptor's nonce and MAC, or a reject.
    REPLICA_CHALLENGE = 15, "ReplicaChallenge";
    /// Third handshake frame: the dialer's MAC.
    REPLICA_FINISH = 16, "ReplicaFinish";
    /// Liveness of the link itself.
    LINK_PING = 250, "LinkPing";
    /// Answer to [`Command::LINK_PING`].
    LINK_PONG = 251, "LinkPong";
    /// The sender leaves the link on purpose.
    LINK_GOODBYE = 252, "LinkGoodbye";
}

impl Command {
    /// Whose command this is.
    pub const fn class(self) -> CommandClass {
        match self.0 {
            0 => CommandClass::Reserved,
            14..=16 => CommandClass::Handshake,
            250..=252 => CommandClass::Control,
            248..=255 => CommandClass::TransportReserved,
            _ => CommandClass::Embedder,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "command {}", self.0),
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_one_class() {
        let count = |class| (0..=255).filter(|&value| Command(value).class() == class).count();
        assert_eq!(count(CommandClass::Reserved), 1);
        assert_eq!(count(CommandClass::Handshake), 3);
        assert_eq!(count(CommandClass::Control), 3);
        assert_eq!(count(CommandClass::TransportReserved), 5);
        assert_eq!(count(CommandClass::Embedder), 256 - 12);
    }
}
