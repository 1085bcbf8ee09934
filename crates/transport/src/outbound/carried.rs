//! An `Outbound` taken apart, to be put together in another process.

use bytes::Bytes;
use replink_handshake::Sending;

use super::segments::Segments;
use super::{CONTROL_FRAMES_MAX, Outbound, OutboundLimits};

/// What an [`Outbound`] holds besides its half of the session.
pub(crate) struct CarriedOutbound {
    /// The sizes of the waiting frames, in bytes; of the first one what is not written.
    pub(crate) frame_sizes: Vec<u32>,
    segments: Segments,
}

impl CarriedOutbound {
    /// The bytes of the waiting frames, in order.
    pub(crate) fn unwritten(&self) -> impl Iterator<Item = &[u8]> {
        self.segments.batch().iter()
    }
}

impl OutboundLimits {
    /// Most frames that a queue of these limits ever holds: those of the embedder, and control frames;
    /// a goodbye has room at any time.
    pub(crate) fn held_frames_max(&self) -> u64 {
        u64::from(self.queue_frames.max(1)) + CONTROL_FRAMES_MAX as u64 + 1
    }

    /// Most bytes that it ever holds.
    pub(crate) fn held_bytes_max(&self) -> u64 {
        let embedders = self.queue_bytes.max(u64::from(self.frame_size));
        embedders.saturating_add(self.held_frames_max() * 256)
    }
}

impl Outbound {
    /// Everything that is needed to go on elsewhere.
    ///
    /// # Panics
    ///
    /// If what waits is lent.
    pub(crate) fn carry(mut self) -> (Sending, CarriedOutbound) {
        assert!(!self.lent, "what waits is lent");
        // The other process goes on with the next batch.
        self.close_batches();
        let mut begin = self.written;
        let frame_sizes = self.ends.iter().map(|&end| {
            let size = end - std::mem::replace(&mut begin, end);
            u32::try_from(size).expect("no frame has more bytes than its size says")
        });
        let frame_sizes = frame_sizes.collect();
        (self.sending.with_seal(self.seal.take()), CarriedOutbound { frame_sizes, segments: self.segments })
    }

    /// Goes on with what another [`Outbound`] of this link held. The caller has checked that the sizes
    /// add up to the bytes.
    pub(crate) fn resume(
        sending: Sending,
        limits: OutboundLimits,
        frame_sizes: impl Iterator<Item = u32>,
        unwritten: Bytes,
    ) -> Self {
        let mut outbound = Self::new(sending, limits);
        frame_sizes.for_each(|size| outbound.count(size));
        assert_eq!(outbound.queued, unwritten.len() as u64, "the sizes of the frames add up");
        outbound.segments = Segments::of(unwritten, outbound.seal.is_some());
        outbound
    }
}
