use alloc::sync::Arc;
use alloc::vec::Vec;

use replink_frame::KeyId;

use crate::Key;
use crate::secret::Pair;

/// The keys that a node holds (K-2): one that it offers when it dials, and further ones that
/// it also accepts. The order is the order in which a dialer tries them.
///
/// In pairwise mode it holds one key or more for each of the node's pairs, and every peer meets
/// only those of its own (K-3).
#[derive(Debug)]
pub struct KeyRing {
    keys: Vec<Arc<Key>>,
}

impl KeyRing {
    /// A ring that offers `offered` first and also accepts `accepted`. A key that is there
    /// twice counts once.
    pub fn new(offered: Key, accepted: impl IntoIterator<Item = Key>) -> Self {
        let mut ring = Self { keys: Vec::new() };
        ring.keys.push(Arc::new(offered));
        for key in accepted {
            if !ring.accepts(key.id()) {
                ring.keys.push(Arc::new(key));
            }
        }
        ring
    }

    /// The first key. To whom it serves it is offered first, and version 1, which names none,
    /// uses it.
    pub fn offered(&self) -> &Key {
        &self.keys[0]
    }

    /// The ids of all keys, the offered one first.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = KeyId> {
        self.keys.iter().map(|key| key.id())
    }

    /// Whether a link that was made with this key may stay.
    pub fn accepts(&self, id: KeyId) -> bool {
        self.ids().any(|held| held == id)
    }

    /// The keys that serve between these two, in order.
    pub(crate) fn serving(&self, pair: Pair) -> impl Iterator<Item = &Arc<Key>> {
        self.keys.iter().filter(move |key| key.serves(pair))
    }

    /// The key with this id, if it serves between these two.
    pub(crate) fn find(&self, id: KeyId, pair: Pair) -> Option<&Arc<Key>> {
        self.serving(pair).find(|key| key.id() == id)
    }
}
