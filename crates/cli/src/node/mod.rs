//! A replica out of threads: one that accepts, one per peer to dial, two per link, one that keeps
//! time, and one that looks up names. It keeps one live link per peer and lane.

mod accepting;
mod dialing;
mod entrance;
mod event;
mod heartbeat;
mod links;
mod replica_addresses;
mod running_link;
mod send_queue;
mod settings;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use replink_transport::config::{Config, ConfigErrors};
use replink_transport::frame::{GoodbyeReason, ReplicaId};
use replink_transport::{Admitted, EndpointError, EntropyError, incarnation};
use thiserror::Error;

pub(crate) use event::{Event, status_name};
pub(crate) use running_link::RunningLink;
pub(crate) use settings::warnings;

use entrance::Entrance;
use links::Links;
use replica_addresses::ReplicaAddresses;
use settings::Settings;

/// What a node does with what happens on its links.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Something an operator wants to know.
    fn event(&self, event: &Event);

    /// A link is up.
    fn up(&self, link: &Arc<RunningLink>) {
        let _ = link;
    }

    /// A frame came from an authenticated peer. Called on the link's own thread.
    fn frame(&self, link: &Arc<RunningLink>, frame: Admitted<'_>);

    /// A link is down.
    fn down(&self, link: &Arc<RunningLink>, reason: &str) {
        let _ = (link, reason);
    }
}

/// A running replica. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Node(Arc<Shared>);

struct Shared {
    replica: ReplicaId,
    release: u32,
    incarnation: u64,
    handler: Arc<dyn Handler>,
    settings: Mutex<Arc<Settings>>,
    entrance: Entrance,
    links: Links,
}

/// Why a replica did not start.
#[derive(Error, Debug)]
pub(crate) enum StartError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error("can't listen on {address}: {source}")]
    Listen { address: String, source: io::Error },
    #[error("can't start a thread: {0}")]
    Thread(io::Error),
}

/// Why a reload changed nothing.
#[derive(Error, Debug)]
pub(crate) enum ReloadError {
    #[error("configuration not reloaded, the old one stays in force:\n{0}")]
    Config(#[from] ConfigErrors),
    #[error("configuration not reloaded, the old one stays in force: {0}")]
    Endpoint(#[from] EndpointError),
    #[error(
        "configuration not reloaded, the old one stays in force: {0} can't change while running; restart"
    )]
    Fixed(&'static str),
}

impl Node {
    /// Starts replica `replica` of `config`.
    pub(crate) fn start(
        config: Config,
        replica: ReplicaId,
        release: u32,
        handler: Arc<dyn Handler>,
    ) -> Result<Self, StartError> {
        let incarnation = incarnation()?;
        let settings = Settings::new(config, replica, release, incarnation)?;
        let (listener, address) = listen(&settings.config, replica)?;
        let mut addresses = ReplicaAddresses::new(replica);
        let entrance = Entrance::new(settings.terms(), addresses.known(&settings.config));
        let node = Self(Arc::new(Shared {
            replica,
            release,
            incarnation,
            handler,
            settings: Mutex::new(Arc::new(settings)),
            entrance,
            links: Links::default(),
        }));
        let shared = &node.0;
        shared.report(&Event::Listening { address });
        for warning in node.settings().warnings() {
            shared.warn(warning);
        }
        let accepting = Arc::clone(shared);
        spawn("accept", move || accepting::run(&accepting, &listener))?;
        let beating = Arc::clone(shared);
        spawn("heartbeat", move || heartbeat::run(&beating))?;
        let looking_up = Arc::clone(shared);
        spawn("names", move || addresses.keep_up(&looking_up))?;
        node.dial_new_peers()?;
        Ok(node)
    }

    /// The configuration in force.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.0.settings()
    }

    /// Reads the configuration file again: secrets, accept list, allow list, roster and limits
    /// take effect; links whose key is no longer accepted, or whose peer is no longer on the
    /// roster, are closed.
    pub(crate) fn reload(&self) -> Result<(), ReloadError> {
        let shared = &self.0;
        let old = self.settings();
        let config = Config::load(&old.config.path)?;
        old.check_reload(&config, shared.replica)?;
        let new = Settings::new(config, shared.replica, shared.release, shared.incarnation)?;
        let new = Arc::new(new);
        *shared.settings.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
        shared.entrance.replace_terms(new.terms());

        for link in shared.links.all() {
            if let Some(reason) = new.retires(link.peer()) {
                link.leave(reason);
            }
        }
        if let Err(error) = self.dial_new_peers() {
            shared.warn(error.to_string());
        }
        shared.report(&Event::Reloaded);
        for warning in new.warnings() {
            shared.warn(warning);
        }
        Ok(())
    }

    /// Leaves all links with a goodbye, behind all that is queued, and waits at most `patience`
    /// until the peers have read it. From here on, peers that connect are told to come back.
    pub(crate) fn drain(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.0.links.stop();
        self.0.entrance.drain();
        for link in self.0.links.all() {
            link.leave(GoodbyeReason::SHUTDOWN);
        }
        while !self.0.links.is_empty() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Tells the operator something to look at.
    pub(crate) fn warn(&self, message: impl Into<String>) {
        self.0.warn(message);
    }

    fn dial_new_peers(&self) -> Result<(), StartError> {
        for node in &self.settings().config.nodes {
            // H-1: the lower id dials.
            if node.id > self.0.replica && self.0.links.begin_dialing(node.id) {
                let (shared, peer) = (Arc::clone(&self.0), node.id);
                spawn(&format!("dial-{peer}"), move || dialing::run(&shared, peer))?;
            }
        }
        Ok(())
    }
}

impl Shared {
    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells the operator: one log line and one event.
    fn report(&self, event: &Event) {
        event.log();
        self.handler.event(event);
    }

    fn warn(&self, message: impl Into<String>) {
        self.report(&Event::Warning { message: message.into() });
    }
}

fn listen(config: &Config, replica: ReplicaId) -> Result<(TcpListener, SocketAddr), StartError> {
    let address = config.listen_address(replica).ok_or(EndpointError::UnknownReplica(replica))?;
    let failed = |source| StartError::Listen { address: address.to_string(), source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Links hold their handshake state on the stack; this is ample for it.
const STACK_SIZE: usize = 512 * 1024;

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
    thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_SIZE)
        .spawn(body)
        .map(drop)
        .map_err(StartError::Thread)
}
