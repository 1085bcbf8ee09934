//! Replica links, by the driver that moves their bytes.

mod blocking;
mod cluster;
mod node;
mod replicas;

use std::fmt;
use std::time::Duration;

use replink_transport::config;

use crate::{Contender, Failure, Flow, Handshakes, RoundTrips, Window};

pub use cluster::Cluster;
pub use node::{PATIENCE, connect, fill, next_frame, round_trip_between, throughput_between};
pub use replicas::Replicas;

/// What moves a link's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Driver {
    /// `replink_transport::blocking`: a thread for each direction.
    Blocking,
    /// A node's shards, with this `cluster.link.driver`.
    Node(config::DriverChoice),
}

impl Driver {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Node(config::DriverChoice::Auto),
        Self::Node(config::DriverChoice::IoUring),
        Self::Node(config::DriverChoice::Poll),
        Self::Blocking,
    ];

    /// Its name on a command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Node(driver) => driver.as_str(),
        }
    }

    /// The `cluster.link.driver` that goes with it; blocking links have none, and are indifferent.
    pub const fn in_config(self) -> config::DriverChoice {
        match self {
            Self::Blocking => config::DriverChoice::Auto,
            Self::Node(driver) => driver,
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Links between two replicas, both in this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplicaLink {
    /// What moves the bytes.
    pub driver: Driver,
    /// Whether every frame is sealed, or none is.
    pub sealed: bool,
    /// Whether handshakes agree on ephemeral keys.
    pub forward_secrecy: bool,
    /// Shards of each replica, each a thread with a lane of its own. Blocking links have a thread for each
    /// end, and as many links.
    pub shards: u16,
    /// `cluster.link.busy_poll`; blocking links sleep at once.
    pub busy_poll: Duration,
}

impl ReplicaLink {
    /// One shard or thread for each end, which sleeps when there is nothing to do.
    pub const fn new(driver: Driver, sealed: bool) -> Self {
        Self { driver, sealed, forward_secrecy: false, shards: 1, busy_poll: Duration::ZERO }
    }

    /// Whether links can be so on this machine and in this version.
    ///
    /// # Errors
    ///
    /// [`Failure`] says what is not available.
    pub fn check(&self) -> Result<(), Failure> {
        if self.driver == Driver::Blocking && !self.busy_poll.is_zero() {
            return Err("blocking links sleep until something comes; busy_poll is for nodes".into());
        }
        let cluster = self.cluster()?;
        if self.driver != Driver::Blocking {
            Replicas::start(&cluster, self.shards)?;
        }
        Ok(())
    }

    fn cluster(&self) -> Result<Cluster, Failure> {
        Cluster::new(2, self, self.shards, |config| config)
    }
}

impl Contender for ReplicaLink {
    fn name(&self) -> String {
        let mut words = vec![self.driver.to_string()];
        if self.sealed {
            words.push("sealed".to_owned());
        }
        if self.forward_secrecy {
            words.push("forward secrecy".to_owned());
        }
        if self.shards > 1 {
            words.push(format!("{} shards", self.shards));
        }
        if !self.busy_poll.is_zero() {
            words.push("busy poll".to_owned());
        }
        words.join(", ")
    }

    fn throughput(&self, size: usize, window: Window) -> Result<Flow, Failure> {
        let cluster = self.cluster()?;
        match self.driver {
            Driver::Blocking => blocking::throughput(&cluster, self.shards, size, window),
            Driver::Node(_) => node::throughput(&cluster, self.shards, size, window),
        }
    }

    fn round_trip(&self, size: usize, window: Window) -> Result<RoundTrips, Failure> {
        let cluster = self.cluster()?;
        match self.driver {
            Driver::Blocking => blocking::round_trip(&cluster, size, window),
            Driver::Node(_) => node::round_trip(&cluster, self.shards, size, window),
        }
    }

    fn handshakes(&self, window: Window) -> Result<Handshakes, Failure> {
        let cluster = self.cluster()?;
        match self.driver {
            Driver::Blocking => blocking::handshakes(&cluster, window),
            Driver::Node(_) => node::handshakes(&cluster, self.shards, window),
        }
    }
}
