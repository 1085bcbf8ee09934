//! A node's shards, each on a thread of its own.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use replink_transport::node::{Event, Handle, Shard};

/// How long the shards get to end their links, besides the time that one may take to leave.
const STOP_SLACK: Duration = Duration::from_secs(1);

/// The longest that all of it may take, whatever the configuration says.
const STOP_MAX: Duration = Duration::from_secs(5);

/// How long a shard is left alone whose poller failed.
const POLL_AGAIN: Duration = Duration::from_millis(10);

/// What a command does with what happens on one shard.
pub(crate) trait Handler: Send + 'static {
    /// Something happened. Called on the shard's thread, which must not wait.
    fn event(&mut self, event: Event<'_>);
}

/// The threads of a node that runs.
pub(crate) struct ShardThreads {
    handle: Handle,
    /// Disconnected once every thread is at its end.
    ended: Receiver<()>,
}

impl ShardThreads {
    /// Starts a thread for each of `shards`, with a handler of its own.
    pub(crate) fn start<H: Handler>(
        handle: Handle,
        shards: Vec<Shard>,
        mut handler: impl FnMut(&Shard) -> H,
    ) -> io::Result<Self> {
        let (ends, ended) = channel();
        for shard in shards {
            let (handler, ends) = (handler(&shard), ends.clone());
            thread::Builder::new()
                .name(format!("shard-{}", shard.index()))
                .spawn(move || run(shard, handler, ends))?;
        }
        Ok(Self { handle, ended })
    }

    /// Any thread's way to the node.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends all links with a goodbye, and waits until every shard is at its end.
    pub(crate) fn stop(self) {
        self.handle.shutdown();
        let patience = (self.handle.leave_max() + STOP_SLACK).min(STOP_MAX);
        let deadline = Instant::now() + patience;
        let left = deadline.saturating_duration_since(Instant::now());
        if self.ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("not all links have ended within {patience:?}; leaving without them");
        }
    }
}

fn run(mut shard: Shard, mut handler: impl Handler, ends: Sender<()>) {
    let whole = EndsProcess;
    while !shard.is_stopped() {
        match shard.poll(None) {
            Ok(mut events) => {
                while let Some(event) = events.next() {
                    handler.event(event);
                }
            }
            Err(error) => {
                tracing::error!("can't wait for events: {error}; trying again");
                thread::sleep(POLL_AGAIN);
            }
        }
    }
    drop((whole, ends));
}

/// A replica without one of its shards is none: its peers are to see that it is gone.
struct EndsProcess;

impl Drop for EndsProcess {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::exit(101);
        }
    }
}
