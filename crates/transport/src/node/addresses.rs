//! Where the replicas are.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use replink_frame::ReplicaId;

use crate::config::{Address, Config};

/// Looks a name up, for as long as that takes.
pub(super) type Resolver = Arc<dyn Fn(&Address) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// The operating system's.
pub(super) fn system_resolver() -> Resolver {
    Arc::new(|name| Ok(name.to_socket_addrs()?.collect()))
}

/// The socket addresses of the other replicas, as far as they are known: a name has to be looked up first, and may
/// stand for others later.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Addresses(BTreeMap<ReplicaId, Known>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Known {
    configured: Address,
    found: Vec<SocketAddr>,
}

impl Addresses {
    /// What `config` says. A name stands for what it stood for in `before`.
    pub(super) fn configured(config: &Config, local: ReplicaId, before: &Self) -> Self {
        let others = config.nodes.iter().filter(|node| node.id != local);
        let known = others.map(|node| {
            let configured = node.address.clone();
            let found = match (&configured, before.0.get(&node.id)) {
                (Address::Ip(address), _) => vec![*address],
                (name, Some(before)) if *name == before.configured => before.found.clone(),
                _ => Vec::new(),
            };
            (node.id, Known { configured, found })
        });
        Self(known.collect())
    }

    /// The replicas that have a name for an address.
    pub(super) fn named(&self) -> impl Iterator<Item = ReplicaId> {
        self.0.iter().filter(|(_, known)| is_name(&known.configured)).map(|(&replica, _)| replica)
    }

    /// The name of `replica`, if it has one.
    pub(super) fn name(&self, replica: ReplicaId) -> Option<&Address> {
        self.0.get(&replica).map(|known| &known.configured).filter(|address| is_name(address))
    }

    /// The `name` of `replica` was looked up. Whether it stands for something else than before.
    pub(super) fn found(&mut self, replica: ReplicaId, name: &Address, found: Vec<SocketAddr>) -> bool {
        let known = self.0.get_mut(&replica).filter(|known| known.configured == *name);
        known.is_some_and(|known| {
            let other = known.found != found;
            known.found = found;
            other
        })
    }

    /// Where `replica` is; nothing if that is not known.
    pub(super) fn of(&self, replica: ReplicaId) -> &[SocketAddr] {
        self.0.get(&replica).map_or(&[], |known| &known.found)
    }

    /// The addresses that replicas connect from: one that several share as often as there are.
    pub(super) fn roster(&self) -> Vec<IpAddr> {
        let of_one = |found: &[SocketAddr]| found.iter().map(SocketAddr::ip).collect::<BTreeSet<_>>();
        self.0.values().flat_map(|known| of_one(&known.found)).collect()
    }
}

fn is_name(address: &Address) -> bool {
    matches!(address, Address::Name { .. })
}
