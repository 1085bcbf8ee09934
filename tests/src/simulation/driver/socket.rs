use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use replink_transport::GatherWrite;
use replink_transport::driver::Socket;

use crate::simulation::network::{EndId, HostId, Network, ProcessId};

/// One end of a virtual connection, in somebody's hands.
#[derive(Debug)]
pub(in crate::simulation) struct SimSocket {
    network: Network,
    process: ProcessId,
    end: EndId,
    peer: SocketAddr,
}

/// An open port.
#[derive(Debug)]
pub(in crate::simulation) struct SimListener {
    network: Network,
    host: HostId,
    number: u64,
}

impl SimSocket {
    /// The network has counted it already.
    pub(super) fn new(network: &Network, process: ProcessId, end: EndId, peer: SocketAddr) -> Self {
        Self { network: network.clone(), process, end, peer }
    }

    pub(in crate::simulation) fn end(&self) -> EndId {
        self.end
    }
}

impl SimListener {
    pub(in crate::simulation) fn new(network: &Network, host: HostId, process: ProcessId) -> Self {
        let number = network.lock().listen(host, Some(process));
        Self { network: network.clone(), host, number }
    }

    /// Which one it is, where.
    pub(super) fn place(&self) -> (HostId, u64) {
        (self.host, self.number)
    }
}

impl GatherWrite for SimSocket {
    fn write_gathered(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.network.lock().write_directly(self.end, slices)
    }
}

impl Socket for SimSocket {
    fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    fn keep_alive(&self) {
        self.network.lock().keep_alive(self.end);
    }

    fn unacknowledged_for(&self) -> Option<Duration> {
        self.network.lock().unacknowledged_for(self.end)
    }

    fn finish(&self) {
        self.network.lock().finish(self.end);
    }

    fn shutdown(&self) {
        self.network.lock().shutdown(self.end);
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        let mut state = self.network.lock();
        state.drop_socket(self.end);
        state.let_go(self.process);
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.network.lock().close_listener(self.host, self.number);
    }
}
