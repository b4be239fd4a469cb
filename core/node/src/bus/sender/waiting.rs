//! Messages of one flow that have not begun, by topic.
//!
//! Topics take turns, and one whose messages the receiver has no room for is passed over, so that it
//! does not hold up the others.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::wire::message::MessageId;

#[derive(Debug, Default)]
pub(super) struct Waiting {
    topics: HashMap<Bytes, VecDeque<MessageId>>,
    /// Topics with messages, in the order of their turns.
    turns: VecDeque<Bytes>,
    len: usize,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, topic: &Bytes, id: MessageId) {
        self.len += 1;
        match self.topics.get_mut(topic) {
            Some(queue) => queue.push_back(id),
            None => {
                self.topics.insert(topic.clone(), VecDeque::from([id]));
                self.turns.push_back(topic.clone());
            }
        }
    }

    /// The next message of the next topic that is not held up.
    pub(super) fn peek(&mut self, is_held: impl Fn(&Bytes) -> bool) -> Option<MessageId> {
        for _ in 0..self.turns.len() {
            let topic = self.turns.front()?;
            if !is_held(topic) {
                return self.topics.get(topic)?.front().copied();
            }
            self.turns.rotate_left(1);
        }
        None
    }

    /// Takes what [`Waiting::peek`] gave; then it is the next topic's turn.
    pub(super) fn pop(&mut self) {
        let Some(topic) = self.turns.pop_front() else { return };
        let Some(queue) = self.topics.get_mut(&topic) else { return };
        self.len -= usize::from(queue.pop_front().is_some());
        if queue.is_empty() {
            self.topics.remove(&topic);
        } else {
            self.turns.push_back(topic);
        }
    }

    /// Drops messages that are no more.
    pub(super) fn retain(&mut self, mut is_live: impl FnMut(&MessageId) -> bool) {
        for queue in self.topics.values_mut() {
            queue.retain(&mut is_live);
        }
        self.topics.retain(|_, queue| !queue.is_empty());
        self.turns.retain(|topic| self.topics.contains_key(topic));
        self.len = self.topics.values().map(VecDeque::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> MessageId {
        MessageId([number; 8])
    }

    #[test]
    fn topics_take_turns_and_a_held_one_is_passed_over() {
        let mut waiting = Waiting::default();
        let topic = |name: &'static str| Bytes::from(name);
        for (name, number) in [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5)] {
            waiting.push(&topic(name), id(number));
        }
        let mut next = |held: &str| {
            let next = waiting.peek(|topic| topic == held);
            if next.is_some() {
                waiting.pop();
            }
            next
        };
        assert_eq!([next(""), next(""), next("")], [1, 4, 2].map(|n| Some(id(n))));
        assert_eq!([next("a"), next("a"), next("")], [Some(id(5)), None, Some(id(3))]);
        assert_eq!(waiting.len(), 0);
    }
}
