use alloc::sync::Arc;
use core::ops::RangeInclusive;

use replink_frame::{ReplicaId, Version};

use crate::{FlagPolicy, KeyRing, Local};

/// How this node dials its peers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DialerConfig {
    /// Who this node is.
    pub local: Local,
    /// The keys to try, in order (K-2).
    pub ring: Arc<KeyRing>,
    /// The one version to ask for (H-6).
    pub version: Version,
    /// What to offer and what to insist on; must be empty with version 1 (H-13).
    pub flags: FlagPolicy,
    /// The peers' software releases to talk to; not asked in version 1.
    pub releases: RangeInclusive<u32>,
}

impl DialerConfig {
    /// Version 2, peers of any release, links without further protection.
    pub fn new(local: Local, ring: Arc<KeyRing>) -> Self {
        let (flags, releases) = (FlagPolicy::default(), 0..=u32::MAX);
        Self { local, ring, version: Version::V2, flags, releases }
    }

    /// The same with this version.
    pub fn version(self, version: Version) -> Self {
        Self { version, ..self }
    }

    /// The same with this policy.
    pub fn flags(self, flags: FlagPolicy) -> Self {
        Self { flags, ..self }
    }

    /// The same for peers of these releases.
    pub fn releases(self, releases: RangeInclusive<u32>) -> Self {
        Self { releases, ..self }
    }
}

/// Whom to dial, and as what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct DialTarget {
    /// The replica expected at the other end.
    pub peer: ReplicaId,
    /// Which of the pair's parallel links this is; 0 with version 1.
    pub lane: u16,
    /// Which of the ring's keys for this peer to use: 0 is the offered one, a dialer that gets `unknown_key`
    /// tries the next (K-2).
    pub key_index: usize,
}

impl DialTarget {
    /// Lane 0 of `peer` with the offered key.
    pub fn new(peer: ReplicaId) -> Self {
        Self { peer, lane: 0, key_index: 0 }
    }

    /// The same on another lane.
    pub fn lane(self, lane: u16) -> Self {
        Self { lane, ..self }
    }

    /// The same with another of the keys for this peer.
    pub fn key_index(self, key_index: usize) -> Self {
        Self { key_index, ..self }
    }
}
