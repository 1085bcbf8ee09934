//! An `Outbound` taken apart, to be put together in another process.

use bytes::Bytes;
use replink_handshake::Sending;

use super::segments::Segments;
use super::{CONTROL_FRAMES_MAX, Outbound, OutboundLimits};

/// What an [`Outbound`] holds besides its half of the session.
pub(crate) struct CarriedOutbound {
    /// On a sealed link: records that are not written, the first one perhaps in part. They go out first, as
    /// they are (S-4).
    pub(crate) ciphertext: Vec<u8>,
    /// The sizes of the waiting frames, in bytes; of the first one what is not written, or not sealed.
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
        let sealed = self.sealing.as_ref().map_or(0, |sealing| sealing.plaintext_len());
        let mut begin = self.written + sealed as u64;
        let waiting = self.ends.iter().skip_while(|&&end| end <= begin).copied().collect::<Vec<_>>();
        let frame_sizes = waiting.into_iter().map(|end| {
            let size = end - std::mem::replace(&mut begin, end);
            u32::try_from(size).expect("no frame has more bytes than its size says")
        });
        let frame_sizes = frame_sizes.collect();
        let (seals, ciphertext) = self.sealing.take().map(|sealing| sealing.into_parts()).unzip();
        let ciphertext = ciphertext.unwrap_or_default();
        (
            self.sending.with_sealer(seals),
            CarriedOutbound { ciphertext, frame_sizes, segments: self.segments },
        )
    }

    /// Goes on with what another [`Outbound`] of this link held. The caller has checked that the sizes
    /// add up to the bytes, and that there is ciphertext on sealed links only.
    pub(crate) fn resume(
        sending: Sending,
        limits: OutboundLimits,
        ciphertext: Vec<u8>,
        frame_sizes: impl Iterator<Item = u32>,
        unwritten: Bytes,
    ) -> Self {
        let mut outbound = Self::new(sending, limits);
        let sealed = ciphertext.len() as u64;
        if let Some(sealing) = &mut outbound.sealing {
            sealing.resume_with(ciphertext);
            outbound.queued = sealed;
        }
        frame_sizes.for_each(|size| outbound.count(size));
        assert_eq!(outbound.queued, sealed + unwritten.len() as u64, "the sizes of the frames add up");
        outbound.segments = Segments::of(unwritten);
        outbound
    }
}
