//! Where the replicas are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use replink_frame::ReplicaId;

use crate::config::{Address, Config};

/// The socket addresses of the other replicas.
///
/// To look names up takes its time, and is done where the embedder waits anyway: when the node is
/// bound, when it is reloaded, and when it is asked to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Addresses(BTreeMap<ReplicaId, Vec<SocketAddr>>);

impl Addresses {
    /// Looks all of them up. A name that can't be looked up just now stands for what it stood for
    /// in `before`.
    pub(super) fn look_up(config: &Config, local: ReplicaId, before: &Self) -> Self {
        let others = config.nodes.iter().filter(|node| node.id != local);
        let addresses = others.map(|node| {
            let found = match &node.address {
                Address::Ip(address) => vec![*address],
                name @ Address::Name { .. } => match name.to_socket_addrs() {
                    Ok(found) => found.collect(),
                    Err(error) => {
                        tracing::warn!(peer = %node.id, "can't look up {name}: {error}");
                        before.of(node.id).to_vec()
                    }
                },
            };
            (node.id, found)
        });
        Self(addresses.collect())
    }

    /// Addresses that are known without a look-up.
    #[cfg(test)]
    pub(super) fn known(addresses: BTreeMap<ReplicaId, Vec<SocketAddr>>) -> Self {
        Self(addresses)
    }

    /// Where `replica` is; nothing if that is not known.
    pub(super) fn of(&self, replica: ReplicaId) -> &[SocketAddr] {
        self.0.get(&replica).map_or(&[], Vec::as_slice)
    }

    /// The addresses that replicas connect from.
    pub(super) fn roster(&self) -> BTreeSet<IpAddr> {
        self.0.values().flatten().map(SocketAddr::ip).collect()
    }
}
