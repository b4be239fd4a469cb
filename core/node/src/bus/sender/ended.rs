//! How messages ended, for a while.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::message::SendState;
use crate::wire::message::MessageId;

/// How long the state of an ended message can be asked for at least, bounds permitting.
const REMEMBERED: Duration = Duration::from_secs(300);

/// States of ended messages, with the /64 each was for.
pub(super) struct Ended {
    states: HashMap<MessageId, (SendState, u64)>,
    aging: VecDeque<(Instant, MessageId)>,
    limit: usize,
}

impl Ended {
    pub(super) fn new(limit: usize) -> Self {
        Self { states: HashMap::new(), aging: VecDeque::new(), limit }
    }

    pub(super) fn state(&self, id: MessageId) -> Option<SendState> {
        self.states.get(&id).map(|(state, _)| *state)
    }

    pub(super) fn insert(&mut self, id: MessageId, state: SendState, subnet: u64, now: Instant) {
        self.states.insert(id, (state, subnet));
        self.aging.push_back((now + REMEMBERED, id));
        if self.aging.len() > self.limit
            && let Some((_, id)) = self.aging.pop_front()
        {
            self.states.remove(&id);
        }
    }

    /// Somebody in `subnet` took the message; whether that is news.
    pub(super) fn read(&mut self, id: MessageId, subnet: u64) -> bool {
        match self.states.get_mut(&id) {
            Some((state, of)) if *of == subnet && *state == SendState::Received => {
                *state = SendState::Read;
                true
            }
            _ => false,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.aging.front().map(|(at, _)| *at)
    }

    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((_, id)) = self.aging.pop_front_if(|(at, _)| *at <= now) {
            self.states.remove(&id);
        }
    }
}
