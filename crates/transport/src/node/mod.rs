//! A replica: its listener, its links to all others, and the shards that share the work.
//!
//! [`Node::bind`] opens the port; [`Node::into_shards`] gives one [`Shard`] for each of the
//! embedder's threads. Whoever polls a shard gets its [`Event`]s: links that come up, their frames,
//! and links that go down. Any thread sends on any link, through a shard or a [`Handle`].
//!
//! ```no_run
//! use std::time::Duration;
//! use replink_transport::config::Config;
//! use replink_transport::frame::ReplicaId;
//! use replink_transport::node::{Event, Node, NodeOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::load("cluster.toml")?;
//! let node = Node::bind(config, NodeOptions::new(ReplicaId(0)))?;
//! for mut shard in node.into_shards(2)? {
//!     std::thread::spawn(move || -> std::io::Result<()> {
//!         while !shard.is_stopped() {
//!             let mut events = shard.poll(Some(Duration::from_secs(1)))?;
//!             while let Some(event) = events.next() {
//!                 if let Event::Frame { peer, frame, .. } = event {
//!                     println!("{} from replica {peer}", frame.header().command);
//!                 }
//!             }
//!         }
//!         Ok(())
//!     });
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The embedder's threads do all the work. The only ones that are started here look up names of replicas, one for each
//! name and for as long as that takes, since a name server may take its time; where all addresses are numbers
//! there are none.

mod addresses;
mod binding;
#[cfg_attr(
    not(all(feature = "hand-off", target_os = "linux")),
    allow(dead_code, reason = "only a hand-over collects links")
)]
mod collector;
mod control;
mod event;
#[cfg(all(feature = "hand-off", target_os = "linux"))]
mod hand_over;
mod handle;
mod histogram;
#[cfg_attr(
    not(all(feature = "hand-off", target_os = "linux")),
    allow(dead_code, reason = "only a hand-over sends all messages")
)]
mod inbox;
mod link;
mod placement;
mod routes;
mod sender;
mod settings;
mod shard;
#[cfg_attr(
    not(all(feature = "hand-off", target_os = "linux")),
    allow(dead_code, reason = "only a hand-over uses all of it")
)]
mod shared;
mod stats;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Instant;

use replink_frame::ReplicaId;
use thiserror::Error;

pub use event::{Event, LinkDown, LinkUp, Refusal, RejectedBy, Reloaded, Unreachable, Warning};
#[cfg(all(feature = "hand-off", target_os = "linux"))]
pub use hand_over::{HandOverError, HandedOver, TakeOverError};
pub use handle::Handle;
pub use histogram::Histogram;
pub use placement::Placement;
pub use sender::LinkSender;
pub use settings::ReloadError;
pub use shard::{Events, Shard};
pub use stats::{EndedStats, InboundStats, LinkStats, NodeStats, PeerStats, ShardStats};

use crate::config::{Config, UnusableConfig};
use crate::driver::{Driver, SystemDriver};
use crate::mesh::CommandPolicy;
use crate::security::SecurityStatus;
use crate::{CipherSpeed, EndpointError, EntropyError, Link, incarnation};
use addresses::{Resolver, system_resolver};
use collector::TakenLinks;
use control::Control;
use inbox::Post;
use link::OpenLink;
use settings::Settings;
use shared::Shared;

/// What the embedder says of a node, besides its configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeOptions {
    /// Which replica it is.
    pub replica: ReplicaId,
    /// The embedder's software release, as the handshake tells it; `None` for [`Config::release`].
    pub release: Option<u32>,
    /// Which shard gets a link.
    pub placement: Placement,
    /// What each role may send.
    pub commands: CommandPolicy,
}

impl NodeOptions {
    /// Replica `replica` with the release of its configuration, links round-robin, every role may send
    /// everything.
    pub fn new(replica: ReplicaId) -> Self {
        Self { replica, release: None, placement: Placement::default(), commands: CommandPolicy::default() }
    }

    /// The same with this release, whatever the configuration says.
    pub fn release(self, release: u32) -> Self {
        Self { release: Some(release), ..self }
    }

    /// The same with another placement.
    pub fn placement(self, placement: Placement) -> Self {
        Self { placement, ..self }
    }

    /// The same with another policy.
    pub fn commands(self, commands: CommandPolicy) -> Self {
        Self { commands, ..self }
    }
}

/// A replica that listens, and does nothing yet.
pub struct Node {
    settings: Settings,
    placement: Placement,
    resolver: Resolver,
    listener: TcpListener,
    address: SocketAddr,
    taken: TakenLinks,
}

/// Why there is no node.
#[derive(Error, Debug)]
#[non_exhaustive]
pub enum BindError {
    /// The configuration has mistakes, or describes no such replica.
    #[error(transparent)]
    Config(#[from] UnusableConfig),
    /// The operating system gives no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// Its address can't be listened on.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// As the configuration says it.
        address: String,
        /// What the system says.
        source: io::Error,
    },
}

impl Node {
    /// Opens the port of a replica. If its own address is a name, looks that up, and waits for it; names of other
    /// replicas are looked up when the shards are polled, and nobody waits for them. Where the port is in use this
    /// waits two seconds for it to become free: the process before may have been killed just now.
    ///
    /// # Errors
    ///
    /// [`BindError`].
    pub fn bind(config: Config, options: NodeOptions) -> Result<Self, BindError> {
        let NodeOptions { replica, release, placement, commands } = options;
        let settings = Settings::new(config, replica, release, incarnation()?, commands)?;
        let listen = settings.config.listen_address(replica);
        let listen = listen.ok_or_else(|| UnusableConfig::from(EndpointError::UnknownReplica(replica)))?;
        let failed = |source| BindError::Listen { address: listen.to_string(), source };
        let found: Vec<SocketAddr> = listen.to_socket_addrs().map_err(failed)?.collect();
        for warning in SecurityStatus::of_own_name(&settings.config, listen, &found) {
            tracing::warn!(%replica, "{warning}");
        }
        let listener = binding::bind(&found, replica).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self::on(settings, placement, listener, address))
    }

    /// The same on a port that is open already, whatever the configuration says of where to listen:
    /// for a listener that came from a supervisor or a predecessor.
    ///
    /// # Errors
    ///
    /// [`BindError`].
    pub fn with_listener(
        config: Config,
        options: NodeOptions,
        listener: TcpListener,
    ) -> Result<Self, BindError> {
        let NodeOptions { replica, release, placement, commands } = options;
        let settings = Settings::new(config, replica, release, incarnation()?, commands)?;
        let failed = |source| BindError::Listen { address: "the listener that was given".to_owned(), source };
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self::on(settings, placement, listener, address))
    }

    fn on(settings: Settings, placement: Placement, listener: TcpListener, address: SocketAddr) -> Self {
        let replica = settings.endpoint.local().replica;
        tracing::info!(%replica, %address, "listening");
        let resolver = system_resolver();
        Self { settings, placement, resolver, listener, address, taken: TakenLinks::default() }
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Splits the work into `shards` parts, at least one. From here on each has to be polled.
    ///
    /// # Errors
    ///
    /// When the process is out of file descriptors; where `cluster.link.driver` is `"io_uring"`, also why
    /// that can't be used.
    pub fn into_shards(self, shards: usize) -> io::Result<Vec<Shard>> {
        let link = &self.settings.config.link;
        let drivers = SystemDriver::choose(link.driver, link.busy_poll, shards.max(1))?;
        let driver = drivers.first().map_or("none", SystemDriver::name);
        tracing::info!(replica = %self.settings.endpoint.local().replica, driver, shards = drivers.len(), "starting");
        self.into_shards_on(drivers)
    }

    /// The same on drivers that were made before, one for each shard.
    ///
    /// # Errors
    ///
    /// When the process is out of file descriptors.
    pub fn into_shards_on<D>(self, drivers: Vec<D>) -> io::Result<Vec<Shard<D>>>
    where
        D: Driver<Socket = Link, Listener = TcpListener>,
    {
        let Self { settings, placement, resolver, listener, mut taken, .. } = self;
        // A second handle, to be given to another process.
        let second = listener.try_clone()?;
        let taken = std::mem::take(&mut taken.0);
        let shards = assemble(settings, placement, resolver, listener, taken, drivers)?;
        if let Some(shard) = shards.first() {
            let shared = &shard.handle().shared;
            shared.set_listener(second);
            if shared.settings().config.can_seal() {
                measure_cipher(shared.replica);
            }
        }
        Ok(shards)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The shards of a node on drivers of one's own, one for each shard: for simulations. `incarnation`
/// is the random number of the process (section 2).
///
/// # Errors
///
/// [`BindError`].
pub fn with_drivers<D: Driver>(
    config: Config,
    options: NodeOptions,
    incarnation: u64,
    listener: D::Listener,
    drivers: Vec<D>,
) -> Result<Vec<Shard<D>>, BindError> {
    let NodeOptions { replica, release, placement, commands } = options;
    let settings = Settings::new(config, replica, release, incarnation, commands)?;
    assemble(settings, placement, system_resolver(), listener, Vec::new(), drivers)
        .map_err(|source| BindError::Listen { address: "the driver's listener".to_owned(), source })
}

/// Logs what sealing costs here: no configuration says so.
fn measure_cipher(replica: ReplicaId) {
    let speed = CipherSpeed::measure(Instant::now);
    tracing::info!(%replica, cipher = CipherSpeed::CIPHER, %speed, "measured the cipher of sealed links");
    if let Some(slow) = speed.warning() {
        tracing::warn!(%replica, "{slow}");
    }
}

fn assemble<D: Driver>(
    settings: Settings,
    placement: Placement,
    resolver: Resolver,
    listener: D::Listener,
    taken: Vec<OpenLink<D::Socket>>,
    mut drivers: Vec<D>,
) -> io::Result<Vec<Shard<D>>> {
    let Some(first) = drivers.first_mut() else { return Ok(Vec::new()) };
    let epoch = first.now();
    let post = Arc::new(Post::new(drivers.iter().map(Driver::waker)));
    let shared = Arc::new(Shared::new(settings, resolver, post, epoch));
    let mut control = None;
    if let Some(first) = drivers.first_mut() {
        control = Some(Control::new(Arc::clone(&shared), placement, listener, taken, first)?);
    }
    let shards = drivers.into_iter().enumerate();
    Ok(shards.map(|(index, driver)| Shard::new(index, driver, Arc::clone(&shared), control.take())).collect())
}
