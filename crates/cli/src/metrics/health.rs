//! Whether a node does its work, and whether it can.

use std::collections::BTreeMap;

use replink_transport::mesh::Role;
use replink_transport::node::NodeStats;

use crate::serve::InForce;

/// Every shard has turned within `heartbeat_timeout`: what does not answers no ping, and its peers give it up.
pub(super) fn healthy(stats: &NodeStats, in_force: &InForce) -> Result<(), String> {
    let stuck =
        stats.shards.iter().enumerate().find(|(_, shard)| shard.last_turn > in_force.heartbeat_timeout);
    match stuck {
        Some((index, shard)) => Err(format!("shard {index} has not turned for {:?}", shard.last_turn)),
        None => Ok(()),
    }
}

/// This replica, if it is a voter, and the voters that it has a link with are a majority of the voters.
pub(super) fn ready(stats: &NodeStats, in_force: &InForce) -> Result<(), String> {
    let mut voters = BTreeMap::new();
    for peer in stats.peers.iter().filter(|peer| peer.role == Role::Voter) {
        *voters.entry(peer.peer).or_insert(false) |= peer.up;
    }
    let own = usize::from(in_force.is_voter);
    let linked = voters.values().filter(|&&up| up).count();
    let (present, all) = (own + linked, own + voters.len());
    if 2 * present > all {
        return Ok(());
    }
    Err(format!("{present} of {all} voters are here or linked, which is no majority"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use replink_transport::frame::ReplicaId;
    use replink_transport::node::{PeerStats, ShardStats};

    use super::*;

    fn in_force(is_voter: bool) -> InForce {
        InForce {
            hash: "00".to_owned(),
            heartbeat_timeout: Duration::from_secs(5),
            is_voter,
            reloads: (0, 0),
            since: Duration::ZERO,
        }
    }

    #[test]
    fn a_shard_that_hangs_is_not_healthy() {
        let mut stats = NodeStats::default();
        stats.shards = [0, 5].map(|seconds| ShardStats::new(Duration::from_secs(seconds))).into();
        assert_eq!(healthy(&stats, &in_force(true)), Ok(()));
        stats.shards[1].last_turn = Duration::from_millis(5001);
        assert_eq!(healthy(&stats, &in_force(true)).unwrap_err(), "shard 1 has not turned for 5.001s");
    }

    #[test]
    fn a_majority_of_the_voters_is_ready() {
        // Of each case: the peers as role and whether it is up on its lanes, whether this replica is a voter.
        use Role::{Standby, Voter};
        type Peers = &'static [(Role, &'static [bool])];
        let cases: [(Peers, bool, bool); 9] = [
            (&[], true, true),
            (&[(Voter, &[false])], true, false),
            (&[(Voter, &[true])], true, true),
            (&[(Voter, &[false]), (Voter, &[false])], true, false),
            (&[(Voter, &[true]), (Voter, &[false])], true, true),
            (&[(Voter, &[false, true]), (Voter, &[false, false])], true, true),
            (&[(Voter, &[false]), (Voter, &[false]), (Standby, &[true])], true, false),
            (&[(Voter, &[true]), (Voter, &[false]), (Voter, &[false])], true, false),
            (&[(Voter, &[true]), (Voter, &[false]), (Voter, &[false])], false, false),
        ];
        for (peers, is_voter, expected) in cases {
            let mut stats = NodeStats::default();
            for (id, (role, lanes)) in (0u8..).zip(peers) {
                for (lane, &up) in (0u16..).zip(*lanes) {
                    let mut peer = PeerStats::new(ReplicaId(id), lane, *role);
                    peer.up = up;
                    stats.peers.push(peer);
                }
            }
            let found = ready(&stats, &in_force(is_voter));
            assert_eq!(found.is_ok(), expected, "{peers:?} {is_voter}: {found:?}");
        }
    }
}
