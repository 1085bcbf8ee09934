//! What each role may send in the clusters that this command runs.

use replink_transport::frame::Command;
use replink_transport::mesh::CommandPolicy;
use replink_transport::mesh::Role;

/// What leads or votes in viewstamped replication. A standby does neither: it takes in and
/// acknowledges.
const LEADING_OR_VOTING: [Command; 5] = [
    Command::PREPARE,
    Command::COMMIT,
    Command::START_VIEW_CHANGE,
    Command::DO_VIEW_CHANGE,
    Command::START_VIEW,
];

/// A voter may send everything, a standby nothing that leads or votes.
pub(crate) fn command_policy() -> CommandPolicy {
    LEADING_OR_VOTING
        .into_iter()
        .fold(CommandPolicy::default(), |policy, command| policy.deny(Role::Standby, command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_acknowledges_and_does_not_lead() {
        let policy = command_policy();
        for command in (1..248).map(Command) {
            let leads = [6, 9, 10, 11, 12].contains(&command.0);
            assert_eq!(policy.permits(Role::Standby, command), !leads, "{command}");
            assert!(policy.permits(Role::Voter, command));
        }
    }
}
