//! The links of a router, each with a place in sets of links.

use super::neighbour::Neighbour;
use super::{Router, metric};
use crate::LinkId;

/// The most links a router can have.
pub(crate) const PLACES: usize = 4096;
/// Places that cost no memory of their own: few nodes have more links than this.
const NEAR: usize = 128;

/// A set of places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LinkSet {
    near: [u64; NEAR / 64],
    /// Those beyond; its last word is never 0.
    far: Vec<u64>,
}

impl LinkSet {
    pub(super) fn insert(&mut self, place: u16) {
        let index = usize::from(place / 64);
        if index >= self.near.len() + self.far.len() && usize::from(place) < PLACES {
            self.far.resize(index + 1 - self.near.len(), 0);
        }
        if let Some(word) = self.word_mut(index) {
            *word |= 1 << (place % 64);
        }
    }

    pub(super) fn remove(&mut self, place: u16) {
        if let Some(word) = self.word_mut(usize::from(place / 64)) {
            *word &= !(1 << (place % 64));
        }
        self.trim();
    }

    pub(super) fn contains(&self, place: u16) -> bool {
        let index = usize::from(place / 64);
        let word = match index.checked_sub(self.near.len()) {
            None => self.near.get(index),
            Some(index) => self.far.get(index),
        };
        word.is_some_and(|word| word & (1 << (place % 64)) != 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.near.iter().all(|word| *word == 0) && self.far.is_empty()
    }

    pub(super) fn union(&mut self, other: &Self) {
        if self.far.len() < other.far.len() {
            self.far.resize(other.far.len(), 0);
        }
        let words = self.near.iter_mut().zip(other.near);
        words.chain(self.far.iter_mut().zip(other.far.iter().copied())).for_each(|(a, b)| *a |= b);
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        let words = self.near.iter_mut().zip(other.near);
        words.chain(self.far.iter_mut().zip(other.far.iter().copied())).for_each(|(a, b)| *a &= !b);
        self.trim();
    }

    fn word_mut(&mut self, index: usize) -> Option<&mut u64> {
        match index.checked_sub(self.near.len()) {
            None => self.near.get_mut(index),
            Some(index) => self.far.get_mut(index),
        }
    }

    fn trim(&mut self) {
        while self.far.last() == Some(&0) {
            self.far.pop();
        }
    }
}

impl Router {
    pub(super) fn links(&self) -> Vec<LinkId> {
        self.neighbours.keys().copied().collect()
    }

    /// The links at these places.
    pub(super) fn links_at(&self, places: &LinkSet) -> Vec<LinkId> {
        if places.is_empty() {
            return Vec::new();
        }
        let chosen = |(link, place)| places.contains(place).then_some(link);
        self.places().filter_map(chosen).collect()
    }

    pub(super) fn cost(&self, link: LinkId) -> u16 {
        self.neighbours.get(&link).map_or(metric::INFINITE, Neighbour::cost)
    }

    pub(super) fn place(&self, link: LinkId) -> Option<u16> {
        self.neighbours.get(&link).map(|neighbour| neighbour.place)
    }

    /// A place for one more link.
    pub(super) fn free_place(&self) -> Option<u16> {
        let limit = self.config.limits.links.min(PLACES);
        if self.neighbours.len() >= limit {
            return None;
        }
        let mut taken = LinkSet::default();
        self.places().for_each(|(_, place)| taken.insert(place));
        (0..PLACES as u16).find(|place| !taken.contains(*place))
    }

    /// Every link and its place in sets.
    fn places(&self) -> impl Iterator<Item = (LinkId, u16)> + '_ {
        self.neighbours.iter().map(|(link, neighbour)| (*link, neighbour.place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(places: &[u16]) -> LinkSet {
        let mut set = LinkSet::default();
        places.iter().for_each(|place| set.insert(*place));
        set
    }

    #[test]
    fn every_place_is_its_own() {
        let places = PLACES as u16;
        for place in (0..300).chain(places - 100..places) {
            let mut set = set(&[place]);
            assert!((0..places).all(|other| set.contains(other) == (other == place)));
            set.remove(place);
            assert!(set.is_empty() && set == LinkSet::default());
        }
        assert!(set(&[places, u16::MAX]).is_empty(), "there are no such places");
    }

    #[test]
    fn sets_of_near_and_far_places_add_up_and_are_taken_away() {
        let mut all = set(&[1, 127]);
        all.union(&set(&[128, 4000]));
        assert_eq!(all, set(&[4000, 1, 128, 127]));
        all.subtract(&set(&[1, 4000, 77]));
        assert_eq!(all, set(&[127, 128]));
        all.subtract(&set(&[128]));
        all.union(&set(&[]));
        assert_eq!(all, set(&[127]));
    }
}
