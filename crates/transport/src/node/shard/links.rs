//! The links of a shard.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::mesh::LinkId;
use crate::node::link::OwnedLink;

/// All links of a shard. Each has a place, by which it is found for each of its frames; by its id it is
/// looked up once for each wake-up.
pub(super) struct Links<S> {
    places: HashMap<LinkId, Place, BuildHasherDefault<CountedHasher>>,
    owned: Vec<Option<OwnedLink<S>>>,
    free: Vec<Place>,
}

/// Where a link is, as long as it is there.
pub(super) type Place = usize;

impl<S> Links<S> {
    pub(super) fn new() -> Self {
        Self { places: HashMap::default(), owned: Vec::new(), free: Vec::new() }
    }

    pub(super) fn insert(&mut self, id: LinkId, link: OwnedLink<S>) -> Place {
        let place = self.free.pop().unwrap_or_else(|| {
            self.owned.push(None);
            self.owned.len() - 1
        });
        self.owned[place] = Some(link);
        self.places.insert(id, place);
        place
    }

    pub(super) fn remove(&mut self, id: LinkId) -> Option<(Place, OwnedLink<S>)> {
        let place = self.places.remove(&id)?;
        let link = self.owned[place].take()?;
        self.free.push(place);
        Some((place, link))
    }

    pub(super) fn place(&self, id: LinkId) -> Option<Place> {
        self.places.get(&id).copied()
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut OwnedLink<S>> {
        self.at_mut(self.place(id)?)
    }

    #[inline]
    pub(super) fn at_mut(&mut self, place: Place) -> Option<&mut OwnedLink<S>> {
        self.owned.get_mut(place)?.as_mut()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = LinkId> {
        self.places.keys().copied()
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = OwnedLink<S>> {
        self.places.clear();
        self.free.clear();
        self.owned.drain(..).flatten()
    }
}

/// Spreads numbers that are counted by this process and are nobody else's to choose, so there is no need of a
/// hash that withstands choice.
#[derive(Default)]
pub(super) struct CountedHasher(u64);

impl Hasher for CountedHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u64(&mut self, number: u64) {
        // The golden ratio: the high bits, by which the map tells entries apart, differ as well.
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
