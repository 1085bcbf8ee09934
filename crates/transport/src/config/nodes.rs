use std::collections::HashMap;

use replink_frame::ReplicaId;

use super::address::{self, Address};
use super::bounds::whole_number;
use super::findings::Findings;
use super::keys;
use super::reader::Table;
use crate::mesh::Role;

/// One of `[[cluster.nodes]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct NodeConfig {
    /// The replica's number in the cluster.
    pub id: ReplicaId,
    /// Where its peers reach it.
    pub address: Address,
    /// What it does in the cluster.
    pub role: Role,
}

impl NodeConfig {
    /// Replica `id`, which its peers reach at `address`.
    pub fn new(id: ReplicaId, address: impl Into<Address>, role: Role) -> Self {
        Self { id, address: address.into(), role }
    }
}

/// What somebody said about a node, in a file or in code.
#[derive(Clone, Default, Debug)]
pub(super) struct GivenNode {
    /// Nothing if it could not be read.
    pub(super) id: Option<ReplicaId>,
    /// Nothing if it could not be read.
    pub(super) address: Option<Address>,
    pub(super) role: Role,
}

impl GivenNode {
    pub(super) fn resolve(&self) -> Option<NodeConfig> {
        Some(NodeConfig { id: self.id?, address: self.address.clone()?, role: self.role })
    }
}

impl From<&NodeConfig> for GivenNode {
    fn from(node: &NodeConfig) -> Self {
        Self { id: Some(node.id), address: Some(node.address.clone()), role: node.role }
    }
}

/// What the rest of a configuration has to agree with.
pub(super) struct Members<'a> {
    pub(super) nodes: &'a [NodeConfig],
    /// Whether these are all: one that could not be read may be the one that is missed.
    pub(super) all_read: bool,
    /// `cluster.replica_id`.
    pub(super) replica: Option<ReplicaId>,
}

impl Members<'_> {
    /// Whether a replica is known not to be one of them.
    pub(super) fn lacks(&self, id: ReplicaId) -> bool {
        self.all_read && !self.nodes.iter().any(|node| node.id == id)
    }
}

const NODES_CURE: &str = "must be one [[cluster.nodes]] with id and address for each replica";

/// What a file says. What can't be read is reported.
pub(super) fn read(cluster: &Table<'_>) -> Vec<GivenNode> {
    let Some(list) = cluster.entry("nodes") else {
        cluster.report_missing("nodes", NODES_CURE);
        return Vec::new();
    };
    let entries = list.list(NODES_CURE).unwrap_or_default();
    let read = |node: Option<Table<'_>>| node.map(|node| read_node(&node)).unwrap_or_default();
    entries.iter().map(|entry| read(entry.table(&keys::NODE))).collect()
}

fn read_node(node: &Table<'_>) -> GivenNode {
    let cure = whole_number(0, u8::MAX);
    let required = |key, cure: &str| {
        let entry = node.entry(key);
        if entry.is_none() {
            node.report_missing(key, cure);
        }
        entry
    };
    let id = required("id", &cure).and_then(|entry| entry.integer(&cure)).map(ReplicaId);
    let address = required("address", address::CURE).and_then(|entry| address::read(&entry));
    let role = node.entry("role").and_then(|entry| entry.word("must be \"voter\" or \"standby\"", role));
    GivenNode { id, address, role: role.unwrap_or_default() }
}

/// The role that `cluster.toml` has this word for.
fn role(word: &str) -> Option<Role> {
    [Role::Voter, Role::Standby].into_iter().find(|role| role.as_str() == word)
}

/// Whether there can be such a cluster.
pub(super) fn check(nodes: &[GivenNode], replica: Option<ReplicaId>, findings: &Findings<'_>) {
    if nodes.is_empty() {
        findings.conflict(["nodes"], "is an empty list", NODES_CURE);
    }
    let (mut ids, mut addresses) = (HashMap::new(), HashMap::new());
    for (index, node) in nodes.iter().enumerate() {
        if let Some(id) = node.id {
            let key = format!("nodes[{index}].id");
            if let Some(other) = ids.insert(id, key.clone()) {
                let problem = format!("is {id}, as in {}", place(&other, findings));
                findings.about(&key, problem, "must be an id of its own");
            }
        }
        if let Some(address) = &node.address {
            let key = format!("nodes[{index}].address");
            if !address.is_dialable() {
                let cure = "must be where peers reach the replica; what to bind goes into cluster.listen";
                findings.about(&key, "has an address or a port that no peer can connect to", cure);
            }
            if let Some(other) = addresses.insert(address.canonical(), key.clone()) {
                let problem = format!("is the address in {} too", place(&other, findings));
                findings.about(&key, problem, "must be an address of its own");
            }
        }
    }
    check_replica(nodes, replica, findings);
}

/// A node that could not be read may be the one that is meant.
fn check_replica(nodes: &[GivenNode], replica: Option<ReplicaId>, findings: &Findings<'_>) {
    let ids: Option<Vec<_>> = nodes.iter().map(|node| node.resolve().map(|node| node.id)).collect();
    let (Some(id), Some(ids)) = (replica, ids.filter(|ids| !ids.is_empty())) else { return };
    if !ids.contains(&id) {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let problem = format!("is {id}, which is not the id of any of cluster.nodes");
        findings.about("replica_id", problem, format!("must be one of {}", ids.join(", ")));
    }
}

/// Where a key is, to be read by somebody who has the file, or the code.
fn place(key: &str, findings: &Findings<'_>) -> String {
    findings.line(key).map_or_else(|| format!("cluster.{key}"), |line| format!("line {line}"))
}
