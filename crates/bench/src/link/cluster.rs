//! The configuration of replicas that are measured.

use std::io;
use std::net::TcpListener;

use replink_transport::config::{Config, ConfigBuilder, Policy};
use replink_transport::frame::ReplicaId;
use replink_transport::handshake::Secret;
use replink_transport::{Endpoint, incarnation, secret_bytes};
use zeroize::Zeroizing;

use super::ReplicaLink;
use crate::Failure;
use crate::loopback::listener;

/// Replicas on loopback with a fresh key, and their ports.
#[derive(Debug)]
pub struct Cluster {
    config: Config,
    listeners: Vec<TcpListener>,
}

impl Cluster {
    /// `replicas` replicas with `lanes` links for each pair, set as `link` says, and then by `more`.
    ///
    /// # Errors
    ///
    /// [`Failure`]; among others where the configuration asks for what is not available.
    pub fn new(
        replicas: u8,
        link: &ReplicaLink,
        lanes: u16,
        more: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
    ) -> Result<Self, Failure> {
        let listeners = (0..replicas).map(|_| listener()).collect::<io::Result<Vec<_>>>()?;
        let policy = |wanted| if wanted { Policy::Required } else { Policy::Off };
        let mut config = Config::builder("bench")
            .shared_secret(Secret::new(Zeroizing::new(secret_bytes()?.to_vec()))?)
            .sealed(policy(link.sealed))
            .forward_secrecy(policy(link.forward_secrecy))
            .lanes(lanes)
            // Half a MiB of the smallest frames, twice what is the default: the fewer the writes, the more
            // seldom is a receiver woken that has caught up.
            .send_queue_frames(2048)
            .driver(link.driver.in_config())
            .busy_poll(link.busy_poll);
        for (id, port) in (0..).zip(&listeners) {
            config = config.node(ReplicaId(id), port.local_addr()?);
        }
        Ok(Self { config: more(config).build()?, listeners })
    }

    /// What all replicas have.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How many replicas there are.
    pub fn replicas(&self) -> u8 {
        u8::try_from(self.listeners.len()).unwrap_or(u8::MAX)
    }

    /// The port of `replica`: a second handle to it.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn listener(&self, replica: u8) -> io::Result<TcpListener> {
        let port = self.listeners.get(usize::from(replica));
        port.ok_or(io::ErrorKind::NotFound)?.try_clone()
    }

    /// `replica`, for handshakes without a node.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub fn endpoint(&self, replica: u8) -> Result<Endpoint, Failure> {
        Ok(self.config.endpoint(ReplicaId(replica), 0, incarnation()?)?)
    }
}
