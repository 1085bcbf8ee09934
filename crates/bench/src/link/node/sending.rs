//! How an embedder keeps a link busy.

use std::time::Duration;

use replink_transport::frame::{GenericHeader, ReplicaId};
use replink_transport::node::{Event, Handle, Shard};
use replink_transport::{Body, SendCause, SendError};

use super::PATIENCE;
use crate::{Course, Failure, Frames};

/// Most bytes that are queued before the queue is written: large frames do not fill it, and the window would
/// end long before it is empty.
pub(crate) const BURST_BYTES: usize = 8 << 20;

/// Queues a frame: the one place that says how.
///
/// # Errors
///
/// [`SendError`] gives it back.
#[inline]
pub fn queue(
    handle: &Handle,
    peer: ReplicaId,
    header: &GenericHeader,
    body: impl Into<Body>,
) -> Result<(), SendError> {
    handle.send(peer, header, body).map(drop)
}

/// Queues frames to `peer` until the link takes no more, and then polls the shard, which writes them.
///
/// # Errors
///
/// [`Failure`], also when the link is lost.
pub fn fill(shard: &mut Shard, peer: ReplicaId, frames: &mut Frames, course: &Course) -> Result<(), Failure> {
    let handle = shard.handle();
    let mut bytes = 0;
    let mut wait = Duration::ZERO;
    while bytes < BURST_BYTES && !course.is_over() {
        match queue(&handle, peer, &frames.header(), frames.body()) {
            Ok(()) => frames.advance(),
            Err(full) if matches!(full.cause(), SendCause::Backpressure { .. }) => {
                wait = PATIENCE;
                break;
            }
            Err(_) if course.is_over() => break,
            Err(refused) => return Err(refused.into()),
        }
        bytes += frames.size();
    }
    let mut events = shard.poll(Some(wait))?;
    while let Some(event) = events.next() {
        match event {
            Event::Down(down) if !course.is_over() => {
                return Err(format!("the link is down: {:?}", down.reason).into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Polls `shard` until there are frames, at most for [`PATIENCE`], and has `look` see each header, the peer
/// that it came from, and the lane.
///
/// # Errors
///
/// [`Failure`], also when a link is lost.
pub fn next_frame(
    shard: &mut Shard,
    course: &Course,
    mut look: impl FnMut(&GenericHeader, ReplicaId, u16) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut events = shard.poll(Some(PATIENCE))?;
    while let Some(event) = events.next() {
        match event {
            Event::Frame { peer, lane, frame, .. } => look(frame.header(), peer, lane)?,
            Event::Down(down) if !course.is_over() => {
                return Err(format!("the link is down: {:?}", down.reason).into());
            }
            _ => {}
        }
    }
    Ok(())
}
