//! `pairwise`: keys that each stand between two replicas only (K-3).

use std::path::Path;
use std::sync::Arc;

use replink_frame::ReplicaId;
use replink_handshake::{Key, KeyRing};

use super::findings::Findings;
use super::nodes::Members;
use super::pair_file::{PairFile, PairKey};
use super::secrets::{Held, SecretSource, Surroundings};

/// Whose pair secrets a configuration has.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Pairwise {
    /// The replica that the file belongs to. No other one can run with this configuration.
    pub replica: ReplicaId,
    /// Replicas that the file has secrets for and that are not in `cluster.nodes`. No key is made
    /// of these.
    pub unused: Vec<ReplicaId>,
}

pub(super) const CURE: &str = "must be a string with the path of this replica's file of pair secrets";

/// The ring of the file at `path`, with shared keys behind it that are `accepted` too.
pub(super) fn ring(path: &Path, accepted: Vec<Key>, surroundings: &Surroundings<'_>) -> Option<Held> {
    let &Surroundings { members, findings, .. } = surroundings;
    let (bytes, path) = surroundings.read_file("pairwise", path, CURE)?;
    let file = match PairFile::parse(&bytes, surroundings.app) {
        Ok(file) => file,
        Err(mistakes) => {
            for mistake in mistakes {
                findings.in_file(&path, mistake.line, mistake.problem, mistake.cure);
            }
            return None;
        }
    };
    let source = SecretSource::Pairwise(path);
    let has = |id| file.keys.iter().any(|key| key.peer == id);
    check(file.replica, has, members, Some(&source), findings);
    let (keys, unused): (Vec<_>, Vec<_>) = file.keys.into_iter().partition(|key| !members.lacks(key.peer));
    let mut keys = keys.into_iter().map(|held| held.key).chain(accepted);
    let ring = Arc::new(KeyRing::new(keys.next()?, keys));
    let pairwise = Pairwise { replica: file.replica, unused: peers(&unused) };
    Some(Held { ring, source, pairwise: Some(pairwise) })
}

/// Whether these are the pair secrets that the cluster needs: those of replica `owner`, where `has` says for
/// which others there are some.
pub(super) fn check(
    owner: ReplicaId,
    has: impl Fn(ReplicaId) -> bool,
    members: &Members<'_>,
    source: Option<&SecretSource>,
    findings: &Findings<'_>,
) {
    let other = match members.replica {
        Some(replica) if replica != owner => Some(format!("and cluster.replica_id is {replica}")),
        _ if members.lacks(owner) => Some("which is not the id of any of cluster.nodes".to_owned()),
        _ => None,
    };
    if let Some(other) = other {
        let cure = match source {
            Some(SecretSource::Pairwise(path)) => {
                format!("must name this replica's own file, which {} is not", path.display())
            }
            _ => "must name this replica's own file".to_owned(),
        };
        findings.about("pairwise", format!("names the file of replica {owner}, {other}"), cure);
    }
    // A replica without a secret could never be reached, and nobody would know why.
    let others: Vec<_> = members.nodes.iter().map(|node| node.id).filter(|&id| id != owner).collect();
    let missing: Vec<_> = others.iter().filter(|&&id| !has(id)).map(ToString::to_string).collect();
    if !missing.is_empty() {
        let problem = format!("names a file without a secret for replica {}", missing.join(", "));
        let cure = "must name one with a line for each other replica of cluster.nodes";
        findings.about("pairwise", problem, cure);
    } else if members.all_read && others.is_empty() {
        let problem = "has no pairs, for the cluster has one replica";
        findings.about("pairwise", problem, "use shared_secret_file instead");
    }
}

/// Each one once.
fn peers(keys: &[PairKey]) -> Vec<ReplicaId> {
    let mut peers: Vec<_> = keys.iter().map(|key| key.peer).collect();
    peers.sort_unstable();
    peers.dedup();
    peers
}
