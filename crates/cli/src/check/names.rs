//! What the names of a configuration stand for, on this machine and now.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use replink_transport::config::{Address, Config};
use replink_transport::frame::ReplicaId;

/// How long all look-ups may take together: longer than a name server that is asked a second time.
const TIME: Duration = Duration::from_secs(10);

/// Names that were looked up, each with what it stands for, or why that is not known.
#[derive(Default)]
pub(super) struct Names(Vec<(Address, Result<Vec<SocketAddr>, String>)>);

impl Names {
    /// Looks up every name of `config`, all of them beside each other.
    pub(super) fn look_up(config: &Config, replica: Option<ReplicaId>) -> Self {
        let listen = replica.and_then(|replica| config.listen_address(replica));
        let addresses = config.nodes.iter().map(|node| &node.address).chain(listen);
        let mut names: Vec<(Address, _)> = Vec::new();
        for name in addresses.filter(|address| matches!(address, Address::Name { .. })) {
            if !names.iter().any(|(known, _)| known == name) {
                names.push((name.clone(), Err(format!("no answer within {} s", TIME.as_secs()))));
            }
        }
        let (found, answers) = channel();
        for (index, (name, _)) in names.iter().enumerate() {
            let (name, found) = (name.clone(), found.clone());
            // One that goes on after its time ends with the command.
            thread::spawn(move || {
                let addresses = name.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
                found.send((index, addresses.map_err(|error| error.to_string())))
            });
        }
        drop(found);
        let deadline = Instant::now() + TIME;
        loop {
            match answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((index, answer)) => names[index].1 = answer,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Self(names),
            }
        }
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
