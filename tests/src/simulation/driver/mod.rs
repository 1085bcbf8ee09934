//! The production code's view of the virtual network: one driver for each shard.

mod socket;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use replink_handshake::{EphemeralSecret, Fresh, Nonce};
use replink_transport::EntropyError;
use replink_transport::driver::{Completion, Departures, Driver, Registration, Released, Token, Waker};
use replink_transport::memory::{Block, ReceiveMemory, SendBatch};

pub(super) use self::socket::{SimListener, SimSocket};

use super::network::{DriverId, Found, HostId, Network, ProcessId, State};
use crate::random::Random;

/// Moves the bytes of one shard over the virtual network. Never waits: the scheduler polls a shard
/// when there is something for it.
///
/// It panics when the shard breaks a rule of the seam.
#[derive(Debug)]
pub(super) struct SimDriver {
    network: Network,
    host: HostId,
    process: ProcessId,
    id: DriverId,
    random: Random,
    departures: Arc<Departures>,
}

impl SimDriver {
    pub(super) fn new(network: &Network, host: HostId, process: ProcessId) -> Self {
        let mut state = network.lock();
        let (id, random) = (state.add_driver(process), Random::new(state.random.number()));
        drop(state);
        Self { network: network.clone(), host, process, id, random, departures: Arc::default() }
    }

    pub(super) fn id(&self) -> DriverId {
        self.id
    }

    /// Does `work`, once everything is unregistered that was dropped.
    fn with<T>(&self, work: impl FnOnce(&mut State, DriverId) -> T) -> T {
        let mut state = self.network.lock();
        state.depart(self.id, self.departures.take());
        state.unregister_departed(self.id);
        work(&mut state, self.id)
    }

    /// Makes sockets. The lock is free again: one that is dropped takes it.
    fn with_socket(&self, completion: Completion<Found>) -> Completion<SimSocket> {
        let socket = |(end, peer)| SimSocket::new(&self.network, self.process, end, peer);
        match completion {
            Completion::Accepted { token, result } => Completion::Accepted {
                token,
                result: result.map(|(found, address)| (socket(found), address)),
            },
            Completion::Connected { token, result } => {
                Completion::Connected { token, result: result.map(socket) }
            }
            Completion::Received { token, memory, result } => Completion::Received { token, memory, result },
            Completion::Sent { token, batch, result } => Completion::Sent { token, batch, result },
        }
    }
}

impl Driver for SimDriver {
    type Socket = SimSocket;
    type Listener = SimListener;

    fn waker(&self) -> Waker {
        let (network, id) = (self.network.clone(), self.id);
        Arc::new(move || network.lock().wake(id))
    }

    fn now(&self) -> Instant {
        self.network.lock().instant()
    }

    fn random(&mut self) -> u64 {
        self.random.number()
    }

    fn fresh(&mut self) -> Result<Fresh, EntropyError> {
        let ephemeral = EphemeralSecret::new(self.random.array());
        loop {
            if let Some(nonce) = Nonce::new(self.random.array()) {
                return Ok(Fresh::new(nonce, ephemeral));
            }
        }
    }

    fn listen(&mut self, token: Token, listener: &SimListener) -> io::Result<Registration> {
        self.with(|state, id| state.register_listener(id, token, listener.place()));
        Ok(Registration::new(token, &self.departures))
    }

    fn accept(&mut self, token: Token, at_most: usize) {
        self.with(|state, id| state.begin_accept(id, token, at_most));
    }

    fn connect(
        &mut self,
        token: Token,
        address: SocketAddr,
        source: Option<IpAddr>,
    ) -> io::Result<Registration> {
        let host = self.host;
        self.with(|state, id| state.register_connect(id, token, (host, source), address))?;
        Ok(Registration::new(token, &self.departures))
    }

    fn register(&mut self, token: Token, socket: &SimSocket) -> io::Result<Registration> {
        self.with(|state, id| state.register_connection(id, token, socket.end()))?;
        Ok(Registration::new(token, &self.departures))
    }

    fn receive(&mut self, token: Token, memory: Option<ReceiveMemory>, at_most: usize) {
        self.with(|state, id| state.begin_receive(id, token, memory, at_most));
    }

    fn send(&mut self, token: Token, batch: SendBatch) {
        self.with(|state, id| state.begin_send(id, token, batch));
    }

    fn recycle(&mut self, block: Block) {
        self.with(|state, id| state.recycle(id, block));
    }

    fn wait(&mut self, _: Option<Duration>, arrived: &mut Vec<Token>) -> io::Result<()> {
        self.with(|state, id| state.wait(id, arrived));
        Ok(())
    }

    fn next(&mut self) -> Option<Completion<SimSocket>> {
        let found = self.with(State::next_completion)?;
        Some(self.with_socket(found))
    }

    fn next_received(&mut self) -> Option<Completion<SimSocket>> {
        let found = self.with(State::next_received)?;
        Some(self.with_socket(found))
    }

    fn release(&mut self, registration: Registration) -> Released {
        let token = registration.into_token();
        self.with(|state, id| state.release(id, token))
    }

    fn is_busy(&self) -> bool {
        let mut state = self.network.lock();
        // The next wait unregisters them.
        state.depart(self.id, self.departures.take());
        state.is_busy(self.id)
    }
}

impl Drop for SimDriver {
    fn drop(&mut self) {
        self.network.lock().remove_driver(self.id);
    }
}
