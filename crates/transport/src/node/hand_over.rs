//! All links of a node, from one process to the next (`docs/hand-off.md`). Linux only.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

use thiserror::Error;

use super::collector::{Collector, Surrendered, TakenLinks};
use super::inbox::Message;
use super::link::OpenLink;
use super::settings::Settings;
use super::{BindError, Handle, Node, NodeOptions};
use crate::config::{Config, UnusableConfig};
use crate::hand_off::{HandOffError, Predecessor, RefusedLink, Successor, Taken};

/// What became of a node's links.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct HandedOver {
    /// Links that the successor has.
    pub links: usize,
    /// Links that were ended instead, and why. Their peers make new ones.
    pub lost: Vec<HandOffError>,
}

/// Why the node was not handed over.
#[derive(Error, Debug)]
#[non_exhaustive]
pub enum HandOverError {
    /// The transfer failed before it began. The node goes on as before.
    #[error("not handed over, this process goes on: {0}")]
    NotBegun(#[source] HandOffError),
    /// The node is being shut down or handed over already.
    #[error("not handed over: the node is stopping")]
    Stopping,
    /// The system gave no further handle to the listener. The node goes on as before.
    #[error("not handed over, this process goes on: {0}")]
    Listener(#[source] io::Error),
    /// The transfer broke off. Links that the successor does not have were ended; this node has
    /// stopped.
    #[error("the hand-over broke off after {} links: {source}", .done.links)]
    BrokenOff {
        /// What went over.
        done: HandedOver,
        /// What broke it off.
        source: HandOffError,
    },
}

/// Why a process could not take over.
#[derive(Error, Debug)]
#[non_exhaustive]
pub enum TakeOverError {
    /// The transfer failed. Links that had come were ended.
    #[error("can't take over: {0}")]
    HandOff(#[from] HandOffError),
    /// The configuration has mistakes, or describes no such replica.
    #[error(transparent)]
    Config(#[from] UnusableConfig),
    /// The predecessor gave no listener.
    #[error("can't take over: the predecessor gave no listener")]
    NoListener,
    /// What came can't be used.
    #[error(transparent)]
    Bind(#[from] BindError),
}

impl Handle {
    /// Gives all links of this node, and its listener, to the process at the other end of `stream`,
    /// which has called [`Node::take_over`]. The peers notice nothing, and no frame is lost: what was
    /// received and not yet yielded is the successor's, and so is what waits to be sent.
    ///
    /// Each link is down here with [`HandedOver`](crate::mesh::DownReason::HandedOver); then every
    /// shard says [`Event::Stopped`](super::Event::Stopped). What the embedder knows, such as how
    /// far it has come, is its own to hand over. Handshakes under way are broken off.
    ///
    /// Waits for the shards, which other threads must go on polling, and for the successor; until
    /// `deadline` at most. `stream` must be private: session keys go over it.
    ///
    /// # Errors
    ///
    /// [`HandOverError`] says whether this process goes on.
    pub fn hand_over(&self, stream: &UnixStream, deadline: Instant) -> Result<HandedOver, HandOverError> {
        if self.is_stopped() {
            return Err(HandOverError::Stopping);
        }
        let settings = self.shared.settings();
        let listener = self.shared.clone_listener().map_err(HandOverError::Listener)?;
        let mut predecessor =
            Predecessor::begin(stream, &settings.endpoint, deadline).map_err(HandOverError::NotBegun)?;
        if let Some(listener) = &listener {
            predecessor.listener(listener).map_err(HandOverError::NotBegun)?;
        }
        let collector = Arc::new(Collector::new());
        if !self.shared.begin_hand_over() {
            return Err(HandOverError::Stopping);
        }
        self.shared.post.send(0, Message::HandOver(Arc::clone(&collector)));
        let mut done = HandedOver::default();
        let mut links = collector.wait(deadline).into_iter();
        while let Some(Surrendered { shared, inbound, outbound }) = links.next() {
            let given = match shared.socket().try_clone() {
                Ok(link) => predecessor.link(link, inbound, outbound),
                Err(error) => {
                    shared.socket().shutdown();
                    Err(HandOffError::Link(error))
                }
            };
            match given {
                Ok(()) => done.links += 1,
                Err(error) if predecessor.is_over() => {
                    links.for_each(|link| link.shared.socket().shutdown());
                    return Err(HandOverError::BrokenOff { done, source: error });
                }
                Err(error) => done.lost.push(error),
            }
        }
        match predecessor.finish() {
            Ok(()) => Ok(done),
            Err(source) => Err(HandOverError::BrokenOff { done, source }),
        }
    }
}

impl Node {
    /// Takes over from the process at the other end of `stream`, which has called
    /// [`Handle::hand_over`]: its listener, its links and its incarnation. The links come up as soon
    /// as the shards are polled; each frame that the predecessor has not yielded is yielded here.
    ///
    /// Waits for the predecessor, until `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`TakeOverError`]. A link that can't be taken is no error: the predecessor ends it, the log
    /// says why, and its peer makes a new one.
    pub fn take_over(
        config: Config,
        options: NodeOptions,
        stream: &UnixStream,
        deadline: Instant,
    ) -> Result<Self, TakeOverError> {
        let NodeOptions { replica, release, placement, commands } = options;
        let mut successor = Successor::begin(stream, deadline)?;
        let settings = Settings::new(config, replica, release, successor.node().incarnation, commands)?;
        let (mut listener, mut taken) = (None, TakenLinks::default());
        while let Some(next) = successor.next(&settings.endpoint)? {
            match next {
                Taken::Listener(found) => listener = Some(found),
                Taken::Link { link, inbound, outbound } => {
                    taken.0.push(OpenLink { socket: link.without_waiting(), inbound, outbound });
                }
                Taken::Refused(refused) => warn_refused(&refused),
            }
        }
        let listener = listener.ok_or(TakeOverError::NoListener)?;
        let failed = |source| BindError::Listen { address: "the predecessor's listener".to_owned(), source };
        let address = listener.local_addr().map_err(failed)?;
        let mut node = Self::on(settings, placement, listener, address);
        node.taken = taken;
        Ok(node)
    }

    /// How many links came from another process.
    pub fn taken_over(&self) -> usize {
        self.taken.0.len()
    }
}

fn warn_refused(refused: &RefusedLink) {
    tracing::warn!("a link of the predecessor was not taken over, and is made anew: {refused}");
}
