//! What all peers together may have on the way, so that memory stays bounded however many they are.
//!
//! Small envelopes and large ones have a share each: a phone full of photos for people who are away
//! must not hold up a line of text. Within its share every peer may send one small envelope even
//! when the share is used up; a large one waits for its turn.

use crate::limits::{ALL_LARGE_BYTES, ALL_SMALL_BYTES, LARGE, PEER_LARGE_BYTES, PEER_SMALL_BYTES};

/// The two shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Small,
    Large,
}

impl Size {
    pub(super) const ALL: [Self; 2] = [Self::Small, Self::Large];

    pub(super) fn of(bytes: usize) -> Self {
        if bytes > LARGE { Self::Large } else { Self::Small }
    }

    /// Bytes that one peer may have on the way.
    pub(super) fn peer_limit(self) -> usize {
        match self {
            Self::Small => PEER_SMALL_BYTES,
            Self::Large => PEER_LARGE_BYTES,
        }
    }
}

/// Bytes on the way to all peers.
#[derive(Debug, Default)]
pub(super) struct Budget {
    small: usize,
    large: usize,
}

impl Budget {
    /// Takes room for an envelope, if there is any; `first` when its peer has none on the way.
    pub(super) fn take(&mut self, bytes: usize, first: bool) -> bool {
        let size = Size::of(bytes);
        let (used, limit) = match size {
            Size::Small => (&mut self.small, ALL_SMALL_BYTES),
            Size::Large => (&mut self.large, ALL_LARGE_BYTES),
        };
        let fits = used.saturating_add(bytes) <= limit || (first && size == Size::Small);
        if fits {
            *used = used.saturating_add(bytes);
        }
        fits
    }

    pub(super) fn give_back(&mut self, bytes: usize) {
        let used = match Size::of(bytes) {
            Size::Small => &mut self.small,
            Size::Large => &mut self.large,
        };
        *used = used.saturating_sub(bytes);
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.small + self.large
    }
}
