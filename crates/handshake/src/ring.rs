use alloc::sync::Arc;
use alloc::vec::Vec;

use replink_frame::{KeyId, ReplicaId};

use crate::Key;
use crate::mac::Mac;
use crate::secret::Pair;

/// The keys that a node holds (K-2): one that it offers when it dials, and further ones that
/// it also accepts. The order is the order in which a dialer tries them.
///
/// In pairwise mode it holds one key or more for each of the node's pairs, and every peer meets
/// only those of its own (K-3). A shared key may follow, which is accepted from all on the way to pair secrets.
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

    /// The first key. To whom it serves it is offered first.
    pub fn offered(&self) -> &Key {
        &self.keys[0]
    }

    /// The ids of all keys, the offered one first.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = KeyId> {
        self.keys.iter().map(|key| key.id())
    }

    /// The ids of the keys that serve between `a` and `b`, in the order in which the lower one
    /// tries them: all keys, or with pair secrets those of this pair (K-3).
    pub fn ids_between(&self, a: ReplicaId, b: ReplicaId) -> impl Iterator<Item = KeyId> {
        self.serving(Pair::new(a, b)).map(|key| key.id())
    }

    /// The ids of the keys that are of the pair `a` and `b` and of no other, in order (K-3).
    pub fn ids_of_pair(&self, a: ReplicaId, b: ReplicaId) -> impl Iterator<Item = KeyId> {
        self.serving(Pair::new(a, b)).filter(|key| key.is_of_a_pair()).map(|key| key.id())
    }

    /// Whether somebody is offered this key first. The keys that are not are on their way out, or
    /// in (K-2).
    pub fn is_offered(&self, id: KeyId) -> bool {
        let Some(at) = self.ids().position(|held| held == id) else { return false };
        // A shared key behind those of pairs is accepted only: every peer has one of its own.
        let accepted_only = at > 0 && !self.keys[at].is_of_a_pair();
        !accepted_only && !self.keys[..at].iter().any(|before| before.serves_all_of(&self.keys[at]))
    }

    /// Whether a link that was made with this key may stay.
    pub fn accepts(&self, id: KeyId) -> bool {
        self.ids().any(|held| held == id)
    }

    /// The keys that serve between these two, in order.
    pub(crate) fn serving(&self, pair: Pair) -> impl Iterator<Item = &Arc<Key>> {
        self.keys.iter().filter(move |key| key.serves(pair))
    }

    /// The one of the keys between these two whose turn it is.
    pub(crate) fn serving_in_turn(&self, pair: Pair, index: usize) -> Option<&Arc<Key>> {
        let count = self.serving(pair).count();
        self.serving(pair).nth(index.checked_rem(count)?)
    }

    /// The key that `received` was made with, where nobody names it (K-2). Each is tried, whichever fits, so that it
    /// takes the same time for all (H-3).
    pub(crate) fn made_with(
        &self,
        pair: Pair,
        received: &[u8; 32],
        mac: impl Fn(&Key) -> Mac,
    ) -> Option<&Arc<Key>> {
        self.serving(pair).fold(None, |found, key| {
            let fits = mac(key).matches(received);
            if fits { Some(key) } else { found }
        })
    }

    /// The key with this id, if it serves between these two.
    pub(crate) fn find(&self, id: KeyId, pair: Pair) -> Option<&Arc<Key>> {
        self.serving(pair).find(|key| key.id() == id)
    }
}
