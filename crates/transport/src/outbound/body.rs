use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use replink_handshake::seal_body_hash;

/// The body of a frame to be sent.
///
/// Made of [`Bytes`] it is just that. One that goes to several peers over sealed links is better made
/// with [`Body::shared`]: its clones are hashed once (S-4).
#[derive(Clone, Default)]
pub struct Body {
    bytes: Bytes,
    hash: Option<Arc<OnceLock<[u8; 32]>>>,
}

impl Body {
    /// A body for several peers: its clones share the hash that a seal needs, which is computed when
    /// the first link needs it.
    pub fn shared(bytes: Bytes) -> Self {
        Self { bytes, hash: Some(Arc::default()) }
    }

    /// The bytes.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// `hash(body)` of section 5.
    pub(super) fn seal_hash(&self) -> [u8; 32] {
        match &self.hash {
            Some(shared) => *shared.get_or_init(|| hash(&self.bytes)),
            None => hash(&self.bytes),
        }
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    #[cfg(test)]
    tests::HASHED.set(tests::HASHED.get() + 1);
    seal_body_hash(bytes)
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, hash: None }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<Body> for Bytes {
    fn from(body: Body) -> Self {
        body.bytes
    }
}

impl Deref for Body {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Body {}

impl PartialEq<Bytes> for Body {
    fn eq(&self, other: &Bytes) -> bool {
        self.bytes == *other
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// Bodies that were hashed by this thread.
        pub(super) static HASHED: Cell<u32> = const { Cell::new(0) };
    }

    /// S-4.
    #[test]
    fn a_body_for_four_peers_is_hashed_once() {
        let hashed_for_four = |body: Body| {
            let before = HASHED.get();
            let peers: Vec<Body> = (0..4).map(|_| body.clone()).collect();
            let hashes: Vec<_> = peers.iter().map(Body::seal_hash).collect();
            assert!(hashes.iter().all(|hash| *hash == seal_body_hash(&body)));
            HASHED.get() - before
        };
        let bytes = Bytes::from(vec![7; 64 * 1024]);
        assert_eq!(hashed_for_four(Body::shared(bytes.clone())), 1);
        assert_eq!(hashed_for_four(Body::from(bytes)), 4, "what is not shared is hashed for each");
    }
}
