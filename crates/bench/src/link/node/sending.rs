//! How an embedder keeps a link busy.

use std::time::{Duration, Instant};

use replink_transport::SendCause;
use replink_transport::frame::{GenericHeader, ReplicaId};
use replink_transport::node::{Event, Shard};

use super::PATIENCE;
use crate::loopback::STALL_MAX;
use crate::{Course, Failure, Frames};

/// Most bytes that are queued before the queue is written: large frames do not fill it, and whoever queues
/// more than the processor's cache has waits for memory.
pub(crate) const BURST_BYTES: usize = 2 << 20;

/// Polls `shard` until its own link to `peer` is up.
///
/// # Errors
///
/// [`Failure`], also when that takes longer than [`STALL_MAX`].
pub fn connect(shard: &mut Shard, peer: ReplicaId) -> Result<(), Failure> {
    let (handle, lane, began) = (shard.handle(), shard.lane(), Instant::now());
    while handle.link(peer, lane).is_none() {
        if began.elapsed() > STALL_MAX {
            return Err(format!("the links are not up within {STALL_MAX:?}").into());
        }
        let mut events = shard.poll(Some(PATIENCE))?;
        while events.next().is_some() {}
    }
    Ok(())
}

/// Queues frames to `peer` until the link takes no more, and then polls the shard, which writes them.
///
/// # Errors
///
/// [`Failure`], also when the link is lost.
pub fn fill(shard: &mut Shard, peer: ReplicaId, frames: &mut Frames, course: &Course) -> Result<(), Failure> {
    let Some(sender) = shard.handle().sender(peer, shard.lane()) else {
        return if course.is_over() { Ok(()) } else { Err("the link is down".into()) };
    };
    let mut bytes = 0;
    let mut wait = Duration::ZERO;
    while bytes < BURST_BYTES && !course.is_over() {
        let mut queued = 0;
        let result = sender.queue_all(frames.upcoming(BURST_BYTES).inspect(|_| queued += 1));
        if result.is_err() {
            queued -= 1; // the last one came back
        }
        frames.advance_by(queued);
        bytes += queued as usize * frames.size();
        match result {
            Ok(()) => {}
            Err(full) if matches!(full.cause(), SendCause::Backpressure { .. }) => {
                wait = PATIENCE;
                break;
            }
            Err(_) if course.is_over() => break,
            Err(refused) => return Err(refused.into()),
        }
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

/// Polls `shard` until there are frames, for five milliseconds at most, and has `look` see each header, the peer
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
