//! Which role may send what.

use replink_frame::{Command, CommandClass};

use super::Role;

/// Which of the embedder's commands a role may not send. By default every role may send all.
///
/// Only the embedder's own commands can be denied: handshake and control frames belong to the
/// link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CommandPolicy {
    voter: Denied,
    standby: Denied,
}

/// One bit per command.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Denied([u64; 4]);

impl CommandPolicy {
    /// The same policy, but `role` may not send `command`. Without effect on commands that are
    /// not the embedder's.
    pub fn deny(mut self, role: Role, command: Command) -> Self {
        if command.class() == CommandClass::Embedder {
            let denied = match role {
                Role::Voter => &mut self.voter,
                Role::Standby => &mut self.standby,
            };
            denied.0[usize::from(command.0 >> 6)] |= 1 << (command.0 & 63);
        }
        self
    }

    /// Whether there is anything that some role may not send.
    pub fn is_restricted(&self) -> bool {
        *self != Self::default()
    }

    /// Whether `role` may send `command`.
    pub fn permits(&self, role: Role, command: Command) -> bool {
        let denied = match role {
            Role::Voter => &self.voter,
            Role::Standby => &self.standby,
        };
        denied.0[usize::from(command.0 >> 6)] & (1 << (command.0 & 63)) == 0
    }
}
