//! `serve --metrics`: what a node shows of itself, for Prometheus to scrape.

mod exposition;
mod http;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use replink_transport::node::Handle;

/// How long to wait after connections could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// A port where `/metrics` is to be served. One thread serves one connection after the other: the
/// others wait in the system's queue, and each has little time.
pub(crate) struct MetricsServer(TcpListener);

impl MetricsServer {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).map(Self)
    }

    /// Serves until the process ends.
    pub(crate) fn start(self, handle: Handle) -> io::Result<()> {
        tracing::info!(address = %self.0.local_addr()?, "serving metrics");
        thread::Builder::new().name("metrics".to_owned()).spawn(move || self.serve(&handle)).map(drop)
    }

    fn serve(&self, handle: &Handle) {
        loop {
            match self.0.accept() {
                Ok((stream, address)) => {
                    let metrics = || exposition::text(&handle.stats(), handle.replica());
                    if let Err(error) = http::serve(&stream, metrics) {
                        tracing::debug!(%address, "metrics: {error}");
                    }
                }
                Err(error) => {
                    tracing::warn!("metrics: can't accept connections: {error}");
                    thread::sleep(ACCEPT_AGAIN);
                }
            }
        }
    }
}
