//! `serve --metrics`: what a node shows of itself, for Prometheus to scrape, and for those who keep it running.

mod exposition;
mod health;
mod http;
mod process;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use replink_transport::node::Handle;
use replink_transport::security::is_public;

use crate::logging;
use crate::output::Output;
use crate::serve::Running;
use exposition::Snapshot;
use http::Pages;

/// A port where the pages are to be served, all by one thread.
pub(crate) struct MetricsServer(TcpListener);

impl MetricsServer {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).map(Self)
    }

    /// What an operator should know of where it listens.
    pub(crate) fn warning(&self) -> Option<String> {
        let address = self.0.local_addr().ok()?;
        let ip = address.ip().to_canonical();
        let from = if ip.is_unspecified() {
            "all of this machine's addresses"
        } else if is_public(ip) {
            "a public address"
        } else {
            return None;
        };
        Some(format!(
            "metrics are served on {from}, {address}, to whoever connects: give --metrics an address of loopback or \
             of a network for management"
        ))
    }

    /// Serves until the process ends.
    pub(crate) fn start(self, handle: Handle, running: Running, events: Output) -> io::Result<()> {
        tracing::info!(address = %self.0.local_addr()?, "serving metrics");
        let pages = Arc::new(NodePages { handle, running, events });
        let serve = move || {
            if let Err(error) = http::serve(self.0, &pages) {
                tracing::error!("metrics are not served any more: {error}");
            }
        };
        thread::Builder::new().name("metrics".to_owned()).spawn(serve).map(drop)
    }
}

/// What a node shows.
struct NodePages {
    handle: Handle,
    running: Running,
    events: Output,
}

impl Pages for NodePages {
    fn metrics(&self) -> String {
        exposition::text(Snapshot {
            stats: self.handle.stats(),
            replica: self.handle.replica(),
            in_force: self.running.get(),
            events_dropped: self.events.dropped(),
            log_lines_dropped: logging::output().map_or(0, Output::dropped),
            process: process::Usage::now(),
        })
    }

    fn healthy(&self) -> Result<(), String> {
        health::healthy(&self.handle.stats(), &self.running.get())
    }

    fn ready(&self) -> Result<(), String> {
        health::ready(&self.handle.stats(), &self.running.get())
    }
}
