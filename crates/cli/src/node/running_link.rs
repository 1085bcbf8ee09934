use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use replink_transport::blocking::{self, LinkEnd, Receiver, Sender};
use replink_transport::frame::{GenericHeader, GoodbyeReason};
use replink_transport::handshake::{Authenticated, Control, Peer};
use replink_transport::{InboundError, Link, Received};

use super::event::Event;
use super::send_queue::{Closed, Item, SendQueue};
use super::{Shared, spawn};

/// An authenticated link that is up: any thread may send on it.
pub(crate) struct RunningLink {
    peer: Peer,
    address: SocketAddr,
    queue: SendQueue,
    /// Another handle to the socket, to end it from any thread.
    socket: Link,
    began: Instant,
    /// Why we leave, once we do.
    leaving: OnceLock<GoodbyeReason>,
    /// When the peer last gave a sign of life, in milliseconds since `began`.
    heard_ms: AtomicU64,
}

impl RunningLink {
    /// Who is at the other end.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Queues a frame; waits while the queue is full.
    pub(crate) fn send(&self, header: GenericHeader, body: Bytes) -> Result<(), Closed> {
        self.queue.push(header, body)
    }

    /// Leaves: what is queued goes out, then a goodbye, then the end of the stream.
    pub(super) fn leave(&self, reason: GoodbyeReason) {
        let _ = self.leaving.set(reason);
        self.queue.push_control(Item::Goodbye(reason));
    }

    /// Queues a ping, where the link has them.
    pub(super) fn ping(&self) {
        self.queue.push_control(Item::Ping);
    }

    /// How long the peer has been silent.
    pub(super) fn silence(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.heard_ms.load(Ordering::Relaxed)))
    }

    /// How long the link has been up.
    pub(super) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Ends the link at once, without a goodbye.
    pub(super) fn abort(&self) {
        self.queue.close();
        self.socket.shutdown();
    }

    fn heard(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard_ms.store(now, Ordering::Relaxed);
    }
}

/// Runs an authenticated link on this thread until it ends, and says for how long it was up.
pub(super) fn run(shared: &Arc<Shared>, authenticated: Authenticated<Link>) -> Duration {
    let settings = shared.settings();
    let address = authenticated.link().peer_address();
    let peer = *authenticated.peer();
    let opened = authenticated
        .link()
        .set_user_timeout(settings.config.link.heartbeat_timeout)
        .and_then(|()| authenticated.link().try_clone())
        .and_then(|socket| Ok((socket, blocking::open(authenticated, settings.endpoint.outbound_limits())?)));
    let (socket, (sender, mut receiver)) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            tracing::warn!(%address, peer = %peer.replica, "link failed as it came up: {error}");
            return Duration::ZERO;
        }
    };
    let link = Arc::new(RunningLink {
        peer,
        address,
        queue: SendQueue::new(settings.endpoint.outbound_limits()),
        socket,
        began: Instant::now(),
        leaving: OnceLock::new(),
        heard_ms: AtomicU64::new(0),
    });
    let writing = Arc::clone(&link);
    if let Err(error) = spawn(&format!("write-{}", peer.replica), move || write(&writing, sender)) {
        tracing::warn!(%address, peer = %peer.replica, "link failed as it came up: {error}");
        return Duration::ZERO;
    }
    if let Some(older) = shared.links.insert(&link) {
        older.leave(GoodbyeReason::SUPERSEDED);
    }
    shared.report(&Event::Up { peer, address });
    shared.handler.up(&link);
    // The configuration may have changed while the hands were shaken.
    if let Some(reason) = shared.settings().retires(&peer) {
        link.leave(reason);
    }

    let reason = read(shared, &link, &mut receiver);
    link.abort();
    shared.links.remove(&link);
    shared.report(&Event::Down { peer: peer.replica, address, reason: reason.clone() });
    shared.handler.down(&link, &reason);
    link.age()
}

/// Reads until the link ends, and says why it did.
fn read(shared: &Arc<Shared>, link: &Arc<RunningLink>, receiver: &mut Receiver) -> String {
    let mut received_bytes = 0;
    loop {
        match receiver.receive() {
            Ok(None) => {}
            Ok(Some(Received::Frame(frame))) => shared.handler.frame(link, frame),
            Ok(Some(Received::Control(Control::Ping { counter }))) => {
                link.queue.push_control(Item::Pong { echo: counter });
            }
            Ok(Some(Received::Control(Control::Pong { echo }))) => {
                tracing::trace!(peer = %link.peer.replica, echo, "pong");
            }
            Ok(Some(Received::Control(Control::Goodbye(reason)))) => return reason.to_string(),
            Err(LinkEnd::Violation(error)) => {
                if let InboundError::LateReject(reject) = error {
                    shared.report(&super::dialing::rejected(link.address, reject));
                }
                return error.to_string();
            }
            Err(end) => {
                return match link.leaving.get() {
                    Some(reason) => format!("we left: {reason}"),
                    None => end.to_string(),
                };
            }
        }
        if receiver.received_bytes() != received_bytes {
            received_bytes = receiver.received_bytes();
            link.heard();
        }
    }
}

/// Writes what is queued, as much as there is at once, until the link ends.
fn write(link: &RunningLink, mut sender: Sender) {
    let failed = |error: &dyn std::fmt::Display| {
        tracing::debug!(peer = %link.peer.replica, "writing ended: {error}");
        link.abort();
    };
    while let Some(items) = link.queue.take() {
        for item in items {
            let written = match item {
                Item::Frame(header, body) => sender.queue_or_flush(&header, body),
                Item::Ping => sender.ping().map(drop).map_err(Into::into),
                Item::Pong { echo } => sender.pong(echo).map_err(Into::into),
                Item::Goodbye(reason) => {
                    if let Err(error) = sender.goodbye(reason) {
                        failed(&error);
                    }
                    return;
                }
            };
            if let Err(error) = written {
                return failed(&error);
            }
        }
        if let Err(error) = sender.flush() {
            return failed(&error);
        }
    }
}
