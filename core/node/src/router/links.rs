//! Sets of links in 32 bytes: each link of a router has one of 256 places.

/// The most links a router can have.
pub(super) const PLACES: usize = 256;

/// A set of places.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LinkSet([u64; PLACES / 64]);

impl LinkSet {
    pub(super) fn insert(&mut self, place: u8) {
        if let Some(word) = self.0.get_mut(usize::from(place / 64)) {
            *word |= 1 << (place % 64);
        }
    }

    pub(super) fn remove(&mut self, place: u8) {
        if let Some(word) = self.0.get_mut(usize::from(place / 64)) {
            *word &= !(1 << (place % 64));
        }
    }

    pub(super) fn contains(&self, place: u8) -> bool {
        self.0.get(usize::from(place / 64)).is_some_and(|word| word & (1 << (place % 64)) != 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0 == [0; PLACES / 64]
    }

    pub(super) fn union(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_its_own() {
        for place in 0..=u8::MAX {
            let mut set = LinkSet::default();
            set.insert(place);
            assert!((0..=u8::MAX).all(|other| set.contains(other) == (other == place)));
            set.remove(place);
            assert!(set.is_empty());
        }
    }
}
