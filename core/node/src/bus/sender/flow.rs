//! Everything on its way to one /64, and who has something to send.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::Ipv6Addr;
use std::time::Instant;

use bytes::Bytes;

use super::path::Path;
use super::search::Search;
use super::waiting::Waiting;
use crate::wire::message::MessageId;

/// Messages under way at once. Receivers bound the same thing.
const ACTIVE: usize = 256;
/// Bytes of those, unless it is one message alone: what receivers surely have room for.
const ACTIVE_BYTES: usize = 16 << 20;
/// Messages of one topic that the receiver has no room for or does not answer, before others of the
/// topic wait here; of all topics; and their bytes. With those under way less than receivers hold.
const PARKED_OF_TOPIC: usize = 64;
const PARKED: usize = 512;
const PARKED_BYTES: usize = 16 << 20;

/// Whether a node can be reached now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// A selected route exists.
    Exists,
    /// Not now.
    None,
}

/// Everything on its way to one /64.
pub(super) struct Flow {
    /// Not begun.
    pub(super) waiting: Waiting,
    /// Begun and not ended.
    active: HashSet<MessageId>,
    active_bytes: usize,
    /// Whole at the receiver, who has no room for them, or not answered at all, by topic; and their
    /// bytes.
    parked: HashMap<Bytes, usize>,
    parked_ids: HashSet<MessageId>,
    parked_bytes: usize,
    /// Of those begun, the ones with something to send; some have ended since.
    pub(super) ready: VecDeque<MessageId>,
    /// Chunks on their way in the order of sending: message, position among its sendings, index.
    /// Some have been answered since.
    pub(super) log: VecDeque<Sent>,
    /// All that have not ended.
    pub(super) messages: usize,
    pub(super) path: Path,
    pub(super) route: Route,
    pub(super) is_dirty: bool,
    /// When it is to be looked at because of its pace.
    pub(super) timer: Option<Instant>,
    /// The address that the last message was for.
    pub(super) destination: Ipv6Addr,
    pub(super) search: Option<Search>,
}

/// One sending of one chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) at: Instant,
    pub(super) id: MessageId,
    pub(super) index: usize,
    pub(super) sequence: u32,
}

impl Flow {
    pub(super) fn new(destination: Ipv6Addr, now: Instant) -> Self {
        Self {
            waiting: Waiting::default(),
            active: HashSet::new(),
            active_bytes: 0,
            parked: HashMap::new(),
            parked_ids: HashSet::new(),
            parked_bytes: 0,
            ready: VecDeque::new(),
            log: VecDeque::new(),
            messages: 0,
            path: Path::new(now),
            route: Route::None,
            is_dirty: false,
            timer: None,
            destination,
            search: None,
        }
    }

    pub(super) fn make_ready(&mut self, id: MessageId, is_ready: &mut bool) {
        if !std::mem::replace(is_ready, true) {
            self.ready.push_back(id);
        }
    }

    /// The next message to begin, if one may.
    pub(super) fn next_waiting(&mut self) -> Option<MessageId> {
        if self.active.len() >= ACTIVE {
            return None;
        }
        let (parked, all) = (&self.parked, self.parked_ids.len() >= PARKED);
        let is_held =
            |topic: &Bytes| parked.get(topic).is_some_and(|count| all || *count >= PARKED_OF_TOPIC);
        self.waiting.peek(is_held)
    }

    /// Counts a message as begun; false when there is no room for its bytes now.
    pub(super) fn begin(&mut self, id: MessageId, length: usize) -> bool {
        let is_crowded = self.active_bytes.saturating_add(length) > ACTIVE_BYTES;
        if is_crowded && !self.active.is_empty() {
            return false;
        }
        self.active.insert(id);
        self.active_bytes += length;
        true
    }

    /// The receiver seems to have no room for a whole message, or says nothing to it, so it makes
    /// place for others. False when too many have.
    pub(super) fn park(&mut self, id: MessageId, topic: &Bytes, length: usize) -> bool {
        let fits = self.parked_ids.len() < PARKED && self.parked_bytes + length <= PARKED_BYTES;
        if !fits || !self.active.remove(&id) {
            return false;
        }
        self.active_bytes = self.active_bytes.saturating_sub(length);
        *self.parked.entry(topic.clone()).or_default() += 1;
        self.parked_ids.insert(id);
        self.parked_bytes += length;
        true
    }

    /// A message has ended.
    pub(super) fn end(&mut self, id: MessageId, topic: &Bytes, length: usize) {
        self.messages = self.messages.saturating_sub(1);
        if self.active.remove(&id) {
            self.active_bytes = self.active_bytes.saturating_sub(length);
        }
        if self.parked_ids.remove(&id)
            && let Some(count) = self.parked.get_mut(topic)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.parked.remove(topic);
            }
            self.parked_bytes = self.parked_bytes.saturating_sub(length);
        }
    }

    /// All that have begun and not ended.
    pub(super) fn begun(&self) -> Vec<MessageId> {
        self.active.iter().chain(&self.parked_ids).copied().collect()
    }
}
