//! A message under way: the chunks that came.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::{CHUNK_COST, Origin};

pub(crate) struct Pending {
    pub(super) origin: Origin,
    pub(super) length: u64,
    pub(super) topic: Bytes,
    pub(super) reply: bool,
    pub(super) chunks: BTreeMap<u64, Bytes>,
    pub(super) bytes: u64,
    pub(super) done: Option<(u64, [u8; 32])>,
    pub(super) begun: Instant,
    /// Whether it stands in the queue of those without room.
    pub(super) blocked: bool,
}

impl Pending {
    pub(super) fn cost(&self) -> usize {
        self.chunks.values().map(|chunk| chunk.len().saturating_add(CHUNK_COST)).sum()
    }

    /// The chunks as one, if they are what the hash says.
    pub(super) fn whole(&self, hash: &[u8; 32]) -> Option<Bytes> {
        let payload = match self.chunks.first_key_value() {
            Some((_, only)) if self.chunks.len() == 1 => only.clone(),
            _ => {
                let mut whole = BytesMut::with_capacity(usize::try_from(self.length).ok()?);
                self.chunks.values().for_each(|chunk| whole.extend_from_slice(chunk));
                whole.freeze()
            }
        };
        (blake3::hash(&payload) == *hash).then_some(payload)
    }
}
