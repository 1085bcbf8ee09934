use std::collections::HashMap;

use replink_frame::ReplicaId;

use super::address::{self, Address};
use super::keys;
use super::reader::Table;
use crate::mesh::Role;

/// One of `[[cluster.nodes]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeConfig {
    /// The replica's number in the cluster.
    pub id: ReplicaId,
    /// Where its peers reach it.
    pub address: Address,
    /// What it does in the cluster.
    pub role: Role,
}

/// The role that `cluster.toml` has this word for.
fn role(word: &str) -> Option<Role> {
    [Role::Voter, Role::Standby].into_iter().find(|role| role.as_str() == word)
}

/// What the rest of the file has to agree with.
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

/// The nodes that could be read, and whether those are all.
pub(super) fn read(cluster: &Table<'_>) -> (Vec<NodeConfig>, bool) {
    let cure = "must be one [[cluster.nodes]] with id and address for each replica";
    let Some(list) = cluster.entry("nodes") else {
        cluster.report_missing("nodes", cure);
        return (Vec::new(), false);
    };
    let entries = list.list(cure).unwrap_or_default();
    if entries.is_empty() && !list.is_reported() {
        list.report("is an empty list", cure);
    }
    let tables: Vec<_> = entries.iter().filter_map(|entry| entry.table(&keys::NODE)).collect();
    let mut seen = Seen::default();
    let nodes: Vec<_> = tables.iter().filter_map(|node| read_node(node, &mut seen)).collect();
    let all_read = nodes.len() == entries.len() && !nodes.is_empty();
    (nodes, all_read)
}

/// The lines of what has to be there once.
#[derive(Default)]
struct Seen {
    ids: HashMap<ReplicaId, u32>,
    addresses: HashMap<Address, u32>,
}

fn read_node(node: &Table<'_>, seen: &mut Seen) -> Option<NodeConfig> {
    let id = read_id(node, &mut seen.ids);
    let address = read_address(node, &mut seen.addresses);
    let role = node.entry("role").and_then(|entry| entry.word("must be \"voter\" or \"standby\"", role));
    Some(NodeConfig { id: id?, address: address?, role: role.unwrap_or_default() })
}

fn read_id(node: &Table<'_>, seen: &mut HashMap<ReplicaId, u32>) -> Option<ReplicaId> {
    let Some(entry) = node.entry("id") else {
        node.report_missing("id", "must be a whole number from 0 to 255");
        return None;
    };
    let id = ReplicaId(entry.integer(0, u8::MAX)?);
    if let Some(line) = seen.insert(id, entry.line()) {
        entry.report(format!("is {id}, as in line {line}"), "must be an id of its own");
    }
    Some(id)
}

fn read_address(node: &Table<'_>, seen: &mut HashMap<Address, u32>) -> Option<Address> {
    let Some(entry) = node.entry("address") else {
        node.report_missing("address", address::CURE);
        return None;
    };
    let address = entry.word(address::CURE, Address::from_text)?;
    if !address.is_dialable() {
        let cure = "must be where peers reach the replica; what to bind goes into cluster.listen";
        entry.report("has an address or a port that no peer can connect to", cure);
    }
    if let Some(line) = seen.insert(address.canonical(), entry.line()) {
        entry.report(format!("is the address in line {line} too"), "must be an address of its own");
    }
    Some(address)
}
