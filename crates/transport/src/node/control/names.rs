//! Looking up names of replicas, each on a thread of its own: a name server that does not answer keeps nobody waiting
//! but for whoever has that name.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use replink_frame::ReplicaId;

use super::{Control, Message, Turn};
use crate::config::Address;
use crate::driver::Driver;
use crate::mesh::WARN_AGAIN;
use crate::node::inbox::LookedUp;

/// A name is not looked up more often, however often its replica can't be reached.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(1);

/// Names that are being looked up or were.
#[derive(Default)]
pub(super) struct Names(HashMap<ReplicaId, State>);

struct State {
    name: Address,
    begun: Instant,
    under_way: bool,
    /// When it was said last that it failed.
    told: Option<Instant>,
}

impl<D: Driver> Control<D> {
    /// Looks up every name, whatever it stood for before.
    pub(in crate::node) fn look_up_all(&mut self, turn: &Turn<'_, D>) {
        for peer in self.addresses.named().collect::<Vec<_>>() {
            self.look_up(peer, turn.driver.now());
        }
    }

    /// Looks up the name of a replica, if it has one, and that is not under way or was done just now.
    pub(super) fn look_up(&mut self, peer: ReplicaId, now: Instant) {
        let Some(name) = self.addresses.name(peer).cloned() else { return };
        let state = self.names.0.get(&peer).filter(|state| state.name == name);
        if state.is_some_and(|state| state.under_way || now < state.begun + LOOK_UP_AGAIN) {
            return;
        }
        let told = state.and_then(|state| state.told);
        self.names.0.insert(peer, State { name: name.clone(), begun: now, under_way: true, told });
        let shared = Arc::clone(&self.shared);
        let look_up = move || {
            let result = (shared.resolver)(&name);
            shared.post.send(0, Message::LookedUp(Box::new(LookedUp { peer, name, result })));
        };
        if let Err(error) = thread::Builder::new().name("replink-names".to_owned()).spawn(look_up) {
            self.names.0.remove(&peer);
            tracing::warn!(%peer, "can't look up its name: no thread: {error}");
        }
    }

    /// A name was looked up, or could not be.
    pub(in crate::node) fn looked_up(&mut self, looked_up: LookedUp, turn: &mut Turn<'_, D>) {
        let (LookedUp { peer, name, result }, now) = (looked_up, turn.driver.now());
        // The configuration may have another one by now.
        let Some(state) = self.names.0.get_mut(&peer).filter(|state| state.name == name) else { return };
        state.under_way = false;
        match result.and_then(some) {
            Ok(found) => {
                state.told = None;
                tracing::debug!(%peer, ?found, "looked up {name}");
                if self.addresses.found(peer, &name, found) {
                    self.gate.replace_roster(self.addresses.roster());
                    self.mesh.peer_is_back(peer, now);
                }
            }
            // It stands for what it stood for before.
            Err(error) if state.told.is_none_or(|told| told + WARN_AGAIN <= now) => {
                state.told = Some(now);
                tracing::warn!(%peer, "can't look up {name}: {error}");
            }
            Err(_) => {}
        }
    }

    /// Names of a configuration that is not in force any more are forgotten.
    pub(super) fn forget_names(&mut self) {
        self.names.0.retain(|&peer, state| self.addresses.name(peer) == Some(&state.name));
    }
}

/// A name that stands for nothing was not found.
fn some(found: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
    if found.is_empty() { Err(io::Error::other("it stands for no address")) } else { Ok(found) }
}
