use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use replink_transport::config::{Address, Config};
use replink_transport::frame::ReplicaId;

use super::Shared;

/// How often to look names up again, and how soon after a reload the roster is up to date.
const LOOK_UP_EVERY: Duration = Duration::from_secs(10);

/// The addresses of the other replicas.
pub(super) struct ReplicaAddresses {
    replica: ReplicaId,
    /// What names stood for when they were last looked up with success.
    names: HashMap<Address, Vec<IpAddr>>,
}

impl ReplicaAddresses {
    pub(super) fn new(replica: ReplicaId) -> Self {
        Self { replica, names: HashMap::new() }
    }

    /// The addresses that are known without looking anything up.
    pub(super) fn known(&mut self, config: &Config) -> BTreeSet<IpAddr> {
        let addresses = self.others(config);
        self.names.retain(|name, _| addresses.contains(name));
        let addresses = addresses.iter().flat_map(|address| match address {
            Address::Ip(address) => vec![address.ip()],
            Address::Name { .. } => self.names.get(address).cloned().unwrap_or_default(),
        });
        addresses.collect()
    }

    /// Keeps the roster of the gate up to date until the process ends, on a thread of its own: a
    /// resolver may take as long as it likes.
    pub(super) fn keep_up(&mut self, shared: &Arc<Shared>) {
        let mut current = BTreeSet::new();
        loop {
            let settings = shared.settings();
            self.publish(shared, &settings.config, &mut current);
            for address in self.others(&settings.config) {
                self.look_up(address);
            }
            self.publish(shared, &settings.config, &mut current);
            thread::sleep(LOOK_UP_EVERY);
        }
    }

    fn publish(&mut self, shared: &Shared, config: &Config, current: &mut BTreeSet<IpAddr>) {
        let known = self.known(config);
        if known != *current {
            shared.entrance.replace_roster(known.clone());
            *current = known;
        }
    }

    fn others(&self, config: &Config) -> Vec<Address> {
        let others = config.nodes.iter().filter(|node| node.id != self.replica);
        others.map(|node| node.address.clone()).collect()
    }

    /// A name that can't be looked up just now stands for what it stood for.
    fn look_up(&mut self, address: Address) {
        if matches!(address, Address::Ip(_)) {
            return;
        }
        if let Ok(found) = address.to_socket_addrs() {
            let found = found.map(|address| address.ip()).collect();
            self.names.insert(address, found);
        }
    }
}
