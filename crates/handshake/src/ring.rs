use alloc::sync::Arc;
use alloc::vec::Vec;

use replink_frame::KeyId;

use crate::Key;

/// The keys that a node holds (K-2): one that it offers when it dials, and further ones that
/// it also accepts. The order is the order in which a dialer tries them.
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
            if ring.find(key.id()).is_none() {
                ring.keys.push(Arc::new(key));
            }
        }
        ring
    }

    /// The key that is offered first, and the one that version 1 uses, which names none.
    pub fn offered(&self) -> &Key {
        &self.keys[0]
    }

    /// The ids of all keys, the offered one first.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = KeyId> {
        self.keys.iter().map(|key| key.id())
    }

    /// Whether a link that was made with this key may stay.
    pub fn accepts(&self, id: KeyId) -> bool {
        self.find(id).is_some()
    }

    pub(crate) fn find(&self, id: KeyId) -> Option<&Arc<Key>> {
        self.keys.iter().find(|key| key.id() == id)
    }

    pub(crate) fn nth(&self, index: usize) -> Option<&Arc<Key>> {
        self.keys.get(index)
    }
}
