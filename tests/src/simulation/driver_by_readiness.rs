//! The production code's view of the virtual network: one driver for each shard.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use replink_handshake::{EphemeralSecret, Fresh, Nonce};
use replink_transport::driver::seam;
use replink_transport::driver::{Driver, Readiness, Reception, Stream, Token, Waker};
use replink_transport::{EntropyError, GatherWrite, Inbound, READ_AHEAD_SIZE};

use super::network::{DriverId, EndId, HostId, Network, ProcessId};
use crate::random::Random;

/// Moves the bytes of one shard over the virtual network. Never waits: the scheduler polls a shard
/// when there is something for it.
#[derive(Debug)]
pub(super) struct ReadinessDriver {
    network: Network,
    host: HostId,
    process: ProcessId,
    poller: DriverId,
    random: Random,
}

/// One end of a virtual connection, in somebody's hands.
#[derive(Debug)]
pub(super) struct ReadinessStream {
    network: Network,
    process: ProcessId,
    end: EndId,
    peer: SocketAddr,
}

/// An open port.
#[derive(Debug)]
pub(super) struct ReadinessListener {
    network: Network,
    host: HostId,
    number: u64,
}

impl ReadinessDriver {
    pub(super) fn new(network: &Network, host: HostId, process: ProcessId) -> Self {
        let mut state = network.lock();
        let (poller, random) = (state.add_poller(), Random::new(state.random.number()));
        drop(state);
        Self { network: network.clone(), host, process, poller, random }
    }

    pub(super) fn poller(&self) -> DriverId {
        self.poller
    }

    fn stream(&self, end: EndId, peer: SocketAddr) -> ReadinessStream {
        self.network.lock().take_hold(self.process);
        ReadinessStream { network: self.network.clone(), process: self.process, end, peer }
    }
}

impl ReadinessListener {
    pub(super) fn new(network: &Network, host: HostId, process: ProcessId) -> Self {
        let number = network.lock().listen(host, Some(process));
        Self { network: network.clone(), host, number }
    }
}

impl Driver for ReadinessDriver {
    type Stream = ReadinessStream;
    type Listener = ReadinessListener;

    fn waker(&self) -> Waker {
        let (network, poller) = (self.network.clone(), self.poller);
        Arc::new(move || network.lock().wake(poller))
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
                return Ok(Fresh { nonce, ephemeral });
            }
        }
    }

    fn wait(&mut self, _: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        ready.append(&mut self.network.lock().take_ready(self.poller));
        Ok(())
    }

    fn watch(&mut self, token: Token, stream: &ReadinessStream) -> io::Result<()> {
        self.network.lock().watch(self.poller, self.process, seam::Token(token.0), stream.end);
        Ok(())
    }

    fn unwatch(&mut self, stream: &ReadinessStream) {
        self.network.lock().unwatch(stream.end);
    }

    fn watch_listener(&mut self, token: Token, listener: &ReadinessListener) -> io::Result<()> {
        self.network.lock().watch_listener(listener.host, self.poller, seam::Token(token.0));
        Ok(())
    }

    fn unwatch_listener(&mut self, listener: &ReadinessListener) {
        self.network.lock().unwatch_listener(listener.host);
    }

    fn accept(&mut self, listener: &ReadinessListener) -> io::Result<(ReadinessStream, SocketAddr)> {
        let (end, address) = self.network.lock().accept(listener.host)?;
        Ok((self.stream(end, address), address))
    }

    fn connect(&mut self, address: SocketAddr) -> io::Result<ReadinessStream> {
        let end = self.network.lock().connect(Some(self.process), self.host, address)?;
        Ok(self.stream(end, address))
    }

    fn connected(&mut self, stream: &ReadinessStream) -> io::Result<()> {
        self.network.lock().connected(stream.end)
    }

    fn read(&mut self, stream: &ReadinessStream, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.network.lock();
        let len = state.readable(stream.end, buffer.len())?;
        if len == 0 {
            return Ok(0);
        }
        Ok(state.read(stream.end, len, |bytes| {
            buffer[..len].copy_from_slice(bytes);
            len
        }))
    }

    fn receive(&mut self, stream: &ReadinessStream, inbound: &mut Inbound) -> io::Result<Reception> {
        let mut state = self.network.lock();
        let len = state.readable(stream.end, READ_AHEAD_SIZE)?;
        if len == 0 {
            return Ok(Reception { bytes: 0, drained: false });
        }
        match state.read(stream.end, len, |bytes| inbound.push(bytes)) {
            0 => Err(io::ErrorKind::ResourceBusy.into()),
            bytes => Ok(Reception { bytes, drained: false }),
        }
    }
}

impl GatherWrite for ReadinessStream {
    fn write_gathered(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.network.lock().write_directly(self.end, slices)
    }
}

impl Stream for ReadinessStream {
    fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    fn set_user_timeout(&self, timeout: Duration) {
        self.network.lock().set_user_timeout(self.end, timeout);
    }

    fn finish(&self) {
        self.network.lock().finish(self.end);
    }

    fn shutdown(&self) {
        self.network.lock().shutdown(self.end);
    }
}

impl Drop for ReadinessStream {
    fn drop(&mut self) {
        let mut state = self.network.lock();
        state.close(self.end);
        state.let_go(self.process);
    }
}

impl Drop for ReadinessListener {
    fn drop(&mut self) {
        self.network.lock().close_listener(self.host, self.number);
    }
}
