//! What the names of a configuration stand for.

use std::net::SocketAddr;

use replink_transport::config::{Address, Config};
use replink_transport::frame::ReplicaId;

use crate::look_up::{LOOK_UP_MAX, look_up};

/// Names that were looked up, each with what it stands for, or why that is not known.
#[derive(Default)]
pub(super) struct Names(Vec<(Address, Result<Vec<SocketAddr>, String>)>);

impl Names {
    /// Looks up every name of `config`, all of them beside each other.
    pub(super) fn look_up(config: &Config, replica: Option<ReplicaId>) -> Self {
        let listen = replica.and_then(|replica| config.listen_address(replica));
        let addresses = config.nodes.iter().map(|node| &node.address).chain(listen);
        let mut names: Vec<Address> = Vec::new();
        for name in addresses.filter(|address| matches!(address, Address::Name { .. })) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        let found = look_up(&names).into_iter().map(|answer| match answer {
            Some(found) => found.map_err(|error| error.to_string()),
            None => Err(format!("no answer within {} s", LOOK_UP_MAX.as_secs())),
        });
        Self(names.into_iter().zip(found).collect())
    }

    /// What a name stands for, if that is known.
    pub(super) fn found(&self, name: &Address) -> Option<Vec<SocketAddr>> {
        self.0.iter().find(|(known, _)| known == name).and_then(|(_, found)| found.clone().ok())
    }

    /// Those that stand for nothing that is known.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|(name, found)| match found {
            Err(error) => Some(format!("{name} can't be looked up: {error}")),
            Ok(found) if found.is_empty() => Some(format!("{name} stands for no address")),
            Ok(_) => None,
        })
    }
}
