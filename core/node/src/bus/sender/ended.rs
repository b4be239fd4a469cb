//! How messages ended, for a while.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::bus::Info;
use crate::message::SendState;
use crate::wire::message::MessageId;

/// How long the state of an ended message can be asked for at least, bounds permitting.
const REMEMBERED: Duration = Duration::from_secs(300);

/// States of ended messages, with the /64 each was for.
pub(super) struct Ended {
    infos: HashMap<MessageId, (Info, u64)>,
    aging: VecDeque<(Instant, MessageId)>,
    limit: usize,
}

impl Ended {
    pub(super) fn new(limit: usize) -> Self {
        Self { infos: HashMap::new(), aging: VecDeque::new(), limit }
    }

    pub(super) fn info(&self, id: MessageId) -> Option<Info> {
        self.infos.get(&id).map(|(info, _)| *info)
    }

    /// Whether a message with this id went to `subnet`.
    pub(super) fn contains(&self, id: MessageId, subnet: u64) -> bool {
        self.infos.get(&id).is_some_and(|(_, of)| *of == subnet)
    }

    pub(super) fn insert(&mut self, id: MessageId, info: Info, subnet: u64, now: Instant) {
        self.infos.insert(id, (info, subnet));
        self.aging.push_back((now + REMEMBERED, id));
        if self.aging.len() > self.limit
            && let Some((_, id)) = self.aging.pop_front()
        {
            self.infos.remove(&id);
        }
    }

    /// How many there are, counted the way that has more.
    pub(super) fn count(&self) -> usize {
        self.infos.len().max(self.aging.len())
    }

    /// Somebody in `subnet` took the message; whether that is news.
    pub(super) fn read(&mut self, id: MessageId, subnet: u64) -> bool {
        match self.infos.get_mut(&id) {
            Some((info, of)) if *of == subnet && info.state == SendState::Received => {
                info.state = SendState::Read;
                true
            }
            _ => false,
        }
    }

    /// No timer of its own: what is remembered for longer costs nothing more.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((_, id)) = self.aging.pop_front_if(|(at, _)| *at <= now) {
            self.infos.remove(&id);
        }
    }
}
