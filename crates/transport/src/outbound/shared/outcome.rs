//! What comes of sending.

/// What became of a frame that was queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "has to be dealt with whole")]
pub enum Sent {
    /// The link has taken all of it, and all that was queued before it.
    Written,
    /// It waits, and goes out without the sender doing anything more. If the link ends before
    /// that, it is lost.
    Queued,
}

/// What [`flush`](super::SharedOutbound::flush) left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "has to be dealt with whole")]
pub enum Flushed {
    /// Nothing waits.
    Empty,
    /// The link takes no more: flush again once it is writable.
    Blocked,
    /// Some of it: enough for one call. Flush again, after whatever else there is to do.
    More,
    /// Another thread is writing, and will see to what waits. Nothing is to be done.
    Elsewhere,
}

/// What a link's owner is asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "has to be dealt with whole")]
pub enum Attention {
    /// Call [`flush`](super::SharedOutbound::flush) soon.
    Flush,
    /// Call [`flush`](super::SharedOutbound::flush) when the link is writable: it took no more just now.
    Writable,
    /// Close the link: it has failed, or the goodbye is written, the last that goes out.
    /// Asked for once. [`ended`](super::SharedOutbound::ended) has the cause.
    Close,
}

/// What a [`SharedOutbound`](super::SharedOutbound) holds and has done.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct OutboundStats {
    /// Frames that are not wholly written.
    pub queued_frames: usize,
    /// Bytes that are not written.
    pub queued_bytes: u64,
    /// Frames wholly written, control frames included.
    pub written_frames: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Calls of [`write_gathered`](crate::GatherWrite::write_gathered), also those that took nothing.
    pub writes: u64,
    /// Frames that were queued when the link ended, and not wholly written; control frames included.
    pub dropped_frames: u64,
}
