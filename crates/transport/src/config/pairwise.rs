//! `pairwise`: keys that each stand between two replicas only (K-3).

use std::path::Path;
use std::sync::Arc;

use replink_frame::ReplicaId;
use replink_handshake::KeyRing;

use super::pair_file::{PairFile, PairKey};
use super::reader::Entry;
use super::secrets::{Held, SecretReader, SecretSource};

/// Whose pair secrets a configuration has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pairwise {
    /// The replica that the file belongs to. No other one can run with this configuration.
    pub replica: ReplicaId,
    /// Replicas that the file has secrets for and that are not in `cluster.nodes`. No key is made
    /// of these.
    pub unused: Vec<ReplicaId>,
}

const CURE: &str = "must be a string with the path of this replica's file of pair secrets";

impl SecretReader<'_> {
    /// The ring of the file that `entry` names.
    pub(super) fn pair_ring(&self, entry: &Entry<'_>) -> Option<Held> {
        for key in ["accept_secret_files", "accept_secrets"] {
            if let Some(accepted) = self.auth.entry(key) {
                let problem = format!("can't be beside pairwise in line {}", entry.line());
                accepted
                    .report(problem, "must be left out: that file has further secrets in lines of their own");
            }
        }
        let (bytes, path) = self.read_file(entry, CURE)?;
        let file = match PairFile::parse(&bytes, self.app) {
            Ok(file) => file,
            Err(mistakes) => {
                for mistake in mistakes {
                    entry.report_in(&path, mistake.line, mistake.problem, mistake.cure);
                }
                return None;
            }
        };
        self.check_owner(entry, &path, file.replica);
        self.check_complete(entry, &file);
        let (keys, unused): (Vec<_>, Vec<_>) =
            file.keys.into_iter().partition(|key| !self.members.lacks(key.peer));
        let mut keys = keys.into_iter().map(|held| held.key);
        let ring = Arc::new(KeyRing::new(keys.next()?, keys));
        let pairwise = Pairwise { replica: file.replica, unused: peers(&unused) };
        Some(Held { ring, source: SecretSource::Pairwise(path), pairwise: Some(pairwise) })
    }

    fn check_owner(&self, entry: &Entry<'_>, path: &Path, owner: ReplicaId) {
        let problem = match self.members.replica {
            Some(replica) if replica != owner => {
                format!("names the file of replica {owner}, and cluster.replica_id is {replica}")
            }
            _ if self.members.lacks(owner) => {
                format!("names the file of replica {owner}, which is not the id of any of cluster.nodes")
            }
            _ => return,
        };
        entry.report(problem, format!("must name this replica's own file, which {} is not", path.display()));
    }

    /// A replica without a secret could never be reached, and nobody would know why.
    fn check_complete(&self, entry: &Entry<'_>, file: &PairFile) {
        let others = self.members.nodes.iter().map(|node| node.id).filter(|&id| id != file.replica);
        let missing = others.clone().filter(|&id| !file.keys.iter().any(|key| key.peer == id));
        let missing: Vec<_> = missing.map(|id| id.to_string()).collect();
        if !missing.is_empty() {
            let problem = format!("names a file without a secret for replica {}", missing.join(", "));
            entry.report(problem, "must name one with a line for each other replica of cluster.nodes");
        } else if self.members.all_read && others.count() == 0 {
            entry.report("has no pairs, for the cluster has one replica", "use shared_secret_file instead");
        }
    }
}

/// Each one once.
fn peers(keys: &[PairKey]) -> Vec<ReplicaId> {
    let mut peers: Vec<_> = keys.iter().map(|key| key.peer).collect();
    peers.sort_unstable();
    peers.dedup();
    peers
}
